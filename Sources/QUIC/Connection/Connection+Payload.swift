import Cryptography
import Primitives
import TLS

/// The frames of a packet that is sent.
extension Connection {
    @_lifetime(writer: copy writer)
    func writeFrames(
        _ plan: PacketPlan, of packet: inout OutgoingPacket, into writer: inout ByteWriter, at now: Instant
    ) {
        switch plan {
        case .data(let allowance): writeData(allowance, of: &packet, into: &writer, at: now)
        case .mtuProbe(let size):
            writer.write(ackFrequency.ping)
            packet.kind = .probe(mtu: size)
        case .path(let challenge, let responses, let ping):
            if let challenge, writer.writeIfFits(.pathChallenge(challenge)) {
                packet.append(.pathChallenge(challenge))
            }
            for response in responses { _ = writer.writeIfFits(.pathResponse(response)) }
            if ping {
                _ = writer.writeIfFits(ackFrequency.ping)
                // A peer that follows to this path decides by the ACK what to send again there.
                if writeAcknowledgement(of: &packet, into: &writer, at: now) { packet.space.received.ackSent() }
            }
            packet.kind = .probe(mtu: nil)
            packet.wantsExpansion = true
        case .close(let cause):
            let origin = cause.origin(at: packet.space.level)
            guard origin.smallestEncodedSize <= writer.remaining else { return }
            writer.writeConnectionClose(origin, reason: cause.reason(at: packet.space.level))
        }
    }

    @_lifetime(writer: copy writer)
    private func writeData(
        _ allowance: PacketAllowance, of packet: inout OutgoingPacket, into writer: inout ByteWriter, at now: Instant
    ) {
        let space = packet.space
        let start = writer.position
        let acknowledged = writeAcknowledgement(of: &packet, into: &writer, at: now)
        if allowance != .acknowledgementsOnly {
            writeAckEliciting(allowance, of: &packet, into: &writer, at: now)
        }
        // RFC 9000 §14.1: a client expands every Initial datagram, a server those that are ack-eliciting.
        if space.level == .initial, role == .client || packet.kind.isAckEliciting { packet.wantsExpansion = true }
        guard acknowledged else { return }
        // An acknowledgement that is not due yet goes along with other frames, but makes no packet of its own.
        if !packet.kind.isAckEliciting, !space.received.shouldAckNow(at: now) {
            writer.rewind(to: start)
            packet.largestAcknowledged = nil
        } else {
            space.received.ackSent()
        }
    }

    @_lifetime(writer: copy writer)
    private func writeAcknowledgement(
        of packet: inout OutgoingPacket, into writer: inout ByteWriter, at now: Instant
    ) -> Bool {
        let space = packet.space
        // In place: every packet asks, and a copy would cost more than the answer.
        guard space.received.hasNews, let largest = space.received.largest else { return false }
        let exponent: UInt8 = space.level == .oneRTT ? TransportParameters.defaultAckDelayExponent : 0
        let count = writer.writeAck(
            ranges: space.received.rangesToReport,
            encodedDelay: space.received.encodedAckDelay(exponent: exponent, at: now),
            ecn: space.received.reportedECN, space: writer.remaining)
        guard count > 0 else { return false }
        packet.largestAcknowledged = largest
        return true
    }

    @_lifetime(writer: copy writer)
    private func writeAckEliciting(
        _ allowance: PacketAllowance, of packet: inout OutgoingPacket, into writer: inout ByteWriter, at now: Instant
    ) {
        writeCrypto(of: &packet, into: &writer)
        if packet.space.level == .oneRTT {
            writeAckRequests(allowance, of: &packet, into: &writer, at: now)
            writeConnectionControl(of: &packet, into: &writer)
            streams.writeControlFrames(
                into: &writer, recording: &packet.frames, at: now, roundTripTime: packet.path.books.rtt.smoothed)
            writeDatagrams(of: &packet, into: &writer)
            streams.writeStreamFrames(into: &writer, recording: &packet.frames)
            if !packet.frames.isEmpty { packet.kind = .ackEliciting }
            writeEndOfBurst(of: &packet, into: &writer, at: now)
        }
        let needsPing = allowance == .probe || (pingRequested && packet.space.level == .oneRTT)
        // draft-ietf-quic-ack-frequency §5: IMMEDIATE_ACK is for the application data packet number space only.
        let ping = packet.space.level == .oneRTT ? ackFrequency.ping : .ping
        if needsPing, !packet.kind.isAckEliciting, writer.writeIfFits(ping) { packet.kind = .ackEliciting }
    }

    @_lifetime(writer: copy writer)
    private func writeCrypto(of packet: inout OutgoingPacket, into writer: inout ByteWriter) {
        let space = packet.space
        while let offset = space.crypto.nextOffset {
            let header = CryptoFrameHeader(offset: offset)
            guard let capacity = header.payloadCapacity(in: writer.remaining), capacity > 0,
                let range = space.crypto.nextToSend(atMost: capacity)
            else { return }
            writer.write(header, length: range.count)
            writer.write(space.crypto.bytes(range).span)
            packet.append(.crypto(offset: offset, length: range.count))
        }
    }

