public import Primitives
import TLS

/// What goes out, and when.
extension Connection {
    /// Datagrams in one transmission at most: what Linux takes in one call (UDP_MAX_SEGMENTS).
    static let maximumSegments = 64
    /// Bytes in one datagram at most: the largest UDP payload over IPv4.
    static let maximumDatagram = 65_507
    /// Bytes of several datagrams in one transmission at most. Together with the headers of all layers they stay below
    /// 65,536: beyond that Linux cuts the batch in software, and the receiver gets it in single datagrams.
    static let maximumTransmission = 65_000
    /// How long after it last sent anything but PINGs and acknowledgements a connection goes on to search its MTU.
    static let mtuSearchRest = Interval.seconds(2)

    /// Bytes under way at most beside an exchange of messages, on a local path: 4 Gbit/s at the longest round trip of one.
    /// Half as many cost a transfer 40 % of its rate, and made the slowest of the echoes a quarter faster.
    static let mostBesideExchange = 512 << 10
    /// A path whose shortest round trip is below this is a local one: longer ones are spent in queues.
    static let localRoundTrip = Interval.milliseconds(1)

    /// Fills `buffer`, of at least 1,200 bytes, with what is to be sent now; nil when there is nothing.
    ///
    /// To be called until it returns nil. Each transmission is for one network path; a whole batch of bulk data is
    /// encoded in place, as many datagrams as congestion window, pacer, buffer and kernel allow.
    public func nextDatagrams(into buffer: inout MutableSpan<UInt8>, at now: Instant) -> Transmission? {
        guard buffer.count >= TransportLimits.minimumDatagramSize else { return nil }
        if oneRTTKeys.isConfidentialityLimitReached {
            // RFC 9001 §6.6: no more packets with these keys, and no others to be had.
            fail(TransportError(.aeadLimitReached, "the cipher's confidentiality limit is reached"), at: now)
        }
        let transmission: Transmission? =
            switch state {
            case .closed, .draining: nil
            case .closing(let closing): closing.shouldSend ? closeTransmission(closing, &buffer, at: now) : nil
            case .handshaking, .established:
                // A transfer that fills the window would leave no room for an MTU probe behind it.
                probeTransmission(&buffer, at: now) ?? mtuTransmission(&buffer, at: now)
                    ?? dataTransmission(&buffer, at: now)
            }
        updateLossDeadline()
        statistics.keyUpdates = oneRTTKeys.updateCount
        guard let transmission else { return nil }
        statistics.datagramsSent += UInt64(transmission.datagramCount)
        statistics.bytesSent &+= UInt64(transmission.byteCount)
        return transmission
    }

    /// Fills `buffer` with a challenge or an answer that is due on a path besides the active one; nil when there is none.
    ///
    /// For an owner whose socket of the active path takes nothing at present: what the others are worth must be known
    /// when it is left. To be called until it returns nil.
    public func nextStandbyProbe(into buffer: inout MutableSpan<UInt8>, at now: Instant) -> Transmission? {
        guard buffer.count >= TransportLimits.minimumDatagramSize, state.isOpen else { return nil }
        guard let transmission = probeTransmission(besides: activePath, &buffer, at: now) else { return nil }
        updateLossDeadline()
        statistics.datagramsSent += UInt64(transmission.datagramCount)
        statistics.bytesSent &+= UInt64(transmission.byteCount)
        return transmission
    }

    // MARK: Data on the active path

    private func dataTransmission(_ buffer: inout MutableSpan<UInt8>, at now: Instant) -> Transmission? {
        let path = activePath
        let room = min(buffer.count, Self.maximumDatagram, sendingRoom(on: path))
        var batch = OutgoingBatch(oneRTTKeys.takeRun())
        var segmentSize = 0
        var position = 0
        pacingDeadline = nil
        for segment in 0..<Self.maximumSegments {
            // What does not fit in whole begins the next transmission.
            guard segment == 0 || position + segmentSize <= min(room, Self.maximumTransmission) else { break }
            let limit = min(segment == 0 ? datagramSize(on: path) : segmentSize, room - position)
            let size = writeDatagram(
                into: &buffer, from: position, to: position + limit, on: path, of: &batch, at: now)
            position += size
            if segment == 0 { segmentSize = size }
            // A datagram that is not full has taken everything there was.
            guard size > 0, size == limit else { break }
        }
        oneRTTKeys.protectHeaders(of: &batch.run, in: &buffer)
        guard position > 0 else {
            if pacingDeadline == nil { path.applicationLimited() }
            return nil
        }
        return transmission(
            on: path, ecn: batch.ecn ?? .notCapable, segmentSize: segmentSize, byteCount: position, at: now)
    }

