import Primitives

/// Decides when received packets are acknowledged (RFC 9000 §13.2.1, §13.2.2; draft-ietf-quic-ack-frequency §6).
///
/// Until the peer says with an ACK_FREQUENCY frame how often it wants to hear, the rate at which packets arrive decides: at
/// least every second one is acknowledged, and of a fast transfer so many that each round trip has its share of them.
struct AckPolicy: Equatable, Sendable {
    /// How long an acknowledgement may be held back unless configured otherwise (RFC 9000 §18.2: max_ack_delay).
    static let defaultMaxAckDelay = Interval.milliseconds(25)
    /// The shortest time that timers are trusted with, and so the shortest that a peer may ask for (min_ack_delay).
    static let defaultMinAckDelay = RTTEstimator.granularity
    /// Ack-eliciting packets after which an acknowledgement leaves at once (RFC 9000 §13.2.2).
    static let defaultThreshold: UInt64 = 2
    /// The most packets for one acknowledgement that nobody asked to be rare: what a widely used implementation does since
    /// years, so that senders are known to stand it.
    static let largestOwnThreshold: UInt64 = 10
    /// Acknowledgements in a round trip at least, however fast packets arrive. A sender that lives by their rhythm, and whose
    /// window only just fills the path, has hardly to wait for one.
    static let acknowledgementsPerRound: Int64 = 16
    /// How long the first of several packets waits for the last of them at most, when nobody asked for that: on a long path a
    /// sender whose window does not fill it would lose so much of each round trip.
    static let longestOwnWait = Interval.milliseconds(1)
    /// Packets out of order, though within what the peer tolerates, after which an acknowledgement leaves: half of the ranges
    /// that one can tell, so that none is cut off before it was told once.
    static let toleratedDisorder = ReceivedPackets.maximumReportedRanges / 2

    /// How a packet arrived, relative to those before it.
    enum Order: Equatable, Sendable {
        case inOrder
        /// Out of order, but so little that the peer does not want to hear of it yet.
        case tolerated
        /// Below one that came earlier, or above a gap that it opened, or far enough above one for the peer to find a loss.
        case outOfOrder
    }

    /// Who says how often is acknowledged.
    private enum Basis: Equatable, Sendable {
        /// RFC 9000 §13.2.1: Initial and Handshake packets are acknowledged immediately.
        case handshake
        /// The rate at which packets arrive.
        case arrivals(Arrivals)
        /// The peer.
        case request(AckFrequencyFrame)
    }

    /// Packets counted over about a round trip.
    private struct Arrivals: Equatable, Sendable {
        var since: Instant?
        var count: Int64 = 0
        var threshold = AckPolicy.defaultThreshold

        /// Counts a packet; once in a round trip it says anew how many may wait.
        mutating func note(at now: Instant, roundTrip: Interval) {
            guard let since else {
                self.since = now
                return
            }
            count += 1
            let elapsed = now - since
            guard elapsed >= roundTrip else { return }
            // After a pause the packets before it count for all of it: the next few are acknowledged as ever.
            let wait = min(roundTrip / AckPolicy.acknowledgementsPerRound, AckPolicy.longestOwnWait)
            let share = UInt64(clamping: count.multiplyingSaturating(wait.nanoseconds) / max(elapsed.nanoseconds, 1))
            threshold = min(max(share, AckPolicy.defaultThreshold), AckPolicy.largestOwnThreshold)
            self.since = now
            count = 0
        }
    }

    private var basis: Basis
    /// The longest time that this end ever holds an acknowledgement back.
    private let maxAckDelay: Interval
    private var roundTrip = RTTEstimator.initialRTT
    private var lastECN = ECN.notCapable
    private var tolerated = 0

    /// Ack-eliciting packets since the last acknowledgement left.
    private(set) var unacknowledged: UInt64 = 0
    /// An acknowledgement is due.
    private(set) var isDue = false
    /// When one will be.
    private(set) var deadline: Instant?

