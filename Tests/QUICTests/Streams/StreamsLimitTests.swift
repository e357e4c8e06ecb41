import Primitives
import Testing

@testable import QUIC

@Suite("Stream limits")
struct StreamsLimitTests {
    static func limits(bidirectional: UInt64, unidirectional: UInt64 = 3) -> StreamConfiguration {
        var configuration = StreamConfiguration()
        configuration.peerBidirectionalStreams = bidirectional
        configuration.peerUnidirectionalStreams = unidirectional
        return configuration
    }

    @Test func `streams are opened up to the peer's limit, which is reported once when it is met`() throws {
        let (client, server) = StreamsEnd.pair(server: Self.limits(bidirectional: 2, unidirectional: 1))
        #expect(client.table.openStream(.bidirectional) == stream(0))
        #expect(client.table.openStream(.bidirectional) == stream(4))
        #expect(client.table.openStream(.bidirectional) == nil)
        #expect(client.table.openStream(.bidirectional) == nil)
        #expect(client.table.openStream(.unidirectional) == stream(2))
        let packet = try #require(client.nextPacket())
        #expect(packet.frames.first == .streamsBlocked(.bidirectional))
        try server.receive(packet)
        #expect(client.nextPacket() == nil)
        client.lost(packet)
        #expect(client.sentFrames() == [.streamsBlocked(.bidirectional)])
        try client.table.receiveMaxStreams(.bidirectional, limit: 1)
        #expect(client.fetchEvents() == [])
        try client.table.receiveMaxStreams(.bidirectional, limit: 3)
        #expect(client.fetchEvents() == [.streamsAvailable(.bidirectional)])
        #expect(client.table.openStream(.bidirectional) == stream(8))
        try client.table.receiveMaxStreams(.unidirectional, limit: 5)
        #expect(client.fetchEvents() == [])
    }

