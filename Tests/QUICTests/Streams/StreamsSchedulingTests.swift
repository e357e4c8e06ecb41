import Primitives
import Testing

@testable import QUIC

@Suite("Stream scheduling")
struct StreamsSchedulingTests {
    private let client: StreamsEnd
    private let quantum = StreamScheduler.quantum

    init() {
        var limits = StreamConfiguration()
        limits.initialStreamWindow = .mebibytes(4)
        limits.initialConnectionWindow = .mebibytes(64)
        limits.peerBidirectionalStreams = 4000
        client = StreamsEnd.pair(server: limits).0
    }

    private func open(_ urgency: StreamUrgency = .normal, bytes: Int = 0) throws -> StreamID {
        let id = try #require(client.table.openStream(.bidirectional))
        client.table.setUrgency(urgency, of: id)
        client.write([UInt8](repeating: 1, count: bytes), to: id)
        return id
    }

    /// The streams in the order in which they send, with the bytes that each sends at a stretch.
    private func order(packets: Int) -> [(id: StreamID, bytes: Int)] {
        var order: [(id: StreamID, bytes: Int)] = []
        for _ in 0..<packets {
            client.nextPacket()?.frames.forEach { frame in
                guard case .stream(let id, _, let length, _) = frame else { return }
                if order.last?.id == id {
                    order[order.count - 1].bytes += length
                } else {
                    order.append((id, length))
                }
            }
        }
        return order
    }

    @Test func `streams of one urgency take turns of a few packets`() throws {
        let ids = try (0..<3).map { _ in try open(bytes: 200_000) }
        let turns = order(packets: 200)
        #expect(turns.prefix(9).map(\.id) == ids + ids + ids)
        for turn in turns.dropLast() { #expect((quantum - 1200...quantum + 1200).contains(turn.bytes)) }
    }

    @Test func `a higher urgency goes first, and urgency can be changed while data waits`() throws {
        let bulk = try open(.bulk, bytes: 3000)
        let normal = try open(.normal, bytes: 3000)
        let control = try open(.control, bytes: 3000)
        let late = try open(.bulk, bytes: 3000)
        client.table.setUrgency(.control, of: late)
        #expect(order(packets: 20).map(\.id) == [control, late, normal, bulk])
    }

    @Test func `a small write overtakes a bulk transfer of the same urgency`() throws {
        let interactive = try open()
        let bulk = try open(bytes: 1 << 20)
        _ = order(packets: 30)
        for _ in 0..<50 {
            client.write([1, 2, 3], to: interactive)
            let packet = try #require(client.nextPacket())
            #expect(packet.frames.first == client.frame(of: interactive, in: packet))
            _ = order(packets: 3)
        }
        #expect(client.table.unsentBytes(on: bulk) < 1 << 20 - 200 * 1000)
    }

    /// Among sizes just below the quantum are some whose last frame uses it up exactly.
    @Test(arguments: [3000, 16_310, 16_320, 16_330, 16_340, 16_350, 16_360, 40_000])
    func `a stream that keeps coming back with much data gets no more than its share`(size: Int) throws {
        let greedy = try open()
        let steady = try open(bytes: 2 << 20)
        var sent: [StreamID: Int] = [:]
        for _ in 0..<800 {
            // Drained and refilled all the time: always freshly active.
            if client.table.unsentBytes(on: greedy) == 0 {
                client.write([UInt8](repeating: 2, count: size), to: greedy)
            }
            client.nextPacket()?.frames.forEach { frame in
                if case .stream(let id, _, let length, _) = frame { sent[id, default: 0] += length }
            }
        }
        let share = Double(sent[greedy] ?? 0) / Double(sent.values.reduce(0, +))
        #expect((0.4...0.6).contains(share), "share \(share)")
        #expect(sent[steady] ?? 0 > 0)
    }

    @Test func `a stream at its limit stalls nobody`() throws {
        let stalled = try open(bytes: 5 << 20)
        let other = try open(bytes: 1 << 20)
        var bytes = 0
        while client.table.unsentBytes(on: stalled) > 1 << 20 { bytes += client.nextPacket()?.payload.count ?? 0 }
        client.write([UInt8](repeating: 1, count: 5000), to: other)
        while client.table.unsentBytes(on: other) > 0 {
            try #require(client.nextPacket() != nil)
        }
        #expect(client.table.unsentBytes(on: stalled) == 1 << 20)
        #expect(!client.table.hasDataToSend)
    }

    @Test func `streams that were broken off leave the queue`() throws {
        let ids = try (0..<100).map { _ in try open(bytes: 5000) }
        for id in ids.dropLast() { client.table.reset(id, errorCode: 0) }
        #expect(order(packets: 20).map(\.id) == [ids[99]])
        #expect(!client.table.hasDataToSend)
        #expect(client.table.scheduler.queued.isEmpty)
    }

    @Test func `idle streams cost the busy ones nothing`() throws {
        for _ in 0..<3000 { _ = try open() }
        let busy = try open(bytes: 100_000)
        #expect(client.table.scheduler.count == 1)
        #expect(order(packets: 100).map(\.id) == [busy])
        #expect(client.table.scheduler.count == 0)
    }

    @Test func `a packet carries no crumbs of a large write`() throws {
        let small = try open(bytes: 1184)
        let large = try open(bytes: 5000)
        let first = try #require(client.nextPacket())
        #expect(first.frames == SentFrames([.stream(small, offset: 0, length: 1184, fin: .more)]))
        #expect(first.payload.count < 1200)
        #expect(try #require(client.nextPacket()).frames.first == client.frame(of: large, in: nil, offset: 0))
    }
}

extension StreamsEnd {
    /// The STREAM frame of `id` in `packet`; without a packet the full one of 1,200 bytes that starts at `offset`.
    func frame(of id: StreamID, in packet: StreamsPacket?, offset: UInt64 = 0) -> SentFrame? {
        guard let packet else {
            return .stream(id, offset: offset, length: 1200 - 1 - Varint.width(of: id.rawValue), fin: .more)
        }
        var found: SentFrame?
        packet.frames.forEach { if case .stream(id, _, _, _) = $0 { found = $0 } }
        return found
    }
}