    /// Bytes that may be sent on a path as far as its address goes; 0 while too few are allowed, or while the peer has given
    /// no connection ID for it.
    func sendingRoom(on path: NetworkPath) -> Int {
        guard peerConnectionIDs.id(for: path.id) != nil else { return 0 }
        // RFC 9000 §14.1: what a handshake datagram is expanded to must be allowed in full.
        let needed = initial == nil ? TransportLimits.smallestDatagram : TransportLimits.minimumDatagramSize
        let credit = path.amplification.credit
        return credit >= needed ? credit : 0
    }

    /// A probe has the size that every path carries: the path MTU may have shrunk, and nothing larger would ever be
    /// acknowledged (RFC 9000 §14.3).
    private func datagramSize(on path: NetworkPath) -> Int {
        application.probesToSend > 0 ? min(path.datagramSize, MTUDiscovery.base) : path.datagramSize
    }

    /// Writes a datagram of data: while the handshake lasts one packet of each level that has something to send
    /// (RFC 9000 §12.2), then one 1-RTT packet. Returns its size, 0 when there is nothing to send.
    private func writeDatagram(
        into buffer: inout MutableSpan<UInt8>, from start: Int, to limit: Int, on path: NetworkPath,
        of batch: inout OutgoingBatch, at now: Instant
    ) -> Int {
        guard initial != nil || handshake != nil else {
            return writeOneRTTDatagram(into: &buffer, from: start, to: limit, on: path, of: &batch, at: now)
        }
        var packets: [OutgoingPacket] = []
        for space in spacesWithWriteKeys {
            let plan = PacketPlan.data(allowance(in: space, on: path, at: now))
            let packet = writePacket(
                in: space, plan, into: &buffer, from: start + packets.reduce(0) { $0 + $1.size }, to: limit, on: path,
                at: now)
            if let packet { packets.append(packet) }
        }
        return seal(packets, in: &buffer, from: start, to: limit, of: &batch, at: now)
    }

    private func writeOneRTTDatagram(
        into buffer: inout MutableSpan<UInt8>, from start: Int, to limit: Int, on path: NetworkPath,
        of batch: inout OutgoingBatch, at now: Instant
    ) -> Int {
        let plan = PacketPlan.data(allowance(in: application, on: path, at: now))
        guard
            let packet = writePacket(
                in: application, plan, into: &buffer, from: start, to: limit, on: path, at: now)
        else { return 0 }
        let ecn = batch.chooseECN(for: packet)
        seal(packet, in: &buffer, ecn: ecn, run: &batch.run, at: now)
        return packet.size
    }

    /// Seals the coalesced packets of a datagram, expanded as the first of them demands; returns the datagram's size.
    private func seal(
        _ packets: [OutgoingPacket], in buffer: inout MutableSpan<UInt8>, from start: Int, to limit: Int,
        of batch: inout OutgoingBatch, at now: Instant
    ) -> Int {
        guard var last = packets.last else { return 0 }
        if packets.contains(where: \.wantsExpansion) {
            pad(&last, to: min(limit, start + TransportLimits.minimumDatagramSize), in: &buffer)
        }
        let ecn = batch.chooseECN(for: packets.first(where: \.kind.isAckEliciting) ?? last)
        for packet in packets.dropLast() { seal(packet, in: &buffer, ecn: ecn, run: &batch.run, at: now) }
        seal(last, in: &buffer, ecn: ecn, run: &batch.run, at: now)
        return packets.dropLast().reduce(0) { $0 + $1.size } + last.size
    }

    private var spacesWithWriteKeys: [PacketSpace] {
        var spaces: [PacketSpace] = []
        if let initial, initial.keys.write != nil { spaces.append(initial) }
        if let handshake, handshake.keys.write != nil { spaces.append(handshake) }
        if oneRTTKeys.canSeal { spaces.append(application) }
        return spaces
    }

    /// What may go into the next packet of a space.
    private func allowance(in space: PacketSpace, on path: NetworkPath, at now: Instant) -> PacketAllowance {
        if space.probesToSend > 0 { return .probe }
        guard path.windowAvailable > 0, space.loss.hasRoom, !leavesRoomToExchange(on: path, at: now) else {
            return .acknowledgementsOnly
        }
        guard path.sendBudget(at: now) > 0 else {
            pacingDeadline = path.nextSendTime(at: now)
            return .acknowledgementsOnly
        }
        return .everything
    }

    /// Whether enough is under way beside an exchange of messages.
    ///
    /// On a local path hardly a loss ever closes the congestion window: what is under way waits in buffers, megabytes of it, and
    /// each message behind it.
    private func leavesRoomToExchange(on path: NetworkPath, at now: Instant) -> Bool {
        path.bytesInFlight >= Self.mostBesideExchange && streams.hasExchange(at: now)
            && path.books.rtt.minimum.map { $0 < Self.localRoundTrip } ?? false
    }

    // MARK: Datagrams of one packet

