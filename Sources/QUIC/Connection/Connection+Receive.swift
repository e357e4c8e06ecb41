import Primitives
import TLS

/// Where a datagram came from, and what is known of that.
struct PacketArrival {
    var local: NetworkAddress
    var remote: NetworkAddress
    var ecn: ECN
    /// Bytes of the whole datagram.
    var datagramSize: Int
    /// The network path it belongs to; nil while its 4-tuple is not known to be the peer's.
    var path: NetworkPath?
    /// The connection ID that the packet was addressed to.
    var destination = ConnectionID.empty
    /// Whether a packet of the datagram could be opened.
    var isAuthentic = false
}

/// From a datagram to frames (RFC 9000 §12.2, §5.2).
extension Connection {
    /// Takes in a datagram that the endpoint found to be for this connection; it is opened in place.
    func receive(
        _ datagram: inout MutableSpan<UInt8>, from remote: NetworkAddress, to local: NetworkAddress, ecn: ECN,
        at now: Instant
    ) {
        statistics.datagramsReceived += 1
        statistics.bytesReceived &+= UInt64(datagram.count)
        var arrival = PacketArrival(
            local: local, remote: remote, ecn: ecn, datagramSize: datagram.count,
            path: paths.path(from: local, to: remote))
        switch state {
        case .closed, .draining: return
        case .closing(var closing):
            closing.packetReceived()
            state = .closing(closing)
        case .handshaking, .established:
            // RFC 9000 §9: no migration before the handshake is confirmed; a client knows its server's addresses.
            guard arrival.path != nil || (role == .server && progress == .confirmed) || isKnownRemote(remote) else {
                statistics.packetsDropped += 1
                return
            }
        }
        if let path = arrival.path {
            path.bytesReceived &+= UInt64(datagram.count)
            path.amplification.received(datagram.count)
        }
        receivePackets(in: &datagram, arrival: &arrival, at: now)
        // RFC 9000 §10.3.1: a datagram of which nothing can be opened may be a stateless reset, whatever its first byte.
        if !arrival.isAuthentic, isReset(by: datagram.span, from: remote) { resetReceived(at: now) }
        openUndecryptable(at: now)
        updateLossDeadline()
    }

    private func isKnownRemote(_ remote: NetworkAddress) -> Bool {
        role == .client && paths.paths.contains { $0.remote == remote }
    }

    private func receivePackets(
        in datagram: inout MutableSpan<UInt8>, arrival: inout PacketArrival, at now: Instant
    ) {
        var scanner = DatagramScanner(
            localConnectionIDLength: handshakeConnectionID.count,
            fixedBit: configuration.acceptsGreasedFixedBit ? .ignored : .required)
        while let packet = scanner.next(in: datagram.span) {
            switch packet {
            case .long(let header): receiveLong(header, in: &datagram, arrival: &arrival, at: now)
            case .short(let header): receiveShort(header, in: &datagram, arrival: &arrival, at: now)
            case .retry(let header): retryReceived(header, in: datagram.span, at: now)
            case .versionNegotiation(let header): versionNegotiationReceived(header)
            case .unknownVersion, .defective: statistics.packetsDropped += 1
            }
        }
    }

    private func receiveLong(
        _ header: LongHeader, in datagram: inout MutableSpan<UInt8>, arrival: inout PacketArrival, at now: Instant
    ) {
        // RFC 9000 §14.1: a server drops the Initial packets of a datagram that is too small.
        let isTooSmall = role == .server && arrival.datagramSize < TransportLimits.minimumDatagramSize
        guard header.version == version, header.type != .zeroRTT, header.type != .initial || !isTooSmall else {
            statistics.packetsDropped += 1
            return
        }
        // RFC 9000 §7.2: once the peer's Source Connection ID is known, packets with another are dropped.
        if let known = peerHandshakeConnectionID, known != header.sourceConnectionID {
            statistics.packetsDropped += 1
            return
        }
        let space = header.type == .initial ? initial : handshake
        guard let space, let keys = space.keys.read else {
            let expected = header.type == .handshake ? handshake : nil
            keep(datagram.span.extracting(header.packet), ifFor: expected, arrival)
            return
        }
        do throws(TransportError) {
            guard let packet = try keys.open(&datagram, header, largestReceived: space.received.largest) else {
                statistics.packetsDropped += 1
                return
            }
            // RFC 9000 §17.2.2: a server's Initial carries no token.
            if role == .client, header.type == .initial, !header.token.isEmpty {
                throw TransportError(.protocolViolation, "an Initial packet of the server with a token")
            }
            arrival.isAuthentic = true
            initialSeen(header, at: now)
            guard isNew(packet, in: space) else { return }
            try receive(packet, in: space, type: header.type, datagram: datagram.span, arrival: &arrival, at: now)
            if role == .server, header.type == .handshake {
                // RFC 9000 §8.1: who sends a Handshake packet received our Initial; RFC 9001 §4.9.1: Initial keys go.
                arrival.path?.amplification.addressValidated()
                discard(.initial, at: now)
            }
        } catch {
            fail(error, at: now)
        }
    }

    /// RFC 9000 §7.2: from the peer's first packet on, its Source Connection ID is the one to address.
    private func initialSeen(_ header: LongHeader, at now: Instant) {
        guard peerHandshakeConnectionID == nil else { return }
        peerHandshakeConnectionID = header.sourceConnectionID
        peerConnectionIDs.replaceFirst(with: header.sourceConnectionID)
    }

