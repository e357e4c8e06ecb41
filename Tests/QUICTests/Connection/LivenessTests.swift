import Primitives
import Testing

@testable import QUIC

@Suite("Idle time-out, keep-alive and deadlines (RFC 9000 §10.1)") struct LivenessTests {
    @Test(
        "the smaller of both ends' time-outs counts, and none if neither has one",
        arguments: [(5, 9, 5), (9, 5, 5), (0, 7, 7), (7, 0, 7), (0, 0, nil)] as [(Int64, Int64, Int64?)])
    func agreed(_ row: (client: Int64, server: Int64, expected: Int64?)) throws {
        let pair = try ConnectionPair.connected {
            $0.clientTransport.idleTimeout = .seconds(row.client)
            $0.serverTransport.idleTimeout = .seconds(row.server)
        }
        for connection in [try pair.clientConnection, try pair.serverConnection] {
            #expect(connection.idleTimeout == row.expected.map { .seconds($0) })
        }
        guard let expected = row.expected else {
            pair.run(for: .seconds(3_600))
            return #expect(pair.end(of: .client) == nil)
        }
        pair.run(for: .seconds(expected + 1))
        #expect(pair.end(of: .client) == .idleTimeout)
        #expect(pair.end(of: .server) == .idleTimeout)
    }

    @Test("it is at least three PTOs") func atLeastThreeProbeTimeouts() throws {
        let pair = try ConnectionPair.connected { $0.configureTransport { $0.idleTimeout = .milliseconds(400) } }
        let client = try pair.clientConnection
        #expect(client.idleTimeout == .milliseconds(400))
        client.activePath.books.rtt = RTTEstimator(assuming: .milliseconds(500))
        #expect(client.idleTimeout == client.probeTimeout * 3)
    }

    @Test("silence ends it without a packet, exactly in time; what is received starts it anew") func exactTime() throws
    {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        pair.passes = { _, _ in false }
        pair.now += .seconds(20)
        try pair.attack(from: .client, [1])
        let restarted = pair.now
        let count = pair.sent(by: .server).count
        pair.run(for: .seconds(60)) { server.isClosed }
        #expect(pair.now == restarted + .seconds(30))
        let frames = try pair.sent(by: .server)[count...].flatMap { try pair.frames(in: $0) }
        #expect(!frames.contains { if case .connectionClose = $0 { true } else { false } })
    }

    @Test("duplicates and packets that do not authenticate do not start it anew") func forgeries() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let packet = try pair.clientConnection.forge([1], sentAt: pair.now)
        pair.inject(packet, to: .server)
        let since = server.idleSince
        pair.now += .seconds(1)
        pair.inject(packet, to: .server)
        var forged = try pair.clientConnection.forge([1], sentAt: pair.now)
        forged[forged.count - 1] ^= 1
        pair.inject(forged, to: .server)
        #expect(server.idleSince == since)
    }

    @Test("the first ack-eliciting packet after a receipt starts it anew, further ones do not (§10.1)") func sending()
        throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.unidirectional))
        pair.passes = { _, _ in false }
        pair.now += .seconds(10)
        client.write([1].span, to: id)
        pair.drain()
        let first = pair.now
        #expect(client.idleSince == first)
        pair.now += .milliseconds(5)
        client.write([2].span, to: id)
        pair.drain()
        #expect(client.idleSince == first)
    }

    @Test("an end that is to be kept alive sends PINGs at its interval, and few packets else (§10.1.2)")
    func keepAlive() throws {
        let pair = try ConnectionPair.connected { $0.clientTransport.keepAliveInterval = .seconds(10) }
        let client = try pair.clientConnection
        client.setKeepAlive(.on)
        let count = pair.sent.count
        pair.run(for: .seconds(600))
        #expect(client.state == .established)
        #expect((50...70).contains(pair.sent(by: .client, since: count).count))
        #expect((50...70).contains(pair.sent(by: .server, since: count).count))
        client.setKeepAlive(.off)
        pair.run(for: .seconds(40))
        #expect(pair.end(of: .client) == .idleTimeout)
    }

    @Test("an interval longer than the idle time-out is shortened") func longInterval() throws {
        let pair = try ConnectionPair.connected { $0.clientTransport.keepAliveInterval = .seconds(100) }
        try pair.clientConnection.setKeepAlive(.on)
        pair.run(for: .seconds(300))
        #expect(try pair.clientConnection.state == .established)
    }

    @Test(
        "after everything is drained no deadline lies in the past, whatever blocks sending",
        arguments: ["address", "ID", "window"])
    func noBusyLoop(_ obstacle: String) throws {
        let pair = try ConnectionPair.connected { $0.configureTransport { $0.idleTimeout = .zero } }
        let server = try pair.serverConnection
        let id = try #require(server.openStream(.unidirectional))
        server.write([UInt8](repeating: 1, count: 100_000).span, to: id)
        pair.passes = { _, _ in false }
        pair.drain()
        switch obstacle {
        case "address":
            server.activePath.amplification = .unvalidated
            server.activePath.amplification.received(10)
        case "ID": try server.peerConnectionIDs.release(server.activePath.id)
        default: break
        }
        for _ in 0..<3 { try pair.attack(from: .client, [1]) }
        server.setKeepAlive(.on)
        server.beginValidation(of: server.activePath, at: pair.now)
        for step in 0..<2_000 {
            pair.drain()
            guard let deadline = server.nextDeadline() else { break }
            pair.now = max(pair.now, deadline)
            server.deadlineReached(at: pair.now)
            pair.drain()
            if let next = server.nextDeadline() { #expect(next > pair.now, "step \(step)") }
        }
        #expect(pair.now > Instant(nanoseconds: 2_000_000_000))
    }

    @Test("a dead peer is probed ever more rarely, down to two packets in the longest interval") func backOff() throws {
        let pair = try ConnectionPair.connected { $0.configureTransport { $0.idleTimeout = .zero } }
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.unidirectional))
        pair.passes = { _, _ in false }
        client.write([1].span, to: id)
        pair.run(for: .seconds(600))
        let count = pair.sent.count
        pair.run(for: LossTimer.longestProbeInterval * 100)
        #expect(client.state == .established)
        #expect((198...202).contains(pair.sent(by: .client, since: count).count))
    }
}
