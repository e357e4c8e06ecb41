import Primitives

/// How long to wait before the next attempt to reach a gateway: not at all at first, then longer and longer, and never
/// all clients of a restarted gateway at the same instant.
struct Backoff: Equatable {
    /// The wait after the first failure.
    static let first = Interval.milliseconds(100)
    /// The longest wait: a user who plugs a cable in does not wait longer.
    static let longest = Interval.seconds(5)
    /// How long a connection must have been up for its loss to be followed by an attempt at once: a gateway that ends
    /// every connection is not asked without a pause. Tunnels wait for it, so that it is not much longer than a restart takes.
    static let stability = Interval.seconds(1)

    private var failures = 0

    /// A connection that was up for so long is lost.
    mutating func lost(after lifetime: Interval) {
        if lifetime >= Self.stability { failures = 0 }
    }

    /// The longest wait while programs wait for the gateway.
    static let longestAwaited = Interval.milliseconds(125)

    /// The wait before the next attempt, between half and all of what the failures so far ask for, but not more than `longest`.
    mutating func next(
        atMost longest: Interval = Self.longest, using generator: inout some RandomNumberGenerator
    ) -> Interval {
        defer { failures += 1 }
        guard failures > 0 else { return .zero }
        let full = min(Self.first * (1 << Int64(min(failures - 1, 16))), longest)
        let half = full.nanoseconds / 2
        return .nanoseconds(half + Int64.random(in: 0...half, using: &generator))
    }
}
