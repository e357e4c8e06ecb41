import Primitives
import Testing

@testable import QUIC

@Suite("Breaking streams off")
struct StreamsBreakOffTests {
    @Test func `a reset drops what is queued and unread, and is delivered`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.unidirectional))
        let ring = ByteRing(limit: 10_000)
        #expect(ring.append(numbered(0..<5000).span) == 5000)
        client.table.write(ring, range: 0..<5000, to: id)
        let data = try #require(client.nextPacket(size: 1000))
        try server.receive(data)
        #expect(server.fetchEvents() == [.opened(id), .readable(id)])
        client.table.reset(id, errorCode: 77)
        // Nothing refers to the ring any more.
        ring.reset(to: 0)
        client.lost(data)
        #expect(client.table.unsentBytes(on: id) == 0)
        let reset = try #require(client.nextPacket())
        #expect(reset.frames == SentFrames([.resetStream(id)]))
        client.lost(reset)
        let again = try #require(client.nextPacket())
        #expect(again.payload == reset.payload)
        try server.receive(again)
        #expect(server.table.readableBytes(on: id) == 0)
        #expect(server.table.nextEvent() == .reset(id, errorCode: 77))
        #expect(!server.table.isFinishedReading(id))
        #expect(server.table.nextEvent() == nil)
        #expect(server.table.streamCount == 0)
        client.acknowledged(data)
        client.acknowledged(again)
        client.acknowledged(reset)
        #expect(client.fetchEvents() == [.finished(id)])
        #expect(client.table.streamCount == 0)
        #expect(!client.table.hasControlToSend)
    }

    @Test func `a consumer that is still busy when the reset arrives does no harm`() throws {
        let server = StreamsEnd.pair().1
        try server.receiveStream(stream(0), 0, numbered(0..<100))
        try server.table.receiveResetStream(stream(0), errorCode: 1, finalSize: 120, at: server.now)
        server.table.consume(100, from: stream(0))
        #expect(server.table.receiveWindow.consumed == 120)
    }

    @Test func `STOP_SENDING is answered with a reset of the same code`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.write(numbered(0..<3000), to: id)
        try server.receive(try #require(client.nextPacket(size: 1000)))
        server.table.stopSending(id, errorCode: 9)
        let stop = try #require(server.nextPacket())
        server.lost(stop)
        #expect(server.table.hasControlToSend)
        try client.receive(try #require(server.nextPacket()))
        #expect(client.fetchEvents() == [.stopped(id, errorCode: 9)])
        #expect(!client.table.hasDataToSend)
        client.write([1], to: id)
        client.table.finish(id)
        client.table.reset(id, errorCode: 4)
        try client.settle(with: server)
        #expect(server.fetchEvents().contains(.reset(id, errorCode: 9)))
        #expect(client.fetchEvents() == [.finished(id)])
        // The other half lives on.
        server.write([5], to: id)
        server.table.finish(id)
        try client.settle(with: server)
        #expect(client.table.read(from: id, atMost: 5) == [5])
        #expect(client.table.isFinishedReading(id))
    }

    @Test func `a stream that is to be stopped ends as well when the peer finishes first`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.unidirectional))
        client.write(numbered(0..<100), to: id)
        client.table.finish(id)
        let packet = try #require(client.nextPacket())
        try server.receiveStream(id, 0, [0])
        server.table.stopSending(id, errorCode: 9)
        _ = server.allPackets()
        try server.receive(packet)
        server.fetchEvents()
        #expect(server.table.streamCount == 0)
        #expect(server.table.receiveWindow.consumed == 100)
    }

    @Test func `stopping a stream that has all its data just drops it`() throws {
        let server = StreamsEnd.pair().1
        try server.receiveStream(stream(2), 0, numbered(0..<10), .end)
        server.table.stopSending(stream(2), errorCode: 1)
        server.fetchEvents()
        #expect(server.table.streamCount == 0)
        #expect(!server.sentFrames().contains(.stopSending(stream(2))))
        try server.receiveStream(stream(6), 5, numbered(0..<10), .end)
        server.table.stopSending(stream(6), errorCode: 1)
        server.fetchEvents()
        #expect(server.table.streamCount == 0)
        #expect(server.table.receiveWindow.consumed == 25)
    }

    @Test func `a reset after all data has arrived takes nothing away`() throws {
        let server = StreamsEnd.pair().1
        try server.receiveStream(stream(2), 0, numbered(0..<10), .end)
        try server.table.receiveResetStream(stream(2), errorCode: 1, finalSize: 10, at: server.now)
        #expect(server.fetchEvents() == [.opened(stream(2)), .readable(stream(2))])
        #expect(server.table.read(from: stream(2), atMost: 99) == numbered(0..<10))
    }

    @Test func `a reset before anything was sent tells the peer of the stream`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.table.reset(id, errorCode: 3)
        try client.settle(with: server)
        #expect(server.fetchEvents() == [.opened(id), .reset(id, errorCode: 3)])
    }

    @Test func `STOP_SENDING after everything was acknowledged changes nothing`() throws {
        let (client, server) = StreamsEnd.pair()
        let id = try #require(client.table.openStream(.bidirectional))
        client.write([1], to: id)
        client.table.finish(id)
        try client.settle(with: server)
        #expect(client.fetchEvents() == [.finished(id)])
        try client.table.receiveStopSending(id, errorCode: 1, at: client.now)
        #expect(client.fetchEvents() == [])
        #expect(!client.table.hasControlToSend)
    }
}
