import Primitives

/// The packet numbers that arrived in one packet number space, and when they are acknowledged (RFC 9000 §13.2).
struct ReceivedPackets {
    /// Ranges that are remembered for the detection of duplicates. When there are more, packets as old as the lowest count
    /// as duplicates: the peer sends their frames again.
    static let maximumRanges = 128
    /// Ranges that an ACK frame tells at most, the newest; 64 of them take at most about 1 KiB (RFC 9000 §13.2.3).
    static let maximumReportedRanges = 64

    /// Whether a packet is to be processed.
    enum Novelty: Equatable, Sendable {
        case new
        case duplicate
    }

    /// When acknowledgements leave.
    var policy: AckPolicy
    /// What arrived, by ECN codepoint (RFC 9000 §13.4.1).
    private(set) var ecnCounts = ECNCounts()
    /// The largest packet number that arrived.
    private(set) var largest: UInt64?
    /// Packets that arrived more than once or too late to tell.
    private(set) var duplicateCount: UInt64 = 0

    /// Packets that arrived for the first time.
    private(set) var receivedCount: UInt64 = 0

    private var numbers = RangeSet()
    /// Numbers below count as received.
    private var floor: UInt64 = 0
    /// Numbers below are not reported any more: the peer knows that they arrived.
    private var reportFloor: UInt64 = 0
    private var largestArrival: Instant = .origin
    private var largestAckEliciting: UInt64?
    /// The largest number that an ACK of ours has told.
    private var largestTold: UInt64?
    /// Something arrived since the last ACK left.
    private(set) var hasNews = false

    init(space: PacketNumberSpace, maxAckDelay: Interval = AckPolicy.defaultMaxAckDelay) {
        policy = AckPolicy(space: space, maxAckDelay: maxAckDelay)
    }

    // MARK: Arrival

    /// Whether a packet of that number was processed before; asked before its payload is.
    func novelty(of number: UInt64) -> Novelty {
        if let largest, number > largest { return .new }
        return number < floor || numbers.contains(number) ? .duplicate : .new
    }

    /// Enters a packet that was authenticated and processed. A duplicate changes nothing but its count.
    mutating func packetReceived(_ number: UInt64, _ elicitation: AckElicitation, ecn: ECN, at now: Instant) {
        guard novelty(of: number) == .new else {
            duplicateCount &+= 1
            return
        }
        numbers.insert(number)
        receivedCount &+= 1
        boundRanges()
        // RFC 9000 §13.2.1: one that comes late is acknowledged as well, whatever the peer knows of its neighbours.
        reportFloor = min(reportFloor, number)
        hasNews = true
        if largest.map({ number > $0 }) ?? true {
            largest = number
            largestArrival = now
        }
        count(ecn)
        guard elicitation == .ackEliciting else { return }
        policy.ackElicitingReceived(order(of: number), ecn: ecn, at: now)
        largestAckEliciting = max(largestAckEliciting ?? 0, number)
    }

    /// Whether a received packet asks for an acknowledgement (RFC 9000 §13.2).
    enum AckElicitation: Hashable, Sendable {
        case ackEliciting
        case notAckEliciting
    }

    private mutating func boundRanges() {
        guard numbers.rangeCount > Self.maximumRanges else { return }
        numbers.keepLast(Self.maximumRanges)
        floor = max(floor, numbers.minimum ?? floor)
    }

    private func order(of number: UInt64) -> AckPolicy.Order {
        guard let previous = largestAckEliciting else { return .inOrder }
        let isDisorder = number < previous || !numbers.contains(previous..<number)
        switch policy.reorderingThreshold {
        case 0: return isDisorder ? .tolerated : .inOrder
        case 1:
            // RFC 9000 §13.2.1: below one that came earlier, or above one with numbers missing between. When a gap has grown
            // so wide that the peer finds a loss by it, it hears of that at once, however rare acknowledgements are.
            return isDisorder || isLossToBeTold(number, previous, threshold: LossDetector.packetThreshold)
                ? .outOfOrder : .inOrder
        case let threshold:
            if isLossToBeTold(number, previous, threshold: threshold) { return .outOfOrder }
            return isDisorder ? .tolerated : .inOrder
        }
    }

    /// draft-ietf-quic-ack-frequency §6.2: whether by this packet the peer can find one lost that it could not before, or one
    /// arrived that it has taken for lost.
    private func isLossToBeTold(_ number: UInt64, _ previous: UInt64, threshold: UInt64) -> Bool {
        let newest = max(number, previous)
        var start = numbers.minimum ?? number
        if let largestTold, largestTold >= threshold {
            if number <= largestTold - threshold { return true }
            start = max(start, largestTold - threshold + 1)
        }
        let missing = numbers.prefixEnd(from: start)
        return missing < newest && newest - missing >= threshold
    }

    private mutating func count(_ ecn: ECN) {
        switch ecn {
        case .notCapable: break
        case .ect0: ecnCounts.ect0 &+= 1
        case .ect1: ecnCounts.ect1 &+= 1
        case .congestionExperienced: ecnCounts.congestionExperienced &+= 1
        }
    }

    // MARK: Acknowledging

    /// When an acknowledgement is to leave unless it did before; nil when none is owed. In the past when one is due.
    var ackDeadline: Instant? { policy.isDue ? .origin : policy.deadline }

    /// Whether an acknowledgement should leave at `now`, if need be in a packet of its own.
    func shouldAckNow(at now: Instant) -> Bool { policy.shouldAcknowledge(at: now) }

    /// Whether an ack-eliciting packet is not acknowledged yet: an ACK should ride in any packet that leaves.
    var owesAck: Bool { policy.unacknowledged > 0 }

    /// The ranges that an ACK frame should tell, in ascending order.
    var rangesToReport: ArraySlice<Range<UInt64>> {
        let ranges = numbers.ranges
        var start = max(0, ranges.count - Self.maximumReportedRanges)
        while start + 1 < ranges.count, ranges[start].upperBound <= reportFloor { start += 1 }
        return ranges[start...]
    }

    /// The counts that an ACK frame should carry; nil when nothing arrived marked.
    var reportedECN: ECNCounts? { ecnCounts == ECNCounts() ? nil : ecnCounts }

    /// The ACK Delay field: how long the largest packet has waited, in units of 2^exponent microseconds.
    func encodedAckDelay(exponent: UInt8, at now: Instant) -> UInt64 {
        let waited = max((now - largestArrival).microseconds, 0)
        return UInt64(waited) >> UInt64(min(exponent, 20))
    }

    /// Notes that an ACK frame with the ranges left.
    mutating func ackSent() {
        hasNews = false
        largestTold = largest
        policy.acknowledgementSent()
    }

    /// The next packet carries an ACK even if nothing arrived since the last: those may have been lost with the path that
    /// they left on, and the peer decides by them what to send again.
    mutating func tellAgain() { hasNews = largest != nil }

    /// Takes the acknowledgement of a packet of ours with an ACK frame whose largest number was `largest`: what is up to
    /// there needs no further report (RFC 9000 §13.2.4).
    mutating func ackAcknowledged(largest: UInt64) {
        reportFloor = max(reportFloor, largest &+ 1)
    }
}