    @Test func `a stream opens together with those below it`() throws {
        let server = StreamsEnd.pair().1
        try server.receiveStream(stream(8), 0, [1])
        #expect(
            server.fetchEvents() == [.opened(stream(0)), .opened(stream(4)), .opened(stream(8)), .readable(stream(8))])
        try server.receiveStream(stream(4), 0, [2], .end)
        #expect(server.fetchEvents() == [.readable(stream(4))])
        try server.receiveStream(stream(6), 0, [])
        #expect(server.fetchEvents() == [.opened(stream(2)), .opened(stream(6))])
        // The answering half of a stream that the peer has only reached past may be used.
        server.write([3], to: stream(0))
        #expect(server.sentFrames() == [.stream(stream(0), offset: 0, length: 1, fin: .more)])
    }

    @Test(arguments: [
        ControlFrame.streamDataBlocked(stream(4), limit: 0), .maxStreamData(stream(4), 9),
        .stopSending(stream(4), errorCode: 1), .resetStream(stream(4), errorCode: 1, finalSize: 0),
    ])
    func `any frame about a stream opens it`(frame: ControlFrame) throws {
        let server = StreamsEnd.pair().1
        var bytes = [UInt8](repeating: 0, count: frame.encodedSize)
        var target = bytes.mutableSpan
        var writer = ByteWriter(&target)
        writer.write(frame)
        try server.receive(StreamsPacket(payload: bytes, frames: SentFrames()))
        #expect(server.fetchEvents().starts(with: [.opened(stream(0)), .opened(stream(4))]))
    }

    @Test func `credit for new streams comes back as streams end in good order`() throws {
        let (client, server) = StreamsEnd.pair(server: Self.limits(bidirectional: 2))
        for round in 0..<20 as Range<UInt64> {
            let id = try #require(client.table.openStream(.bidirectional), "round \(round)")
            #expect(id == stream(round * 4))
            client.write([1], to: id)
            client.table.finish(id)
            try client.settle(with: server)
            #expect(server.table.read(from: id, atMost: 1) == [1])
            server.table.finish(id)
            try client.settle(with: server)
            client.fetchEvents()
            server.fetchEvents()
            try client.settle(with: server)
        }
        #expect(client.table.streamCount == 0)
        #expect(server.table.streamCount == 0)
    }

    @Test func `slots of streams that are gone are used again, whatever they were waiting for`() throws {
        var limits = Self.limits(bidirectional: 8)
        limits.initialConnectionWindow = 3000
        limits.maximumConnectionWindow = 3000
        let (client, server) = StreamsEnd.pair(server: limits)
        var random = SeededGenerator(seed: 5)
        for round in 0..<150 {
            guard let id = client.table.openStream(.bidirectional) else { break }
            client.write(numbered(0..<UInt64.random(in: 0...2500, using: &random)), to: id)
            if round % 3 == 0 { for packet in client.allPackets() { client.lost(packet) } }
            if round % 2 == 0 { client.table.finish(id) } else { client.table.reset(id, errorCode: 1) }
            if round % 5 == 0 { client.table.stopSending(id, errorCode: 2) }
            for _ in 0..<4 {
                try client.settle(with: server)
                for event in server.fetchEvents() {
                    if case .readable(let id) = event { _ = server.table.read(from: id, atMost: .max) }
                    if case .opened(let id) = event { server.table.finish(id) }
                }
                client.fetchEvents()
                server.now += PeerStreams.breakOffInterval
                server.table.deadlineReached(at: server.now)
            }
        }
        #expect(client.events.count > 250)
        #expect(client.table.streamCount == 0 && server.table.streamCount == 0)
        #expect(client.table.slotCount <= 2 && server.table.slotCount <= 2)
        #expect(!client.table.hasControlToSend && !client.table.hasDataToSend)
    }

    /// The rapid reset attack (CVE-2023-44487) on streams.
    @Test func `credit for streams that the peer breaks off comes back slowly`() throws {
        let window: UInt64 = 200
        let server = StreamsEnd.pair(server: Self.limits(bidirectional: 1, unidirectional: window)).1
        var index: UInt64 = 0
        var worst: UInt64 = 0
        for tick in 0..<100 as Range<UInt64> {
            server.now = .origin + .milliseconds(Int64(tick) * 10)
            server.table.deadlineReached(at: server.now)
            _ = server.sentFrames()
            while index < server.table.peerUnidirectional.limit {
                let id = StreamID(initiator: .client, direction: .unidirectional, index: index)
                try server.table.receiveResetStream(id, errorCode: 0, finalSize: 0, at: server.now)
                index += 1
                server.fetchEvents()
                _ = server.sentFrames()
            }
            let batches = tick / 10 + 1
            worst = max(worst, index - min(index, window + (batches + 1) * PeerStreams.breakOffBatch))
        }
        #expect(worst == 0)
        #expect(index > window + 5 * PeerStreams.breakOffBatch)
        #expect(server.table.streamCount == 0)
    }

    @Test func `a peer that waits for credit held back gets it by deadline`() throws {
        let server = StreamsEnd.pair(server: Self.limits(bidirectional: 1, unidirectional: 100)).1
        for index in 0..<100 as Range<UInt64> {
            let id = StreamID(initiator: .client, direction: .unidirectional, index: index)
            try server.table.receiveResetStream(id, errorCode: 0, finalSize: 0, at: server.now)
        }
        server.fetchEvents()
        _ = server.sentFrames()
        let limit = server.table.peerUnidirectional.limit
        let deadline = try #require(server.table.nextDeadline)
        server.now = deadline
        server.table.deadlineReached(at: deadline)
        #expect(server.sentFrames() == [.maxStreams(.unidirectional)])
        #expect(server.table.peerUnidirectional.limit == limit + PeerStreams.breakOffBatch)
        server.table.lost(.maxStreams(.unidirectional))
        #expect(server.sentFrames() == [.maxStreams(.unidirectional)])
    }

    @Test func `frames about a stream that is gone come late and change nothing`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.write([1, 2], to: id)
        client.table.finish(id)
        try client.settle(with: server)
        #expect(server.table.read(from: id, atMost: 9) == [1, 2])
        server.table.finish(id)
        try client.settle(with: server)
        client.fetchEvents()
        server.fetchEvents()
        try #require(client.table.streamCount == 0 && server.table.streamCount == 0)
        for end in [client, server] {
            try end.receiveStream(id, 0, [1, 2], .end)
            try end.table.receiveResetStream(id, errorCode: 5, finalSize: 900, at: end.now)
            try end.table.receiveStopSending(id, errorCode: 5, at: end.now)
            try end.table.receiveMaxStreamData(id, limit: 1 << 40)
            try end.table.receiveStreamDataBlocked(id, limit: 3)
            for frame: SentFrame in [
                .stream(id, offset: 0, length: 2, fin: .end), .resetStream(id), .stopSending(id), .maxStreamData(id),
                .streamDataBlocked(id),
            ] {
                end.table.acknowledged(frame)
                end.table.lost(frame)
            }
            end.write([3], to: id)
            end.table.finish(id)
            end.table.reset(id, errorCode: 1)
            end.table.stopSending(id, errorCode: 1)
            end.table.consume(7, from: id)
            end.table.setUrgency(.bulk, of: id)
            #expect(end.table.read(from: id, atMost: 5) == [])
            #expect(end.table.acknowledgedRingOffset(on: id) == nil)
            #expect(end.fetchEvents() == [])
            #expect(end.sentFrames().allSatisfy { $0 == .maxStreams(.bidirectional) })
        }
    }
}
