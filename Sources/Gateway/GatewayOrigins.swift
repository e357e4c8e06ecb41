import Configuration
import Driver
import EventLoop
import Logging
import Primitives
import Telemetry
import Tunnel

/// A failover as status shows it.
struct FailoverReport: Sendable {
    var name: Destination
    var failover: OriginFailover
    /// When, in seconds since 1970.
    var time: Int64
}

/// One worker's tunnels to names that have replicas: exchanges their origins. The first worker also has the replicas checked.
final class GatewayOrigins: TimerHandler {
    /// The latest failovers that are remembered for the status.
    static let mostReports = 32

    private struct Entry {
        let passage: OriginPassage
        /// The dial of another origin, while there is none.
        var dial: ReplicaDial?
    }

    private struct CheckedReplica: Hashable {
        let name: Destination
        let replica: HostPort
    }

    private unowned let worker: GatewayWorker
    private let groups: OriginGroups
    private var passages: [ObjectIdentifier: Entry] = [:]
    private var checks: [CheckedReplica: OriginCheck] = [:]
    private var timer: TimerHandle?
    private(set) var reports: [FailoverReport] = []

    init(_ groups: OriginGroups, worker: GatewayWorker) {
        self.groups = groups
        self.worker = worker
        configure()
    }

    /// Takes over what is configured.
    func configure() {
        groups.configure(worker.state.policy.origins, at: worker.loop.now)
        for check in checks.values { check.cancel() }
        checks = [:]
        arm()
    }

    /// A tunnel has a connection to a replica.
    func watch(_ side: TunnelSide, to destination: Destination, at replica: HostPort, name: ResumptionID?) {
        guard let origin = groups.origin(destination) else { return }
        add(
            OriginPassage(
                side, to: destination, at: replica, name: name, stallLimit: origin.stallLimit, owner: self,
                on: worker.loop))
    }

    /// A tunnel has come from another worker.
    func watch(_ side: TunnelSide, _ remains: OriginPassage.Remains) {
        add(OriginPassage(remains, side, owner: self, on: worker.loop))
    }

    private func add(_ passage: OriginPassage) { passages[ObjectIdentifier(passage)] = Entry(passage: passage) }

    /// A replica is dead: what still waits for it goes on elsewhere.
    func died(_ replica: HostPort, of name: Destination) {
        for entry in passages.values where entry.passage.destination == name && entry.passage.origin == replica {
            entry.passage.originDied()
        }
    }

    // MARK: - Checks

    private func arm() {
        guard worker.index == 0 else { return }
        let timer = timer ?? worker.loop.addTimer(self)
        self.timer = timer
        worker.loop.arm(timer, at: groups.nextDeadline)
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        groups.deadlineReached(at: now)
        carryOut()
    }

    private func carryOut() {
        while let task = groups.nextTask() { perform(task) }
        arm()
    }

    private func perform(_ task: OriginGroups.Task) {
        let name = task.origin.name
        switch task.action {
        case .check(let replica):
            checks[CheckedReplica(name: name, replica: replica)] = OriginCheck(
                of: replica, for: task.origin, resolver: worker.resolver
            ) { [weak self] in self?.checked(replica, of: name, $0) }
        case .cancelCheck(let replica):
            checks.removeValue(forKey: CheckedReplica(name: name, replica: replica))?.cancel()
        case .dead(let replica):
            worker.log.warning("a replica is dead", metadata: ["name": "\(name)", "replica": "\(replica)"])
            worker.tellAll(.originDied(replica, name))
        case .usable(let replica):
            worker.log.notice("a replica is used again", metadata: ["name": "\(name)", "replica": "\(replica)"])
        }
    }

    private func checked(_ replica: HostPort, of name: Destination, _ outcome: OriginCheck.Outcome) {
        checks[CheckedReplica(name: name, replica: replica)] = nil
        switch outcome {
        case .passed: groups.checkPassed(replica, of: name, at: worker.loop.now)
        case .failed: groups.checkFailed(replica, of: name, at: worker.loop.now)
        }
        carryOut()
    }
}

// MARK: - Failovers

extension GatewayOrigins: OriginPassageOwner {
    func passageNeedsOrigin(_ passage: OriginPassage) {
        // The kernel's counters of the next connection say nothing about this tunnel: it ends with the process from now on.
        if let name = passage.name { worker.protection?.ended(name) }
        let dial = ReplicaDial(
            to: passage.destination, .untilTimeout(failed: passage.failedOrigins), groups: groups,
            rules: worker.state.policy.rules, resolver: worker.resolver, on: worker.loop, handler: self)
        passages[ObjectIdentifier(passage)]?.dial = dial
        dial.startSoon()
    }

    func passage(_ passage: OriginPassage, left origin: HostPort, _ ending: OriginPassage.Ending) {
        switch ending {
        case .ended: groups.connectionEnded(origin, of: passage.destination)
        case .failed: groups.connectionFailed(origin, of: passage.destination, at: worker.loop.now)
        }
    }

    func passage(_ passage: OriginPassage, wentOn failover: OriginFailover) {
        worker.counters.failovers += 1
        reports.append(FailoverReport(name: passage.destination, failover: failover, time: Clock.unixTime()))
        if reports.count > Self.mostReports { reports.removeFirst() }
        worker.log.notice(
            "a download goes on with another replica",
            metadata: [
                "name": "\(passage.destination)", "from": "\(failover.from)", "to": "\(failover.to)",
                "cause": "\(failover.cause.text)", "offset": "\(failover.offset.map { "\($0)" } ?? "-")",
                "gap_ms": "\(failover.gap.milliseconds)",
            ])
    }

    func passage(_ passage: OriginPassage, gaveUp reason: String) {
        worker.counters.failoversFailed += 1
        worker.log.warning(
            "a tunnel whose replica failed was reset",
            metadata: ["name": "\(passage.destination)", "replica": "\(passage.origin)", "reason": "\(reason)"])
    }

    func passageClosed(_ passage: OriginPassage) {
        passages.removeValue(forKey: ObjectIdentifier(passage))?.dial?.cancel()
    }
}

extension GatewayOrigins: ReplicaDialHandler {
    private func passage(of dial: ReplicaDial) -> OriginPassage? {
        guard let (id, entry) = passages.first(where: { $0.value.dial === dial }) else { return nil }
        passages[id]?.dial = nil
        return entry.passage
    }

    func dial(_ dial: ReplicaDial, connected stream: ByteStream, to replica: HostPort) {
        guard let passage = passage(of: dial) else {
            groups.connectionEnded(replica, of: dial.destination)
            return stream.abort()
        }
        passage.goOn(with: stream, at: replica)
    }

    func dial(_ dial: ReplicaDial, failed failure: TunnelFailure, _ reason: String) {
        passage(of: dial)?.giveUp("no other replica could be reached: \(reason)")
    }
}

extension OriginFailure {
    /// For the log and the status.
    var text: String {
        switch self {
        case .ended: "ended"
        case .reset: "reset"
        case .stalled: "stalled"
        case .declaredDead: "declared dead"
        }
    }
}
