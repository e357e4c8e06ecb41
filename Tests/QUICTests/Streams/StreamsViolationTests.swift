import Primitives
import Testing

@testable import QUIC

/// What a peer may not do with streams, and the error it is told.
@Suite("Stream violations")
struct StreamsViolationTests {
    /// A server that knows the client's streams 0 and 2, and has opened 1 and 3 itself.
    private func server() throws -> StreamsEnd {
        let server = StreamsEnd.pair().1
        try server.receiveStream(stream(0), 0, [1])
        try server.receiveStream(stream(2), 0, [1])
        _ = try #require(server.table.openStream(.bidirectional))
        _ = try #require(server.table.openStream(.unidirectional))
        return server
    }

    @Test func `RFC 9000 §19.8: data on a stream that only this end sends on`() throws {
        let server = try server()
        #expect(violation { try server.receiveStream(stream(3), 0, [1]) } == .streamStateError)
        #expect(
            violation { try server.table.receiveResetStream(stream(3), errorCode: 0, finalSize: 0, at: server.now) }
                == .streamStateError)
        #expect(violation { try server.table.receiveStreamDataBlocked(stream(3), limit: 0) } == .streamStateError)
    }

    @Test func `RFC 9000 §19.5, §19.10: credit or a stop for a stream that only the peer sends on`() throws {
        let server = try server()
        #expect(violation { try server.table.receiveMaxStreamData(stream(2), limit: 9) } == .streamStateError)
        #expect(
            violation { try server.table.receiveStopSending(stream(2), errorCode: 0, at: server.now) }
                == .streamStateError)
    }

    @Test func `RFC 9000 §19: frames about a stream that this end has not opened`() throws {
        let server = try server()
        #expect(violation { try server.receiveStream(stream(5), 0, [1]) } == .streamStateError)
        #expect(
            violation { try server.table.receiveResetStream(stream(5), errorCode: 0, finalSize: 0, at: server.now) }
                == .streamStateError)
        #expect(
            violation { try server.table.receiveStopSending(stream(7), errorCode: 0, at: server.now) }
                == .streamStateError)
        #expect(violation { try server.table.receiveMaxStreamData(stream(7), limit: 9) } == .streamStateError)
        #expect(violation { try server.table.receiveStreamDataBlocked(stream(5), limit: 9) } == .streamStateError)
    }

    @Test func `RFC 9000 §4.6: a stream beyond the limit`() throws {
        let server = try server()
        let limits = server.configuration
        let last = StreamID(
            initiator: .client, direction: .bidirectional, index: limits.peerBidirectionalStreams - 1)
        try server.receiveStream(last, 0, [1])
        for index in [limits.peerBidirectionalStreams, 1 << 59, StreamID.maximumCount - 1] {
            let id = StreamID(initiator: .client, direction: .bidirectional, index: index)
            #expect(violation { try server.receiveStream(id, 0, [1]) } == .streamLimitError)
            #expect(violation { try server.table.receiveMaxStreamData(id, limit: 1) } == .streamLimitError)
        }
        let id = StreamID(initiator: .client, direction: .unidirectional, index: limits.peerUnidirectionalStreams)
        #expect(violation { try server.receiveStream(id, 0, [1]) } == .streamLimitError)
    }

    @Test func `RFC 9000 §4.6, §19.11: a limit of more than 2^60 streams`() throws {
        let server = try server()
        try server.table.receiveMaxStreams(.bidirectional, limit: 1 << 60)
        try server.table.receiveStreamsBlocked(.unidirectional, limit: 1 << 60)
        #expect(
            violation { try server.table.receiveMaxStreams(.bidirectional, limit: 1 << 60 + 1) }
                == .frameEncodingError)
        #expect(
            violation { try server.table.receiveStreamsBlocked(.unidirectional, limit: Varint.max) }
                == .frameEncodingError)
    }

    @Test func `RFC 9000 §4.5: the final size changes or data lies beyond it`() throws {
        let attempts: [(StreamsEnd) throws -> Void] = [
            { try $0.receiveStream(stream(0), 100, [1]) },
            { try $0.receiveStream(stream(0), 0, numbered(0..<99), .end) },
            { try $0.receiveStream(stream(0), 100, [1], .end) },
            { try $0.table.receiveResetStream(stream(0), errorCode: 0, finalSize: 99, at: $0.now) },
            { try $0.table.receiveResetStream(stream(0), errorCode: 0, finalSize: 101, at: $0.now) },
        ]
        for attempt in attempts {
            // Once while data is missing, once with all of it there.
            for offset in [50, 0] as [UInt64] {
                let server = try server()
                try server.receiveStream(stream(0), offset, numbered(offset..<100), .end)
                #expect(violation { try attempt(server) } == .finalSizeError)
            }
        }
        let server = try server()
        try server.receiveStream(stream(0), 50, numbered(50..<100))
        #expect(violation { try server.receiveStream(stream(0), 0, [1, 2], .end) } == .finalSizeError)
        #expect(
            violation { try server.table.receiveResetStream(stream(0), errorCode: 0, finalSize: 99, at: server.now) }
                == .finalSizeError)
    }

    @Test func `RFC 9000 §4.5: the final size stays after a reset that still waits to be seen`() throws {
        let server = try server()
        try server.table.receiveResetStream(stream(0), errorCode: 0, finalSize: 100, at: server.now)
        try server.table.receiveResetStream(stream(0), errorCode: 6, finalSize: 100, at: server.now)
        try server.receiveStream(stream(0), 20, [1, 2, 3])
        #expect(server.fetchEvents().filter { $0 == .reset(stream(0), errorCode: 0) }.count == 1)
        #expect(violation { try server.receiveStream(stream(0), 100, [1]) } == .finalSizeError)
    }

    @Test func `RFC 9000 §4.1: more than the stream's limit`() throws {
        let server = try server()
        let limit = UInt64(server.configuration.initialStreamWindow.bytes)
        try server.receiveStream(stream(0), limit - 1, [1])
        #expect(violation { try server.receiveStream(stream(0), limit - 1, [1, 2]) } == .flowControlError)
        #expect(violation { try server.receiveStream(stream(0), limit + 1, [], .end) } == .flowControlError)
        #expect(
            violation {
                try server.table.receiveResetStream(stream(2), errorCode: 0, finalSize: limit + 1, at: server.now)
            } == .flowControlError)
    }

    @Test func `RFC 9000 §4.1: more than the connection's limit on all streams together`() throws {
        var configuration = StreamConfiguration()
        configuration.initialConnectionWindow = 1000
        let server = StreamsEnd.pair(server: configuration).1
        try server.receiveStream(stream(0), 599, [1])
        try server.table.receiveResetStream(stream(4), errorCode: 0, finalSize: 400, at: server.now)
        try server.receiveStream(stream(0), 0, numbered(0..<600))
        #expect(violation { try server.receiveStream(stream(0), 600, [1]) } == .flowControlError)
        #expect(
            violation { try server.table.receiveResetStream(stream(8), errorCode: 0, finalSize: 1, at: server.now) }
                == .flowControlError)
        try server.receiveStream(stream(8), 0, [], .end)
    }

    @Test(arguments: [Varint.max, UInt64.max])
    func `RFC 9000 §19.8: an offset beyond the largest one`(offset: UInt64) throws {
        let server = try server()
        #expect(violation { try server.receiveStream(stream(0), offset, [1]) } == .frameEncodingError)
        #expect(violation { try server.receiveStream(stream(0), offset - 3, []) } != nil)
    }

    @Test func `gaps of one byte end the connection before they cost much`() throws {
        let server = try server()
        var fragments = 0
        let code = violation {
            while true {
                try server.receiveStream(stream(0), UInt64(2 + 2 * fragments), [1])
                fragments += 1
            }
        }
        #expect(code == .internalError)
        #expect(fragments == ReceiveStream.maximumFragments)
    }

    @Test func `data that overlaps what is in order already cannot change it`() throws {
        let server = try server()
        try server.receiveStream(stream(4), 0, [1, 2, 3, 4])
        try server.receiveStream(stream(4), 0, [9, 9, 9, 9, 5])
        try server.receiveStream(stream(4), 2, [8])
        #expect(server.table.read(from: stream(4), atMost: 2) == [1, 2])
        try server.receiveStream(stream(4), 1, [7, 7, 7, 7, 6])
        #expect(server.table.read(from: stream(4), atMost: 9) == [3, 4, 5, 6])
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `no sequence of frames makes a table trap`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var configuration = StreamConfiguration()
        configuration.peerBidirectionalStreams = 5
        for _ in 0..<20 {
            let server = StreamsEnd.pair(server: configuration).1
            for _ in 0..<100 {
                let number = { (random: inout SeededGenerator) -> UInt64 in
                    let width = UInt64.random(in: 0...62, using: &random)
                    return Bool.random(using: &random)
                        ? UInt64.random(in: 0...20, using: &random) : random.next() & (1 << width - 1)
                }
                do {
                    let id = stream(number(&random))
                    let (a, b) = (number(&random), number(&random))
                    let fin: Fin = Bool.random(using: &random) ? .end : .more
                    switch Int.random(in: 0..<12, using: &random) {
                    case 0...2: try server.receiveStream(id, a, [UInt8](repeating: 1, count: Int(b % 50)), fin)
                    case 3: try server.table.receiveResetStream(id, errorCode: a, finalSize: b, at: server.now)
                    case 4: try server.table.receiveStopSending(id, errorCode: a, at: server.now)
                    case 5: server.table.receiveMaxData(a)
                    case 6: try server.table.receiveMaxStreamData(id, limit: a)
                    case 7: try server.table.receiveMaxStreams(.bidirectional, limit: a)
                    case 8: server.table.stopSending(id, errorCode: a)
                    case 9: server.table.consume(Int(b % 60), from: id)
                    case 10:
                        server.write(numbered(0..<a % 90), to: id)
                        if fin == .end { server.table.finish(id) }
                        for packet in server.allPackets() {
                            Bool.random(using: &random) ? server.lost(packet) : server.acknowledged(packet)
                        }
                    default: server.fetchEvents()
                    }
                } catch {
                    break
                }
            }
        }
    }
}
