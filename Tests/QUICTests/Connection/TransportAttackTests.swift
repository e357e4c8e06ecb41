import Primitives
import TLS
import Testing

@testable import QUIC

/// The rows of the security design that concern the transport, each with the attack itself.
@Suite("Attacks on the transport (RFC 9000 §21)") struct TransportAttackTests {
    @Test(
        "retire_prior_to raised without end is CONNECTION_ID_LIMIT_ERROR (CVE-2024-22189)",
        arguments: [Role.client, .server])
    func retirementFlood(_ attacker: Role) throws {
        let pair = try ConnectionPair.connected()
        let victim = try pair.connection(of: attacker.peer)
        let attackerIDs = try pair.connection(of: attacker).localConnectionIDs
        // The victim's RETIRE_CONNECTION_ID frames are never acknowledged.
        pair.passes = { _, _ in false }
        var sent = 0
        var sequence = attackerIDs.nextSequence
        while victim.state.isOpen, sent < 1_000 {
            let frame = NewConnectionIDFrame(
                sequence: sequence, retirePriorTo: sequence, id: numberedID(sequence + 1_000),
                resetToken: StatelessResetToken(high: sequence, low: 0))
            try pair.attack(from: attacker, payload(.newConnectionID(frame)))
            pair.drain()
            sequence += 1
            sent += 1
        }
        #expect(victim.failure == .connectionIDLimitError)
        #expect(sent <= PeerConnectionIDs.maximumUnacknowledgedRetirements + 1)
        #expect(victim.peerConnectionIDs.entries.count <= 9)
    }

    @Test(
        "more connection IDs than were asked for are CONNECTION_ID_LIMIT_ERROR (§5.1.1)",
        arguments: [Role.client, .server])
    func connectionIDFlood(_ attacker: Role) throws {
        let pair = try ConnectionPair.connected()
        let victim = try pair.connection(of: attacker.peer)
        let next = try pair.connection(of: attacker).localConnectionIDs.nextSequence
        let frames = (0..<UInt64(10)).map { index in
            ControlFrame.newConnectionID(
                NewConnectionIDFrame(
                    sequence: next + index, retirePriorTo: 0, id: numberedID(next + index + 1_000),
                    resetToken: StatelessResetToken(high: index, low: 0)))
        }
        try pair.attack(from: attacker, payload(frames))
        #expect(victim.failure == .connectionIDLimitError)
    }

    @Test("retiring a connection ID that was never given is a violation (§19.16)") func retireUnknown() throws {
        let pair = try ConnectionPair.connected()
        try pair.attack(from: .client, payload(.retireConnectionID(sequence: 1 << 40)))
        #expect(try pair.serverConnection.failure == .protocolViolation)
    }

    @Test("an ACK of what was never sent is a violation (§13.1)", arguments: [Role.client, .server])
    func unsentAcknowledgement(_ attacker: Role) throws {
        let pair = try ConnectionPair.connected()
        let victim = try pair.connection(of: attacker.peer)
        let next = victim.application.nextPacketNumber
        try pair.attack(from: attacker, ackFrame([0..<next]))
        #expect(victim.failure == nil)
        try pair.attack(from: attacker, ackFrame([0..<victim.application.nextPacketNumber + 1]))
        #expect(victim.failure == .protocolViolation)
    }

    @Test("an ACK of a packet number that was left out is a violation (§21.4)") func optimisticAcknowledgement() throws
    {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let skipped = server.application.loss.skipPacketNumber()
        let id = try #require(server.openStream(.unidirectional))
        server.write([1].span, to: id)
        pair.passes = { _, _ in false }
        pair.drain()
        #expect(server.application.nextPacketNumber > skipped + 1)
        try pair.attack(from: .client, ackFrame([0..<skipped, skipped + 1..<server.application.nextPacketNumber]))
        #expect(server.failure == nil)
        try pair.attack(from: .client, ackFrame([skipped..<skipped + 1]))
        #expect(server.failure == .protocolViolation)
    }

    @Test("packet numbers are left out now and then, at places that cannot be known") func skips() throws {
        func skips(_ seed: UInt64) throws -> [UInt64] {
            let pair = try ConnectionPair.connected { $0.seed = seed }
            let server = try pair.serverConnection
            var skipped: [UInt64] = []
            for _ in 0..<4_000 {
                let before = server.application.nextPacketNumber
                _ = try server.forge([1], sentAt: pair.now)
                server.application.skipPacketNumberIfDue(using: &server.generator)
                if server.application.nextPacketNumber > before + 1 { skipped.append(before + 1) }
            }
            return skipped
        }
        let (first, second) = (try skips(1), try skips(2))
        #expect((3...20).contains(first.count))
        #expect(first != second)
    }

    @Test("an ACK frame of as many ranges as a packet holds does no harm (class of ACK-range bombs)") func ackRanges()
        throws
    {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        for _ in 0..<1_300 { _ = try server.forge([1], sentAt: pair.now) }
        let first = server.application.nextPacketNumber - 1_200
        let ranges = (0..<500).map { first + 2 * UInt64($0)..<first + 2 * UInt64($0) + 1 }
        for _ in 0..<20 { try pair.attack(from: .client, ackFrame(ranges)) }
        #expect(server.state == .established)
    }

    @Test("gaps between packet numbers are remembered in a bounded number of ranges") func packetNumberGaps() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let first = try pair.clientConnection.application.nextPacketNumber
        for index in 0..<UInt64(1_000) { try pair.attack(from: .client, [1], number: first + 2 * index) }
        #expect(server.application.received.rangesToReport.count <= ReceivedPackets.maximumReportedRanges)
        pair.drain()
        #expect(try #require(pair.sent(by: .server).last).datagram.bytes.count <= 1_200)
        #expect(server.state == .established)
    }

    @Test("one-byte pieces of a stream, all with gaps, stay within window and bound (class of stream gaps)")
    func streamGaps() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        var offset: UInt64 = 1
        while server.state.isOpen, offset < 60_000 {
            var bytes: [UInt8] = []
            while bytes.count < 1_100 {
                bytes += streamFrame(0, offset: offset, [7])
                offset += 2
            }
            try pair.attack(from: .client, bytes)
        }
        // Whether it is refused or borne, the peer gets nothing for it.
        #expect(server.failure == nil || server.failure == .internalError || server.failure == .flowControlError)
        #expect(server.readableBytes(on: StreamID(rawValue: 0)) == 0)
    }

    @Test("stream data beyond the window is FLOW_CONTROL_ERROR (§4.1)") func flowControl() throws {
        let pair = try ConnectionPair.connected()
        try pair.attack(from: .client, streamFrame(0, offset: Varint.max - 10, [1]))
        #expect(try pair.serverConnection.failure == .flowControlError)
    }

    @Test(
        "CRYPTO data beyond the buffer is CRYPTO_BUFFER_EXCEEDED, in the handshake and after it (CVE-2024-1765)",
        arguments: [EncryptionLevel.initial, .handshake, .oneRTT])
    func cryptoBuffer(_ level: EncryptionLevel) throws {
        let pair = try ConnectionPair()
        let client = try pair.clientConnection
        switch level {
        case .initial:
            pair.drain()
            pair.inject(try client.forge([1], at: .initial, paddedTo: 1_200), to: .server)
        case .handshake: pair.run(for: .milliseconds(12)) { client.handshake?.keys.write != nil }
        case .oneRTT: pair.run(for: .milliseconds(300))
        }
        let server = try pair.serverConnection
        try pair.attack(
            from: .client, cryptoFrame(offset: UInt64(CryptoStream.receiveWindow) + 20_000, [1]), at: level,
            paddedTo: 1_200)
        #expect(server.failure == .cryptoBufferExceeded)
    }

    @Test("CRYPTO data after the handshake that TLS does not expect ends the connection, and is not hoarded")
    func cryptoAfterHandshake() throws {
        let pair = try ConnectionPair.connected()
        // A KeyUpdate message of TLS, which QUIC forbids (RFC 9001 §6).
        try pair.attack(from: .client, cryptoFrame(offset: 0, [24, 0, 0, 1, 0]))
        #expect(try #require(pair.serverConnection.failure).alert == 10)
    }

    @Test("HANDSHAKE_DONE and NEW_TOKEN from a client are violations (§19.7, §19.20)") func serverFrames() throws {
        for bytes in [[0x1e], [0x07, 1, 1]] as [[UInt8]] {
            let pair = try ConnectionPair.connected()
            try pair.attack(from: .client, bytes)
            #expect(try pair.serverConnection.failure == .protocolViolation)
        }
    }

    @Test("a packet without frames and one with an unknown frame end the connection (§12.4)") func badFrames() throws {
        for (bytes, code) in [([0x21], TransportErrorCode.frameEncodingError), ([0x40, 0x01], .protocolViolation)] {
            let pair = try ConnectionPair.connected()
            try pair.attack(from: .client, bytes.map { UInt8($0) })
            #expect(try pair.serverConnection.failure == code)
        }
    }

    @Test("streams opened and reset without end cost the peer time (CVE-2023-44487)") func rapidReset() throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        var opened: UInt64 = 0
        let start = pair.now
        while server.state.isOpen, pair.now - start < .seconds(1) {
            let limit = server.streams.peerBidirectional.limit
            while opened < limit, server.state.isOpen {
                try pair.attack(
                    from: .client, payload(.resetStream(StreamID(rawValue: opened * 4), errorCode: 1, finalSize: 0)))
                opened += 1
            }
            pair.run(for: .milliseconds(10))
        }
        let window = server.configuration.streams.peerStreams(.bidirectional)
        #expect(opened <= window + 11 * PeerStreams.breakOffBatch)
        #expect(UInt64(server.streams.streamCount) <= window)
    }

    @Test("frames after CONNECTION_CLOSE and packets after the end are not read (§10.2.2)") func framesAfterClose()
        throws
    {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        let close: [UInt8] = [0x1d, 0x05, 0x02, 0x68, 0x69]
        try pair.attack(from: .client, close + streamFrame(0, offset: 0, [1, 2, 3]) + [0x21])
        guard case .draining = server.state else { return #expect(Bool(false), "not draining") }
        #expect(server.readableBytes(on: StreamID(rawValue: 0)) == 0)
        try pair.attack(from: .client, streamFrame(0, offset: 0, [1, 2, 3]))
        pair.drain()
        #expect(server.readableBytes(on: StreamID(rawValue: 0)) == 0)
        #expect(pair.end(of: .server) == .closedByPeer(errorCode: 5, reason: "hi"))
        #expect(pair.serverEvents.count { if case .closed = $0 { true } else { false } } == 1)
    }

    @Test("words of the peer in a reason are printable") func reason() throws {
        let pair = try ConnectionPair.connected()
        try pair.attack(from: .client, [0x1d, 0x05, 0x06, 0x0a, 0x41, 0x00, 0x1b, 0xc3, 0xa9])
        pair.drain()
        #expect(pair.end(of: .server) == .closedByPeer(errorCode: 5, reason: "?A????"))
    }

    @Test("what cannot be opened yet is bounded while a handshake lasts (GO-2025-4017)") func undecryptable() throws {
        let pair = try ConnectionPair()
        pair.run(for: .milliseconds(7))
        let server = try pair.serverConnection
        let id = server.handshakeConnectionID.bytes
        for index in 0..<5_000 {
            pair.inject([0x40] + id + [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 30), to: .server)
        }
        #expect(server.undecryptable.count <= UndecryptableDatagrams.maximumBytes / UndecryptableDatagrams.overhead)
        pair.run(for: .milliseconds(300))
        #expect(pair.serverEvents.contains(.handshakeConfirmed))
        #expect(server.undecryptable.isEmpty)
    }

    @Test(
        "until the client's address is proven a server sends three bytes for one, retransmissions too (§8.1)",
        arguments: [1_200, 1_230, 2_400])
    func amplification(_ received: Int) throws {
        let pair = try ConnectionPair()
        pair.passes = { role, _ in role == .client && pair.sent.count == 1 }
        pair.drain()
        if received > 1_200 {
            // More bytes of the same client, which open nothing.
            pair.run(for: .milliseconds(6))
            let server = try pair.serverConnection
            pair.inject(
                [0x40] + server.handshakeConnectionID.bytes + [UInt8](repeating: 1, count: received - 1_209),
                to: .server)
        }
        pair.run(for: .seconds(9))
        let sent = pair.sent(by: .server).reduce(0) { $0 + $1.datagram.bytes.count }
        #expect(sent <= 3 * received)
        #expect(sent >= 1_200)
    }

    @Test("a close and its repetitions are within the limit, too (§8.1)") func amplificationOfClose() throws {
        let pair = try ConnectionPair()
        pair.passes = { role, _ in role == .client && pair.sent.count == 1 }
        pair.run(for: .milliseconds(6))
        let server = try pair.serverConnection
        server.close(errorCode: 1, reason: "", at: pair.now)
        var received = 1_200
        for _ in 0..<200 {
            let bytes = [0x40] + server.handshakeConnectionID.bytes + [UInt8](repeating: 1, count: 12)
            pair.inject(bytes, to: .server)
            received += bytes.count
            pair.drain()
        }
        #expect(pair.sent(by: .server).reduce(0) { $0 + $1.datagram.bytes.count } <= 3 * received)
    }

    @Test("a close that does not fit into what an address may get is left out, and does no harm", arguments: 20...60)
    func closeWithoutRoom(_ size: Int) throws {
        let pair = try ConnectionPair.connected()
        let server = try pair.serverConnection
        try pair.attack(
            from: .client, [1], source: NetworkAddress(IPAddress(ipv4: 0x0a00_0063), port: 7_000))
        server.activePath.amplification = .unvalidated
        server.activePath.amplification.received(size)
        server.activePath.amplification.sent(2 * size)
        server.close(errorCode: Varint.max, reason: "as long as may be", at: pair.now)
        let count = pair.sent.count
        pair.drain()
        #expect(pair.sent(by: .server, since: count).allSatisfy { $0.datagram.bytes.count <= size })
    }
}