    /// How often the peer is to acknowledge, and that it does so at once: a probe after a timeout, and the first packet on
    /// another path or after an outage, wait for no delay.
    @_lifetime(writer: copy writer)
    private func writeAckRequests(
        _ allowance: PacketAllowance, of packet: inout OutgoingPacket, into writer: inout ByteWriter, at now: Instant
    ) {
        guard ackFrequency.isSupported else { return }
        if allowance == .probe || wantsImmediateAck, writer.writeIfFits(.immediateAck) {
            packet.kind = .ackEliciting
            wantsImmediateAck = false
            ackFrequency.immediateRequested(at: now)
        }
        guard progress == .confirmed, streams.hasDataToSend, writer.remaining >= AckFrequencyFrame.largestSize,
            let frame = ackFrequency.next(
                window: packet.path.books.congestion.window, datagramSize: packet.path.books.mtu.currentSize,
                smoothedRTT: packet.path.books.rtt.smoothed, at: now)
        else { return }
        writer.write(.ackFrequency(frame))
        packet.append(.ackFrequency(sequence: frame.sequence))
    }

    @_lifetime(writer: copy writer)
    private func writeEndOfBurst(of packet: inout OutgoingPacket, into writer: inout ByteWriter, at now: Instant) {
        guard packet.kind.isAckEliciting, !streams.hasDataToSend,
            ackFrequency.isEndOfBurst(datagramSize: packet.path.datagramSize, at: now),
            writer.writeIfFits(.immediateAck)
        else { return }
        ackFrequency.immediateRequested(at: now)
    }

    @_lifetime(writer: copy writer)
    private func writeConnectionControl(of packet: inout OutgoingPacket, into writer: inout ByteWriter) {
        if shouldSendHandshakeDone, writer.writeIfFits(.handshakeDone) {
            shouldSendHandshakeDone = false
            packet.append(.handshakeDone)
        }
        if let token = tokenToSend, ByteWriter.newTokenSize(token.span) <= writer.remaining {
            writer.writeNewToken(token.span)
            tokenToSend = nil
            tokenInFlight = token
            packet.append(.newToken)
        }
        while writer.remaining >= ControlFrame.largestSize, let sequence = peerConnectionIDs.nextRetirementToSend() {
            writer.write(.retireConnectionID(sequence: sequence))
            packet.append(.retireConnectionID(sequence: sequence))
        }
        while writer.remaining >= ControlFrame.largestSize, let entry = localConnectionIDs.nextToSend() {
            writer.write(
                .newConnectionID(
                    NewConnectionIDFrame(
                        sequence: entry.sequence, retirePriorTo: 0, id: entry.id, resetToken: entry.resetToken)))
            packet.append(.newConnectionID(sequence: entry.sequence))
        }
    }

    @_lifetime(writer: copy writer)
    private func writeDatagrams(of packet: inout OutgoingPacket, into writer: inout ByteWriter) {
        let header = DatagramFrameHeader(extent: .lengthField)
        while let next = datagrams.next {
            guard header.encodedSize(length: next.count) + next.count <= writer.remaining else {
                guard header.encodedSize(length: next.count) + next.count > emptyPacketRoom(on: packet.path) else {
                    return
                }
                // RFC 9221 §5: it cannot be fragmented, and the path does not carry it whole.
                datagrams.dropNext()
                continue
            }
            writer.write(header, length: next.count)
            writer.write(next.span)
            datagrams.removeNext()
            packet.append(.datagram)
        }
    }
}

extension Connection {
    /// Bytes for frames in a 1-RTT packet that has a datagram to itself.
    private func emptyPacketRoom(on path: NetworkPath) -> Int {
        let destination = peerConnectionIDs.id(for: path.id)?.count ?? 0
        return path.datagramSize - 1 - destination - PacketNumber.maximumLength - CipherSuite.tagLength
    }
}

extension ControlFrame {
    /// Bytes that suffice for any control frame: NEW_CONNECTION_ID with 20 bytes of connection ID.
    static let largestSize = 1 + 8 + 8 + 1 + ConnectionID.maximumLength + StatelessResetToken.byteCount
}

extension Closing.Cause {
    /// RFC 9000 §10.2.3: before 1-RTT keys an application's close is told as APPLICATION_ERROR without its reason.
    func origin(at level: EncryptionLevel) -> ConnectionCloseFrame.Origin {
        switch self {
        case .transport(let error): .transport(error.code, frameType: error.frameType)
        case .application(let errorCode, _):
            level == .oneRTT ? .application(code: errorCode) : .transport(.applicationError, frameType: 0)
        }
    }

    func reason(at level: EncryptionLevel) -> String {
        switch self {
        case .transport(let error): error.reason
        case .application(_, let reason): level == .oneRTT ? reason : ""
        }
    }
}
