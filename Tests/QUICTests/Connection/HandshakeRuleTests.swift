import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

@Suite("Rules of the handshake (RFC 9000 §7, §12, §14; RFC 9001 §4)") struct HandshakeRuleTests {
    private func packetTypes(_ datagram: ConnectionPair.Datagram) -> [PacketType] {
        scan(datagram.bytes, fixedBit: .ignored).compactMap { packet in
            switch packet {
            case .long(let header): header.type
            case .short: .oneRTT
            default: nil
            }
        }
    }

    @Test("every client datagram with an Initial packet has 1,200 bytes (§14.1)") func clientPadding() throws {
        let pair = try ConnectionPair.connected()
        let initials = pair.sent(by: .client).filter { packetTypes($0.datagram).contains(.initial) }
        #expect(initials.count >= 2)
        #expect(initials.allSatisfy { $0.datagram.bytes.count == 1_200 })
    }

    @Test("a client that may only acknowledge still expands its Initial packet (§14.1)") func acknowledgementPadding()
        throws
    {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.drain()
        // The window is full: nothing but acknowledgements may leave.
        client.activePath.books.congestion = CongestionController(.cubic, datagramSize: 1)
        let count = pair.sent.count
        pair.run(for: .milliseconds(11)) {
            packetTypes(pair.sent[pair.sent.count - 1].datagram).contains(.initial) && pair.sent.count > count + 1
        }
        let answers = pair.sent(by: .client, since: count).filter { packetTypes($0.datagram).contains(.initial) }
        #expect(answers.allSatisfy { $0.datagram.bytes.count == 1_200 })
    }

    @Test("a server expands datagrams with ack-eliciting Initial packets (§14.1)") func serverPadding() throws {
        let pair = try ConnectionPair.connected()
        let first = try #require(pair.sent(by: .server).first)
        #expect(packetTypes(first.datagram).first == .initial)
        #expect(first.datagram.bytes.count == 1_200)
    }

    @Test("a server drops Initial packets in small datagrams, the first and later ones (§14.1)", arguments: [1, 2])
    func smallInitials(_ number: Int) throws {
        let pair = try ConnectionPair()
        if number == 2 { pair.run(for: .milliseconds(7)) }
        let client = try pair.clientConnection
        let dropped = number == 2 ? try pair.serverConnection.statistics.packetsDropped : 0
        let ping = try client.forge([1], at: .initial, paddedTo: 1_199)
        #expect(ping.count == 1_199)
        let outcome = pair.inject(ping, to: .server)
        if number == 1 {
            #expect(outcome == .dropped)
            #expect(pair.server.connectionCount == 0)
        } else {
            #expect(try pair.serverConnection.statistics.packetsDropped == dropped + 1)
            pair.inject(try client.forge([1], at: .initial, paddedTo: 1_200), to: .server)
            #expect(try pair.serverConnection.statistics.packetsDropped == dropped + 1)
        }
    }

    @Test("a first Initial packet whose connection ID has less than 8 bytes opens nothing (§7.2)") func shortID() throws
    {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        let short = try #require(ConnectionID([1, 2, 3, 4, 5, 6, 7]))
        client.initial?.keys = InitialSecrets.keys(for: short, version: .v1, role: .client)
        #expect(pair.inject(try client.forge([1], at: .initial, to: short, paddedTo: 1_200), to: .server) == .dropped)
    }

    @Test("an Initial packet that does not authenticate opens nothing (§5.2)") func unauthenticInitial() throws {
        let pair = try ConnectionPair()
        pair.drain()
        var bytes = try #require(pair.sent.first).datagram.bytes
        bytes[1_199] ^= 1
        #expect(pair.inject(bytes, to: .server) == .dropped)
        #expect(pair.server.connectionCount == 0)
    }

    @Test("a client drops its Initial keys when it first sends a Handshake packet (RFC 9001 §4.9.1)")
    func clientInitialKeys() throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.run(for: .milliseconds(100)) {
            let hasSent = pair.sent(by: .client).contains { packetTypes($0.datagram).contains(.handshake) }
            #expect((client.initial == nil) == hasSent)
            return hasSent
        }
        #expect(client.handshake != nil)
    }

    @Test("a server drops its Initial keys with the first Handshake packet (RFC 9001 §4.9.1)")
    func serverInitialKeys() throws {
        let pair = try ConnectionPair()
        // What the client sends after it has finished its flight is lost.
        pair.run(for: .milliseconds(12)) { (try? pair.clientConnection.handshake?.keys.write) != nil }
        let server = try pair.serverConnection
        #expect(server.initial != nil)
        try pair.attack(from: .client, [1], at: .handshake)
        #expect(server.initial == nil)
        #expect(server.handshake != nil)
        #expect(server.activePath.amplification == .lifted)
    }

    @Test("Handshake keys go with confirmation: at once on a server, with HANDSHAKE_DONE on a client (RFC 9001 §4.9.2)")
    func handshakeKeys() throws {
        let pair = try ConnectionPair()
        pair.passes = { role, datagram in role == .client || packetTypes(datagram) != [.oneRTT] }
        pair.run(for: .milliseconds(30)) { pair.serverEvents.contains(.handshakeConfirmed) }
        #expect(try pair.serverConnection.handshake == nil)
        #expect(try pair.clientConnection.progress == .complete)
        #expect(try pair.clientConnection.handshake != nil)
        pair.passes = { _, _ in true }
        pair.run(for: .seconds(3)) { pair.clientEvents.contains(.handshakeConfirmed) }
        #expect(try pair.clientConnection.handshake == nil)
    }

    @Test("1-RTT packets before the handshake is complete are kept and read afterwards (RFC 9001 §5.7)")
    func earlyOneRTT() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(20)) { (try? pair.clientConnection.isHandshakeComplete) == true }
        let client = try pair.clientConnection
        let server = try pair.serverConnection
        #expect(!server.isHandshakeComplete)
        let id = try #require(client.openStream(.unidirectional))
        try pair.attack(from: .client, streamFrame(id.rawValue, offset: 0, [1, 2, 3], fin: .end))
        #expect(server.readableBytes(on: id) == 0)
        #expect(server.undecryptable.count == 1)
        pair.run(for: .milliseconds(50))
        #expect(server.read(from: id, atMost: 10) == [1, 2, 3])
        #expect(server.undecryptable.isEmpty)
    }

    @Test("Handshake packets that overtake the Initial packet are kept (RFC 9001 §5.7)") func earlyHandshake() throws {
        let pair = try ConnectionPair()
        var held: [ConnectionPair.Datagram] = []
        pair.passes = { role, datagram in
            guard role == .server, packetTypes(datagram).first == .initial, held.isEmpty else { return true }
            held.append(datagram)
            return false
        }
        pair.run(for: .milliseconds(12)) { !held.isEmpty }
        let first = try #require(held.first)
        // The datagram is cut in two at the packet border, and the second half comes first.
        let packets = scan(first.bytes, fixedBit: .ignored)
        guard case .long(let initial)? = packets.first else { return #expect(Bool(false), "no Initial packet") }
        let rest = Array(first.bytes[initial.packet.upperBound...])
        let client = try pair.clientConnection
        try #require(!rest.isEmpty)
        pair.inject(rest, to: .client)
        #expect(client.undecryptable.count >= 1)
        pair.inject(Array(first.bytes[initial.packet]), to: .client)
        #expect(client.undecryptable.isEmpty)
        pair.run(for: .milliseconds(100))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
    }

    @Test("a coalesced packet for another connection ID is dropped with all that follows (§12.2, CVE-2025-54939)")
    func foreignCoalesced() throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        pair.drain()
        let genuine = try #require(pair.sent.first).datagram.bytes
        let foreign = try #require(ConnectionID([9, 9, 9, 9, 9, 9, 9, 9]))
        client.initial?.keys = InitialSecrets.keys(for: foreign, version: .v1, role: .client)
        let other = try client.forge([1], at: .initial, to: foreign, paddedTo: 1_200)
        guard case .accepted = pair.inject(genuine + other, to: .server) else {
            return #expect(Bool(false), "not accepted")
        }
        #expect(pair.server.connectionCount == 1)
        #expect(pair.server.identifiers.handle(for: foreign) == nil)
        #expect(try pair.serverConnection.statistics.packetsDropped == 1)
    }

    @Test("long headers with another Source Connection ID than the first are dropped (§7.2)") func changedSource()
        throws
    {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(7))
        let client = try pair.clientConnection
        let dropped = try pair.serverConnection.statistics.packetsDropped
        let foreign = try #require(ConnectionID([1, 1, 1, 1, 1, 1, 1, 1]))
        pair.inject(try client.forge([1], at: .initial, from: foreign, paddedTo: 1_200), to: .server)
        #expect(try pair.serverConnection.statistics.packetsDropped == dropped + 1)
    }

    @Test("a late copy of the client's first packet opens no second connection") func lateInitial() throws {
        let pair = try ConnectionPair.connected()
        let first = try #require(pair.sent.first).datagram
        #expect(pair.inject(first.bytes, to: .server) == .connection(try #require(pair.serverHandle)))
        #expect(pair.server.connectionCount == 1)
    }

    @Test("without an answer a handshake ends after its time-out, and costs few packets") func timeout() throws {
        let pair = try ConnectionPair()
        pair.passes = { _, _ in false }
        pair.run(for: .seconds(60))
        #expect(pair.end(of: .client) == .handshakeTimeout)
        #expect(pair.sent.count <= 12)
        #expect(try pair.clientConnection.isClosed)
        #expect(try pair.clientConnection.nextDeadline() == nil)
    }

    @Test("a server forgets a client that never finishes") func serverTimeout() throws {
        let pair = try ConnectionPair()
        pair.passes = { role, _ in role == .client && pair.sent.count <= 1 }
        pair.run(for: .seconds(60))
        #expect(pair.end(of: .server) == .handshakeTimeout)
        let received = 1_200
        #expect(pair.sent(by: .server).reduce(0) { $0 + $1.datagram.bytes.count } <= 3 * received)
    }

    @Test("a server that may not send yet runs no timer for it (RFC 9002 §6.2.2.1)") func blockedServer() throws {
        let pair = try ConnectionPair()
        pair.passes = { role, _ in role == .client && pair.sent.count <= 1 }
        pair.run(for: .milliseconds(6_000))
        let server = try pair.serverConnection
        #expect(server.lossDeadline == nil)
        #expect(try #require(server.nextDeadline()) > pair.now)
    }

    @Test("any one datagram of the handshake may be lost", arguments: 0..<12)
    func anyOneLost(_ index: Int) throws {
        let pair = try ConnectionPair()
        pair.passes = { _, _ in pair.sent.count != index + 1 }
        pair.run(for: .seconds(8)) {
            pair.clientEvents.contains(.handshakeConfirmed) && pair.serverEvents.contains(.handshakeConfirmed)
        }
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(pair.serverEvents.contains(.handshakeConfirmed))
    }

    @Test("a server held back by its limit is freed by the client's probes (RFC 9002 §6.2.2.1)") func deadlock() throws
    {
        let pair = try ConnectionPair()
        pair.passes = { role, _ in role == .client || pair.now > Instant(nanoseconds: 1_900_000_000) }
        pair.run(for: .seconds(9))
        #expect(pair.clientEvents.contains(.handshakeConfirmed))
        #expect(pair.serverEvents.contains(.handshakeConfirmed))
    }

    @Test("a connection that ends in its handshake no longer counts as one under way once it is removed")
    func forgotten() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(7))
        #expect(pair.server.handshaking.count == 1)
        pair.server.remove(try #require(pair.serverHandle))
        #expect(pair.server.handshaking.isEmpty)
    }
}
