import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

/// Packets that are protected with a connection's own keys but hold whatever a test wants: what a peer that breaks the
/// rules would send.
extension Connection {
    /// A datagram of one packet with `payload`, which the peer takes for genuine.
    ///
    /// - Parameters:
    ///   - number: the packet number; nil: the next one, entered into the books so that it may be acknowledged.
    ///   - size: the datagram is padded to so many bytes.
    func forge(
        _ payload: [UInt8], at level: EncryptionLevel = .oneRTT, number: UInt64? = nil,
        to destination: ConnectionID? = nil, from source: ConnectionID? = nil, paddedTo size: Int = 0,
        sentAt now: Instant = Instant(nanoseconds: 1_000_000_000)
    ) throws -> [UInt8] {
        let space = try #require(self.space(of: level))
        let number = number ?? enterForged(in: space, at: now)
        let destination = try #require(destination ?? peerConnectionIDs.id(for: activePath.id))
        var buffer = [UInt8](repeating: 0, count: max(2_048, size + 64))
        var span = buffer.mutableSpan
        var writer = ByteWriter(&span)
        var layout =
            level == .oneRTT
            ? writer.writeShortHeader(
                ShortHeaderFields(
                    destinationConnectionID: destination, packetNumber: number, packetNumberLength: 4,
                    keyPhase: oneRTTKeys.phaseOfNextPacket()))
            : writer.writeLongHeader(
                LongHeaderFields(
                    version: version, type: level.packetType, destinationConnectionID: destination,
                    sourceConnectionID: source ?? handshakeConnectionID, packetNumber: number, packetNumberLength: 4))
        writer.write(payload.span)
        let end = size - CipherSuite.tagLength
        if writer.position < end { writer.write(repeating: 0, count: end - writer.position) }
        writer.finishPacket(&layout)
        switch level {
        case .oneRTT:
            var run = SealedRun()
            oneRTTKeys.seal(&span, layout, packetNumber: number, acknowledging: nil, run: &run)
            oneRTTKeys.protectHeaders(of: &run, in: &span)
        case .initial, .handshake: try #require(space.keys.write).seal(&span, layout, packetNumber: number)
        }
        return Array(buffer.prefix(layout.end))
    }

    private func enterForged(in space: PacketSpace, at now: Instant) -> UInt64 {
        let number = space.nextPacketNumber
        space.loss.packetSent(
            SentPacket(
                packetNumber: number, timeSent: now, size: 1_200, kind: .ackOnly, ecn: .notCapable,
                path: activePath.id, largestAcknowledged: nil, frames: SentFrames()),
            paths: paths)
        return number
    }

    /// The code of the error that this end found, once it is closing because of one.
    var failure: TransportErrorCode? {
        guard case .closing(let closing) = state, case .transport(let error) = closing.cause else { return nil }
        return error.code
    }
}

/// The bytes of control frames.
func payload(_ frames: ControlFrame...) -> [UInt8] { payload(frames) }

func payload(_ frames: [ControlFrame]) -> [UInt8] {
    written(capacity: 64 * (frames.count + 1)) { writer in
        for frame in frames { writer.write(frame) }
    }
}

/// A CRYPTO frame.
func cryptoFrame(offset: UInt64, _ data: [UInt8]) -> [UInt8] {
    written(capacity: data.count + 32) { writer in
        writer.write(CryptoFrameHeader(offset: offset), length: data.count)
        writer.write(data.span)
    }
}

/// A STREAM frame with offset and length.
func streamFrame(_ id: UInt64, offset: UInt64, _ data: [UInt8], fin: Fin = .more) -> [UInt8] {
    written(capacity: data.count + 32) { writer in
        writer.write(
            StreamFrameHeader(id: StreamID(rawValue: id), offset: offset, fin: fin, extent: .lengthField),
            length: data.count)
        writer.write(data.span)
    }
}

/// An ACK frame of ascending ranges.
func ackFrame(_ ranges: [Range<UInt64>], delay: UInt64 = 0) -> [UInt8] {
    written(capacity: 32 + 16 * ranges.count) { writer in
        _ = writer.writeAck(ranges: ranges, encodedDelay: delay, ecn: nil, space: writer.remaining)
    }
}

extension ConnectionPair {
    /// Sends a forged packet to the peer of `role` at once.
    @discardableResult
    func attack(
        from role: Role, _ payload: [UInt8], at level: EncryptionLevel = .oneRTT, number: UInt64? = nil,
        to destination: ConnectionID? = nil, paddedTo size: Int = 0, source: NetworkAddress? = nil,
        onto local: NetworkAddress? = nil
    ) throws -> ReceiveOutcome {
        let packet = try connection(of: role).forge(
            payload, at: level, number: number, to: destination, paddedTo: size, sentAt: now)
        return inject(packet, to: role.peer, from: source, at: local)
    }

    /// The frames of the 1-RTT packet that a datagram ends with, read with the keys of the end it was for.
    func frames(in sent: Sent) throws -> [Frame] {
        var bytes = sent.datagram.bytes
        let receiver = try connection(of: sent.from.peer)
        var scanner = DatagramScanner(localConnectionIDLength: ConnectionIDTable.length, fixedBit: .ignored)
        while let packet = scanner.next(in: bytes.span) {
            guard case .short(let header) = packet else { continue }
            var span = bytes.mutableSpan
            let opened = try receiver.oneRTTKeys.open(
                &span, header, largestReceived: receiver.application.received.largest, at: now,
                probeTimeout: receiver.probeTimeout)
            let payload = try #require(opened).payload
            return try QUICTests.frames(Array(bytes[payload]), in: .oneRTT, from: sent.from)
        }
        return []
    }

    /// What `role` has sent since it had sent `count` datagrams.
    func sent(by role: Role, since count: Int = 0) -> [Sent] { sent[count...].filter { $0.from == role } }

    /// The frames of 1-RTT packets that `role` has sent since both had sent `count` datagrams.
    func frames(by role: Role, since count: Int = 0) throws -> [Frame] {
        try sent(by: role, since: count).flatMap { try frames(in: $0) }
    }

    func events(of role: Role) -> [ConnectionEvent] { role == .client ? clientEvents : serverEvents }

    /// How the connection of an end was closed; nil while it is open.
    func end(of role: Role) -> ConnectionEnd? {
        for case .closed(let end) in events(of: role) { return end }
        return nil
    }
}
