import Primitives
import Testing

@testable import QUIC

@Suite("DATAGRAM frames (RFC 9221)") struct DatagramTests {
    private func received(_ pair: ConnectionPair, by role: Role) -> [[UInt8]] {
        pair.events(of: role).compactMap { if case .datagramReceived(let bytes) = $0 { bytes } else { nil } }
    }

    private func connected(client: Int, server: Int) throws -> ConnectionPair {
        try ConnectionPair.connected {
            $0.clientTransport.maximumDatagramFrameSize = client
            $0.serverTransport.maximumDatagramFrameSize = server
        }
    }

    @Test("they arrive whole and in order, empty ones too") func delivery() throws {
        let pair = try connected(client: 65_535, server: 65_535)
        let client = try pair.clientConnection
        let sent: [[UInt8]] = [[], [1], [2, 3], [UInt8](repeating: 4, count: 1_100), []]
        for bytes in sent { #expect(client.sendDatagram(bytes) == .queued) }
        pair.run(for: .milliseconds(100))
        #expect(received(pair, by: .server) == sent)
    }

    @Test("none is sent to a peer that announced none, not even an empty one (§3)") func notAnnounced() throws {
        let pair = try connected(client: 100, server: 0)
        #expect(try pair.clientConnection.sendDatagram([]) == .tooLarge(limit: 0))
        #expect(try pair.clientConnection.sendDatagram([1]) == .tooLarge(limit: 0))
        #expect(try pair.serverConnection.sendDatagram([1]) == .queued)
    }

    @Test("none is sent before the peer's parameters are known (§3)") func tooEarly() throws {
        let pair = try ConnectionPair()
        #expect(try pair.clientConnection.sendDatagram([1]) == .tooLarge(limit: 0))
    }

    @Test("type and length count in what the peer announced (§3)", arguments: [2, 3, 63, 64, 65, 66, 300])
    func size(_ announced: Int) throws {
        let pair = try connected(client: 0, server: announced)
        let client = try pair.clientConnection
        guard case .tooLarge(let limit) = client.sendDatagram([UInt8](repeating: 1, count: announced)) else {
            return #expect(Bool(false), "larger than announced")
        }
        #expect(client.sendDatagram([UInt8](repeating: 1, count: limit)) == .queued)
        pair.run(for: .milliseconds(100))
        #expect(received(pair, by: .server).map(\.count) == [limit])
        #expect(pair.end(of: .server) == nil)
    }

    @Test(
        "one that is larger than announced, or not announced, is a violation (§3)",
        arguments: [(0, 0), (0, 1), (10, 10), (10, 30)])
    func violation(_ row: (announced: Int, size: Int)) throws {
        let pair = try connected(client: 0, server: row.announced)
        try pair.attack(from: .client, [0x30] + [UInt8](repeating: 1, count: row.size))
        #expect(try pair.serverConnection.failure == .protocolViolation)
    }

    @Test("a lost one is not sent again (§5.2)") func loss() throws {
        let pair = try connected(client: 1_000, server: 1_000)
        let client = try pair.clientConnection
        pair.passes = { role, _ in role == .server }
        _ = client.sendDatagram([1, 2, 3])
        pair.drain()
        pair.passes = { _, _ in true }
        pair.run(for: .seconds(5))
        #expect(received(pair, by: .server).isEmpty)
        #expect(client.state == .established)
    }

    @Test("one that the path does not carry is dropped and does not hold up those behind it (§5)")
    func tooLargeForPath() throws {
        let pair = try ConnectionPair.connected {
            $0.configureTransport {
                $0.maximumDatagramFrameSize = 65_535
                $0.largestDatagram = 1_200
            }
        }
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.unidirectional))
        client.write([9].span, to: id)
        _ = client.sendDatagram([UInt8](repeating: 1, count: 1_300))
        _ = client.sendDatagram([2])
        pair.run(for: .milliseconds(100))
        #expect(received(pair, by: .server) == [[2]])
        #expect(client.datagrams.dropped == 1)
    }

    @Test("one that does not fit behind other frames waits for a packet of its own") func waits() throws {
        let pair = try connected(client: 65_535, server: 65_535)
        let client = try pair.clientConnection
        for _ in 0..<200 { _ = client.sendDatagram([UInt8](repeating: 1, count: 700)) }
        pair.run(for: .seconds(2))
        #expect(received(pair, by: .server).count == 200)
        #expect(client.datagrams.dropped == 0)
    }
}
