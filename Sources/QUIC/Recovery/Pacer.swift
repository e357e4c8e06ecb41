import Primitives

/// Spreads packets over the round trip (RFC 9002 §7.7): a bucket of bytes that fills at a little more than the rate the
/// window allows. A burst of a few milliseconds' worth may leave at once, so that a batch fills a system call.
struct Pacer: Equatable, Sendable {
    /// The shortest wait worth a timer; shorter ones are rounded up and made good by a larger burst.
    static let quantum = Interval.milliseconds(1)
    /// The time whose worth of bytes may leave at once.
    static let burstInterval = Interval.milliseconds(2)
    /// Datagrams that may always leave at once (RFC 9002 §7.7: the initial window is a fitting burst).
    static let minimumBurstDatagrams = 10
    /// The most bytes that may leave at once, whatever the rate: several full batches of 64 KiB.
    static let maximumBurst = 1 << 20
    /// How much faster than window over round trip packets leave: room for the window to grow, more in slow start.
    static let gain = 1.25
    static let slowStartGain = 2.0
    /// The longest time that a rate which is nearly zero may ask for.
    static let maximumWait = Interval.seconds(1)

    /// Bytes that may leave now; below zero when more left than was there.
    private var tokens: Double
    private var capacity: Double
    private var bytesPerNanosecond: Double
    private var filledAt: Instant?

    /// Starts with a full bucket.
    init(window: Int, smoothedRTT: Interval, datagramSize: Int, phase: Phase) {
        tokens = 0
        capacity = 0
        bytesPerNanosecond = 0
        filledAt = nil
        setRate(window: window, smoothedRTT: smoothedRTT, datagramSize: datagramSize, phase: phase)
        tokens = capacity
    }

    /// The rate at which the bucket fills.
    var rate: BitRate {
        BitRate(bitsPerSecond: Int64(Int(saturating: bytesPerNanosecond * 8e9)))
    }

    /// Follows the window and the round-trip time.
    mutating func adjust(window: Int, smoothedRTT: Interval, datagramSize: Int, phase: Phase, at now: Instant) {
        fill(at: now)
        setRate(window: window, smoothedRTT: smoothedRTT, datagramSize: datagramSize, phase: phase)
        tokens = min(tokens, capacity)
    }

    /// Follows a rate that the congestion controller chose itself.
    mutating func adjust(bytesPerSecond: Double, datagramSize: Int, at now: Instant) {
        fill(at: now)
        setRate(bytesPerSecond / 1e9, datagramSize: datagramSize)
        tokens = min(tokens, capacity)
    }

    private mutating func setRate(window: Int, smoothedRTT: Interval, datagramSize: Int, phase: Phase) {
        let gain =
            switch phase {
            case .slowStart: Self.slowStartGain
            case .congestionAvoidance: Self.gain
            }
        setRate(gain * Double(window) / Double(max(smoothedRTT.nanoseconds, 1)), datagramSize: datagramSize)
    }

    private mutating func setRate(_ rate: Double, datagramSize: Int) {
        bytesPerNanosecond = rate
        let smallest = Double(Self.minimumBurstDatagrams.multiplyingSaturating(datagramSize))
        let burst = bytesPerNanosecond * Double(Self.burstInterval.nanoseconds)
        capacity = max(smallest, min(burst, Double(Self.maximumBurst)))
    }

    /// Which gain applies.
    enum Phase: Hashable, Sendable {
        case slowStart
        case congestionAvoidance
    }

    /// Bytes that may leave at `now`.
    mutating func budget(at now: Instant) -> Int {
        fill(at: now)
        return max(0, Int(saturating: tokens))
    }

    /// When a datagram of `size` bytes may leave; nil when at once.
    mutating func nextSendTime(for size: Int, at now: Instant) -> Instant? {
        fill(at: now)
        let missing = min(Double(size), capacity) - tokens
        guard missing > 0 else { return nil }
        guard bytesPerNanosecond > 0 else { return now + Self.maximumWait }
        let wait = Interval(nanoseconds: Int64(Int(saturating: missing / bytesPerNanosecond)))
        return now + min(max(wait, Self.quantum), Self.maximumWait)
    }

    /// Takes the bytes of a packet that leaves, whether or not they were there.
    mutating func sent(_ size: Int, at now: Instant) {
        fill(at: now)
        tokens = max(tokens - Double(size), -capacity)
    }

    private mutating func fill(at now: Instant) {
        guard let since = filledAt else {
            filledAt = now
            return
        }
        guard now > since else { return }
        tokens = min(capacity, tokens + Double((now - since).nanoseconds) * bytesPerNanosecond)
        filledAt = now
    }
}
