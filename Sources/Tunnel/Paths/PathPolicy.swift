import DequeModule
public import Primitives
public import QUIC

/// Decides which path the connection to the gateway takes: it is told what happens to links and paths, and says what to do.
///
/// It knows no sockets and no clock. Inputs are facts (`linksChanged`, `observed`, …) and commands (`use`, …). After each of
/// them the owner drains, in this order:
///
/// 1. `nextAction()` until it returns nil, carrying out each at once (what a socket or the connection answers is an input),
/// 2. `nextDeadline`, to arm one timer.
///
/// An activation that the connection refuses is told by `sendFailed`. Three things make it leave a path: the system says that
/// the path is gone; nothing is heard (`PathHealth`); something better has proven itself.
public struct PathPolicy: Equatable {
    /// What the user wishes.
    public struct Configuration: Equatable, Sendable {
        /// Interfaces, best first.
        public var prefer: [InterfacePattern]
        /// Interfaces whose bytes cost money.
        public var metered: [InterfacePattern]
        /// Interfaces that are never used.
        public var ignore: [InterfacePattern]
        /// How long a better path has to prove itself before it is returned to.
        public var returnAfter: Interval
        /// Switches within a minute that nothing forces.
        public var switchesPerMinute: Int

        /// Creates a configuration; without arguments the defaults of `[paths]`.
        public init(
            prefer: [InterfacePattern] = ["eth*", "en*", "wl*", "*"], metered: [InterfacePattern] = ["ww*"],
            ignore: [InterfacePattern] = ["docker*", "veth*", "lo"], returnAfter: Interval = .seconds(3),
            switchesPerMinute: Int = 6
        ) {
            self.prefer = prefer
            self.metered = metered
            self.ignore = ignore
            self.returnAfter = returnAfter
            self.switchesPerMinute = switchesPerMinute
        }
    }

    /// Which path the connection is on.
    enum Course: Equatable {
        /// There is no connection, or it cannot migrate yet.
        case disconnected
        /// Its data leaves from this address.
        case on(NetworkAddress)
        /// The address of its path is gone, and nothing has taken its place yet.
        case stranded(PathCandidate, Handover.Reason)
    }

    let configuration: Configuration
    /// The last snapshot of the links.
    var links: [LinkAddress] = []
    /// Addresses that the user has ruled in or out against the configuration.
    var added: Set<IPAddress> = []
    var excluded: Set<IPAddress> = []
    /// The user's choice, until it fails.
    var pinned: IPAddress?
    /// Open tunnels.
    var tunnels = 0
    /// Where the gateway can be reached.
    var remotes: [NetworkAddress] = []

    var course = Course.disconnected
    /// Until when a better path needs no proof: that the connection began on this one may be chance. Nil once it was left.
    var choiceEnds: Instant?
    var candidates: [PathCandidate] = []
    /// Paths whose addresses are gone, to be removed from the connection once something is heard on another: until then it is
    /// not known what arrived from them, and what the gateway acknowledges on the next one need not be sent again.
    var departed: [NetworkAddress] = []
    /// Activations that were asked for and not confirmed yet.
    var awaitedActivations: [NetworkAddress] = []
    var health = PathHealth.healthy
    /// What the connection last said of its active path; nil right after a switch.
    var liveness: PathLiveness?
    var rhythm = ReceiptRhythm()
    var exchange = AnswerRhythm()
    /// What the active path still owes.
    var openChallenge: PathHealth.OpenChallenge?
    var steadiness = PathSteadiness()
    /// When something last arrived soon after something else.
    var lastTraffic: Instant?
    var returns = ReturnDamping()
    var keepAlive = KeepAliveSchedule()
    var log = HandoverLog()
    var actions: Deque<PathAction> = []
    /// When everything that follows from the time was last looked at.
    var lastProceeded = Instant.origin

    /// Creates the policy of one connection to a gateway after the other.
    public init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    // MARK: Outputs

    /// What to do next; nil when there is nothing at present.
    public mutating func nextAction() -> PathAction? { actions.popFirst() }

    /// When `deadlineReached` has something to do; nil when only an input can change anything.
    public private(set) var nextDeadline: Instant?

    /// Since when no path answers; nil when one does, or is thought to.
    public private(set) var outageSince: Instant?

    /// The last handovers, the newest at the end.
    public var handovers: [Handover] { log.handovers }

    /// Every input ends here. The outputs are stored: who asks for them in each turn need not copy the policy for it.
    private mutating func conclude() {
        nextDeadline = deadline
        outageSince = if case .outage(let outage) = health { outage.silentSince } else { nil }
    }

    private var deadline: Instant? {
        guard course != .disconnected else { return nil }
        // What nothing forces was looked at just now; what is blocked then waits for an input.
        let voluntary = (revalidationDeadline?.after(lastProceeded)).sooner(returnDeadline?.after(lastProceeded))
            .sooner(degradationDeadline?.after(lastProceeded))
        return healthDeadline.sooner(socketDeadline).sooner(voluntary)
    }

