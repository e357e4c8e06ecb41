import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("Address validation tokens between connections (RFC 9000 §8.1.3)") struct TokenTests {
    private func token(_ pair: ConnectionPair) throws -> [UInt8] {
        for case .newToken(let token) in pair.clientEvents { return token }
        throw Missing()
    }

    private struct Missing: Error {}

    private func isRetried(_ pair: ConnectionPair, since count: Int) -> Bool {
        pair.sent(by: .server, since: count).contains { sent in
            guard case .retry? = scan(sent.datagram.bytes, fixedBit: .ignored).first else { return false }
            return true
        }
    }

    @Test("a token spares the next connection the Retry, from another port too") func reuse() throws {
        let pair = try ConnectionPair.connected { $0.retry = .always }
        let token = try token(pair)
        let count = pair.sent.count
        try pair.connectAgain(token: token)
        pair.run(for: .milliseconds(8))
        #expect(try pair.serverConnection.activePath.amplification == .lifted)
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(!isRetried(pair, since: count))
    }

    @Test("a token used from another address is as good as none") func wrongAddress() throws {
        let pair = try ConnectionPair.connected { $0.retry = .always }
        let token = try token(pair)
        let count = pair.sent.count
        try pair.connectAgain(token: token, from: NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 9))
        pair.run(for: .milliseconds(200))
        #expect(isRetried(pair, since: count))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test("garbage is as good as no token: a connection is accepted with its limit in place") func garbage() throws {
        let pair = try ConnectionPair.connected()
        try pair.connectAgain(token: [1, 2, 3, 4])
        pair.run(for: .milliseconds(8))
        #expect(try pair.serverConnection.activePath.amplification != .lifted)
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test("an old token of an earlier connection is ignored") func expiredNewToken() throws {
        let pair = try ConnectionPair.connected()
        let token = try token(pair)
        pair.server.unixTime += AddressValidationTokenKey.newTokenLifetime + 1
        try pair.connectAgain(token: token)
        pair.run(for: .milliseconds(8))
        #expect(try pair.serverConnection.activePath.amplification != .lifted)
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test(
        "a Retry token that is old, from elsewhere or for another connection ID is INVALID_TOKEN (§8.1.2)",
        arguments: ["old", "elsewhere", "other ID"])
    func badRetryToken(_ fault: String) throws {
        let pair = try ConnectionPair { $0.retry = .always }
        let client = try pair.clientConnection
        // What answers the Retry is lost, and sent again after the change.
        pair.passes = { role, _ in role == .server || client.retrySourceConnectionID == nil }
        pair.run(for: .milliseconds(14))
        try #require(client.retrySourceConnectionID != nil)
        pair.passes = { _, _ in true }
        switch fault {
        case "old": pair.server.unixTime += AddressValidationTokenKey.retryLifetime + 1
        case "elsewhere":
            pair.rebind(to: NetworkAddress(ConnectionPair.clientAddress.ip, port: 60_000))
        default:
            client.peerConnectionIDs.replaceFirst(with: numberedID(99))
            client.initial?.keys = InitialSecrets.keys(for: numberedID(99), version: .v1, role: .client)
        }
        pair.run(for: .seconds(2))
        guard case .failedByPeer(let error)? = pair.end(of: .client) else { return #expect(Bool(false), "not told") }
        #expect(error.code == .invalidToken)
        #expect(pair.server.connectionCount == 0)
    }

    @Test("a token that leaves no room for a handshake is neither used nor handed on") func longToken() throws {
        let pair = try ConnectionPair.connected()
        let long = [UInt8](repeating: 7, count: TransportLimits.longestToken + 1)
        pair.clientEvents = []
        try pair.attack(from: .server, written { $0.writeNewToken(long.span) })
        pair.drain()
        #expect(pair.clientEvents.isEmpty)
        try pair.connectAgain(token: long)
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test("the longest token that is used leaves room for the handshake") func longestToken() throws {
        let pair = try ConnectionPair.connected()
        try pair.connectAgain(token: [UInt8](repeating: 7, count: TransportLimits.longestToken))
        pair.run(for: .milliseconds(200))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test("one token is sent in a connection, again while it is lost") func lostToken() throws {
        let pair = try ConnectionPair()
        var lost = 0
        pair.passes = { role, datagram in
            let isOneRTT = datagram.bytes[0] & 0x80 == 0
            guard role == .server, isOneRTT, lost < 2 else { return true }
            lost += 1
            return false
        }
        pair.run(for: .seconds(5))
        let tokens = pair.clientEvents.count { event in
            if case .newToken = event { true } else { false }
        }
        #expect(lost == 2)
        #expect(tokens == 1)
    }

    @Test("a ticket resumes the session of an earlier connection") func resumption() throws {
        let pair = try ConnectionPair.connected()
        var tickets: [[UInt8]] = []
        for case .sessionTicket(let bytes) in pair.clientEvents { tickets.append(bytes) }
        let ticket = try #require(tickets.first)
        #expect(try pair.clientConnection.handshakeSummary?.isResumed == false)
        try pair.connectAgain(ticket: SessionTicket(bytes: ticket))
        pair.run(for: .milliseconds(200))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(try pair.clientConnection.handshakeSummary?.isResumed == true)
        #expect(try pair.serverConnection.handshakeSummary?.isResumed == true)
    }
}
