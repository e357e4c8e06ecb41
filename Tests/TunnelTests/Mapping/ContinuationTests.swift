import Primitives
import Testing

@testable import Tunnel

@Suite("Responses that another origin goes on with")
struct ContinuationTests {
    @Test(
        "undisturbed, every exchange is followed to its end and nothing is asked of anyone", arguments: Exchange.corpus)
    func undisturbed(exchange: Exchange) {
        for seed in 0..<10 {
            var bench = MappingBench(exchange, seed: UInt64(seed))
            bench.request(exchange.requests)
            bench.respond(exchange.responses)
            let end: Exchange.End =
                switch bench.mapper.state {
                case .following, .splicing: .following
                case .over: .over
                case .aside: .aside
                }
            #expect(end == exchange.end, "\(bench.mapper.state)")
            #expect(bench.mapper.originFailed(.ended) == .unchanged)
            if exchange.end != .following { #expect(bench.mapper.memory == 0) }
        }
    }

    @Test("cut at every byte, the application gets the same bytes or sees a reset", arguments: Exchange.corpus)
    func everyByte(exchange: Exchange) {
        var continued = 0
        var aborted = 0
        let framings = ModelOrigin.Framing.allCases
        for (pass, failure) in [OriginFailure.ended, .reset].enumerated() {
            for cut in 0...exchange.responses.count {
                let framing = framings[(cut + pass) % framings.count]
                let origin = ModelOrigin(turns: exchange.turns, framing: framing)
                var bench = MappingBench(exchange, seed: UInt64(cut))
                let outcome = bench.play(failure, cuts: [cut], origin)
                let isRight: Bool
                switch outcome {
                case .aborted:
                    aborted += 1
                    isRight = bench.isBeginning
                case .unchanged where bench.sent.isEmpty:
                    let mayBeCut = exchange.end == .aside || exchange.endsByClosing && failure == .ended
                    isRight = exchange.responses.prefix(cut) == bench.received[...] && (mayBeCut || bench.isWhole)
                case .unchanged:
                    continued += 1
                    isRight = bench.isWhole
                }
                if !isRight { Issue.record("\(failure) at \(cut), \(framing): \(outcome), \(bench.story)") }
            }
        }
        switch exchange.continuable {
        case .anywhere: #expect(aborted == 0 && continued > 0)
        case .somewhere: #expect(continued > 0)
        case .nowhere: #expect(continued == 0)
        }
    }

    @Test("cut again while it is being continued, and again", arguments: Exchange.corpus)
    func nested(exchange: Exchange) {
        var generator = SeededGenerator(seed: 7)
        for first in stride(from: Int.random(in: 0...2, using: &generator), to: exchange.responses.count, by: 3) {
            let more = Int.random(in: 1...4, using: &generator)
            let cuts = [first] + (0..<more).map { _ in Int.random(in: 0...260, using: &generator) }
            let framing = ModelOrigin.Framing.allCases.randomElement(using: &generator) ?? .length
            let failure: OriginFailure = exchange.endsByClosing || first % 2 == 0 ? .reset : .ended
            var bench = MappingBench(exchange, seed: UInt64(first))
            let outcome = bench.play(failure, cuts: cuts, ModelOrigin(turns: exchange.turns, framing: framing))
            let isRight =
                switch outcome {
                case .aborted: bench.isBeginning && exchange.continuable != .anywhere
                case .unchanged where exchange.end == .aside: bench.isBeginning
                case .unchanged: bench.isWhole
                }
            if !isRight { Issue.record("\(failure), \(framing) at \(cuts): \(outcome), \(bench.story)") }
        }
    }

    @Test("of an origin that lies nothing wrong is ever taken", arguments: ModelOrigin.Lie.allCases)
    func lies(lie: ModelOrigin.Lie) {
        var generator = SeededGenerator(seed: 9)
        for exchange in Exchange.corpus where exchange.continuable != .nowhere && exchange.isExact(lie) {
            let framing = [ModelOrigin.Framing.length, .chunks].randomElement(using: &generator) ?? .length
            let origin = ModelOrigin(turns: exchange.turns, framing: framing, lie: lie)
            for _ in 0..<8 {
                let cut = Int.random(in: 0...exchange.responses.count, using: &generator)
                var bench = MappingBench(exchange, seed: UInt64(cut))
                let outcome = bench.play(.reset, cuts: [cut], origin)
                // A part of which nothing is missing, but behind which there is more, may have been taken whole by then.
                let isHarmless = !bench.askedForPart || lie == .tooMuch
                let isRight =
                    outcome == .unchanged ? isHarmless && (bench.isWhole || bench.sent.isEmpty) : bench.isBeginning
                if !isRight { Issue.record("\(exchange.name), \(framing) at \(cut): \(outcome), \(bench.story)") }
            }
        }
    }
}

extension Exchange {
    /// The last response has no length: the connection's end ends it.
    fileprivate var endsByClosing: Bool { messages.last?.framing == .untilClose }

    /// Whether the first origin said what such an origin lies about: what nobody said cannot be compared.
    fileprivate func isExact(_ lie: ModelOrigin.Lie) -> Bool {
        lie != .otherLength || messages.last?.value("content-range")?.hasSuffix("/*") != true
    }
}