    /// RFC 9000 §14.3: one datagram larger than any that the path is known to carry.
    private func mtuTransmission(_ buffer: inout MutableSpan<UInt8>, at now: Instant) -> Transmission? {
        let path = activePath
        // Larger packets are of no use to a connection that rests, and its battery is.
        guard now - contentSent <= Self.mtuSearchRest else { return nil }
        // After a switch the packet that tells the peer of it, with an ACK, comes first.
        guard progress == .confirmed, path.validator.isValidated, path.windowAvailable > 0, !pingRequested,
            let size = path.mtu.nextProbeSize(at: now), size <= buffer.count
        else { return nil }
        return transmission(
            .mtuProbe(size: size), ecn: path.ecn.codepoint, expandedTo: size, limit: size, on: path, &buffer, at: now)
    }

    /// RFC 9000 §8.2: challenges and answers, each on its own path.
    private func probeTransmission(
        besides active: NetworkPath? = nil, _ buffer: inout MutableSpan<UInt8>, at now: Instant
    ) -> Transmission? {
        for path in paths.paths where path !== active {
            let challengeIsDue = path.validator.isChallengeDue(at: now)
            guard challengeIsDue || !path.challenges.isEmpty, canProbe(path) else { continue }
            // RFC 9000 §8.2.1, §8.2.2: expanded to 1,200 bytes unless the anti-amplification limit forbids. Then PADDING
            // would only use up what the limit leaves for data.
            let limit = min(TransportLimits.minimumDatagramSize, sendingRoom(on: path))
            let size = limit < TransportLimits.minimumDatagramSize ? 0 : limit
            let challenge: UInt64? = challengeIsDue ? generator.next() : nil
            // RFC 9000 §9.3.3: on the active path the answer is non-probing, so that the peer stays with this path.
            let plan = PacketPlan.path(
                challenge: challenge, responses: path.challenges.takeAll(), ping: path === activePath)
            // What is tested is whether the path works, not what it does to ECN marks: that is left to data.
            let sent = transmission(plan, ecn: .notCapable, expandedTo: size, limit: limit, on: path, &buffer, at: now)
            if let challenge, let sent {
                path.validator.challengeSent(challenge, datagramSize: sent.byteCount, at: now)
            }
            return sent
        }
        return nil
    }

    /// Whether a challenge or an answer may go out on a path.
    func canProbe(_ path: NetworkPath) -> Bool {
        progress >= .complete && oneRTTKeys.canSeal && sendingRoom(on: path) > 0
    }

    private func transmission(
        _ plan: PacketPlan, ecn: ECN, expandedTo size: Int, limit: Int, on path: NetworkPath,
        _ buffer: inout MutableSpan<UInt8>, at now: Instant
    ) -> Transmission? {
        guard
            var packet = writePacket(in: application, plan, into: &buffer, from: 0, to: limit, on: path, at: now)
        else { return nil }
        pad(&packet, to: size, in: &buffer)
        var run = oneRTTKeys.takeRun()
        seal(packet, in: &buffer, ecn: ecn, run: &run, at: now)
        oneRTTKeys.protectHeaders(of: &run, in: &buffer)
        return transmission(on: path, ecn: ecn, segmentSize: packet.size, byteCount: packet.size, at: now)
    }

    private func transmission(
        on path: NetworkPath, ecn: ECN, segmentSize: Int, byteCount: Int, at now: Instant
    ) -> Transmission {
        path.amplification.sent(byteCount)
        path.bytesSent &+= UInt64(byteCount)
        return Transmission(
            local: path.local, remote: path.remote, ecn: ecn, segmentSize: segmentSize, byteCount: byteCount)
    }

    // MARK: Closing

    /// RFC 9000 §10.2.3: CONNECTION_CLOSE at every level that the peer may have keys for.
    private func closeTransmission(
        _ closing: Closing, _ buffer: inout MutableSpan<UInt8>, at now: Instant
    ) -> Transmission? {
        var closing = closing
        closing.shouldSend = false
        state = .closing(closing)
        let path = activePath
        let limit = min(TransportLimits.minimumDatagramSize, path.amplification.credit)
        var packets: [OutgoingPacket] = []
        for space in spacesWithWriteKeys {
            let packet = writePacket(
                in: space, .close(closing.cause), into: &buffer, from: packets.reduce(0) { $0 + $1.size }, to: limit,
                on: path, at: now)
            guard var packet else { continue }
            packet.wantsExpansion = role == .client && space.level == .initial
            packets.append(packet)
        }
        var batch = OutgoingBatch(oneRTTKeys.takeRun(), ecn: .notCapable)
        let size = seal(packets, in: &buffer, from: 0, to: limit, of: &batch, at: now)
        oneRTTKeys.protectHeaders(of: &batch.run, in: &buffer)
        guard size > 0 else { return nil }
        return transmission(on: path, ecn: .notCapable, segmentSize: size, byteCount: size, at: now)
    }
}
