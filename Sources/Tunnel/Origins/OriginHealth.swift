public import Primitives

/// When a replica counts as failed, and when as well again.
public struct OriginTimings: Hashable, Sendable {
    /// From one check of a replica to the next.
    public var checkInterval = Interval.seconds(2)
    /// How long a check may take; then it has failed.
    public var checkPatience = Interval.seconds(1)
    /// Checks in a row that fail before a replica is dead.
    public var failedChecks = 2
    /// Checks in a row that pass before a replica that was left alone is used again.
    public var passedChecks = 2
    /// Connections in a row that fail before a replica is left alone for a while.
    public var failedConnections = 1
    /// For how long at first; twice as long each time that it fails directly after.
    public var firstEjection = Interval.seconds(1)
    /// For how long at most.
    public var longestEjection = Interval.seconds(60)

    /// The defaults.
    public init() {}
}

/// What is known of one replica.
///
///     event \ state       usable                        ejected                    dead
///     connection worked   forgets failures              usable                     –
///     connection failed   ejected, after some           –                          –
///     check passed        –                             usable, after some         usable, after some
///     check failed        dead, after some              dead, after some           –
///     time                –                             usable, on probation       –
struct OriginHealth: Hashable, Sendable {
    enum State: Hashable, Sendable {
        /// It gets connections.
        case usable
        /// Connections to it failed: until then it gets one only where no replica is usable.
        case ejected(until: Instant)
        /// Checks of it failed: until checks pass it gets one only where no other replica is left.
        case dead
    }

    private(set) var state = State.usable
    /// In a row, the latest ones.
    private var failedConnections = 0
    private var failedChecks = 0
    private var passedChecks = 0
    /// Ejections since a connection worked.
    private var ejections = 0

    var isUsable: Bool { state == .usable }

    /// An ejection that is over by now.
    mutating func passTime(_ now: Instant) {
        guard case .ejected(let until) = state, until <= now else { return }
        state = .usable
    }

    mutating func connectionWorked() {
        failedConnections = 0
        guard state != .dead else { return }
        ejections = 0
        state = .usable
    }

    /// The last usable replica is not left alone: a connection that may fail is better than none.
    mutating func connectionFailed(at now: Instant, _ timings: OriginTimings, others: OriginGroup.Others) {
        failedConnections += 1
        guard state == .usable, failedConnections >= timings.failedConnections, others == .usable else { return }
        let factor = Int64(1) << Int64(min(ejections, 20))
        ejections += 1
        passedChecks = 0
        state = .ejected(until: now + min(timings.firstEjection * factor, timings.longestEjection))
    }

    mutating func checkPassed(_ timings: OriginTimings) {
        failedChecks = 0
        passedChecks += 1
        guard state != .usable, passedChecks >= timings.passedChecks else { return }
        failedConnections = 0
        state = .usable
    }

    mutating func checkFailed(_ timings: OriginTimings) {
        passedChecks = 0
        failedChecks += 1
        guard failedChecks >= timings.failedChecks else { return }
        state = .dead
    }
}
