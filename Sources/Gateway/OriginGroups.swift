import Configuration
import Primitives
import Synchronization
import Tunnel

/// The replicas of every name that has some, for all workers together: who has the fewest connections and who failed does not
/// depend on which worker had to do with it, and each replica is checked once.
final class OriginGroups: Sendable {
    private struct Entry {
        let origin: GatewayConfiguration.Origin
        var group: OriginGroup
    }

    /// What is to be done for a name.
    struct Task {
        let origin: GatewayConfiguration.Origin
        let action: OriginGroup.Action
    }

    /// A replica as status shows it.
    struct Replica: Sendable {
        var name: HostPort
        var statistics: OriginGroup.Statistics
    }

    private let entries = Mutex<[HostPort: Entry]>([:])

    init() {}

    /// Takes over what is configured; names that are as they were keep what is known of them.
    func configure(_ origins: [GatewayConfiguration.Origin], at now: Instant) {
        entries.withLock { entries in
            var updated: [HostPort: Entry] = [:]
            for origin in origins {
                if let entry = entries[origin.name], entry.origin == origin {
                    updated[origin.name] = entry
                } else {
                    let group = OriginGroup(origin.replicas, timings: OriginTimings(origin), at: now)
                    updated[origin.name] = Entry(origin: origin, group: group)
                }
            }
            entries = updated
        }
    }

    /// What is configured for a name; nil when it has no replicas.
    func origin(_ name: Destination) -> GatewayConfiguration.Origin? { entries.withLock { $0[name]?.origin } }

    private func withGroup<Result>(_ name: Destination, _ body: (inout OriginGroup) -> Result?) -> Result? {
        entries.withLock { entries in
            guard var entry = entries[name] else { return nil }
            let result = body(&entry.group)
            entries[name] = entry
            return result
        }
    }

    // MARK: - Connections

    /// The replica for a new connection.
    func choose(_ name: Destination, besides tried: Set<HostPort>, at now: Instant) -> HostPort? {
        withGroup(name) { $0.choose(besides: tried, at: now) }
    }

    /// Whether a name has a replica that is none of these.
    func hasReplica(_ name: Destination, besides tried: Set<HostPort>) -> Bool {
        withGroup(name) { $0.hasReplica(besides: tried) } ?? false
    }

    func connectionWorked(_ replica: HostPort, of name: Destination, at now: Instant) {
        withGroup(name) { $0.connectionWorked(replica, at: now) }
    }

    func connectionFailed(_ replica: HostPort, of name: Destination, at now: Instant) {
        withGroup(name) { $0.connectionFailed(replica, at: now) }
    }

    func connectionEnded(_ replica: HostPort, of name: Destination) {
        withGroup(name) { $0.connectionEnded(replica) }
    }

    // MARK: - Checks

    /// When `deadlineReached` is to be called; nil when no name has replicas.
    var nextDeadline: Instant? { entries.withLock { $0.values.compactMap(\.group.nextDeadline).min() } }

    func deadlineReached(at now: Instant) {
        entries.withLock { entries in
            for name in Array(entries.keys) { entries[name]?.group.deadlineReached(at: now) }
        }
    }

    func checkPassed(_ replica: HostPort, of name: Destination, at now: Instant) {
        withGroup(name) { $0.checkPassed(replica, at: now) }
    }

    func checkFailed(_ replica: HostPort, of name: Destination, at now: Instant) {
        withGroup(name) { $0.checkFailed(replica, at: now) }
    }

    func nextTask() -> Task? {
        entries.withLock { entries in
            for name in Array(entries.keys) {
                guard let action = entries[name]?.group.nextAction(), let origin = entries[name]?.origin else {
                    continue
                }
                return Task(origin: origin, action: action)
            }
            return nil
        }
    }

    /// Every replica, by name and then in order of preference.
    var replicas: [Replica] {
        entries.withLock { entries in
            entries.values.sorted { $0.origin.name.description < $1.origin.name.description }
                .flatMap { entry in
                    entry.group.statistics.map { Replica(name: entry.origin.name, statistics: $0) }
                }
        }
    }
}

extension OriginTimings {
    init(_ origin: GatewayConfiguration.Origin) {
        self.init()
        checkInterval = origin.checkInterval
        checkPatience = origin.checkTimeout
    }
}
