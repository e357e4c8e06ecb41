import Primitives
import Testing

@testable import QUIC

@Suite("Migration as the client does it (RFC 9000 §9.2, §9.5)") struct LocalAddressTests {
    private func address(_ number: UInt32) -> NetworkAddress {
        NetworkAddress(IPAddress(ipv4: 0x0a01_0000 + number), port: 4_000)
    }

    private func refusal(
        _ connection: Connection, _ body: (Connection, Instant) throws -> Void
    ) -> Connection.PathRefusal? {
        do {
            try body(connection, Instant(nanoseconds: 2_000_000_000))
            return nil
        } catch {
            return error as? Connection.PathRefusal
        }
    }

    @Test("an added address is validated and stays a standby; activating it moves the connection") func addAndActivate()
        throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        try client.addLocalAddress(address(1), at: pair.now)
        pair.run(for: .milliseconds(50))
        #expect(client.activePath.local == ConnectionPair.clientAddress)
        #expect(server.activePath.remote == ConnectionPair.clientAddress)
        #expect(client.networkPaths.map(\.isValidated) == [true, true])
        #expect(server.networkPaths.map(\.isValidated) == [true, true], "the server has validated it, too")
        try client.activate(address(1), at: pair.now)
        pair.run(for: .milliseconds(6))
        #expect(server.activePath.remote == address(1))
        #expect(server.activePath.amplification == .lifted)
        let ids = pair.sent(by: .client).suffix(1).compactMap { sent -> ConnectionID? in
            guard case .short(let header)? = scan(sent.datagram.bytes, fixedBit: .ignored).first else { return nil }
            return header.destinationConnectionID
        }
        #expect(ids != [server.handshakeConnectionID])
    }

    @Test("the MTU of one interface is no limit of paths from another") func ownMTU() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        client.limitDatagrams(from: ConnectionPair.clientAddress, to: 1_252)
        try client.addLocalAddress(address(1), at: pair.now)
        client.limitDatagrams(from: address(1), to: 1_452)
        #expect(client.path(from: ConnectionPair.clientAddress)?.mtu.ceiling == 1_252)
        #expect(client.path(from: address(1))?.mtu.ceiling == 1_452)
        try client.addLocalAddress(address(2), at: pair.now)
        #expect(client.path(from: address(2))?.mtu.ceiling == client.datagramCeiling)
    }

    @Test("every path has a connection ID of its own, in both directions (§9.5)") func ownIDs() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        for number in 1...4 { try client.addLocalAddress(address(UInt32(number)), at: pair.now) }
        pair.run(for: .milliseconds(100))
        var users: [ConnectionID: Set<NetworkAddress>] = [:]
        for sent in pair.sent {
            guard case .short(let header)? = scan(sent.datagram.bytes, fixedBit: .ignored).first else { continue }
            let local = sent.from == .client ? sent.datagram.from : sent.datagram.to
            users[header.destinationConnectionID, default: []].insert(local)
        }
        #expect(users.count >= 10)
        #expect(users.values.allSatisfy { $0.count == 1 })
    }

    @Test("fifty migrations in a row, each from a new address (netty-quic#698)") func fiftyMigrations() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        let id = try #require(client.openStream(.bidirectional))
        var previous = ConnectionPair.clientAddress
        for number in 1...UInt32(50) {
            try client.addLocalAddress(address(number), at: pair.now)
            pair.run(for: .milliseconds(30))
            try client.activate(address(number), at: pair.now)
            try client.removeLocalAddress(previous, at: pair.now)
            client.write([UInt8(number)].span, to: id)
            previous = address(number)
            pair.run(for: .milliseconds(60))
            try #require(server.activePath.remote == address(number))
            try #require(server.activePath.validator.isValidated)
        }
        #expect(server.read(from: id, atMost: 99) == (1...50).map { UInt8($0) })
        #expect(client.paths.paths.count == 1)
        #expect(server.paths.paths.count <= 3)
        #expect(client.peerConnectionIDs.spareCount >= 3)
        #expect(server.peerConnectionIDs.spareCount >= 3)
    }

    @Test(
        "fifty migrations without validating first, also to and fro, also with few connection IDs",
        arguments: [(true, 8), (false, 8), (true, 2), (false, 2)])
    func withoutProbing(_ row: (isToAndFro: Bool, limit: Int)) throws {
        let isToAndFro = row.isToAndFro
        let pair = try ConnectionPair.connected { $0.serverTransport.activeConnectionIDLimit = row.limit }
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        let id = try #require(client.openStream(.bidirectional))
        var previous = ConnectionPair.clientAddress
        for number in 1...UInt32(50) {
            let next = isToAndFro ? (number % 2 == 0 ? ConnectionPair.clientAddress : address(1)) : address(number)
            try client.addLocalAddress(next, at: pair.now)
            try client.activate(next, at: pair.now)
            if !isToAndFro { try client.removeLocalAddress(previous, at: pair.now) }
            previous = next
            client.write([UInt8(number)].span, to: id)
            pair.run(for: .milliseconds(100))
            try #require(server.activePath.remote == next)
        }
        #expect(server.read(from: id, atMost: 99) == (1...50).map { UInt8($0) })
    }

    @Test("what the rules do not allow is refused") func refusals() throws {
        let early = try ConnectionPair()
        let unconfirmed = try early.clientConnection
        #expect(refusal(unconfirmed) { try $0.addLocalAddress(address(1), at: $1) } == .handshakeNotConfirmed)
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        #expect(refusal(server) { try $0.addLocalAddress(address(1), at: $1) } == .notClient)
        #expect(refusal(server) { try $0.activate(address(1), at: $1) } == .notClient)
        #expect(refusal(client) { try $0.activate(address(9), at: $1) } == .unknownAddress)
        #expect(refusal(client) { try $0.removeLocalAddress(address(9), at: $1) } == .unknownAddress)
        for number in 1..<UInt32(Connection.maximumPaths) { try client.addLocalAddress(address(number), at: pair.now) }
        #expect(refusal(client) { try $0.addLocalAddress(address(99), at: $1) } == .tooManyPaths)
        // Eight paths, six connection IDs: the last ones wait for theirs.
        #expect(refusal(client) { try $0.activate(address(7), at: $1) } == .noConnectionID)
        client.close(errorCode: 0, reason: "", at: pair.now)
        #expect(refusal(client) { try $0.addLocalAddress(address(1), at: $1) } == .connectionEnded)
        #expect(refusal(client) { try $0.removeLocalAddress(address(1), at: $1) } == .connectionEnded)
    }

    @Test("disable_active_migration forbids the client to move (§9)", arguments: [Role.client, .server])
    func disabled(_ role: Role) throws {
        let pair = try ConnectionPair.connected { setup in
            switch role {
            case .server: setup.serverTransport.allowsActiveMigration = false
            case .client: setup.clientTransport.allowsActiveMigration = false
            }
        }
        let client = try pair.clientConnection
        #expect(
            refusal(client) { try $0.addLocalAddress(address(1), at: $1) } == .migrationDisabled)
    }

    @Test("a path without a connection ID waits for one without busy loop, and is then validated") func waiting() throws
    {
        let pair = try ConnectionPair.connected { $0.clientTransport.activeConnectionIDLimit = 2 }
        let client = try pair.clientConnection
        try client.addLocalAddress(address(1), at: pair.now)
        try client.addLocalAddress(address(2), at: pair.now)
        pair.run(for: .milliseconds(500))
        #expect(client.networkPaths.map(\.isValidated) == [true, true, false])
        #expect(try #require(client.nextDeadline()) > pair.now)
        try client.removeLocalAddress(address(1), at: pair.now)
        pair.run(for: .milliseconds(500))
        #expect(client.networkPaths.map(\.isValidated) == [true, true])
        #expect(client.networkPaths.map(\.path.local) == [ConnectionPair.clientAddress, address(2)])
    }

    @Test("when the new path of a client fails, it returns to the validated one and the server follows")
    func clientFallback() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        let id = try #require(client.openStream(.bidirectional))
        pair.passes = { [address = address(1)] _, datagram in datagram.from != address && datagram.to != address }
        try client.addLocalAddress(address(1), at: pair.now)
        try client.activate(address(1), at: pair.now)
        client.write([1, 2, 3].span, to: id)
        pair.run(for: .milliseconds(2_900))
        #expect(client.activePath.local == address(1))
        pair.run(for: .milliseconds(300))
        #expect(client.activePath.local == ConnectionPair.clientAddress)
        #expect(pair.clientEvents.contains { if case .path(.failed) = $0 { true } else { false } })
        #expect(server.read(from: id, atMost: 9) == [1, 2, 3], "what was lost on the way went out again at once")
    }

    @Test("a client whose only path fails keeps it, until the idle time-out ends the connection") func onlyPath() throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        pair.passes = { _, _ in false }
        try client.addLocalAddress(address(1), at: pair.now)
        try client.activate(address(1), at: pair.now)
        try client.removeLocalAddress(ConnectionPair.clientAddress, at: pair.now)
        pair.run(for: .seconds(5))
        #expect(client.state == .established)
        #expect(client.activePath.local == address(1))
        pair.run(for: .seconds(60))
        #expect(pair.end(of: .client) == .idleTimeout)
    }

    @Test("removing the active address moves to a validated one; the last one stays") func removal() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        try client.removeLocalAddress(ConnectionPair.clientAddress, at: pair.now)
        #expect(client.paths.paths.count == 1)
        pair.passes = { [address = address(1)] _, datagram in datagram.from != address }
        try client.addLocalAddress(address(1), at: pair.now)
        try client.addLocalAddress(address(2), at: pair.now)
        pair.run(for: .milliseconds(100))
        try client.removeLocalAddress(ConnectionPair.clientAddress, at: pair.now)
        #expect(client.activePath.local == address(2))
        #expect(client.paths.paths.map(\.local) == [address(1), address(2)])
    }

    @Test("retire_prior_to moves the paths of a client to newer connection IDs at once (§5.1.2)") func retirePriorTo()
        throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        let (id, token) = pair.server.identifiers.issue(
            for: server.handle, using: &server.generator)
        server.localConnectionIDs.issue(id, resetToken: token)
        let next = server.localConnectionIDs.nextToSend()
        let entry = try #require(next)
        try pair.attack(
            from: .server,
            payload(
                .newConnectionID(
                    NewConnectionIDFrame(
                        sequence: entry.sequence, retirePriorTo: entry.sequence, id: entry.id,
                        resetToken: entry.resetToken))))
        #expect(client.peerConnectionIDs.id(for: client.activePath.id) == id)
        let count = pair.sent.count
        let stream = try #require(client.openStream(.bidirectional))
        client.write([1].span, to: stream)
        pair.run(for: .milliseconds(100))
        #expect(server.read(from: stream, atMost: 9) == [1])
        let retired = try pair.frames(by: .client, since: count).filter { frame in
            if case .retireConnectionID = frame { true } else { false }
        }
        #expect(retired.count == 6)
        #expect(server.localConnectionIDs.active.count == LocalConnectionIDs.preferredPoolSize)
    }
}
