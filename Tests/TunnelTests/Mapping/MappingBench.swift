import Primitives
import Testing

@testable import Tunnel

/// Plays exchanges through a mapper as a driver would, from one origin to the next.
struct MappingBench {
    /// How it went on after the last failure.
    enum Outcome: Equatable {
        case unchanged
        case aborted(String)
    }

    let exchange: Exchange
    var mapper = StreamMapper()
    /// What the application got.
    private(set) var received: [UInt8] = []
    /// What other origins were sent, in order.
    private(set) var sent: [[UInt8]] = []
    private var generator: SeededGenerator

    init(_ exchange: Exchange, seed: UInt64) {
        self.exchange = exchange
        generator = SeededGenerator(seed: seed)
    }

    /// Pieces of random sizes, some of them small.
    private mutating func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
        var rest = bytes[...]
        var pieces: [[UInt8]] = []
        while !rest.isEmpty {
            let size = Int.random(in: 0...3, using: &generator) == 0 ? 4 : 120
            let piece = rest.prefix(Int.random(in: 1...size, using: &generator))
            rest = rest.dropFirst(piece.count)
            pieces.append(Array(piece))
        }
        return pieces
    }

    mutating func request(_ bytes: [UInt8]) {
        for piece in pieces(bytes) { mapper.requestsPassed(piece.span) }
    }

    mutating func respond(_ bytes: [UInt8]) {
        for piece in pieces(bytes) {
            received += piece
            mapper.responsesPassed(piece.span)
        }
    }

    /// Another origin's bytes; the failure that they lead to, if any.
    mutating func splice(_ bytes: [UInt8]) -> ContinuationFailure? {
        for piece in pieces(bytes) {
            var position = 0
            do throws(ContinuationFailure) {
                while let part = try mapper.splice(piece.span, at: &position) {
                    switch part {
                    case .content(let range): received += piece[range]
                    case .framing(let bytes):
                        #expect(bytes.count <= StreamMapper.longestFraming)
                        received += bytes
                    }
                }
            } catch {
                return error
            }
            #expect(position == piece.count)
        }
        return nil
    }

    /// Everything, with failures behind so many bytes of what each origin has to say; the last one says all of it and ends.
    mutating func play(_ failure: OriginFailure, cuts: [Int], _ origin: ModelOrigin) -> Outcome {
        request(exchange.requests)
        let cutting = failure
        var cuts = cuts[...]
        respond(Array(exchange.responses.prefix(cuts.popFirst() ?? exchange.responses.count)))
        var failure = failure
        while true {
            switch mapper.originFailed(failure) {
            case .unchanged: return .unchanged
            case .abort(let reason): return .aborted(reason)
            case .send(let requests):
                sent.append(requests)
                let answer = origin.answer(requests)
                let cut = cuts.popFirst() ?? answer.count
                failure = cut < answer.count ? cutting : .ended
                switch splice(Array(answer.prefix(cut))) {
                case .abort(let reason): return .aborted(reason)
                case .unavailable: failure = .declaredDead
                case nil: break
                }
            }
        }
    }

    /// What happened, for whoever has to find out why.
    var story: String {
        "sent \(sent.map { String(decoding: $0, as: UTF8.self) }), received \(String(decoding: received, as: UTF8.self))"
    }

    /// Whether another origin was asked for the rest of a response, instead of for all of it.
    var askedForPart: Bool {
        sent.contains { requests in !exchange.turns.contains { requests.starts(with: $0.request) } }
    }

    /// What the application understands of what it got.
    var messages: [ReceivedMessage] { ReceivedMessage.all(in: received, turns: exchange.turns) }

    /// Whether the application got the same as without failures: the same bytes, unless chunks were cut differently.
    var isWhole: Bool {
        received == exchange.responses || exchange.end != .aside && messages == exchange.messages
    }

    /// Whether what it got is the beginning of that.
    var isBeginning: Bool {
        guard !exchange.responses.starts(with: received) else { return true }
        var got = messages
        guard let last = got.popLast(), got.count < exchange.messages.count, exchange.messages.starts(with: got) else {
            return false
        }
        let next = exchange.messages[got.count]
        return last.head == next.head && next.content.starts(with: last.content)
    }
}
