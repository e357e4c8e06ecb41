import Primitives

/// Keeps a link that comes and goes from taking the connection with it each time: how long a better path has to prove itself,
/// and how many switches that nothing forces there may be.
struct ReturnDamping: Equatable {
    private var flaps = 0
    private var lastReturn: Instant?
    private var voluntary: [Instant] = []

    /// Whether no path has failed soon after a return to it.
    var isCalm: Bool { flaps == 0 }

    /// How long a better path has to answer every challenge before it is returned to.
    func proof(_ configured: Interval, at now: Instant) -> Interval {
        let doublings = Int64(1) << Int64(min(flaps, 20))
        return max(configured, min(configured * doublings, PathTimings.longestProof))
    }

    /// When the next switch that nothing forces may be.
    func nextAllowed(_ mostPerMinute: Int, at now: Instant) -> Instant {
        let recent = voluntary.filter { now - $0 < .seconds(60) }
        guard mostPerMinute > 0 else { return Instant(nanoseconds: .max) }
        guard recent.count >= mostPerMinute else { return now }
        return recent[recent.count - mostPerMinute] + .seconds(60)
    }

    /// The connection left a path that still worked.
    mutating func switched(_ reason: Handover.Reason, at now: Instant) {
        voluntary.removeAll { now - $0 >= .seconds(60) }
        voluntary.append(now)
        guard reason == .returned else { return }
        if let lastReturn, now - lastReturn > PathTimings.flapMemory { flaps = 0 }
        lastReturn = now
    }

    /// The active path failed, or got so bad that it was left.
    mutating func failed(at now: Instant) {
        guard let lastReturn else { return }
        let age = now - lastReturn
        if age <= PathTimings.flapWindow {
            flaps += 1
        } else if age > PathTimings.flapMemory {
            flaps = 0
        }
    }
}
