public import Primitives

/// The replicas behind one name: who gets the next connection, and whom to leave alone.
///
/// Connections go to the usable replica that has the fewest; where several have, to the one that stands first; and where none is
/// usable, to one that is not, because it may be there again before anybody knows. Tell it what becomes of them, call
/// `deadlineReached` at `nextDeadline`, and carry out every `nextAction` after each call.
public struct OriginGroup: Sendable {
    /// What the group's owner is to do.
    public enum Action: Hashable, Sendable {
        /// Check this replica as configured; answer `checkPassed` or `checkFailed`.
        case check(HostPort)
        /// The check took too long, and counts as failed: give it up.
        case cancelCheck(HostPort)
        /// The replica is dead: every connection to it has failed.
        case dead(HostPort)
        /// The replica gets connections again.
        case usable(HostPort)
    }

    /// Whether there is another usable replica.
    enum Others: Hashable, Sendable {
        case usable
        case none
    }

    /// What a replica is like at present, for the status.
    public struct Statistics: Hashable, Sendable {
        /// Its health.
        public enum Health: String, Hashable, Sendable {
            case usable
            case ejected
            case dead
        }

        /// Where it is.
        public var replica: HostPort
        /// Its health.
        public var health: Health
        /// Connections that it has.
        public var connections: Int
    }

    private struct Replica: Sendable {
        let address: HostPort
        var health = OriginHealth()
        /// Connections to it, those that are being opened included.
        var connections = 0
        var check: Check

        /// Who has the least gets the next connection.
        var rank: (Int, Int) {
            let hope =
                switch health.state {
                case .usable: 0
                case .ejected: 1
                case .dead: 2
                }
            return (hope, connections)
        }
    }

    private enum Check: Hashable, Sendable {
        case due(Instant)
        case running(until: Instant, next: Instant)

        var deadline: Instant {
            switch self {
            case .due(let instant), .running(let instant, _): instant
            }
        }
    }

    private let timings: OriginTimings
    private var replicas: [Replica]
    private var actions: [Action] = []

    /// Creates the group of a name's replicas, in order of preference. Their checks are spread over the first interval.
    public init(_ addresses: [HostPort], timings: OriginTimings = OriginTimings(), at now: Instant) {
        self.timings = timings
        var replicas: [Replica] = []
        for address in addresses where !replicas.contains(where: { $0.address == address }) {
            let delay = timings.checkInterval * Int64(replicas.count) / Int64(max(addresses.count, 1))
            replicas.append(Replica(address: address, check: .due(now + delay)))
        }
        self.replicas = replicas
    }

    /// Every replica, in order of preference.
    public var statistics: [Statistics] {
        replicas.map {
            let health: Statistics.Health =
                switch $0.health.state {
                case .usable: .usable
                case .ejected: .ejected
                case .dead: .dead
                }
            return Statistics(replica: $0.address, health: health, connections: $0.connections)
        }
    }

    /// What to do next; nil when everything is done.
    public mutating func nextAction() -> Action? { actions.isEmpty ? nil : actions.removeFirst() }
}

// MARK: - Connections

extension OriginGroup {
    /// The replica for a new connection, which counts from now on: a usable one, else one that is ejected, else one that is dead;
    /// nil when none is left.
    ///
    /// `tried` are those that have failed for the same tunnel.
    public mutating func choose(besides tried: Set<HostPort> = [], at now: Instant) -> HostPort? {
        passTime(now)
        let candidates = replicas.indices.filter { !tried.contains(replicas[$0].address) }
        guard let index = candidates.min(by: { replicas[$0].rank < replicas[$1].rank }) else { return nil }
        replicas[index].connections += 1
        return replicas[index].address
    }

    /// Whether there is a replica that is none of these.
    public func hasReplica(besides tried: Set<HostPort>) -> Bool {
        replicas.contains { !tried.contains($0.address) }
    }

    /// A connection that was chosen is up.
    public mutating func connectionWorked(_ address: HostPort, at now: Instant) {
        change(address, now) { health, _ in health.connectionWorked() }
    }

    /// A connection could not be opened, or broke before what it was for was done. It does not count any more.
    public mutating func connectionFailed(_ address: HostPort, at now: Instant) {
        connectionEnded(address)
        passTime(now)
        let hasOther = replicas.contains { $0.address != address && $0.health.isUsable }
        change(address, now) { health, timings in
            health.connectionFailed(at: now, timings, others: hasOther ? .usable : .none)
        }
    }

    /// A connection ended in order, or by the user's will. It does not count any more.
    public mutating func connectionEnded(_ address: HostPort) {
        guard let index = index(of: address) else { return }
        replicas[index].connections = max(0, replicas[index].connections - 1)
    }

    private func index(of address: HostPort) -> Int? { replicas.firstIndex { $0.address == address } }

    private mutating func change(
        _ address: HostPort, _ now: Instant, _ body: (inout OriginHealth, OriginTimings) -> Void
    ) {
        passTime(now)
        guard let index = index(of: address) else { return }
        let before = replicas[index].health.state
        body(&replicas[index].health, timings)
        report(index, before)
    }

    private mutating func passTime(_ now: Instant) {
        for index in replicas.indices {
            let before = replicas[index].health.state
            replicas[index].health.passTime(now)
            report(index, before)
        }
    }

    private mutating func report(_ index: Int, _ before: OriginHealth.State) {
        let state = replicas[index].health.state
        switch (before, state) {
        case (.dead, .dead), (.usable, .usable), (_, .ejected): break
        case (_, .dead): actions.append(.dead(replicas[index].address))
        case (_, .usable): actions.append(.usable(replicas[index].address))
        }
    }
}

// MARK: - Checks

extension OriginGroup {
    /// When `deadlineReached` is to be called: a check is due or takes too long, or a replica may be used again.
    public var nextDeadline: Instant? {
        replicas.map { replica in
            guard case .ejected(let until) = replica.health.state else { return replica.check.deadline }
            return min(until, replica.check.deadline)
        }.min()
    }

    /// Time has passed.
    public mutating func deadlineReached(at now: Instant) {
        passTime(now)
        for index in replicas.indices where replicas[index].check.deadline <= now {
            let address = replicas[index].address
            switch replicas[index].check {
            case .due:
                replicas[index].check = .running(until: now + timings.checkPatience, next: now + timings.checkInterval)
                actions.append(.check(address))
            case .running:
                actions.append(.cancelCheck(address))
                checkFailed(address, at: now)
            }
        }
    }

    /// The check of a replica came out well.
    public mutating func checkPassed(_ address: HostPort, at now: Instant) {
        guard endCheck(address, now) else { return }
        change(address, now) { health, timings in health.checkPassed(timings) }
    }

    /// The check of a replica failed.
    public mutating func checkFailed(_ address: HostPort, at now: Instant) {
        guard endCheck(address, now) else { return }
        change(address, now) { health, timings in health.checkFailed(timings) }
    }

    /// Whether a check was running: an answer that comes too late says nothing.
    private mutating func endCheck(_ address: HostPort, _ now: Instant) -> Bool {
        guard let index = index(of: address), case .running(_, let next) = replicas[index].check else { return false }
        replicas[index].check = .due(max(next, now))
        return true
    }
}
