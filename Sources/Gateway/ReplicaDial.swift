import Driver
import EventLoop
import Primitives
import Tunnel

/// What is called when a connection to a replica is there, or when there will be none.
protocol ReplicaDialHandler: AnyObject {
    /// The connection is there, and counts.
    func dial(_ dial: ReplicaDial, connected stream: ByteStream, to replica: HostPort)
    /// No replica could be reached.
    func dial(_ dial: ReplicaDial, failed failure: TunnelFailure, _ reason: String)
}

/// Opens a TCP connection to one of the replicas behind a name, to addresses that the rules allow only: when one does not
/// answer, the next is tried, and when no usable one is left, those that are not: they may be there again.
final class ReplicaDial: TCPDialHandler, TimerHandler {
    /// When to give up before the time is over.
    enum Persistence: Hashable {
        /// When every replica has been tried, and has said no: an application that has got nothing yet is told at once. Those that
        /// have said nothing are tried again.
        case untilRefused
        /// Not at all: an application in the middle of an answer would rather wait. These have failed it just now.
        case untilTimeout(failed: [HostPort])
    }

    /// How long everything may take.
    static let timeout = TCPDial.defaultTimeout
    /// How long one replica may take while others are left, or may be there again.
    static let patience = Interval.seconds(1)
    /// From the failure of all to the next attempt, twice as long with each that has failed the application just now.
    static let firstPause = Interval.milliseconds(50)
    static let longestPause = Interval.seconds(1)

    let destination: Destination
    private let groups: OriginGroups
    private let rules: AccessRules
    private let resolver: Resolver
    private let persistence: Persistence
    private let loop: EventLoop
    private let deadline: Instant
    private var handler: (any ReplicaDialHandler)?
    private var dial: TCPDial?
    private var replica: HostPort?
    /// Not to be tried before all others.
    private var tried: Set<HostPort> = []
    /// Not to be tried again at all.
    private var refused: Set<HostPort> = []
    private var failure: (TunnelFailure, String)?
    private var timer: TimerHandle?

    init(
        to destination: Destination, _ persistence: Persistence, groups: OriginGroups, rules: AccessRules,
        resolver: Resolver, on loop: EventLoop, handler: any ReplicaDialHandler
    ) {
        self.destination = destination
        self.persistence = persistence
        self.groups = groups
        self.rules = rules
        self.resolver = resolver
        self.handler = handler
        self.loop = loop
        deadline = loop.now + Self.timeout
        if case .untilTimeout(let failed) = persistence { tried = Set(failed) }
    }

    /// Begins; the handler may be called at once.
    func start() { tryNext() }

    /// Begins when the present call is over.
    func startSoon() { pause(until: loop.now) }

    private func pause(until end: Instant) {
        let timer = timer ?? loop.addTimer(self)
        self.timer = timer
        loop.arm(timer, at: end)
    }

    /// Gives it up; the handler hears nothing more.
    func cancel() {
        handler = nil
        dial?.cancel()
        dial = nil
        if let replica { groups.connectionEnded(replica, of: destination) }
        replica = nil
        removeTimer()
    }

    private func tryNext() {
        let left = deadline - loop.now
        guard left > .zero,
            let replica = groups.choose(destination, besides: tried, at: loop.now)
        else { return noneLeft() }
        self.replica = replica
        tried.insert(replica)
        dial = TCPDial(
            host: replica.host.description, port: replica.port, resolver: resolver,
            timeout: isLast(replica) ? left : min(left, Self.patience), handler: self)
    }

    /// Whether nothing is left to be done when a replica does not answer.
    private func isLast(_ replica: HostPort) -> Bool {
        persistence == .untilRefused && !groups.hasReplica(destination, besides: refused.union([replica]))
    }

    /// Every replica has failed once more.
    private func noneLeft() {
        guard loop.now < deadline else { return giveUp() }
        switch persistence {
        case .untilRefused:
            guard groups.hasReplica(destination, besides: refused) else { return giveUp() }
            tried = refused
            tryNext()
        case .untilTimeout(let failed):
            tried = []
            let pause = min(Self.firstPause * (1 << Int64(min(failed.count, 10))), Self.longestPause)
            self.pause(until: min(deadline, loop.now + pause))
        }
    }

    private func giveUp() {
        let handler = handler
        let (failure, reason) = failure ?? (.destinationUnavailable, "it has no replica any more")
        cancel()
        handler?.dial(self, failed: failure, reason)
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { tryNext() }

    private func removeTimer() {
        if let timer { loop.removeTimer(timer) }
        timer = nil
    }

    // MARK: - TCPDialHandler

    // The resolved address is what counts, as for every other destination.
    func dial(_ dial: TCPDial, admits addresses: [NetworkAddress]) -> [NetworkAddress] {
        addresses.filter { rules.verdict(on: destination, resolvedTo: $0.ip) == .allowed }
    }

    func dial(_ dial: TCPDial, connected stream: ByteStream) {
        guard let handler, let replica else { return stream.abort() }
        self.handler = nil
        self.replica = nil
        removeTimer()
        groups.connectionWorked(replica, of: destination, at: loop.now)
        handler.dial(self, connected: stream, to: replica)
    }

    func dial(_ dial: TCPDial, failed error: DialError) {
        guard let replica else { return }
        self.replica = nil
        // A replica that the rules forbid has done nothing wrong.
        if case .prohibited = error {
            groups.connectionEnded(replica, of: destination)
        } else {
            groups.connectionFailed(replica, of: destination, at: loop.now)
        }
        // Silence says nothing about the next attempt; that takes its time too.
        if case .timedOut = error {} else { refused.insert(replica) }
        failure = (TunnelFailure(error), "\(error)")
        tryNext()
    }
}