    private func receiveShort(
        _ header: ShortHeader, in datagram: inout MutableSpan<UInt8>, arrival: inout PacketArrival, at now: Instant
    ) {
        // RFC 9001 §5.7: 1-RTT packets are not processed before the handshake is complete.
        guard progress >= .complete else {
            keep(datagram.span.extracting(header.packet), ifFor: application, arrival)
            return
        }
        do throws(TransportError) {
            guard
                let packet = try oneRTTKeys.open(
                    &datagram, header, largestReceived: application.received.largest, at: now,
                    probeTimeout: probeTimeout)
            else {
                statistics.packetsDropped += 1
                return
            }
            arrival.isAuthentic = true
            guard isNew(packet, in: application) else { return }
            arrival.destination = header.destinationConnectionID
            if state.isOpen { findPath(of: packet, &arrival, at: now) }
            try receive(packet, in: application, type: .oneRTT, datagram: datagram.span, arrival: &arrival, at: now)
        } catch {
            fail(error, at: now)
        }
    }

    /// RFC 9000 §12.3: a packet is processed once. A copy proves nothing about the address that it comes from either.
    private func isNew(_ packet: OpenedPacket, in space: PacketSpace) -> Bool {
        guard space.received.novelty(of: packet.packetNumber) == .duplicate else { return true }
        statistics.packetsDropped += 1
        return false
    }

    private func findPath(of packet: OpenedPacket, _ arrival: inout PacketArrival, at now: Instant) {
        if arrival.path == nil { arrival.path = adoptPath(arrival, at: now) }
        guard application.received.largest.map({ packet.packetNumber > $0 }) ?? true else { return }
        arrival.path?.destinationOfPeer = arrival.destination
    }

    private func receive(
        _ packet: OpenedPacket, in space: PacketSpace, type: PacketType, datagram: Span<UInt8>,
        arrival: inout PacketArrival, at now: Instant
    ) throws(TransportError) {
        if case .closing = state {
            return try lookForClose(packet, type: type, in: datagram, at: now)
        }
        idleSince = now
        sentAckElicitingSinceReceipt = false
        let silence = arrival.path?.silence(at: now) ?? .zero
        let content = try receiveFrames(
            datagram.extracting(packet.payload), type: type, in: space, packetNumber: packet.packetNumber,
            arrival: arrival, at: now)
        guard state.isOpen else { return }
        arrival.path?.packetReceived(
            stillAwaited: application.loss.ackElicitingInFlight > 0 ? .inFlight : .nothing, at: now)
        space.received.packetReceived(
            packet.packetNumber, content.isAckEliciting ? .ackEliciting : .notAckEliciting, ecn: arrival.ecn, at: now)
        if type == .oneRTT, !content.isProbing {
            nonProbingPacketReceived(packet.packetNumber, on: arrival.path, at: now)
        }
        // An acknowledgement in it would have ended the back-off.
        if arrival.path === activePath, lossTimer.probeCount > 0, silence >= probeTimeout * 2 {
            heardAfterSilence(at: now)
        }
    }

    /// In the closing state only the peer's CONNECTION_CLOSE is of interest (RFC 9000 §10.2.1).
    private func lookForClose(
        _ packet: OpenedPacket, type: PacketType, in datagram: Span<UInt8>, at now: Instant
    ) throws(TransportError) {
        let payload = datagram.extracting(packet.payload)
        var decoder = FrameDecoder(payload, in: type, from: role.peer)
        while let frame = try decoder.next() {
            if case .connectionClose(let close) = frame { connectionCloseReceived(close, in: payload, at: now) }
        }
    }

    // MARK: Packets without keys

    private func keep(_ packet: Span<UInt8>, ifFor space: PacketSpace?, _ arrival: PacketArrival) {
        guard let space, state == .handshaking else {
            statistics.packetsDropped += 1
            return
        }
        let entry = UndecryptableDatagrams.Entry(
            level: space.level, bytes: packet.indices.map { packet[$0] }, local: arrival.local, remote: arrival.remote,
            ecn: arrival.ecn)
        if !undecryptable.append(entry) { statistics.packetsDropped += 1 }
    }

    /// Tries again what arrived before its keys (RFC 9001 §5.7).
    private func openUndecryptable(at now: Instant) {
        guard !undecryptable.isEmpty, state.isOpen else { return }
        if handshake?.keys.read != nil { openUndecryptable(of: .handshake, at: now) }
        if progress >= .complete {
            openUndecryptable(of: .oneRTT, at: now)
            undecryptable.removeAll()
        }
    }

    private func openUndecryptable(of level: EncryptionLevel, at now: Instant) {
        for entry in undecryptable.takeAll(of: level) {
            var arrival = PacketArrival(
                local: entry.local, remote: entry.remote, ecn: entry.ecn, datagramSize: entry.bytes.count,
                path: paths.path(from: entry.local, to: entry.remote))
            var bytes = entry.bytes
            var span = bytes.mutableSpan
            receivePackets(in: &span, arrival: &arrival, at: now)
        }
    }

    /// RFC 9000 §10.3.1: what cannot be opened may be a stateless reset from an address that the peer is known to have.
    func isReset(by datagram: Span<UInt8>, from remote: NetworkAddress) -> Bool {
        guard state.isOpen, let token = StatelessReset.token(in: datagram) else { return false }
        return peerConnectionIDs.hasResetToken(token, onOneOf: paths.paths.filter { $0.remote == remote }.map(\.id))
    }
}
