import Cryptography
import Primitives
import TLS

/// One packet, from its header to its seal.
extension Connection {
    /// Writes a packet at `start`, of which `limit` is the last byte it may take with its tag; nil when it would be empty.
    func writePacket(
        in space: PacketSpace, _ plan: PacketPlan, into buffer: inout MutableSpan<UInt8>, from start: Int,
        to limit: Int,
        on path: NetworkPath, at now: Instant
    ) -> OutgoingPacket? {
        guard let destination = peerConnectionIDs.id(for: path.id) else { return nil }
        let number = space.nextPacketNumber
        let length = PacketNumber.encodedLength(of: number, largestAcknowledged: space.loss.largestAcknowledged)
        let header = headerSize(in: space, destination: destination, packetNumberLength: length)
        let end = limit - CipherSuite.tagLength
        guard end - start > header + PacketNumber.maximumLength else { return nil }
        var region = buffer._mutatingExtracting(0..<end)
        var writer = ByteWriter(&region, at: start)
        let layout = writeHeader(in: space, destination: destination, number: number, length: length, into: &writer)
        let payloadStart = writer.position
        var packet = OutgoingPacket(space: space, path: path, number: number, layout: layout, payloadEnd: payloadStart)
        writeFrames(plan, of: &packet, into: &writer, at: now)
        guard writer.position > payloadStart else { return nil }
        packet.payloadEnd = writer.position
        return packet
    }

    private func headerSize(in space: PacketSpace, destination: ConnectionID, packetNumberLength: Int) -> Int {
        guard space.level != .oneRTT else { return 1 + destination.count + packetNumberLength }
        return longHeader(in: space, destination: destination, number: 0, length: packetNumberLength).encodedSize
    }

    private func longHeader(
        in space: PacketSpace, destination: ConnectionID, number: UInt64, length: Int
    ) -> LongHeaderFields {
        LongHeaderFields(
            version: version, type: space.level.packetType, destinationConnectionID: destination,
            sourceConnectionID: handshakeConnectionID,
            token: space.level == .initial ? addressValidationToken : [], packetNumber: number,
            packetNumberLength: length)
    }

    @_lifetime(writer: copy writer)
    private func writeHeader(
        in space: PacketSpace, destination: ConnectionID, number: UInt64, length: Int, into writer: inout ByteWriter
    ) -> PacketLayout {
        guard space.level == .oneRTT else {
            return writer.writeLongHeader(
                longHeader(in: space, destination: destination, number: number, length: length))
        }
        return writer.writeShortHeader(
            ShortHeaderFields(
                destinationConnectionID: destination, packetNumber: number, packetNumberLength: length,
                keyPhase: oneRTTKeys.phaseOfNextPacket(), fixedBit: fixedBit(at: number)))
    }

    /// RFC 9287 §3.1: towards a peer that takes any value, the fixed bit of 1-RTT packets varies.
    private func fixedBit(at number: UInt64) -> FixedBit {
        peerParameters?.greasesQUICBit == true && number % 2 == 1 ? .clear : .set
    }

    /// Adds PADDING so that the packet, sealed, ends at `limit`.
    func pad(_ packet: inout OutgoingPacket, to limit: Int, in buffer: inout MutableSpan<UInt8>) {
        let end = limit - CipherSuite.tagLength
        guard packet.payloadEnd < end else { return }
        for index in packet.payloadEnd..<end { buffer[index] = 0 }
        packet.payloadEnd = end
        // RFC 9002 §2: PADDING makes a packet count as in flight.
        if packet.kind == .ackOnly { packet.kind = .padded }
    }

    /// Seals the packet and enters it into the books; the header of a 1-RTT packet is protected with those of its run.
    func seal(
        _ packet: OutgoingPacket, in buffer: inout MutableSpan<UInt8>, ecn: ECN, run: inout SealedRun, at now: Instant
    ) {
        let space = packet.space
        var layout = packet.layout
        finish(&layout, payloadEnd: packet.payloadEnd, in: &buffer)
        switch space.level {
        case .oneRTT:
            oneRTTKeys.seal(
                &buffer, layout, packetNumber: packet.number, acknowledging: packet.largestAcknowledged, run: &run)
        case .initial, .handshake: space.keys.write?.seal(&buffer, layout, packetNumber: packet.number)
        }
        let sent = SentPacket(
            packetNumber: packet.number, timeSent: now, size: packet.size, kind: packet.kind, ecn: ecn,
            path: packet.path.id, largestAcknowledged: packet.largestAcknowledged, frames: packet.frames)
        space.loss.packetSent(sent, paths: paths)
        space.skipPacketNumberIfDue(using: &generator)
        if packet.kind.isAckEliciting {
            // RFC 9000 §14.4: that a probe of the MTU is not answered says nothing of the path.
            if !packet.kind.isMTUProbe { packet.path.ackElicitingSent(at: now) }
            if !packet.frames.isEmpty { contentSent = now }
            if space.level == .oneRTT { ackFrequency.ackElicitingSent(size: packet.size) }
            ackElicitingSent(in: space, at: now)
        }
        // RFC 9001 §4.9.1: a client drops its Initial keys when it first sends a Handshake packet.
        if role == .client, space.level == .handshake { discard(.initial, at: now) }
    }

    private func finish(_ layout: inout PacketLayout, payloadEnd: Int, in buffer: inout MutableSpan<UInt8>) {
        var writer = ByteWriter(&buffer, at: payloadEnd)
        writer.finishPacket(&layout)
    }

    private func ackElicitingSent(in space: PacketSpace, at now: Instant) {
        if space.probesToSend > 0 { space.probesToSend -= 1 }
        pingRequested = false
        lossTimer.ackElicitingSent(at: now)
        // RFC 9000 §10.1: the first ack-eliciting packet since the last receipt restarts the idle timer.
        if !sentAckElicitingSinceReceipt {
            sentAckElicitingSinceReceipt = true
            idleSince = now
        }
    }
}
