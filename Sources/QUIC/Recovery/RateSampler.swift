import Primitives

/// Measures the rate at which a path delivers, from acknowledgements (after the delivery-rate estimation of BBR's authors,
/// draft-cheng-iccrg-delivery-rate-estimation): for each packet, what was delivered between its sending and its
/// acknowledgement, over the longer of the time that sending and the time that acknowledging took.
struct RateSampler: Equatable, Sendable {
    /// For how long the best sample counts at most; at least half of it.
    static let bestLifetime = Interval.seconds(10)

    /// What is remembered with every packet in flight.
    struct Mark: Equatable, Sendable {
        /// Bytes delivered when the packet left.
        var delivered: UInt64 = 0
        /// When the newest of them were acknowledged.
        var deliveredTime: Instant = .origin
        /// When the packet left whose acknowledgement that was.
        var firstSentTime: Instant = .origin
        /// The application had nothing more to send than was in flight.
        var isApplicationLimited = false
        /// Bytes declared lost when the packet left.
        var lost: UInt64 = 0
        /// Bytes in flight when the packet had left.
        var inFlight = 0
    }

    /// What the newest packet of an ACK tells (draft-ietf-ccwg-bbr §4.1).
    struct Sample: Equatable, Sendable {
        /// The rate at which the path delivered, in bytes per second; nil over less than the shortest round trip.
        var rate: Double?
        /// Whether the application may have had less to send than the path carries.
        var isApplicationLimited: Bool
        /// Bytes that had been delivered when the packet left.
        var priorDelivered: UInt64
        /// Bytes delivered since.
        var delivered: Int
        /// Bytes that this ACK acknowledged.
        var acknowledged: Int
        /// Bytes in flight when the packet had left.
        var inFlight: Int
        /// Bytes declared lost since.
        var lost: Int
        /// Bytes delivered so far in all.
        var totalDelivered: UInt64
        /// Bytes declared lost so far in all.
        var totalLost: UInt64
    }

    /// Bytes acknowledged so far.
    private(set) var delivered: UInt64 = 0
    /// Bytes declared lost so far.
    private(set) var lost: UInt64 = 0
    /// What the last ACK told; nil when it acknowledged nothing here.
    private(set) var sample: Sample?
    private var deliveredBefore: UInt64 = 0
    /// The newest sample; nil before the first.
    private(set) var latest: BitRate?
    /// Whether the newest sample was limited by the application and may be far below what the path could carry.
    private(set) var isLatestApplicationLimited = false

    private var deliveredTime: Instant = .origin
    private var firstSentTime: Instant = .origin
    /// Samples are application-limited until this much is delivered.
    private var applicationLimitedUntil: UInt64?
    private var best = Best()
    private var bestUnlimited = Best()
    /// The packet acknowledged now that left last.
    private var candidate: Candidate?

    private struct Candidate: Equatable, Sendable {
        var mark: Mark
        var timeSent: Instant
    }

    /// The best sample of late.
    private struct Best: Equatable, Sendable {
        private var best: BitRate?
        private var priorBest: BitRate?
        private var since: Instant = .origin

        var value: BitRate? {
            guard let best else { return priorBest }
            return priorBest.map { max($0, best) } ?? best
        }

        mutating func age(at now: Instant) {
            guard now - since >= RateSampler.bestLifetime / 2 else { return }
            priorBest = best ?? priorBest
            best = nil
            since = now
        }

        mutating func take(_ rate: BitRate) { best = best.map { max($0, rate) } ?? rate }
    }

    /// The best recent sample: what the path can carry, as far as it was used.
    var estimate: BitRate? { best.value }

    /// The best recent sample of times in which there was more to send than the window allowed: what the path carries. Nil
    /// while it was never used like that.
    var capacity: BitRate? { bestUnlimited.value }

    /// Notes that there is nothing to send though the window has room: samples until then say little.
    mutating func applicationLimited(bytesInFlight: Int) {
        applicationLimitedUntil = max(delivered &+ UInt64(max(bytesInFlight, 0)), 1)
    }

    /// Tells what to remember with a packet that leaves; `bytesInFlight` does not include it.
    mutating func packetSent(bytesInFlight: Int, at now: Instant) -> Mark {
        if bytesInFlight <= 0 {
            firstSentTime = now
            deliveredTime = now
        }
        return Mark(
            delivered: delivered, deliveredTime: deliveredTime, firstSentTime: firstSentTime,
            isApplicationLimited: applicationLimitedUntil != nil, lost: lost)
    }

    /// Takes a packet that is declared lost.
    mutating func packetLost(size: Int) { lost &+= UInt64(max(size, 0)) }

    /// Takes a packet that is acknowledged for the first time.
    mutating func packetAcknowledged(_ mark: Mark, size: Int, timeSent: Instant, at now: Instant) {
        delivered &+= UInt64(max(size, 0))
        deliveredTime = now
        guard let current = candidate else {
            candidate = Candidate(mark: mark, timeSent: timeSent)
            return
        }
        if mark.delivered > current.mark.delivered || timeSent > current.timeSent {
            candidate = Candidate(mark: mark, timeSent: timeSent)
        }
    }

    /// Makes a sample of the packets taken since the last call. One over less than the shortest round trip is noise.
    mutating func acknowledgementsProcessed(minimumRTT: Interval?, at now: Instant) {
        sample = nil
        guard let newest = candidate else { return }
        candidate = nil
        let mark = newest.mark
        var found = Sample(
            rate: nil, isApplicationLimited: mark.isApplicationLimited, priorDelivered: mark.delivered,
            delivered: Int(clamping: delivered &- mark.delivered),
            acknowledged: Int(clamping: delivered &- deliveredBefore),
            inFlight: mark.inFlight, lost: Int(clamping: lost &- mark.lost), totalDelivered: delivered, totalLost: lost)
        deliveredBefore = delivered
        defer { sample = found }
        firstSentTime = newest.timeSent
        if let limit = applicationLimitedUntil, delivered > limit { applicationLimitedUntil = nil }
        let interval = max(newest.timeSent - mark.firstSentTime, now - mark.deliveredTime)
        guard interval > .zero, interval >= minimumRTT ?? .zero, delivered > mark.delivered else { return }
        let rate = BitRate(ByteCount(delivered - mark.delivered), in: interval)
        found.rate = Double(delivered - mark.delivered) / interval.seconds
        latest = rate
        isLatestApplicationLimited = mark.isApplicationLimited
        take(rate, at: now)
    }

    private mutating func take(_ rate: BitRate, at now: Instant) {
        best.age(at: now)
        if isLatestApplicationLimited {
            // A limited sample counts only when it is better than what is known.
            if let estimate, rate < estimate { return }
        } else {
            bestUnlimited.age(at: now)
            bestUnlimited.take(rate)
        }
        best.take(rate)
    }
}
