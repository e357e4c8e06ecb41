internal import Primitives

/// Notices that the machine slept, or that this process was stopped.
///
/// While the machine sleeps the clock of timers stands still and only the time asleep grows. A process that was stopped,
/// or a machine whose sleep its system does not tell, shows as a timer that is long overdue.
struct SuspensionDetector {
    /// The shortest sleep that counts.
    static let shortestSleep = Interval.seconds(1)
    /// How late a timer must be.
    static let overdueLimit = Interval.seconds(2)

    var overdueLimit = Self.overdueLimit
    private var timeAsleep: Interval

    /// Begins with the time that the machine has slept so far.
    init(timeAsleep: Interval = .zero) { self.timeAsleep = timeAsleep }

    /// How long nothing ran, if that was remarkable.
    mutating func turnBegan(at now: Instant, timeAsleep: Interval, nextDeadline: Instant?) -> Interval? {
        let slept = timeAsleep - self.timeAsleep
        self.timeAsleep = timeAsleep
        let overdue = nextDeadline.map { now - $0 } ?? .zero
        guard slept >= Self.shortestSleep || overdue > overdueLimit else { return nil }
        return max(slept, overdue)
    }
}
