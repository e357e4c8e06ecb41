import Primitives

/// The loss-detection timer of a connection: one for all packet number spaces (RFC 9002 §6.2, appendix A.8).
///
/// `alarm` is a function of the spaces' state and may be asked at any time; the owner acts when its deadline is reached.
struct LossTimer: Equatable, Sendable {
    /// The largest exponent of the back-off, a factor of 1,024.
    static let maximumBackoffExponent = 10
    /// The longest time between two probes; a connection that is silent longer ends by its idle timeout.
    static let longestProbeInterval = Interval.seconds(60)
    /// The longest time between the first `frequentProbes` of a confirmed connection, unless the probe timeout is longer.
    ///
    /// RFC 9002 §6.2.1 not followed: doubling from the start, an outage of seconds would go on for as long again when
    /// service is back. Two packets a second do no harm to any network.
    static let frequentProbeInterval = Interval.seconds(1)
    /// Probes before the time between them doubles again: about as many as the usual idle timeout has seconds.
    static let frequentProbes = 32

    /// What the timer needs to know of a packet number space.
    struct SpaceState: Equatable, Sendable {
        var lossTime: Instant?
        var timeOfLastAckEliciting: Instant?
        var ackElicitingInFlight = 0
    }

    /// How far the handshake is, as far as the timer is concerned.
    enum Handshake: Equatable, Sendable {
        /// No Handshake keys yet.
        case initial
        /// Handshake keys are there.
        case handshaking
        /// The handshake is confirmed (RFC 9001 §4.1.2).
        case confirmed
    }

    /// Whether the peer may send as much as it likes, or waits for us to prove our address.
    enum PeerAddressValidation: Equatable, Sendable {
        /// A client's server may be held up by its anti-amplification limit: probes go on even with nothing in flight.
        case pending
        /// We are a server, or the peer has acknowledged a Handshake packet or the handshake is confirmed.
        case complete
    }

    /// Whether this end may send now.
    enum SendingLimit: Equatable, Sendable {
        case open
        /// A server at its anti-amplification limit: no timer runs until something arrives (RFC 9002 §6.2.2.1).
        case antiAmplification
    }

    /// What everything but the spaces contributes.
    struct Conditions: Equatable, Sendable {
        var handshake: Handshake
        var peerAddressValidation: PeerAddressValidation
        var sendingLimit: SendingLimit = .open
        /// Of the path packets leave on.
        var rtt: RTTEstimator
        /// The peer's max_ack_delay.
        var maxAckDelay: Interval
    }

    /// When to do what.
    struct Alarm: Equatable, Sendable {
        var deadline: Instant
        var action: Action
    }

    enum Action: Equatable, Sendable {
        /// Call `detectLost` of the space.
        case detectLoss(PacketNumberSpace)
        /// Call `probed`, then send so many ack-eliciting packets, whatever the congestion window says.
        case probe(PacketNumberSpace, packets: Int)
    }

    /// Probe timeouts since the last acknowledgement (pto_count).
    private(set) var probeCount = 0
    /// When the client's probes with nothing in flight count from.
    private(set) var lastProgress: Instant

    /// Starts when the connection starts.
    init(at now: Instant) {
        lastProgress = now
    }

    /// Notes an ACK that newly acknowledged something. RFC 9002 §6.2.1: a client whose server may not have validated its
    /// address keeps its back-off.
    mutating func acknowledged(_ validation: PeerAddressValidation, at now: Instant) {
        lastProgress = now
        if validation == .complete { probeCount = 0 }
    }

    /// Notes that an ack-eliciting packet left.
    mutating func ackElicitingSent(at now: Instant) {
        lastProgress = now
    }

    /// Notes that the probe timeout passed.
    mutating func probed(at now: Instant) {
        probeCount = probeCount.addingSaturating(1)
        lastProgress = now
    }

    /// Starts the back-off anew: keys were discarded (RFC 9002 §6.2.2) or packets leave on another path.
    mutating func restartBackoff() {
        probeCount = 0
    }

    /// The next thing to do and when; nil when nothing is to be waited for.
    func alarm(initial: SpaceState, handshake: SpaceState, application: SpaceState, _ conditions: Conditions) -> Alarm?
    {
        if let alarm = lossAlarm(initial: initial, handshake: handshake, application: application) { return alarm }
        // RFC 9002 §6.2.2.1: a server that may not send arms no timer.
        if conditions.sendingLimit == .antiAmplification { return nil }
        let inFlight =
            initial.ackElicitingInFlight + handshake.ackElicitingInFlight + application.ackElicitingInFlight
        if inFlight == 0 {
            guard conditions.peerAddressValidation == .pending else { return nil }
            // RFC 9002 §6.2.2.1: a client probes so that the server can go on sending.
            let space: PacketNumberSpace = conditions.handshake == .initial ? .initial : .handshake
            return Alarm(
                deadline: lastProgress
                    + backedOff(conditions.rtt.probeTimeout(maxAckDelay: .zero), conditions.handshake),
                action: .probe(space, packets: 1))
        }
        return probeAlarm(initial: initial, handshake: handshake, application: application, conditions)
    }

    private func lossAlarm(initial: SpaceState, handshake: SpaceState, application: SpaceState) -> Alarm? {
        var earliest: Alarm?
        func consider(_ state: SpaceState, _ space: PacketNumberSpace) {
            guard let time = state.lossTime, earliest.map({ time < $0.deadline }) ?? true else { return }
            earliest = Alarm(deadline: time, action: .detectLoss(space))
        }
        consider(initial, .initial)
        consider(handshake, .handshake)
        consider(application, .application)
        return earliest
    }

    private func probeAlarm(
        initial: SpaceState, handshake: SpaceState, application: SpaceState, _ conditions: Conditions
    ) -> Alarm? {
        var earliest: Alarm?
        func consider(_ state: SpaceState, _ space: PacketNumberSpace, maxAckDelay: Interval) {
            guard state.ackElicitingInFlight > 0, let sent = state.timeOfLastAckEliciting else { return }
            let deadline =
                sent
                + backedOff(
                    conditions.rtt.probeTimeout(maxAckDelay: maxAckDelay), conditions.handshake)
            guard earliest.map({ deadline < $0.deadline }) ?? true else { return }
            // RFC 9002 §6.2.4: up to two, since the first may be lost as well.
            earliest = Alarm(deadline: deadline, action: .probe(space, packets: min(2, state.ackElicitingInFlight)))
        }
        consider(initial, .initial, maxAckDelay: .zero)
        consider(handshake, .handshake, maxAckDelay: .zero)
        // RFC 9002 §6.2.1: no probe timeout for 1-RTT packets before the handshake is confirmed.
        if conditions.handshake == .confirmed {
            consider(application, .application, maxAckDelay: conditions.maxAckDelay)
        }
        return earliest
    }

    private func backedOff(_ timeout: Interval, _ handshake: Handshake) -> Interval {
        var (unit, doublings) = (timeout, probeCount)
        if handshake == .confirmed {
            let frequent = max(Self.frequentProbeInterval, timeout)
            if probeCount < Self.frequentProbes { return min(doubled(timeout, probeCount), frequent) }
            (unit, doublings) = (frequent, probeCount - Self.frequentProbes)
        }
        return min(doubled(unit, doublings), max(Self.longestProbeInterval, timeout))
    }

    private func doubled(_ interval: Interval, _ times: Int) -> Interval {
        interval * (1 << Int64(min(times, Self.maximumBackoffExponent)))
    }
}
