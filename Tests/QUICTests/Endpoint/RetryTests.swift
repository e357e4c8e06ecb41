import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("Retry (RFC 9000 §8.1.2, §17.2.5)") struct RetryTests {
    private func kinds(_ pair: ConnectionPair, by role: Role) -> [String] {
        pair.sent(by: role).flatMap { sent in
            scan(sent.datagram.bytes, fixedBit: .ignored).map { packet in
                switch packet {
                case .long(let header): "\(header.type)"
                case .short: "oneRTT"
                case .retry: "retry"
                case .versionNegotiation: "negotiation"
                case .unknownVersion, .defective: "other"
                }
            }
        }
    }

    /// A Retry packet that answers the first packet of the client.
    private func retry(
        _ client: Connection, source: ConnectionID = numberedID(5), token: [UInt8] = [1, 2, 3],
        original: ConnectionID? = nil
    ) -> [UInt8] {
        written { writer in
            writer.writeRetry(
                version: .v1, destination: client.handshakeConnectionID, source: source,
                originalDestination: original ?? client.originalDestinationConnectionID, token: token.span,
                unusedBits: 0)
        }
    }

    @Test("a client that has to prove its address gets a Retry, and nothing is kept of it") func stateless() throws {
        let pair = try ConnectionPair { $0.retry = .always }
        pair.run(for: .milliseconds(9))
        #expect(kinds(pair, by: .server) == ["retry"])
        #expect(pair.server.connectionCount == 0)
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(pair.server.connectionCount == 1)
    }

    @Test("the second flight carries the token, new keys and higher packet numbers (§17.2.5.3)") func secondFlight()
        throws
    {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.drain()
        let packet = retry(client)
        let nextNumber = try #require(client.initial).nextPacketNumber
        #expect(nextNumber > 0)
        pair.inject(packet, to: .client)
        let count = pair.sent.count
        pair.drain()
        let second = try #require(pair.sent(by: .client, since: count).first).datagram.bytes
        guard case .long(let header)? = scan(second, fixedBit: .ignored).first else {
            return #expect(Bool(false), "no Initial packet")
        }
        #expect(header.destinationConnectionID == numberedID(5))
        #expect(Array(second[header.token]) == [1, 2, 3])
        var bytes = second
        var span = bytes.mutableSpan
        let keys = InitialSecrets.keys(for: numberedID(5), version: .v1, role: .server)
        let opened = try #require(try keys.read?.open(&span, header, largestReceived: nil))
        #expect(opened.packetNumber >= nextNumber)
        guard case .crypto(let offset, _)? = try frames(Array(bytes[opened.payload]), in: .initial, from: .client).first
        else { return #expect(Bool(false), "no CRYPTO frame") }
        #expect(offset == 0)
    }

    @Test("only the first Retry counts (§17.2.5.2)") func onlyOne() throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.drain()
        pair.inject(retry(client), to: .client)
        pair.inject(retry(client, source: numberedID(6), token: [9]), to: .client)
        #expect(client.retrySourceConnectionID == numberedID(5))
        #expect(client.addressValidationToken == [1, 2, 3])
        #expect(client.statistics.packetsDropped == 1)
    }

    @Test(
        "a Retry that is wrong in any way is dropped",
        arguments: ["bad tag", "other original", "same ID", "no token", "long token", "after a packet", "closed"])
    func dropped(_ fault: String) throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.drain()
        var packet = retry(client)
        switch fault {
        case "bad tag": packet[packet.count - 1] ^= 1
        case "other original": packet = retry(client, original: numberedID(8))
        case "same ID": packet = retry(client, source: client.originalDestinationConnectionID)
        case "no token": packet = retry(client, token: [])
        case "long token":
            packet = retry(client, token: [UInt8](repeating: 1, count: TransportLimits.longestToken + 1))
        case "after a packet": pair.run(for: .milliseconds(12)) { client.peerHandshakeConnectionID != nil }
        default: client.close(errorCode: 1, reason: "", at: pair.now)
        }
        pair.inject(packet, to: .client)
        #expect(client.retrySourceConnectionID == nil)
        #expect(client.addressValidationToken.isEmpty)
        guard fault != "closed" else { return }
        pair.run(for: .milliseconds(200))
        #expect(pair.clientEvents.contains(.handshakeConfirmed), "the handshake goes on")
    }

    @Test("a forged Retry whose server then says nothing of it ends the connection (§7.3)") func forged() throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.drain()
        pair.inject(retry(client), to: .client)
        pair.run(for: .seconds(2))
        // The server takes the token for garbage and accepts; its parameters tell of no Retry.
        guard case .failed(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "no failure") }
        #expect(error.code == .transportParameterError)
    }

    @Test("a server never answers to its Retry with another one") func noSecondRetry() throws {
        let pair = try ConnectionPair.connected { $0.retry = .always }
        #expect(kinds(pair, by: .server).count { $0 == "retry" } == 1)
    }

    @Test("above the limit of handshakes under way clients get a Retry, and connect all the same") func flood() throws {
        let pair = try ConnectionPair { $0.retry = .aboveHandshakes(10) }
        var refused = 0
        for index in 0..<UInt64(200) {
            // Clients that never answer, from addresses that are not theirs.
            let id = ConnectionID(
                (0..<8).map { UInt8(truncatingIfNeeded: (index + 1) &* 0x9e37_79b9_7f4a_7c15 >> (8 * $0)) })
            let ghost = try #require(id)
            let client = try pair.clientConnection
            client.initial?.keys = InitialSecrets.keys(for: ghost, version: .v1, role: .client)
            let from = NetworkAddress(IPAddress(ipv4: 0x0b00_0000 + UInt32(index)), port: 1_000)
            let bytes = try client.forge([1], at: .initial, number: 0, to: ghost, paddedTo: 1_200)
            if pair.inject(bytes, to: .server, from: from) == .reply { refused += 1 }
        }
        #expect(pair.server.connectionCount == 10)
        #expect(refused >= Endpoint.maximumReplies)
        pair.drain()
        try pair.connectAgain()
        pair.run(for: .seconds(1))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }
}
