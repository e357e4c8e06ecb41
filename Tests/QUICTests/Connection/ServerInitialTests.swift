import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("What a client makes of the server's first packet") struct ServerInitialTests {
    /// An authentic first packet of the server, with a PING.
    private func packet(to client: Connection, version: Version = .v1, token: [UInt8] = []) throws -> [UInt8] {
        let keys = InitialSecrets.keys(for: client.originalDestinationConnectionID, version: .v1, role: .server)
        var bytes = [UInt8](repeating: 0, count: 256)
        var span = bytes.mutableSpan
        var writer = ByteWriter(&span)
        var layout = writer.writeLongHeader(
            LongHeaderFields(
                version: version, type: .initial, destinationConnectionID: client.handshakeConnectionID,
                sourceConnectionID: numberedID(5), token: token, packetNumber: 0, packetNumberLength: 1))
        writer.write(ControlFrame.ping)
        writer.finishPacket(&layout)
        try #require(keys.write).seal(&span, layout, packetNumber: 0)
        return Array(bytes.prefix(layout.end))
    }

    @Test("one that is as it should be is taken") func taken() throws {
        let pair = try ConnectionPair()
        pair.drain()
        let client = try pair.clientConnection
        pair.inject(try packet(to: client), to: .client)
        #expect(client.peerHandshakeConnectionID == numberedID(5))
        #expect(client.failure == nil)
    }

    @Test("one with a token is a violation (RFC 9000 §17.2.2)") func token() throws {
        let pair = try ConnectionPair()
        pair.drain()
        let client = try pair.clientConnection
        pair.inject(try packet(to: client, token: [1]), to: .client)
        #expect(client.failure == .protocolViolation)
    }

    @Test("one of another version than the client's is dropped (RFC 9000 §5.2.1)") func otherVersion() throws {
        let pair = try ConnectionPair()
        pair.drain()
        let client = try pair.clientConnection
        pair.inject(try packet(to: client, version: .v2), to: .client)
        #expect(client.peerHandshakeConnectionID == nil)
        #expect(client.statistics.packetsDropped == 1)
        pair.run(for: .milliseconds(200))
        #expect(pair.clientEvents.contains(.handshakeConfirmed), "the handshake goes on")
    }
}
