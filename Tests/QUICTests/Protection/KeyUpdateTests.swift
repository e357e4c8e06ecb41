import Cryptography
import Primitives
import Testing

@testable import QUIC

/// One end of a connection as far as its 1-RTT keys go.
final class KeyHolder {
    static let probeTimeout = Interval.milliseconds(100)

    let keys: OneRTTKeys
    var nextPacketNumber: UInt64 = 0
    var largestReceived: UInt64?
    var now = Instant.origin

    /// Whether the handshake is confirmed from the beginning.
    enum Confirmation {
        case given
        case awaited
    }

    init(sealing: UInt8, opening: UInt8, updateThreshold: UInt64? = nil, _ confirmation: Confirmation = .given) {
        keys = OneRTTKeys(updateThreshold: updateThreshold)
        keys.installSealing(
            suite: .aes128GCM, secret: SecretBytes([UInt8](repeating: sealing, count: 32)), version: .v1)
        keys.installOpening(
            suite: .aes128GCM, secret: SecretBytes([UInt8](repeating: opening, count: 32)), version: .v1)
        if confirmation == .given { keys.handshakeConfirmed() }
    }

    /// A sealed packet; `phase` overrides the bit, `number` the packet number.
    func packet(number: UInt64? = nil, acknowledging: UInt64? = nil) -> [UInt8] {
        let number = number ?? nextPacketNumber
        nextPacketNumber = max(nextPacketNumber, number + 1)
        var buffer = [UInt8](repeating: 0, count: 60)
        var span = buffer.mutableSpan
        var writer = ByteWriter(&span)
        var layout = writer.writeShortHeader(
            ShortHeaderFields(
                destinationConnectionID: connectionID("0102030405060708"), packetNumber: number,
                packetNumberLength: 4, keyPhase: keys.phaseOfNextPacket()))
        writer.write(repeating: 1, count: 60 - CipherSuite.tagLength - writer.position)
        writer.finishPacket(&layout)
        var run = SealedRun()
        keys.seal(&writer.bytes, layout, packetNumber: number, acknowledging: acknowledging, run: &run)
        keys.protectHeaders(of: &run, in: &writer.bytes)
        return buffer
    }

    /// Whether a packet opens.
    func receive(_ packet: [UInt8]) throws(TransportError) -> Bool {
        guard case .short(let header)? = scan(packet).first else { return false }
        var datagram = packet
        var span = datagram.mutableSpan
        let opened = try keys.open(
            &span, header, largestReceived: largestReceived, at: now, probeTimeout: Self.probeTimeout)
        guard let opened else { return false }
        largestReceived = max(largestReceived ?? 0, opened.packetNumber)
        return true
    }

    /// The code with which a packet closes the connection; nil when it does not.
    func violation(_ packet: [UInt8]) -> TransportErrorCode? {
        do throws(TransportError) {
            _ = try receive(packet)
            return nil
        } catch {
            return error.code
        }
    }

    func advance(_ interval: Interval) {
        now += interval
        keys.deadlineReached(at: now)
    }
}

@Suite("Key updates (RFC 9001 §6)")
struct KeyUpdateTests {
    static func pair(updateThreshold: UInt64? = nil) -> (KeyHolder, KeyHolder) {
        (
            KeyHolder(sealing: 1, opening: 2, updateThreshold: updateThreshold),
            KeyHolder(sealing: 2, opening: 1, updateThreshold: updateThreshold)
        )
    }

    /// Each end gets a packet of the other and an acknowledgement for its own.
    static func exchange(_ a: KeyHolder, _ b: KeyHolder) throws {
        let number = a.nextPacketNumber
        #expect(try b.receive(a.packet()))
        let answer = b.nextPacketNumber
        #expect(try a.receive(b.packet(acknowledging: number)))
        a.keys.acknowledgementReceived(largest: number)
        #expect(try b.receive(a.packet(acknowledging: answer)))
        b.keys.acknowledgementReceived(largest: answer)
    }

    @Test("an update that one end begins is answered by the other, many times over")
    func both() throws {
        let (client, server) = Self.pair()
        for round in 0..<6 {
            let (starter, other) = round.isMultiple(of: 2) ? (client, server) : (server, client)
            try Self.exchange(starter, other)
            starter.keys.requestUpdate()
            try Self.exchange(starter, other)
            #expect(starter.keys.updateCount == UInt64(round + 1) && other.keys.updateCount == UInt64(round + 1))
            starter.advance(KeyHolder.probeTimeout * 3)
            other.advance(KeyHolder.probeTimeout * 3)
        }
    }

