import Primitives
import TLS
import Testing

@testable import QUIC

@Suite struct HandshakeTests {
    @Test func bothEndsCompleteAndConfirm() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeCompleted))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(pair.serverEvents.contains(.handshakeConfirmed))
        #expect(try pair.clientConnection.applicationProtocol == "test")
        #expect(try pair.clientConnection.initial == nil)
        #expect(try pair.clientConnection.handshake == nil)
        #expect(try pair.serverConnection.initial == nil)
        #expect(try pair.serverConnection.handshake == nil)
    }

    @Test func aStreamCarriesAMegabyteBothWays() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(100))
        let payload = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        client.write(payload.span, to: id)
        client.finish(id)
        var received: [UInt8] = []
        var echoed: [UInt8] = []
        let server = try pair.serverConnection
        pair.run(for: .seconds(20)) {
            let bytes = server.read(from: id, atMost: 1 << 20)
            received += bytes
            server.write(bytes.span, to: id)
            if server.isFinishedReading(id) { server.finish(id) }
            echoed += client.read(from: id, atMost: 1 << 20)
            return client.isFinishedReading(id)
        }
        #expect(received == payload)
        #expect(echoed == payload)
    }

    @Test func closingTellsThePeer() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(100))
        try pair.clientConnection.close(errorCode: 7, reason: "done", at: pair.now)
        pair.run(for: .seconds(3))
        #expect(pair.clientEvents.contains(.closed(.closedLocally(errorCode: 7))))
        #expect(pair.serverEvents.contains(.closed(.closedByPeer(errorCode: 7, reason: "done"))))
        #expect(try pair.clientConnection.isClosed)
        #expect(try pair.serverConnection.isClosed)
    }

    @Test func aRetryProvesTheAddress() throws {
        let pair = try ConnectionPair { $0.retry = .always }
        pair.run(for: .milliseconds(200))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(pair.serverEvents.contains(.handshakeConfirmed))
        #expect(try pair.clientConnection.followedRetry)
        #expect(try pair.serverConnection.followedRetry)
    }

    @Test func withoutARetryNeitherEndTellsOfOne() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(200))
        #expect(try !pair.clientConnection.followedRetry)
        #expect(try !pair.serverConnection.followedRetry)
    }

    @Test func bothEndsTellWhatTheyAgreedOn() throws {
        let pair = try ConnectionPair()
        #expect(try pair.clientConnection.handshakeSummary == nil)
        pair.run(for: .milliseconds(100))
        let client = try #require(try pair.clientConnection.handshakeSummary)
        let server = try #require(try pair.serverConnection.handshakeSummary)
        #expect(client.suite == server.suite)
        #expect(!client.isResumed)
        #expect(try pair.clientConnection.version == .v1)
    }

    @Test func aConnectionIDThatThePeerLeavesIsCountedAsRetired() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(100))
        let client = try pair.clientConnection
        #expect(try pair.serverConnection.statistics.connectionIDsRetired == 0)
        #expect(client.rotateConnectionID(at: pair.now))
        pair.run(for: .milliseconds(100))
        #expect(try pair.serverConnection.statistics.connectionIDsRetired == 1)
        #expect(client.statistics.connectionIDsRetired == 0)
    }

    @Test func anIdleConnectionTimesOut() throws {
        let pair = try ConnectionPair()
        pair.run(for: .seconds(40))
        #expect(pair.clientEvents.contains(.closed(.idleTimeout)))
        #expect(pair.serverEvents.contains(.closed(.idleTimeout)))
    }
}
