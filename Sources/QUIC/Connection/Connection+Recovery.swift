import Primitives
import TLS

/// Acknowledgement, loss and probes (RFC 9002): what the books of a space find is passed on to what was in the packets.
extension Connection {
    func space(of level: EncryptionLevel) -> PacketSpace? {
        switch level {
        case .initial: initial
        case .handshake: handshake
        case .oneRTT: application
        }
    }

    private func space(_ space: PacketNumberSpace) -> PacketSpace? {
        switch space {
        case .initial: initial
        case .handshake: handshake
        case .application: application
        }
    }

    // MARK: Acknowledgements

    func ackReceived(
        _ ack: AckFrame, _ payload: Span<UInt8>, in space: PacketSpace, on path: NetworkPath?, at now: Instant
    ) throws(TransportError) {
        let exponent = space.level == .oneRTT ? peerParameters?.ackDelayExponent ?? 3 : 0
        let delay = Interval.microseconds(
            Int64(clamping: ack.encodedDelay.multiplyingSaturating(1 << UInt64(min(exponent, 20)))))
        try space.loss.ackReceived(
            ack, in: payload, ackDelay: delay, maxAckDelay: progress == .confirmed ? peerMaximumAckDelay : nil,
            on: path,
            at: now, paths: paths, into: &ackOutcome)
        guard ackOutcome.isProgress else { return }
        space.probesToSend = 0
        if ackOutcome.sample != nil { application.received.policy.measured(roundTrip: activePath.rtt.smoothed) }
        if space.level == .handshake { peerAcknowledgedHandshake = true }
        lossTimer.acknowledged(peerAddressValidation, at: now)
        if space.level == .oneRTT, let largest = ackOutcome.largestNewlyAcknowledged {
            oneRTTKeys.acknowledgementReceived(largest: largest)
        }
        for packet in ackOutcome.acknowledged { acknowledged(packet, in: space) }
        for packet in ackOutcome.acknowledgedLate { acknowledged(packet, in: space) }
        lossesFound(in: space, at: now)
    }

    private func acknowledged(_ packet: SentPacket, in space: PacketSpace) {
        if let largest = packet.largestAcknowledged { space.received.ackAcknowledged(largest: largest) }
        packet.frames.forEach { frame in
            switch frame {
            case .retireConnectionID(let sequence): peerConnectionIDs.retirementAcknowledged(sequence)
            case .newToken: tokenInFlight = nil
            case .crypto(let offset, let length): space.crypto.acknowledged(offset: offset, length: length)
            case .newConnectionID, .handshakeDone, .pathChallenge, .datagram, .ackFrequency: break
            case .stream, .resetStream, .stopSending, .maxData, .maxStreamData, .maxStreams, .dataBlocked,
                .streamDataBlocked, .streamsBlocked:
                streams.acknowledged(frame)
            }
        }
    }

    // MARK: Loss

    private func lossesFound(in space: PacketSpace, at now: Instant) {
        statistics.packetsLost &+= UInt64(ackOutcome.lost.count)
        if space.level == .oneRTT, !ackOutcome.lost.isEmpty { ackFrequency.lossFound(at: now) }
        for packet in ackOutcome.lost { packet.frames.forEach { sendAgain($0, in: space) } }
    }

    /// RFC 9000 §13.3: what a lost packet carried, as far as it still matters.
    private func sendAgain(_ frame: SentFrame, in space: PacketSpace) {
        switch frame {
        case .crypto(let offset, let length): space.crypto.lost(offset: offset, length: length)
        case .newConnectionID(let sequence): localConnectionIDs.lost(sequence)
        case .retireConnectionID(let sequence): peerConnectionIDs.retirementLost(sequence)
        case .handshakeDone: shouldSendHandshakeDone = true
        case .ackFrequency(let sequence): ackFrequency.lost(sequence)
        case .newToken:
            tokenToSend = tokenToSend ?? tokenInFlight
            tokenInFlight = nil
        // RFC 9000 §13.3: a challenge is repeated with new data by path validation; a datagram is never repeated.
        case .pathChallenge, .datagram: break
        case .stream, .resetStream, .stopSending, .maxData, .maxStreamData, .maxStreams, .dataBlocked,
            .streamDataBlocked, .streamsBlocked:
            streams.lost(frame)
        }
    }