    @Test("the key phase bit toggles with each update")
    func phaseBit() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        #expect(client.keys.phaseOfNextPacket() == .zero)
        client.keys.requestUpdate()
        #expect(client.keys.phaseOfNextPacket() == .one)
        try Self.exchange(client, server)
        #expect(server.keys.phaseOfNextPacket() == .one)
    }

    @Test("no update before the handshake is confirmed, though the peer has acknowledged packets")
    func unconfirmed() throws {
        let client = KeyHolder(sealing: 1, opening: 2, .awaited)
        let server = KeyHolder(sealing: 2, opening: 1)
        try Self.exchange(client, server)
        client.keys.requestUpdate()
        #expect(client.keys.phaseOfNextPacket() == .zero && client.keys.updateCount == 0)
        client.keys.handshakeConfirmed()
        #expect(client.keys.phaseOfNextPacket() == .one && client.keys.updateCount == 1)
        try Self.exchange(client, server)
        #expect(server.keys.updateCount == 1)
    }

    @Test("no update before a packet of the current phase is acknowledged")
    func unacknowledged() throws {
        let (client, server) = Self.pair()
        client.keys.requestUpdate()
        #expect(try server.receive(client.packet()))
        #expect(client.keys.updateCount == 0)
        client.keys.acknowledgementReceived(largest: 0)
        #expect(client.keys.phaseOfNextPacket() == .one)
        // The next one needs an acknowledgement for a packet of the new phase: that of an older packet is none.
        client.keys.requestUpdate()
        _ = client.packet()
        client.keys.acknowledgementReceived(largest: 0)
        #expect(!client.keys.canUpdate && client.keys.phaseOfNextPacket() == .one)
    }

    @Test("no own update while the keys of the previous phase are kept")
    func tooEarly() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        client.keys.requestUpdate()
        try Self.exchange(client, server)
        #expect(!client.keys.canUpdate)
        client.advance(KeyHolder.probeTimeout * 3)
        #expect(client.keys.canUpdate)
    }

    @Test("packets of the previous phase still open, until three probe timeouts have passed")
    func latePackets() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        let late = [client.packet(), client.packet()]
        client.keys.requestUpdate()
        #expect(server.keys.deadline == nil)
        #expect(try server.receive(client.packet()))
        #expect(server.keys.deadline == server.now + KeyHolder.probeTimeout * 3)
        #expect(try server.receive(late[0]))
        server.advance(KeyHolder.probeTimeout * 3)
        #expect(try !server.receive(late[1]))
        #expect(server.keys.updateCount == 1)
        #expect(try server.receive(client.packet()))
    }

    @Test("the end that began the update opens the old packets of its peer as long as there is no answer")
    func latePacketsOfPeer() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        client.keys.requestUpdate()
        let first = client.packet()
        client.advance(.seconds(60))
        #expect(try client.receive(server.packet()))
        let late = server.packet()
        #expect(try server.receive(first))
        #expect(try client.receive(server.packet()))
        #expect(try client.receive(late))
        client.advance(KeyHolder.probeTimeout * 3)
        #expect(try !client.receive(late))
    }

    @Test("both ends may begin at once")
    func simultaneous() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        client.keys.requestUpdate()
        server.keys.requestUpdate()
        let (fromClient, fromServer) = (client.packet(), server.packet())
        #expect(try client.receive(fromServer) && server.receive(fromClient))
        #expect(client.keys.updateCount == 1 && server.keys.updateCount == 1)
        try Self.exchange(client, server)
    }

    @Test("the peer's first update is followed even when no packet of its first phase arrived")
    func updateBeforeFirstPacket() throws {
        let (client, server) = Self.pair()
        _ = client.packet()
        client.keys.acknowledgementReceived(largest: 0)
        client.keys.requestUpdate()
        #expect(try server.receive(client.packet()))
        #expect(server.keys.updateCount == 1)
    }

    @Test("old keys for a packet with a higher number are KEY_UPDATE_ERROR, in either order of arrival")
    func oldKeysAfterNew() throws {
        for newFirst in [true, false] {
            let (client, server) = Self.pair()
            try Self.exchange(client, server)
            let old = client.packet(number: 100)
            client.keys.requestUpdate()
            let new = client.packet(number: 50)
            #expect(server.violation(newFirst ? new : old) == nil)
            #expect(server.violation(newFirst ? old : new) == .keyUpdateError)
        }
    }

    @Test("a second update before the first was confirmed is KEY_UPDATE_ERROR")
    func updateTwice() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        client.keys.requestUpdate()
        let first = client.packet()
        #expect(try server.receive(first))
        // A peer that breaks the rules: it takes its own packet for acknowledged, and time for passed.
        client.keys.acknowledgementReceived(largest: client.nextPacketNumber - 1)
        #expect(try client.receive(server.packet()))
        client.advance(KeyHolder.probeTimeout * 3)
        client.keys.requestUpdate()
        #expect(server.violation(client.packet()) == .keyUpdateError)
    }

    @Test("forged packets move nothing, whatever their key phase looks like")
    func forgery() throws {
        let (client, server) = Self.pair()
        try Self.exchange(client, server)
        client.keys.requestUpdate()
        try Self.exchange(client, server)
        var generator = SeededGenerator(seed: 20)
        for _ in 0..<200 {
            var packet = client.packet()
            packet[Int.random(in: 9..<packet.count, using: &generator)] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(try !server.receive(packet))
        }
        #expect(server.keys.updateCount == 1)
        try Self.exchange(client, server)
    }

    @Test("an update comes by itself when a key has sealed as many packets as it should")
    func threshold() throws {
        let (client, server) = Self.pair(updateThreshold: 10)
        try Self.exchange(client, server)
        for _ in 0..<20 { #expect(try server.receive(client.packet())) }
        #expect(client.keys.updateCount == 1 && server.keys.updateCount == 1)
        #expect(!client.keys.isConfidentialityLimitReached)
    }
}
