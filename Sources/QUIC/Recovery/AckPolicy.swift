import Primitives

/// Decides when received packets are acknowledged (RFC 9000 §13.2.1, §13.2.2).
struct AckPolicy: Equatable, Sendable {
    /// How long an acknowledgement may be held back unless configured otherwise (RFC 9000 §18.2: max_ack_delay).
    static let defaultMaxAckDelay = Interval.milliseconds(25)
    /// Ack-eliciting packets after which an acknowledgement leaves at once (RFC 9000 §13.2.2).
    static let defaultThreshold = 2

    /// How a packet arrived, relative to those before it.
    enum Order: Equatable, Sendable {
        case inOrder
        /// Below one that came earlier, or above a gap that it opened.
        case outOfOrder
    }

    /// Ack-eliciting packets after which an acknowledgement leaves at once.
    var threshold: Int
    /// How long an acknowledgement may be held back; zero for Initial and Handshake packets.
    var maxAckDelay: Interval

    /// Ack-eliciting packets since the last acknowledgement left.
    private(set) var unacknowledged = 0
    /// An acknowledgement is due.
    private(set) var isDue = false
    /// When one will be.
    private(set) var deadline: Instant?

    /// The policy of a packet number space; `maxAckDelay` counts for the application space only.
    init(
        space: PacketNumberSpace, threshold: Int = AckPolicy.defaultThreshold,
        maxAckDelay: Interval = AckPolicy.defaultMaxAckDelay
    ) {
        switch space {
        case .initial, .handshake:
            // RFC 9000 §13.2.1: Initial and Handshake packets are acknowledged immediately.
            self.threshold = 1
            self.maxAckDelay = .zero
        case .application:
            self.threshold = threshold
            self.maxAckDelay = maxAckDelay
        }
    }

    /// Takes an ack-eliciting packet that was not there before.
    mutating func ackElicitingReceived(_ order: Order, ecn: ECN, at now: Instant) {
        unacknowledged = unacknowledged.addingSaturating(1)
        if unacknowledged >= threshold || order == .outOfOrder || ecn == .congestionExperienced { isDue = true }
        if deadline == nil { deadline = now + maxAckDelay }
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
        isDue = false
        deadline = nil
    }
}
