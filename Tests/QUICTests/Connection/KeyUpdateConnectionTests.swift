import Primitives
import Testing

@testable import QUIC

@Suite("Key updates and key limits of a connection (RFC 9001 §6)") struct KeyUpdateConnectionTests {
    private func exchange(_ pair: ConnectionPair, _ id: StreamID, from role: Role, _ byte: UInt8) throws {
        let (sender, receiver) = (try pair.connection(of: role), try pair.connection(of: role.peer))
        sender.write([byte].span, to: id)
        pair.run(for: .milliseconds(200))
        #expect(receiver.read(from: id, atMost: 9) == [byte])
    }

    @Test("either end may ask for new keys, many times, and data goes on", arguments: [Role.client, .server])
    func requested(_ role: Role) throws {
        let pair = try ConnectionPair.connected()
        let (client, server) = (try pair.clientConnection, try pair.serverConnection)
        let id = try #require(client.openStream(.bidirectional))
        try exchange(pair, id, from: .client, 0)
        for round in 1...UInt8(6) {
            try pair.connection(of: role).requestKeyUpdate()
            try exchange(pair, id, from: role, round)
            try exchange(pair, id, from: role.peer, round)
            #expect(client.statistics.keyUpdates == UInt64(round))
            #expect(server.statistics.keyUpdates == UInt64(round))
        }
        #expect(client.state == .established)
    }

    @Test("both ends may ask at once") func both() throws {
        let pair = try ConnectionPair.connected()
        let (client, server) = (try pair.clientConnection, try pair.serverConnection)
        let id = try #require(client.openStream(.bidirectional))
        try exchange(pair, id, from: .client, 1)
        client.requestKeyUpdate()
        server.requestKeyUpdate()
        client.write([2].span, to: id)
        server.write([3].span, to: id)
        pair.run(for: .milliseconds(300))
        #expect(server.read(from: id, atMost: 9) == [2])
        #expect(client.read(from: id, atMost: 9) == [3])
        #expect(client.statistics.keyUpdates == server.statistics.keyUpdates)
    }

    @Test("one asked for before confirmation waits for it (§6)") func early() throws {
        let pair = try ConnectionPair()
        try pair.clientConnection.requestKeyUpdate()
        pair.run(for: .milliseconds(300))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        let id = try #require(pair.clientConnection.openStream(.bidirectional))
        try exchange(pair, id, from: .client, 1)
        try exchange(pair, id, from: .client, 2)
        #expect(try pair.serverConnection.statistics.keyUpdates == 1)
    }

    @Test("keys of the phase before are dropped after three PTOs, without a deadline left in the past (§6.5)")
    func retention() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        try exchange(pair, id, from: .client, 1)
        client.requestKeyUpdate()
        try exchange(pair, id, from: .client, 2)
        pair.run(for: .seconds(2))
        #expect(client.oneRTTKeys.deadline == nil)
        #expect(client.oneRTTKeys.canUpdate)
    }

    @Test("at the confidentiality limit the connection closes with AEAD_LIMIT_REACHED at once (§6.6)")
    func confidentialityLimit() throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        // Twenty packets, and no update before.
        client.oneRTTKeys = OneRTTKeys(
            updateThreshold: .max, confidentialityLimit: SealingPhase.closingReserve + 20)
        pair.run(for: .milliseconds(200))
        let id = try #require(client.openStream(.unidirectional))
        for _ in 0..<40 {
            client.write([1].span, to: id)
            pair.run(for: .milliseconds(60))
        }
        guard case .failed(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "goes on") }
        #expect(error.code == .aeadLimitReached)
        guard case .failedByPeer(let told)? = pair.end(of: .server) else { return #expect(Bool(false), "not told") }
        #expect(told.code == .aeadLimitReached)
        let sealed = pair.sent(by: .client).count { $0.datagram.bytes[0] & 0x80 == 0 }
        #expect(sealed <= 22)
    }
}