    // MARK: Inputs: the connection

    /// The handshake is confirmed: the connection can migrate from here on.
    ///
    /// - Parameters:
    ///   - local: where its socket is bound; an unspecified address for one that is bound to none.
    ///   - remote: the gateway's address.
    ///   - alternatives: its other addresses, so that links which have only the other family can be used.
    public mutating func connected(
        local: NetworkAddress, remote: NetworkAddress, alternatives: [NetworkAddress] = [], at now: Instant
    ) {
        if course != .disconnected { disconnected(at: now) }
        remotes = [remote] + alternatives
        let link = links.first { $0.address == local.ip }
        var candidate = PathCandidate(link: link, stage: .validated(local), rank: PathRank(link, configuration))
        candidate.lastAnswer = now
        candidates = [candidate]
        course = .on(local)
        choiceEnds = now + PathTimings.firstChoice
        health = .healthy
        liveness = nil
        rhythm = ReceiptRhythm()
        exchange = AnswerRhythm()
        openChallenge = nil
        steadiness = PathSteadiness()
        keepAlive.networkChanged(to: link?.interface)
        sayKeepAlive()
        adoptLinks(at: now)
        proceed(at: now)
    }

    /// The connection is over: its sockets are given back.
    public mutating func disconnected(at now: Instant) {
        for local in candidates.compactMap(\.local) { actions.append(.closeSocket(local)) }
        candidates = []
        departed = []
        awaitedActivations = []
        course = .disconnected
        health = .healthy
        pinned = nil
        if let handover = log.abandoned() { actions.append(.handedOver(handover)) }
        conclude()
    }

    /// How many tunnels are open: without any the connection may fall asleep.
    public mutating func demandChanged(tunnels: Int, at now: Instant) {
        let (before, after) = (self.tunnels, max(0, tunnels))
        self.tunnels = after
        if (before == 0) != (after == 0), course != .disconnected { sayKeepAlive() }
        proceed(at: now)
    }

    func sayingKeepAlive() -> PathAction { .keepAlive(tunnels > 0 ? .every(keepAlive.interval) : .off) }

    mutating func sayKeepAlive() { actions.append(sayingKeepAlive()) }

    /// Something happened to a path of the connection.
    public mutating func received(_ event: PathEvent, at now: Instant) {
        guard course != .disconnected else { return }
        switch event {
        case .added, .peerMoved, .removed: break
        case .validated(let path): answered(on: path.local, roundTrip: nil, at: now)
        case .answered(let path, let roundTrip): answered(on: path.local, roundTrip: roundTrip, at: now)
        case .failed(let path):
            if let index = index(of: path.local), activeIndex != index { candidates[index].unanswered() }
        case .activated(let path): activated(path.local, at: now)
        }
        proceed(at: now)
    }

    /// What the active path shows; once a turn.
    public mutating func observed(_ liveness: PathLiveness, at now: Instant) {
        guard case .on(let local) = course, liveness.local == local else { return }
        observe(liveness, at: now)
        proceed(at: now)
    }

    // MARK: Inputs: the machine

    /// Every address of every link, as it is now.
    public mutating func linksChanged(_ links: [LinkAddress], at now: Instant) {
        self.links = links
        guard course != .disconnected else { return }
        adoptLinks(at: now)
        proceed(at: now)
    }

    /// `openSocket` was carried out.
    public mutating func socketOpened(_ link: LinkAddress, as local: NetworkAddress, at now: Instant) {
        socketIsOpen(link, local, at: now)
        proceed(at: now)
    }

    /// `openSocket` was refused by the system.
    public mutating func socketFailed(_ link: LinkAddress, at now: Instant) {
        socketIsRefused(link, at: now)
        proceed(at: now)
    }

    /// The system refused to send from a local address: EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, ENODEV and their like; or the
    /// connection refused to activate it.
    public mutating func sendFailed(from local: NetworkAddress, at now: Instant) {
        writeFailed(from: local, at: now)
        proceed(at: now)
    }

    /// The machine slept for about so long: every path is suspect, and a fresh connection is tried beside the old one.
    public mutating func woke(after sleep: Interval, at now: Instant) {
        guard course != .disconnected else { return }
        suspectEverything(at: now)
        proceed(at: now)
    }

    /// The instant that `nextDeadline` named has come.
    public mutating func deadlineReached(at now: Instant) { proceed(at: now) }

    /// Everything that follows from the time.
    mutating func proceed(at now: Instant) {
        guard course != .disconnected else { return }
        retrySockets(at: now)
        judge(at: now)
        revalidate(at: now)
        considerReturn(at: now)
        considerLeaving(at: now)
        lastProceeded = now
        conclude()
    }

    // MARK: Parts

    func index(of local: NetworkAddress) -> Int? { candidates.firstIndex { $0.local == local } }

    /// The candidate that is the active path; nil when its address is gone.
    var activeIndex: Int? {
        guard case .on(let local) = course else { return nil }
        return index(of: local)
    }
}
