import Primitives

/// The window growth of CUBIC in congestion avoidance (RFC 9438). Sizes are bytes, times seconds.
struct Cubic: Equatable, Sendable {
    /// How aggressively the window approaches and leaves the last maximum, in segments per s³ (RFC 9438 §4.1.2: C).
    static let aggressiveness = 0.4
    /// What is left of the window after a congestion event (RFC 9438 §4.6: β_cubic).
    static let decrease = 0.7
    /// Growth in the Reno-friendly region until the prior window is reached (RFC 9438 §4.3: α_cubic).
    static let friendlyIncrease = 3 * (1 - decrease) / (1 + decrease)
    /// The widest step toward the target in one round trip, as a multiple of the window (RFC 9438 §4.2).
    static let targetLimit = 1.5

    /// The window just before the last reduction, lowered by fast convergence (W_max).
    private var maximum: Double = 0
    /// The window just before the last reduction (cwnd_prior).
    private var prior: Double = 0
    /// What Reno would have by now (W_est).
    private var estimate: Double = 0
    /// Seconds from the beginning of the epoch until the window is back at `maximum` (K).
    private var period: Double = 0
    /// When congestion avoidance began, moved later by the times in which the window was not used.
    private var epochStart: Instant?
    /// When the window last grew.
    private var lastGrowth: Instant?
    private var isPaused = false
    /// The part of a byte that the window, a whole number, has not taken yet.
    private var fraction: Double = 0

    /// The window after a congestion event (RFC 9438 §4.6), with fast convergence (§4.7).
    mutating func reduced(_ window: Int) -> Int {
        let window = Double(window)
        prior = window
        maximum = window < maximum ? window * (1 + Self.decrease) / 2 : window
        epochStart = nil
        fraction = 0
        return Int(saturating: window * Self.decrease)
    }

    /// Forgets the last maximum: the next congestion avoidance begins a new epoch where it stands (RFC 9438 §4.8).
    mutating func restart() {
        maximum = 0
        prior = 0
        epochStart = nil
        fraction = 0
    }

    /// Notes that the window is not in use: the time until it grows again does not count (RFC 9438 §5.8).
    mutating func pause() {
        isPaused = true
    }

    /// The window after `bytes` more were acknowledged.
    mutating func grown(
        _ window: Int, acknowledged bytes: Int, datagramSize: Int, rtt: Interval, at now: Instant
    ) -> Int {
        let current = Double(window)
        let segment = Double(max(datagramSize, 1))
        guard current > 0 else { return window }
        let start = beginOrContinueEpoch(at: now, window: current, segment: segment)
        let elapsed = max((now - start).seconds, 0)
        let share = Double(bytes) / current

        // RFC 9438 §4.3: as fast as Reno would, once the prior window is reached again.
        estimate += (estimate >= prior ? 1 : Self.friendlyIncrease) * segment * share
        if cubic(elapsed, segment: segment) < estimate {
            return max(window, Int(saturating: estimate))
        }
        // RFC 9438 §4.2: the window of one round trip from now, at most half as much again.
        let target = min(max(cubic(elapsed + rtt.seconds, segment: segment), current), current * Self.targetLimit)
        let grown = current + (target - current) * min(share, 1) + fraction
        let whole = max(window, Int(saturating: grown))
        fraction = min(max(grown - Double(whole), 0), 1)
        return whole
    }

    /// W_cubic(t) = C (t − K)³ + W_max.
    private func cubic(_ time: Double, segment: Double) -> Double {
        let distance = time - period
        return Self.aggressiveness * segment * distance * distance * distance + maximum
    }

    private mutating func beginOrContinueEpoch(at now: Instant, window: Double, segment: Double) -> Instant {
        defer {
            isPaused = false
            lastGrowth = now
        }
        if let start = epochStart {
            guard isPaused, let lastGrowth, now > lastGrowth else { return start }
            let moved = min(start + (now - lastGrowth), now)
            epochStart = moved
            return moved
        }
        epochStart = now
        estimate = window
        if window < maximum {
            period = cubeRoot((maximum - window) / (Self.aggressiveness * segment))
        } else {
            // RFC 9438 §4.2: nothing to come back to, the convex part begins here.
            maximum = window
            period = 0
        }
        return now
    }
}

/// The cube root of a number that is not negative, to within a few units in the last place.
func cubeRoot(_ value: Double) -> Double {
    guard value > 0, value < .infinity else { return 0 }
    // A third of the exponent is within a factor of two of the root; Newton's method doubles the digits each time.
    var root = Double(sign: .plus, exponent: value.exponent / 3, significand: 1)
    for _ in 0..<7 { root = (2 * root + value / (root * root)) / 3 }
    return root
}
