import Primitives
import Testing

@testable import QUIC

@Suite("The server's preferred address (RFC 9000 §9.6, §21.5)") struct PreferredAddressTests {
    private let preferred = NetworkAddress(IPAddress(ipv4: 0x0808_0404), port: 8_443)

    private func connected(
        _ address: NetworkAddress?, ipv6: NetworkAddress? = nil, scope: PreferredAddressScope = .global,
        _ more: (inout PairSetup) -> Void = { _ in }
    ) throws -> ConnectionPair {
        try ConnectionPair.connected {
            $0.configureServer = {
                $0.preferredIPv4 = address
                $0.preferredIPv6 = ipv6
            }
            $0.clientTransport.preferredAddresses = scope
            more(&$0)
        }
    }

    @Test(
        "a client validates it after the handshake and moves there, with the connection ID that came with it (§9.6.1)")
    func flow() throws {
        let pair = try connected(preferred)
        let (client, server) = (try pair.clientConnection, try pair.serverConnection)
        #expect(client.activePath.remote == preferred)
        #expect(server.activePath.local == preferred)
        let known = server.localConnectionIDs.active.first { $0.sequence == 1 }
        #expect(client.peerConnectionIDs.id(for: client.activePath.id) == known?.id)
        let early = pair.sent(by: .client).prefix { $0.datagram.to != preferred }
        #expect(!early.isEmpty)
        let id = try #require(client.openStream(.bidirectional))
        client.write([1, 2].span, to: id)
        pair.run(for: .milliseconds(100))
        #expect(server.read(from: id, atMost: 9) == [1, 2])
        #expect(server.statistics.peerMoves == 0, "the client's address is the same")
    }

    @Test("one that does not answer is forgotten; the connection stays where it is") func unreachable() throws {
        let deaf = try ConnectionPair {
            $0.configureServer = { [preferred] in $0.preferredIPv4 = preferred }
        }
        deaf.passes = { [preferred] _, datagram in datagram.to != preferred }
        deaf.run(for: .seconds(10))
        let client = try deaf.clientConnection
        #expect(client.activePath.remote == ConnectionPair.serverAddress)
        #expect(client.state == .established)
        #expect(deaf.clientEvents.contains { if case .path(.failed) = $0 { true } else { false } })
    }

    @Test(
        "addresses that are not of the public internet are ignored unless configured (§21.5.3)",
        arguments: [
            (0x7f00_0001, false), (0xa9fe_0001, false), (0xe000_0001, false), (0xffff_ffff, false), (0, false),
            (0x0a00_0009, true), (0xc0a8_0001, true), (0x6440_0001, true),
        ] as [(UInt32, Bool)])
    func ignored(_ row: (address: UInt32, isWithAny: Bool)) throws {
        let address = NetworkAddress(IPAddress(ipv4: row.address), port: 443)
        let pair = try connected(address)
        #expect(try pair.clientConnection.paths.paths.count == 1)
        #expect(!pair.sent.contains { $0.datagram.to == address })
        guard row.isWithAny else { return }
        let configured = try connected(address, scope: .any)
        #expect(try configured.clientConnection.activePath.remote == address)
    }

    @Test(
        "multicast, broadcast and unspecified addresses are not even configurable",
        arguments: [0xe000_0001, 0xffff_ffff, 0] as [UInt32])
    func neverAllowed(_ address: UInt32) {
        #expect(!PreferredAddressScope.any.contains(IPAddress(ipv4: address)))
        #expect(PreferredAddressScope.any.contains(IPAddress(ipv4: 0x7f00_0001)))
    }

    @Test("private IPv6 addresses and IPv4 addresses in disguise are ignored, too") func ipv6() {
        let private6: [(UInt64, UInt64)] = [
            (0, 1), (0xfe80_0000_0000_0000, 1), (0xfd00_0000_0000_0000, 1), (0xff02_0000_0000_0000, 1),
            (0, 0xffff_7f00_0001),
        ]
        for (high, low) in private6 {
            #expect(!PreferredAddressScope.global.contains(IPAddress(ipv6High: high, low: low)))
        }
        #expect(PreferredAddressScope.global.contains(IPAddress(ipv6High: 0x2606_4700_0000_0000, low: 1)))
    }

    @Test("one of another family, and one without a port, are ignored") func unusable() throws {
        let other = try connected(
            nil, ipv6: NetworkAddress(IPAddress(ipv6High: 0x2606_4700_0000_0000, low: 1), port: 443))
        #expect(try other.clientConnection.paths.paths.count == 1)
        let portless = try connected(NetworkAddress(preferred.ip, port: 0))
        #expect(try portless.clientConnection.paths.paths.count == 1)
    }

    @Test("disable_active_migration does not forbid the move, nor migration after it (§18.2)")
    func migrationAfterwards() throws {
        let pair = try connected(preferred) { $0.serverTransport.allowsActiveMigration = false }
        let client = try pair.clientConnection
        #expect(client.activePath.remote == preferred)
        for number in 1...UInt32(3) {
            let local = NetworkAddress(IPAddress(ipv4: 0x0a01_0000 + number), port: 4_000)
            try client.addLocalAddress(local, at: pair.now)
            pair.run(for: .milliseconds(50))
            try client.activate(local, at: pair.now)
            pair.run(for: .milliseconds(50))
            #expect(try pair.serverConnection.activePath.remote == local)
        }
    }
}