    /// What is in flight on a path that is given up goes out again on the active one, at once.
    func sendAgainEverything(sentOn path: NetworkPath, at now: Instant) {
        application.loss.markAllLost(onPath: path.id, at: now, paths: paths, into: &ackOutcome)
        path.flightGivenUp()
        lossesFound(in: application, at: now)
    }

    // MARK: The loss-detection timer

    /// A client does not know whether its server may send freely until that has acknowledged a Handshake packet
    /// (RFC 9002 §6.2.2.1).
    private var peerAddressValidation: LossTimer.PeerAddressValidation {
        role == .server || peerAcknowledgedHandshake || progress == .confirmed ? .complete : .pending
    }

    private var lossAlarm: LossTimer.Alarm? {
        let stage: LossTimer.Handshake =
            progress == .confirmed ? .confirmed : handshake?.keys.write != nil ? .handshaking : .initial
        let none = LossTimer.SpaceState()
        return lossTimer.alarm(
            initial: initial?.loss.timerState ?? none, handshake: handshake?.loss.timerState ?? none,
            application: application.loss.timerState,
            LossTimer.Conditions(
                handshake: stage, peerAddressValidation: peerAddressValidation,
                sendingLimit: sendingRoom(on: activePath) == 0 ? .antiAmplification : .open, rtt: activePath.rtt,
                maxAckDelay: peerMaximumAckDelay))
    }

    /// When the loss-detection timer is to fire.
    var lossDeadline: Instant? {
        if isLossDeadlineStale {
            knownLossDeadline = state.isOpen ? lossAlarm?.deadline : nil
            isLossDeadlineStale = false
        }
        return knownLossDeadline
    }

    /// Something happened on which the loss-detection timer depends.
    func updateLossDeadline() { isLossDeadlineStale = true }

    func lossDeadlineReached(at now: Instant) {
        guard let alarm = lossAlarm, now >= alarm.deadline else { return updateLossDeadline() }
        switch alarm.action {
        case .detectLoss(let name):
            guard let space = space(name) else { return }
            space.loss.detectLost(at: now, paths: paths, into: &ackOutcome)
            lossesFound(in: space, at: now)
        case .probe(let name, let packets):
            lossTimer.probed(at: now)
            activePath.probeTimedOut()
            if let space = space(name) { probe(space, packets: packets) }
        }
        updateLossDeadline()
    }

    /// RFC 9002 §6.2.4: probes repeat what is oldest, since that is what the peer waits for.
    private func probe(_ space: PacketSpace, packets: Int) {
        space.probesToSend = packets
        sendAgainOldest(packets, in: space)
    }

    /// The content of the oldest packets in flight goes out once more; they stay in flight.
    func sendAgainOldest(_ packets: Int, in space: PacketSpace) {
        var frames: [SentFrame] = []
        space.loss.framesOfOldest(packets, into: &frames)
        for frame in frames { sendAgain(frame, in: space) }
    }

    /// What the readers of streams wait for goes out once more.
    func sendAgainHeadsOfStreams() {
        var frames: [SentFrame] = []
        application.loss.headsOfStreams(Self.headsAtSwitch, bytes: Self.headBytesAtSwitch, into: &frames)
        for frame in frames { sendAgain(frame, in: application) }
    }

    /// The windows that were opened last are opened once more.
    func sendAgainWindows() {
        var frames: [SentFrame] = []
        application.loss.windowFramesInFlight(into: &frames)
        for frame in frames { sendAgain(frame, in: application) }
    }
}
