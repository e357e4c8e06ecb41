import Primitives
import Testing

@testable import QUIC

@Suite("Stream flow control")
struct StreamsFlowControlTests {
    static func limits(stream: ByteCount, connection: ByteCount) -> StreamConfiguration {
        var configuration = StreamConfiguration()
        configuration.initialStreamWindow = stream
        configuration.maximumStreamWindow = stream
        configuration.initialConnectionWindow = connection
        configuration.maximumConnectionWindow = connection
        return configuration
    }

    @Test func `nothing is sent before the peer's limits are known`() throws {
        let end = StreamsEnd(.client)
        #expect(end.table.openStream(.bidirectional) == nil)
        end.learnLimits(StreamConfiguration())
        #expect(end.fetchEvents() == [.streamsAvailable(.bidirectional)])
        #expect(end.table.openStream(.bidirectional) == stream(0))
        #expect(end.table.openStream(.unidirectional) == stream(2))
    }

    @Test func `a stream stops at its limit, says so once, and goes on when the limit is raised`() throws {
        let (client, server) = StreamsEnd.pair(server: Self.limits(stream: 100, connection: 1000))
        let id = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<250), to: id)
        #expect(client.sentFrames() == [.stream(id, offset: 0, length: 100, fin: .more), .streamDataBlocked(id)])
        client.write([1], to: id)
        #expect(client.sentFrames() == [])
        client.table.lost(.streamDataBlocked(id))
        #expect(client.sentFrames() == [.streamDataBlocked(id)])
        try client.table.receiveMaxStreamData(id, limit: 90)
        #expect(client.sentFrames() == [])
        try client.table.receiveMaxStreamData(id, limit: 150)
        #expect(client.sentFrames() == [.stream(id, offset: 100, length: 50, fin: .more), .streamDataBlocked(id)])
        client.table.lost(.streamDataBlocked(id))
        try client.table.receiveMaxStreamData(id, limit: 251)
        #expect(client.sentFrames() == [.stream(id, offset: 150, length: 101, fin: .more)])
        _ = server
    }

    @Test func `the connection's limit holds all streams back, but neither retransmissions nor ends`() throws {
        let (client, _) = StreamsEnd.pair(server: Self.limits(stream: 1000, connection: 150))
        let first = try #require(client.table.openStream(.bidirectional))
        let second = try #require(client.table.openStream(.bidirectional))
        let third = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<100), to: first)
        client.write(numbered(0..<100), to: second)
        #expect(
            client.sentFrames() == [
                .stream(first, offset: 0, length: 100, fin: .more), .stream(second, offset: 0, length: 50, fin: .more),
                .dataBlocked,
            ])
        client.write([7], to: first)
        client.table.finish(third)
        client.table.lost(.stream(first, offset: 10, length: 20, fin: .more))
        #expect(client.table.hasDataToSend)
        #expect(
            client.sentFrames() == [
                .stream(third, offset: 0, length: 0, fin: .end), .stream(first, offset: 10, length: 20, fin: .more),
            ])
        #expect(!client.table.hasDataToSend && !client.table.hasControlToSend)
        client.table.lost(.dataBlocked)
        #expect(client.sentFrames() == [.dataBlocked])
        client.table.receiveMaxData(151)
        #expect(client.sentFrames().first == .stream(second, offset: 50, length: 1, fin: .more))
        client.table.receiveMaxData(1000)
        #expect(
            client.sentFrames() == [
                .stream(second, offset: 51, length: 49, fin: .more), .stream(first, offset: 100, length: 1, fin: .more),
            ])
    }

    @Test func `credit comes back when a quarter of the window is consumed`() throws {
        let (client, server) = StreamsEnd.pair(server: Self.limits(stream: 1000, connection: 8000))
        let id = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<3000), to: id)
        for packet in client.allPackets() { try server.receive(packet) }
        server.table.consume(249, from: id)
        #expect(!server.table.hasControlToSend)
        server.table.consume(1, from: id)
        server.table.consume(250, from: id)
        let update = try #require(server.nextPacket())
        #expect(update.frames.first == .maxStreamData(id))
        try client.receive(update)
        // A lost update is repeated with the limit of that moment.
        server.table.consume(100, from: id)
        server.lost(update)
        try client.receive(try #require(server.nextPacket()))
        let next = client.allPackets()
        #expect(next.first?.frames.first == .stream(id, offset: 1000, length: 600, fin: .more))
    }

    @Test func `the window grows while it is what limits the sender, up to its maximum`() throws {
        var window = ReceiveWindow(initial: 1000, maximum: 3000)
        let roundTrip = Interval.milliseconds(20)
        var now = Instant.origin
        window.dataArrived(at: now)
        // Half of the window in two round trips is exactly all of it in four: enough room.
        window.consume(500)
        now += roundTrip * 2
        #expect(window.isUpdateDue)
        #expect(window.announce(at: now, roundTripTime: roundTrip) == 1500)
        #expect(window.size == 1000)
        window.consume(249)
        #expect(!window.isUpdateDue)
        window.consume(1)
        #expect(window.isUpdateDue)
        window.consume(250)
        now += roundTrip * 2 - .microseconds(1)
        #expect(window.announce(at: now, roundTripTime: roundTrip) == 3000)
        #expect(window.size == 2000)
        window.consume(1000)
        #expect(window.announce(at: now, roundTripTime: roundTrip) == 5000)
        window.consume(3000)
        #expect(window.announce(at: now, roundTripTime: roundTrip) == 8000)
        #expect(window.size == 3000)
        // A slow consumer gets no more.
        window.consume(1500)
        now += .seconds(10)
        #expect(window.announce(at: now, roundTripTime: roundTrip) == 9500)
        #expect(window.size == 3000)
    }

    /// The sender has what it may send under way at once, in steps of a hundredth of the window; everything takes half a round trip.
    @Test func `a window carries three quarters of itself in a round trip`() {
        var window = ReceiveWindow(initial: 10_000, maximum: 10_000)
        let (half, rounds) = (50, 40)
        // Ticks of a hundredth of a round trip, in which the path carries a hundredth of three quarters of the window.
        var sent: UInt64 = 0
        var limits = Array(repeating: UInt64(10_000), count: half)
        var underWay = Array(repeating: UInt64(0), count: half)
        for tick in 0..<(rounds * 2 * half) {
            let count = min(75, limits[tick % half] - sent)
            sent += count
            window.consume(underWay[tick % half])
            underWay[tick % half] = count
            let now = Instant.origin + .microseconds(Int64(tick))
            let limit = window.isUpdateDue ? window.announce(at: now, roundTripTime: .microseconds(100)) : window.limit
            limits[tick % half] = limit
        }
        #expect(sent >= UInt64(rounds * 7_500 * 98 / 100), "\(sent)")
    }

    @Test func `a window never announces more than can be expressed, and never less than before`() {
        var window = ReceiveWindow(initial: 1000, maximum: 1000)
        window.consume(Varint.max - 10)
        #expect(window.announce(at: .origin, roundTripTime: .zero) == Varint.max)
        window.consume(.max)
        #expect(window.announce(at: .origin, roundTripTime: .zero) == Varint.max)
        #expect(!window.isUpdateDue)
    }

    /// A bulk transfer over a link with a round trip of 50 ms: the windows must open as far as they may.
    @Test func `a bulk transfer opens the windows`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        let payload = [UInt8](repeating: 5, count: 1 << 20)
        var delivered = 0
        var rounds = 0
        while delivered < 24 << 20 {
            rounds += 1
            try #require(rounds < 20)
            while client.table.unsentBytes(on: id) < 8 << 20 { client.write(payload, to: id) }
            for packet in client.allPackets(size: 60_000) {
                try server.receive(packet)
                client.acknowledged(packet)
                delivered += server.table.readableBytes(on: id)
                server.table.consume(.max, from: id)
            }
            server.now += .milliseconds(25)
            for packet in server.allPackets() { try client.receive(packet) }
            server.now += .milliseconds(25)
        }
        #expect(rounds < 14)
    }

    @Test func `a stalled stream leaves the window of the connection to the others`() throws {
        let (client, server) = StreamsEnd.pair(server: Self.limits(stream: 1000, connection: 1000))
        let stalled = try #require(client.table.openStream(.unidirectional))
        client.write(numbered(0..<1000), to: stalled)
        try client.settle(with: server)
        #expect(server.table.readableBytes(on: stalled) == 1000)
        let other = try #require(client.table.openStream(.unidirectional))
        client.write(numbered(0..<800), to: other)
        try client.settle(with: server)
        #expect(server.table.readableBytes(on: other) == 800)
    }

    @Test func `bytes that nobody will read give the connection its credit back`() throws {
        let (client, server) = StreamsEnd.pair(server: Self.limits(stream: 1000, connection: 1000))
        let first = try #require(client.table.openStream(.unidirectional))
        client.write(numbered(0..<600), to: first)
        for packet in client.allPackets() { try server.receive(packet) }
        client.table.reset(first, errorCode: 1)
        try client.settle(with: server)
        #expect(client.table.sendCredit.limit == 1600)
        let second = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<900), to: second)
        for packet in client.allPackets() { try server.receive(packet) }
        server.table.stopSending(second, errorCode: 2)
        #expect(server.table.readableBytes(on: second) == 0)
        let update = server.allPackets()
        for packet in update { try client.receive(packet) }
        #expect(client.table.sendCredit.limit == 2500)
        #expect(client.fetchEvents().contains(.stopped(second, errorCode: 2)))
        // The peer that does not stop at once is drained without being granted more on the stream.
        try server.receiveStream(second, 900, numbered(0..<100))
        #expect(server.table.readableBytes(on: second) == 0)
        #expect(server.sentFrames() == [])
    }

    @Test func `memory stays within the window that was advertised`() throws {
        let server = StreamsEnd.pair(server: Self.limits(stream: 5000, connection: 20_000)).1
        let id = stream(0)
        try server.receiveStream(id, 4999, [1])
        #expect(violation { try server.receiveStream(id, 5000, [1]) } == .flowControlError)
        let fresh = StreamsEnd.pair(server: Self.limits(stream: 5000, connection: 20_000)).1
        var receive = ReceiveStream(window: ReceiveWindow(initial: 5000, maximum: 5000))
        for offset in stride(from: UInt64(0), to: 5000, by: 10).reversed() {
            _ = try receive.receive(
                numbered(offset..<offset + 10).span, at: offset, fin: .more, frameType: 8, connectionCredit: 9999,
                now: .origin)
            #expect(receive.heldMemory <= 5120)
        }
        #expect(receive.readableBytes == 5000)
        receive.consume(5000)
        receive.releaseUnusedMemory()
        #expect(receive.heldMemory == 0)
        _ = fresh
    }

    @Test func `the buffer of a stream that fell silent is given back`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.write([UInt8](repeating: 1, count: 100_000), to: id)
        for packet in client.allPackets() { try server.receive(packet) }
        #expect(server.table.nextDeadline == nil)
        server.table.consume(100_000, from: id)
        let deadline = try #require(server.table.nextDeadline)
        #expect(deadline == server.now + StreamTable.idleBufferLifetime)
        #expect(server.table.heldMemory(of: id) ?? 0 >= 100_000)
        server.table.deadlineReached(at: deadline)
        #expect(server.table.heldMemory(of: id) == 0)
        #expect(server.table.nextDeadline == nil)
    }

    @Test func `an idle stream is small`() {
        #expect(MemoryLayout<SendStream>.stride + MemoryLayout<ReceiveStream>.stride < 512)
    }
}
