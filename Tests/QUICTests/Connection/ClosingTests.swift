import Primitives
import Testing

@testable import QUIC

@Suite("Closing and draining (RFC 9000 §10.2)") struct ClosingTests {
    @Test("a closing end answers the 1st, 2nd, 4th, 8th packet, with CONNECTION_CLOSE only (§10.2.1)") func answers()
        throws
    {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        pair.passes = { _, _ in false }
        client.close(errorCode: 3, reason: "bye", at: pair.now)
        pair.drain()
        var answered: [Int] = []
        for number in 1...40 {
            let count = pair.sent.count
            try pair.attack(from: .server, [1])
            pair.drain()
            let answers = pair.sent(by: .client, since: count)
            if !answers.isEmpty { answered.append(number) }
            for answer in answers {
                #expect(
                    try pair.frames(in: answer).allSatisfy { if case .connectionClose = $0 { true } else { false } })
            }
        }
        #expect(answered == [1, 2, 4, 8, 16, 32])
    }

    @Test("closing ends after three PTOs, and then everything is silent") func closingPeriod() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        pair.passes = { _, _ in false }
        client.close(errorCode: 3, reason: "", at: pair.now)
        let start = pair.now
        let period = client.probeTimeout * 3
        pair.run(for: .seconds(5)) { client.isClosed }
        #expect(pair.now - start == period)
        #expect(client.nextDeadline() == nil)
        let count = pair.sent.count
        try pair.attack(from: .server, [1])
        pair.drain()
        #expect(pair.sent.count == count)
    }

    @Test("a draining end sends nothing, whatever arrives (§10.2.2)") func draining() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let id = try #require(server.openStream(.unidirectional))
        try pair.attack(from: .client, [0x1d, 0x05, 0x00])
        server.write([1, 2, 3].span, to: id)
        let count = pair.sent.count
        for _ in 0..<20 { try pair.attack(from: .client, [1]) }
        server.close(errorCode: 1, reason: "", at: pair.now)
        pair.run(for: .seconds(5))
        #expect(pair.sent(by: .server, since: count).isEmpty)
        #expect(server.isClosed)
    }

    @Test("a closing end that is closed by its peer drains, and not for longer (§10.2.2)") func bothClose() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        pair.passes = { _, _ in false }
        client.close(errorCode: 3, reason: "", at: pair.now)
        let end = pair.now + client.probeTimeout * 3
        pair.now += client.probeTimeout * 2
        try pair.attack(from: .server, [0x1d, 0x05, 0x00])
        #expect(client.state == .draining(until: end))
        pair.drain()
        #expect(pair.end(of: .client) == .closedLocally(errorCode: 3), "told once, as it was")
    }

    @Test("a second CONNECTION_CLOSE changes nothing while draining") func repeatedClose() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        try pair.attack(from: .client, [0x1d, 0x05, 0x00])
        let state = server.state
        pair.now += .milliseconds(5)
        try pair.attack(from: .client, [0x1d, 0x06, 0x00])
        #expect(server.state == state)
    }

    @Test("a closing end makes no paths and moves to none") func noMigration() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        server.close(errorCode: 3, reason: "", at: pair.now)
        try pair.attack(from: .client, [1], source: NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 7_000))
        #expect(server.paths.paths.count == 1)
    }

    @Test("what arrived before the close can be read after it, and the end is told last") func eventOrder() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        try pair.attack(from: .client, streamFrame(0, offset: 0, [1, 2, 3], fin: .end) + [0x1d, 0x05, 0x00])
        pair.drain()
        #expect(server.read(from: StreamID(rawValue: 0), atMost: 9) == [1, 2, 3])
        guard case .closed? = pair.serverEvents.last else { return #expect(Bool(false), "not told last") }
        #expect(pair.serverEvents.contains(.streamReadable(StreamID(rawValue: 0))))
    }

    @Test("commands after the end do nothing") func commands() throws {
        let pair = try ConnectionPair.connected()
        let client = try pair.clientConnection
        let id = try #require(client.openStream(.bidirectional))
        client.close(errorCode: 3, reason: "", at: pair.now)
        pair.run(for: .seconds(3))
        let count = pair.sent.count
        #expect(client.openStream(.bidirectional) == nil)
        client.write([1].span, to: id)
        client.finish(id)
        client.reset(id, errorCode: 1)
        client.stopSending(id, errorCode: 1)
        _ = client.sendDatagram([1])
        client.close(errorCode: 4, reason: "", at: pair.now)
        _ = client.rotateConnectionID(at: pair.now)
        client.requestKeyUpdate()
        pair.run(for: .seconds(3))
        #expect(pair.sent.count == count)
        #expect(client.isClosed)
    }

    @Test("a reason longer than a datagram is cut, and arrives") func longReason() throws {
        let pair = try ConnectionPair.connected()
        try pair.clientConnection.close(errorCode: 3, reason: String(repeating: "long ", count: 1_000), at: pair.now)
        pair.run(for: .seconds(1))
        guard case .closedByPeer(3, let reason)? = pair.end(of: .server) else {
            return #expect(Bool(false), "not told")
        }
        #expect(reason.hasPrefix("long long "))
        #expect(reason.utf8.count <= 256)
    }
}
