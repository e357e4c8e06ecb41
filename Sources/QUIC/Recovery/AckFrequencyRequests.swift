import Primitives

/// What this end asks of a peer that knows ACK_FREQUENCY frames: to acknowledge as seldom as the congestion window allows
/// (draft-ietf-quic-ack-frequency §8).
///
/// The delay that it asks for is never longer than the max_ack_delay of the handshake, which goes on being what the probe
/// timeout reckons with: the greater of all that are in force or in flight (§7). A shorter one would only make the probe
/// timeout of a near peer shorter than the time that a busy machine needs to wake up.
struct AckFrequencyRequests: Equatable, Sendable {
    /// The part of the window for which one acknowledgement is enough: the next one arrives long before the rest is used up,
    /// and a pacer spreads what it sets free.
    static let windowShare = 4
    /// The part of the round-trip time for which one may be held back: a loss that no later packet tells of, and the end of
    /// a burst, are found hardly later.
    static let roundTripShare: Int64 = 8
    /// Bytes of the congestion window below which no packets more than under RFC 9000 may wait: a window so small grows by every
    /// acknowledgement, as after a handover, and costs few of them.
    static let smallestWindow = 96_000
    /// How far what is wanted must be from what was asked to be worth another frame: a factor.
    static let worthwhileFactor = 2
    /// Round trips after a loss for which nothing is saved: acknowledgements get lost as well, and where there are few of them
    /// each one that is missing keeps the next loss unknown for longer.
    static let roundTripsOfCaution: Int64 = 2
    /// Bytes that must have left before the end of a burst is acknowledged at once, in datagrams: fewer would be
    /// acknowledged together under RFC 9000, too.
    static let datagramsOfBurst = 2

    /// What the peer announced.
    private struct Limits: Equatable, Sendable {
        var minAckDelay: Interval
        var maxAckDelay: Interval
    }

    /// What was asked last.
    private struct Asked: Equatable, Sendable {
        var sequence: UInt64
        var packets: Int
        var delay: Interval
        var at: Instant
    }

    private var limits: Limits?
    private var asked: Asked?
    private var nextSequence: UInt64 = 0
    /// What was asked last got lost, or was meant for another path.
    private var isStale = false
    /// Bytes of ack-eliciting packets since the peer was last asked for an acknowledgement at once.
    private var bytesSinceImmediate = 0
    private var immediateAt: Instant?
    private var lostAt: Instant?

    /// Whether the peer understands the frames.
    var isSupported: Bool { limits != nil }

    /// The frame that has a packet acknowledged, at once if that can be asked for.
    var ping: ControlFrame { isSupported ? .immediateAck : .ping }

    /// Takes the peer's transport parameters.
    mutating func announced(minAckDelay: Interval, maxAckDelay: Interval) {
        limits = Limits(minAckDelay: minAckDelay, maxAckDelay: maxAckDelay)
    }

    /// Packets were found lost.
    mutating func lossFound(at now: Instant) { lostAt = now }

    /// Packets leave on another path from here on.
    mutating func pathChanged() { isStale = asked != nil }

    /// The frame to be sent now with other data; nil when what is in force is near enough.
    mutating func next(
        window: Int, datagramSize: Int, smoothedRTT: Interval, at now: Instant
    ) -> AckFrequencyFrame? {
        guard let limits else { return nil }
        let isCautious = lostAt.map { now - $0 < smoothedRTT * Self.roundTripsOfCaution } ?? false
        let isSmall = isCautious || window < Self.smallestWindow
        let share = isSmall ? 0 : window / max(datagramSize, 1) / Self.windowShare
        let packets = max(share, Int(AckPolicy.defaultThreshold))
        let delay = min(max(smoothedRTT / Self.roundTripShare, limits.minAckDelay), limits.maxAckDelay)
        // draft-ietf-quic-ack-frequency §8.1: once in a round trip is enough, unless more is needed.
        let isInTime = asked.map { packets < $0.packets || now - $0.at >= smoothedRTT } ?? true
        guard isStale || (isInTime && isWorthwhile(packets, delay, limits)) else { return nil }
        isStale = false
        let sequence = nextSequence
        nextSequence += 1
        asked = Asked(sequence: sequence, packets: packets, delay: delay, at: now)
        return AckFrequencyFrame(
            sequence: sequence, threshold: UInt64(packets - 1),
            maxAckDelayMicroseconds: UInt64(max(delay.microseconds, 0)),
            // draft-ietf-quic-ack-frequency §9: an acknowledgement as soon as a loss can be found by it, and none before.
            reorderingThreshold: LossDetector.packetThreshold)
    }

    /// Whether that is far from what is in force: what was asked last, else RFC 9000 and the max_ack_delay of the handshake.
    private func isWorthwhile(_ packets: Int, _ delay: Interval, _ limits: Limits) -> Bool {
        let factor = Self.worthwhileFactor
        let (knownPackets, knownDelay) =
            asked.map { ($0.packets, $0.delay) } ?? (Int(AckPolicy.defaultThreshold), limits.maxAckDelay)
        return packets >= knownPackets * factor || packets * factor <= knownPackets
            || delay >= knownDelay * Int64(factor) || delay * Int64(factor) <= knownDelay
    }

    /// Takes the loss of a frame: what is wanted now is asked in its place, unless a newer one is on its way.
    mutating func lost(_ sequence: UInt64) {
        if sequence == asked?.sequence { isStale = true }
    }

    // MARK: The end of a burst

    /// Notes that an ack-eliciting packet left.
    mutating func ackElicitingSent(size: Int) { bytesSinceImmediate = bytesSinceImmediate.addingSaturating(size) }

    /// Whether the last packet of a burst should be acknowledged at once (draft-ietf-quic-ack-frequency §8.1.1): when the
    /// peer was asked to wait, enough is on its way that it would have acknowledged it before, and the last such packet is
    /// longer ago than the peer may wait.
    func isEndOfBurst(datagramSize: Int, at now: Instant) -> Bool {
        guard let asked, bytesSinceImmediate >= Self.datagramsOfBurst.multiplyingSaturating(datagramSize) else {
            return false
        }
        return immediateAt.map { now - $0 >= asked.delay } ?? true
    }

    /// Notes that the peer is asked for an acknowledgement at once.
    mutating func immediateRequested(at now: Instant) {
        bytesSinceImmediate = 0
        immediateAt = now
    }
}
