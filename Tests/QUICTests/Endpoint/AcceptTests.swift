import Primitives
import Testing

@testable import QUIC

@Suite("Which datagrams open a connection (RFC 9000 §5.2)") struct AcceptTests {
    @Test("a server with as many connections as it may have refuses more with CONNECTION_REFUSED") func refused() throws
    {
        let pair = try ConnectionPair.connected { $0.configureServer = { $0.maximumConnections = 1 } }
        try pair.connectAgain()
        pair.run(for: .seconds(1))
        guard case .failedByPeer(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "not told") }
        #expect(error.code == .connectionRefused)
        #expect(pair.server.connectionCount == 1)
    }

    @Test("a network that begins many handshakes has to prove its address, others need not (RFC 9000 §8.1.2)")
    func handshakeRate() throws {
        let pair = try ConnectionPair.connected()
        for _ in 0..<HandshakeRate.unprovenPerSecond {
            _ = pair.server.handshakeRate.unprovenBegan(from: ConnectionPair.clientAddress.ip, at: pair.now)
        }
        try pair.connectAgain()
        pair.run(for: .milliseconds(300))
        #expect(try pair.clientConnection.followedRetry)
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        pair.run(for: .seconds(1))
        try pair.connectAgain()
        pair.run(for: .milliseconds(300))
        #expect(try !pair.clientConnection.followedRetry)
    }

    @Test("an endpoint that only opens connections accepts none") func clientOnly() throws {
        let pair = try ConnectionPair()
        pair.drain()
        let first = try #require(pair.sent.first).datagram.bytes
        #expect(pair.inject(first, to: .client) == .dropped)
    }

    @Test("a removed connection leaves no connection ID behind") func removal() throws {
        let pair = try ConnectionPair.connected()
        let handle = try #require(pair.serverHandle)
        let ids = try pair.serverConnection.connectionIDsInUse
        #expect(ids.count > 2)
        #expect(ids.allSatisfy { pair.server.identifiers.handle(for: $0) == handle })
        pair.server.remove(handle)
        #expect(ids.allSatisfy { pair.server.identifiers.handle(for: $0) == nil })
        #expect(pair.server.handshaking.isEmpty)
        pair.client.remove(pair.clientHandle)
        #expect(pair.client.opened.isEmpty)
    }

    @Test(
        "0-RTT and Handshake packets for nobody are dropped without an answer",
        arguments: [PacketType.zeroRTT, .handshake])
    func unknownLong(_ type: PacketType) throws {
        let pair = try ConnectionPair()
        let bytes = written { writer in
            var layout = writer.writeLongHeader(
                LongHeaderFields(
                    version: .v1, type: type, destinationConnectionID: numberedID(1),
                    sourceConnectionID: numberedID(2), packetNumber: 0, packetNumberLength: 4))
            writer.write(repeating: 0, count: 1_200)
            writer.finishPacket(&layout)
        }
        #expect(pair.inject(bytes, to: .server) == .dropped)
    }

    @Test("an unknown version in a full datagram is answered with ours, in a small one not at all (§6.1)")
    func versionNegotiation() throws {
        let pair = try ConnectionPair()
        func datagram(_ size: Int) -> [UInt8] {
            [0xc0, 0x0a, 0x1a, 0x2a, 0x3a, 4, 1, 2, 3, 4, 3, 5, 6, 7] + [UInt8](repeating: 0, count: size - 14)
        }
        #expect(pair.inject(datagram(1_199), to: .server) == .dropped)
        #expect(pair.inject(datagram(1_200), to: .server) == .reply)
        pair.drain()
        let answer = try #require(pair.sent(by: .server).first).datagram.bytes
        guard case .versionNegotiation(let packet)? = scan(answer).first else {
            return #expect(Bool(false), "no Version Negotiation packet")
        }
        #expect(packet.destinationConnectionID.bytes == [5, 6, 7])
        #expect(packet.sourceConnectionID.bytes == [1, 2, 3, 4])
        #expect(packet.supportedVersions.contains(Version.v1.number))
        #expect(answer.count < 100)
        #expect(pair.inject(answer, to: .server) == .dropped, "never answered, so that there is no loop")
        #expect(pair.inject(datagram(1_200), to: .client) == .dropped, "clients do not negotiate")
    }

    private func negotiation(_ client: Connection, versions: [UInt32], source: ConnectionID? = nil) -> [UInt8] {
        let (own, peer) = (
            client.handshakeConnectionID.bytes, (source ?? client.originalDestinationConnectionID).bytes
        )
        return written { writer in
            writer.writeVersionNegotiation(
                destination: own.span, source: peer.span, versions: versions.map { VersionNumber(rawValue: $0) },
                unusedBits: 0)
        }
    }

    @Test("a client that is offered none of its versions gives up (§6.2)") func noVersion() throws {
        let pair = try ConnectionPair()
        pair.drain()
        pair.inject(negotiation(try pair.clientConnection, versions: [7, 0x0a0a_0a0a]), to: .client)
        pair.drain()
        #expect(pair.end(of: .client) == .versionNegotiation(offered: [7, 0x0a0a_0a0a]))
        #expect(pair.sent.count == 1, "nothing is sent any more")
    }

    @Test(
        "other Version Negotiation packets are ignored (§6.2)",
        arguments: ["offers ours", "wrong source", "after a packet", "after a Retry"])
    func ignoredNegotiation(_ fault: String) throws {
        let pair = try ConnectionPair { if fault == "after a Retry" { $0.retry = .always } }
        let client = try pair.clientConnection
        pair.drain()
        var packet = negotiation(client, versions: [7])
        switch fault {
        case "offers ours": packet = negotiation(client, versions: [7, 1])
        case "wrong source": packet = negotiation(client, versions: [7], source: numberedID(3))
        case "after a Retry": pair.run(for: .milliseconds(14)) { client.retrySourceConnectionID != nil }
        default: pair.run(for: .milliseconds(14)) { client.peerHandshakeConnectionID != nil }
        }
        pair.inject(packet, to: .client)
        pair.run(for: .milliseconds(200))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test("stateless answers that wait are bounded") func replies() throws {
        let pair = try ConnectionPair { $0.retry = .always }
        pair.drain()
        let first = try #require(pair.sent.first).datagram.bytes
        let outcomes = (0..<200).map { _ in pair.inject(first, to: .server) }
        #expect(outcomes.count { $0 == .reply } == Endpoint.maximumReplies)
        #expect(outcomes.count { $0 == .dropped } == 200 - Endpoint.maximumReplies)
    }

    @Test("datagrams of no or few bytes are dropped", arguments: 0...24) func tiny(_ count: Int) throws {
        let pair = try ConnectionPair.connected()
        for byte in [UInt8(0x00), 0x40, 0x80, 0xc0, 0xff] {
            let bytes = [UInt8](repeating: byte, count: count)
            #expect([.dropped, .reply].contains(pair.inject(bytes, to: .server)))
            #expect([.dropped, .reply].contains(pair.inject(bytes, to: .client)))
        }
        #expect(try pair.serverConnection.state == .established)
    }
}
