import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("Migration as the server sees it (RFC 9000 §9)") struct MigrationRuleTests {
    private let elsewhere = NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 7_000)
    private let otherPort = NetworkAddress(ConnectionPair.clientAddress.ip, port: 7_000)

    private func moves(_ pair: ConnectionPair) -> [NetworkAddress] {
        pair.serverEvents.compactMap { event in
            if case .path(.peerMoved(_, let path)) = event { path.remote } else { nil }
        }
    }

    @Test(
        "a non-probing packet from a new address moves the connection, and both addresses are challenged (§9.3, §9.3.3)"
    )
    func moving() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let count = pair.sent.count
        try pair.attack(from: .client, [1], source: elsewhere)
        #expect(server.activePath.remote == elsewhere)
        pair.drain()
        #expect(moves(pair) == [elsewhere])
        let challenged = try pair.sent(by: .server, since: count).filter { sent in
            try pair.frames(in: sent).contains { if case .pathChallenge = $0 { true } else { false } }
        }
        #expect(Set(challenged.map(\.datagram.to)) == [elsewhere, ConnectionPair.clientAddress])
    }

    @Test("probing packets do not move the connection (§9.1)") func probing() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let spare = numberedFrame(60)
        let token = spare.resetToken
        let known = try #require(pair.clientConnection.localConnectionIDs.active.last)
        #expect(known.id != spare.id && token == spare.resetToken)
        let newID = NewConnectionIDFrame(
            sequence: known.sequence, retirePriorTo: 0, id: known.id, resetToken: known.resetToken)
        try pair.attack(
            from: .client, payload(.pathChallenge(1), .pathResponse(2), .newConnectionID(newID)), paddedTo: 1_200,
            source: elsewhere)
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        #expect(server.paths.paths.map(\.remote) == [ConnectionPair.clientAddress, elsewhere])
        pair.drain()
        #expect(moves(pair).isEmpty)
    }

    @Test(
        "any other frame makes a packet non-probing (§9.1)",
        arguments: [
            [0x01], [0x10, 0x40, 0x00], [0x05, 0x00, 0x00], [0x14, 0x01], [0x1a, 1, 2, 3, 4, 5, 6, 7, 8, 0x01],
        ] as [[UInt8]])
    func nonProbing(_ payload: [UInt8]) throws {
        let pair = try ConnectionPair.connected()
        if payload[0] == 0x05 {
            let id = try #require(pair.serverConnection.openStream(.bidirectional))
            try #require(id.rawValue == 1)
        }
        let bytes = payload[0] == 0x05 ? [0x05, 0x01, 0x00] : payload
        try pair.attack(from: .client, bytes, source: elsewhere)
        #expect(try pair.serverConnection.activePath.remote == elsewhere)
    }

    @Test("only the highest-numbered non-probing packet moves it; probes with higher numbers do not count (§9.3)")
    func highestNumber() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        let first = try client.forge([1], sentAt: pair.now)
        let probe = try client.forge(payload(.pathChallenge(5)), paddedTo: 1_200, sentAt: pair.now)
        let second = try client.forge([1], sentAt: pair.now)
        let third = try client.forge([1], sentAt: pair.now)
        // A probe with a higher number does not keep a non-probing packet from moving the connection.
        pair.inject(probe, to: .server, from: otherPort)
        pair.inject(first, to: .server, from: elsewhere)
        #expect(server.activePath.remote == elsewhere)
        // A late packet does not move it back.
        pair.inject(third, to: .server, from: elsewhere)
        pair.inject(second, to: .server)
        #expect(server.activePath.remote == elsewhere)
    }

    @Test("a copy of a packet from another address moves nothing and makes no path (§9.3.3)") func copies() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let packet = try pair.clientConnection.forge([1], sentAt: pair.now)
        pair.inject(packet, to: .server)
        for port in 1..<UInt16(50) {
            pair.inject(packet, to: .server, from: NetworkAddress(IPAddress(ipv4: 0x0c00_0001), port: port))
        }
        #expect(server.paths.paths.count == 1)
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
    }

    @Test("paths from spoofed addresses are bounded, and never drive out a validated one") func churn() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        for index in 0..<UInt32(500) {
            let from = NetworkAddress(IPAddress(ipv4: 0x0c00_0000 + index), port: 1)
            try pair.attack(from: .client, [1], source: from)
            #expect(server.paths.paths.count <= Connection.maximumPaths)
            #expect(server.paths.paths.contains { $0.remote == ConnectionPair.clientAddress })
        }
        #expect(server.lastValidatedPath?.remote == ConnectionPair.clientAddress)
        // Challenges to the spoofed addresses are lost. The client's own packet brings the connection back.
        pair.passes = { role, datagram in role == .client || datagram.to == ConnectionPair.clientAddress }
        try pair.attack(from: .client, [1])
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        pair.run(for: .seconds(20))
        #expect(server.state == .established)
        #expect(server.paths.paths.map(\.remote) == [ConnectionPair.clientAddress])
    }

    @Test("when a new address does not answer, the connection returns to the last validated one (§9.3.2)")
    func fallback() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        pair.passes = { _, _ in false }
        let count = pair.sent.count
        try pair.attack(from: .client, [1], source: elsewhere)
        pair.drain()
        // The old address answers, with a probing packet that does not itself move the connection back.
        for sent in pair.sent(by: .server, since: count) where sent.datagram.to == ConnectionPair.clientAddress {
            for case .pathChallenge(let data) in try pair.frames(in: sent) {
                try pair.attack(from: .client, payload(.pathResponse(data)))
            }
        }
        #expect(server.activePath.remote == elsewhere)
        pair.run(for: .seconds(4))
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        #expect(server.state == .established)
        #expect(!server.paths.paths.contains { $0.remote == elsewhere })
    }

    @Test("without a validated address that it can send to, a server ends the connection without a word (§9.3.2)")
    func noViablePath() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        try pair.attack(from: .client, [1], source: elsewhere)
        // The peer takes back every connection ID but one, which the address in use gets.
        let last = try #require(server.peerConnectionIDs.entries.map(\.sequence).max())
        let frame = numberedFrame(last + 1, retirePriorTo: last + 1)
        try pair.attack(from: .client, payload(.newConnectionID(frame)), source: elsewhere)
        #expect(server.activePath.remote == elsewhere)
        pair.passes = { _, _ in false }
        pair.run(for: .seconds(5))
        #expect(pair.end(of: .server) == .noViablePath)
        #expect(server.state == .closed)
    }

    @Test("the client's answer to the challenge of its old address brings the connection back at once (§9.3.3)")
    func forwarded() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        pair.passes = { role, datagram in role == .client || datagram.to != elsewhere }
        try pair.attack(from: .client, [1], source: elsewhere)
        #expect(server.activePath.remote == elsewhere)
        pair.run(for: .milliseconds(11))
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        pair.run(for: .seconds(10))
        #expect(server.paths.paths.map(\.remote) == [ConnectionPair.clientAddress])
        #expect(server.state == .established)
    }

    @Test("an outage that swallows both challenges ends nothing: the last validated address stays (§9.3.2)")
    func outageDuringValidation() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        pair.passes = { _, _ in false }
        try pair.attack(from: .client, [1], source: elsewhere)
        #expect(server.activePath.remote == elsewhere)
        pair.run(for: .seconds(10))
        #expect(server.state == .established)
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        pair.passes = { _, _ in true }
        let outageEnd = pair.now
        try pair.clientConnection.ping(at: outageEnd)
        pair.run(for: .seconds(1))
        #expect(try #require(server.liveness.lastReceived) > outageEnd)
    }

    @Test("the path returned to may fail in its turn; the connection waits there, and no path is left dangling")
    func fallbackFails() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        pair.passes = { role, _ in role == .client }
        try pair.attack(from: .client, [1], source: elsewhere)
        pair.drain()
        // A packet of the client moves the connection back while the old path is being challenged.
        try pair.attack(from: .client, [1])
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        pair.passes = { _, _ in false }
        pair.run(for: .seconds(20)) { server.isClosed || !server.paths.paths.contains { $0 === server.activePath } }
        #expect(server.state == .established)
        #expect(server.paths.paths.map(\.remote) == [ConnectionPair.clientAddress])
    }

    @Test("packets from another address before the handshake is confirmed are dropped (§9)") func beforeConfirmation()
        throws
    {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(12)) { (try? pair.clientConnection.handshake?.keys.write) != nil }
        let server = try pair.serverConnection
        let dropped = server.statistics.packetsDropped
        try pair.attack(from: .client, [1], at: .handshake, source: elsewhere)
        #expect(server.statistics.packetsDropped == dropped + 1)
        #expect(server.paths.paths.count == 1)
        #expect(server.activePath.amplification != .lifted)
    }

    @Test("a client drops packets from addresses that it does not know its server to have (§9)") func unknownServer()
        throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let dropped = client.statistics.packetsDropped
        try pair.attack(from: .server, payload(.maxData(1 << 40)), source: elsewhere)
        #expect(client.statistics.packetsDropped == dropped + 1)
        #expect(client.paths.paths.count == 1)
        #expect(client.state == .established)
    }

    @Test(
        "a change of port keeps congestion window and round-trip time; one of address does not (§9.4)",
        arguments: [true, false])
    func books(_ isPortOnly: Bool) throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let before = server.activePath
        #expect(before.rtt.minimum != nil)
        try pair.attack(from: .client, [1], source: isPortOnly ? otherPort : elsewhere)
        #expect(server.activePath !== before)
        #expect((server.activePath.rtt == before.rtt) == isPortOnly)
        #expect((server.activePath.rtt.minimum == nil) == !isPortOnly)
        #expect(server.activePath.amplification != .lifted)
    }

    @Test("disable_active_migration does not forbid the NAT to rebind (§9, s2n-quic#2516)") func rebindingAllowed()
        throws
    {
        let pair = try ConnectionPair.connected { $0.serverTransport.allowsActiveMigration = false }
        #expect(try pair.clientConnection.peerParameters?.disablesActiveMigration == true)
        pair.rebind(to: otherPort)
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        client.write([1, 2, 3].span, to: id)
        let server = try pair.serverConnection
        pair.run(for: .milliseconds(500)) {
            server.activePath.remote == otherPort && server.activePath.validator.isValidated
        }
        #expect(server.activePath.remote == otherPort)
        #expect(server.read(from: id, atMost: 9) == [1, 2, 3])
        #expect(server.state == .established)
    }

    @Test("a rebinding of the NAT needs no spare connection ID, and keeps the one in use (§9.5)")
    func rebindingWithoutSpare() throws {
        let pair = try ConnectionPair.connected { $0.serverTransport.activeConnectionIDLimit = 2 }
        let server = try pair.serverConnection
        // The only spare one is taken.
        #expect(server.peerConnectionIDs.assign(to: NetworkPathID(rawValue: 99)) == true)
        #expect(server.peerConnectionIDs.spareCount == 0)
        let id = server.peerConnectionIDs.id(for: server.activePath.id)
        pair.rebind(to: elsewhere)
        try pair.clientConnection.pingRequested = true
        pair.run(for: .milliseconds(300))
        #expect(server.activePath.remote == elsewhere)
        #expect(server.activePath.validator.isValidated)
        #expect(server.peerConnectionIDs.id(for: server.activePath.id) == id)
    }

    @Test("without a spare connection ID a new one of the peer's is not answered on the new path (§9.5)") func noSpare()
        throws
    {
        let pair = try ConnectionPair.connected { $0.serverTransport.activeConnectionIDLimit = 2 }
        let server = try pair.serverConnection
        #expect(server.peerConnectionIDs.assign(to: NetworkPathID(rawValue: 99)) == true)
        let other = try #require(server.localConnectionIDs.active.last).id
        try pair.attack(from: .client, [1], to: other, source: elsewhere)
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        #expect(server.paths.paths.count == 1)
        #expect(
            server.application.received.largest == (try pair.clientConnection.application.nextPacketNumber) - 1,
            "it is read")
    }

    @Test("when only our own address changes, the peer has not moved: no limit, no challenge to the old path")
    func localChange() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let second = NetworkAddress(IPAddress(ipv4: 0x0a00_0003), port: 443)
        let previous = server.activePath
        let count = pair.sent.count
        try pair.attack(from: .client, [1], onto: second)
        // RFC 9000 §9.6.2: it sends from there only once it has validated the path.
        #expect(server.activePath === previous)
        pair.drain()
        let fromSecond = pair.sent(by: .server, since: count).filter { $0.datagram.from == second }
        let challenge = try #require(fromSecond.first)
        for case .pathChallenge(let data) in try pair.frames(in: challenge) {
            try pair.attack(from: .client, payload(.pathResponse(data)), onto: second)
        }
        #expect(server.activePath.local == second)
        #expect(server.activePath.amplification == .lifted)
        #expect(server.peerConnectionIDs.id(for: server.activePath.id) != server.peerConnectionIDs.id(for: previous.id))
        #expect(previous.validator.isValidated)
        #expect(server.statistics.peerMoves == 0)
        pair.drain()
        #expect(moves(pair).isEmpty)
    }

    @Test("NAT rebinding and a new connection ID at the same time (picoquic, Jul 2025)") func rebindingAndRotation()
        throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        let id = try #require(client.openStream(.bidirectional))
        for round in 0..<UInt16(20) {
            pair.rebind(to: NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 8_000 + round))
            #expect(client.rotateConnectionID(at: pair.now) == true)
            client.write([UInt8(round)].span, to: id)
            pair.run(for: .milliseconds(200))
            #expect(server.activePath.remote.port == 8_000 + round)
            #expect(server.activePath.validator.isValidated)
        }
        #expect(server.read(from: id, atMost: 99) == (0..<20).map { UInt8($0) })
        #expect(pair.end(of: .client) == nil)
    }

    @Test("RETIRE_CONNECTION_ID for the ID that the packet came for is a violation, from any path (§19.16)")
    func retiresItself() throws {
        let pair = try ConnectionPair.connected { $0.serverTransport.activeConnectionIDLimit = 2 }
        let server = try pair.serverConnection
        #expect(server.peerConnectionIDs.assign(to: NetworkPathID(rawValue: 99)) == true)
        let other = try #require(server.localConnectionIDs.active.last)
        // The server has no spare ID to answer with, and so no path for the packet.
        try pair.attack(
            from: .client, payload(.retireConnectionID(sequence: other.sequence)), to: other.id, source: elsewhere)
        #expect(server.failure == .protocolViolation)
    }

    @Test("the old address is challenged also when the new one was validated beforehand (§9.3.3)")
    func validatedStandby() throws {
        let pair = try ConnectionPair.connected()
        let (client, server) = (try pair.clientConnection, try pair.serverConnection)
        try client.addLocalAddress(elsewhere, at: pair.now)
        pair.run(for: .milliseconds(50))
        try #require(server.networkPaths.map(\.isValidated) == [true, true])
        try client.activate(elsewhere, at: pair.now)
        let count = pair.sent.count
        pair.run(for: .milliseconds(6))
        #expect(server.activePath.remote == elsewhere)
        let challenged = try pair.sent(by: .server, since: count).filter { sent in
            try pair.frames(in: sent).contains { if case .pathChallenge = $0 { true } else { false } }
        }
        #expect(challenged.map(\.datagram.to) == [ConnectionPair.clientAddress])
        pair.run(for: .milliseconds(50))
        #expect(server.activePath.remote == elsewhere, "the client's answer is a probing packet")
    }
}
