import Primitives

/// The linear growth of NewReno in congestion avoidance (RFC 9002 §7.3.3).
struct NewReno: Equatable, Sendable {
    /// Acknowledged bytes that have not yet earned a step of the window.
    private var acknowledged = 0

    /// The window after a congestion event (RFC 9002 §7.3.2: kLossReductionFactor 1/2).
    mutating func reduced(_ window: Int) -> Int {
        acknowledged = 0
        return window / 2
    }

    /// The window after `bytes` more were acknowledged: one datagram wider per window acknowledged.
    mutating func grown(_ window: Int, acknowledged bytes: Int, datagramSize: Int) -> Int {
        guard window > 0 else { return window }
        acknowledged = acknowledged.addingSaturating(bytes)
        let steps = acknowledged / window
        acknowledged -= steps * window
        return window.addingSaturating(steps.multiplyingSaturating(datagramSize))
    }
}
