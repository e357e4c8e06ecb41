import Primitives

/// The round-trip time of one network path as estimated from acknowledgements (RFC 9002 §5).
struct RTTEstimator: Equatable, Sendable {
    /// The round-trip time assumed before the first sample (RFC 9002 §6.2.2: kInitialRtt).
    static let initialRTT = Interval.milliseconds(333)
    /// The resolution that timers are trusted with (RFC 9002 §6.1.2: kGranularity).
    static let granularity = Interval.milliseconds(1)
    /// The longest sample that is taken for a round trip. An answer that comes later was held up by a machine that slept or
    /// a network that was gone, and would have timers and pacer wait as long.
    static let longestSample = Interval.seconds(5)

    /// The newest sample, with the peer's delay in it.
    private(set) var latest: Interval
    /// The exponentially weighted average.
    private(set) var smoothed: Interval
    /// The mean deviation of the samples from the average.
    private(set) var variation: Interval
    /// The smallest sample, without any correction for the peer's delay; nil before the first one.
    private(set) var minimum: Interval?
    /// When the first sample was taken; losses of earlier packets say nothing of persistent congestion.
    private(set) var firstSampleTime: Instant?

    /// Starts from an assumed round-trip time, which the first sample replaces.
    init(assuming initial: Interval = RTTEstimator.initialRTT) {
        latest = .zero
        smoothed = initial
        variation = initial / 2
        minimum = nil
        firstSampleTime = nil
    }

    /// Takes a sample: the time from sending a packet to the arrival of the ACK that newly acknowledged it as largest.
    ///
    /// `ackDelay` is what the peer says it held the acknowledgement back, zero for Initial packets. `maxAckDelay` is what
    /// it promised at most, and nil before the handshake is confirmed, when the promise does not hold yet.
    mutating func sampled(_ sample: Interval, ackDelay: Interval, maxAckDelay: Interval?, at now: Instant) {
        guard sample <= Self.longestSample else { return }
        let sample = max(sample, .nanoseconds(1))
        latest = sample
        guard let priorMinimum = minimum else {
            // RFC 9002 §5.3: the first sample replaces the assumption.
            minimum = sample
            smoothed = sample
            variation = sample / 2
            firstSampleTime = now
            return
        }
        // RFC 9002 §5.2: min_rtt ignores the peer's delay.
        let minimum = min(priorMinimum, sample)
        self.minimum = minimum
        var ackDelay = max(ackDelay, .zero)
        // RFC 9002 §5.3: after confirmation the lesser of the reported delay and max_ack_delay counts.
        if let maxAckDelay { ackDelay = min(ackDelay, maxAckDelay) }
        // RFC 9002 §5.3: a delay that would push the sample below min_rtt is not believed.
        let adjusted = sample >= minimum + ackDelay ? sample - ackDelay : sample
        variation = (variation * 3 + (smoothed - adjusted).magnitude) / 4
        smoothed = (smoothed * 7 + adjusted) / 8
    }

    /// Forgets the minimum, because the path may have become longer (RFC 9002 §5.2, after persistent congestion).
    mutating func restartMinimum() {
        if minimum != nil { minimum = latest }
    }

    /// The probe timeout without back-off (RFC 9002 §6.2.1); `maxAckDelay` is zero for Initial and Handshake packets.
    func probeTimeout(maxAckDelay: Interval) -> Interval {
        smoothed + max(variation * 4, Self.granularity) + maxAckDelay
    }

    /// How long after sending a packet, with a later one acknowledged, it counts as lost (RFC 9002 §6.1.2: 9/8).
    var lossDelay: Interval {
        let longest = max(smoothed, latest)
        return max(longest + longest / 8, Self.granularity)
    }

    /// How long losses must last to be persistent congestion (RFC 9002 §7.6.1: three probe timeouts).
    func persistentCongestionDuration(maxAckDelay: Interval) -> Interval {
        probeTimeout(maxAckDelay: maxAckDelay) * 3
    }
}