    /// The policy of a packet number space; `maxAckDelay` counts for the application space only.
    init(space: PacketNumberSpace, maxAckDelay: Interval = AckPolicy.defaultMaxAckDelay) {
        switch space {
        case .initial, .handshake:
            basis = .handshake
            self.maxAckDelay = .zero
        case .application:
            basis = .arrivals(Arrivals())
            self.maxAckDelay = maxAckDelay
        }
    }

    // MARK: What is wanted

    /// Takes an ACK_FREQUENCY frame that was validated; one that a newer one overtook is ignored.
    mutating func frequencyRequested(_ frame: AckFrequencyFrame) {
        // draft-ietf-quic-ack-frequency §4: ignored unless its sequence number is greater than the largest processed.
        if case .request(let known) = basis, frame.sequence <= known.sequence { return }
        basis = .request(frame)
    }

    /// Takes an IMMEDIATE_ACK frame.
    mutating func acknowledgementRequested() { isDue = true }

    /// Takes the round-trip time of the path in use: it scales the policy when the peer asks for nothing.
    mutating func measured(roundTrip: Interval) { self.roundTrip = max(roundTrip, .nanoseconds(1)) }

    /// Packets come over another path from here on, at a rate that is not known yet.
    mutating func pathChanged() {
        if case .arrivals = basis { basis = .arrivals(Arrivals()) }
    }

    /// Ack-eliciting packets after which an acknowledgement leaves at once.
    var threshold: UInt64 {
        switch basis {
        case .handshake: 1
        case .arrivals(let arrivals): arrivals.threshold
        case .request(let frame): frame.threshold.addingSaturating(1)
        }
    }

    /// How far packets may be out of order before an acknowledgement leaves at once; 0: however far.
    var reorderingThreshold: UInt64 {
        if case .request(let frame) = basis { frame.reorderingThreshold } else { 1 }
    }

    /// How long an acknowledgement may be held back now.
    private var delay: Interval {
        switch basis {
        case .handshake: .zero
        case .arrivals(let arrivals):
            arrivals.threshold <= Self.defaultThreshold
                ? maxAckDelay
                : min(maxAckDelay, max(roundTrip / Self.acknowledgementsPerRound, Self.defaultMinAckDelay))
        case .request(let frame): frame.maxAckDelay
        }
    }

    // MARK: Arrival

    /// Takes an ack-eliciting packet that was not there before.
    mutating func ackElicitingReceived(_ order: Order, ecn: ECN, at now: Instant) {
        if case .arrivals(var arrivals) = basis {
            arrivals.note(at: now, roundTrip: roundTrip)
            basis = .arrivals(arrivals)
        }
        unacknowledged = unacknowledged.addingSaturating(1)
        switch order {
        case .inOrder: break
        case .tolerated:
            tolerated += 1
            if tolerated >= Self.toleratedDisorder { isDue = true }
        case .outOfOrder: isDue = true
        }
        if unacknowledged >= threshold || isTold(ecn) { isDue = true }
        lastECN = ecn
        if deadline == nil { deadline = now + delay }
    }

    /// RFC 9000 §13.2.1: a mark is told at once. draft-ietf-quic-ack-frequency §6.4: a peer that asked for more than one
    /// packet to wait hears of the first of several.
    private func isTold(_ ecn: ECN) -> Bool {
        guard ecn == .congestionExperienced else { return false }
        guard case .request(let frame) = basis, frame.threshold > 1 else { return true }
        return lastECN != .congestionExperienced
    }

    /// Whether an acknowledgement should leave at `now`.
    func shouldAcknowledge(at now: Instant) -> Bool {
        if isDue { return true }
        guard let deadline else { return false }
        return now >= deadline
    }

    /// Notes that an acknowledgement of everything left.
    mutating func acknowledgementSent() {
        unacknowledged = 0
        tolerated = 0
        isDue = false
        deadline = nil
    }
}
