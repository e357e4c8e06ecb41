import Configuration
import Driver
import EventLoop
import Keeper
import Logging
import Primitives
import QUIC
import Tunnel

/// What hears of the fate of all links together.
protocol GatewayLinksOwner: AnyObject {
    /// The first connection is up.
    func linkEstablished()
    /// No gateway of the list could be reached; it goes on to be tried unless the links are stopped.
    func linkFailedAtFirst(_ failure: LinkFailure)
    /// A gateway refused the token.
    func linkRefused(_ failure: LinkFailure)
}

/// The links to all gateways of a local endpoint: carries out what the `GatewayGroup` decides.
///
/// A tunnel belongs to the gateway that opened it. Links of gateways that are configured no more live until their tunnels end.
final class GatewayLinks: TimerHandler {
    /// Failovers that are remembered for `status`; older ones are forgotten.
    static let failoversRemembered = 16

    /// A failover and when it was.
    struct Record {
        var failover: GatewayFailover
        /// Since 1970-01-01 00:00 UTC.
        var unixMilliseconds: Int64
    }

    let loop: EventLoop
    private let pages: ProgramPages
    let log: Logger
    /// By preference.
    private(set) var links: [GatewayLink] = []
    /// Those of gateways that are configured no more.
    private var retired: [GatewayLink] = []
    private(set) var group: GatewayGroup
    private unowned let owner: any GatewayLinksOwner
    private let keyLog: KeyLogFile?
    private var configuration: LocalConfiguration
    private var keeper: LoopKeeper?
    private var timer: TimerHandle?
    /// The link that new tunnels go to while it works.
    private var active: GatewayLink?
    /// Whether there was a connection, or one of the process before this one.
    private var wasEverEstablished = false
    /// Gateways that failed before any of them was reached.
    private var firstFailures: [HostPort: LinkFailure] = [:]
    private var isStopped = false
    private(set) var failovers: [Record] = []
    private(set) var failoverCount = 0
    /// Downloads that went on through another tunnel.
    private(set) var continuedCount = 0

    /// Links to the gateways of a configuration, of which there is at least one; nothing happens before `start`.
    init(
        _ configuration: LocalConfiguration, on loop: EventLoop, log: Logger, keyLog: KeyLogFile?,
        owner: any GatewayLinksOwner
    ) throws(SystemError) {
        self.loop = loop
        pages = ProgramPages(on: loop)
        self.log = log
        self.keyLog = keyLog
        self.owner = owner
        self.configuration = configuration
        group = GatewayGroup([], timings: GatewayTimings(configuration.failover), at: loop.now)
        timer = loop.addTimer(self)
        links = try configuration.gateways.distinct.map { invite throws(SystemError) in try makeLink(invite) }
        group = GatewayGroup(
            links.map(\.invite.gateway), timings: GatewayTimings(configuration.failover), at: loop.now)
    }

    private func makeLink(_ invite: Invite) throws(SystemError) -> GatewayLink {
        let link = try GatewayLink(invite, configuration, on: loop, log: log, keyLog: keyLog, owner: self)
        link.keeper = keeper
        link.wasEverEstablished = wasEverEstablished
        return link
    }

    func start() {
        group.begin(at: loop.now)
        follow()
        for link in links { link.connectIfNeeded() }
    }

    /// Other gateways, paths and times; what both configurations have stays as it is.
    func follow(_ configuration: LocalConfiguration) throws(SystemError) {
        self.configuration = configuration
        group.timings = GatewayTimings(configuration.failover)
        var old = links
        var next: [GatewayLink] = []
        for invite in configuration.gateways.distinct {
            if let place = old.firstIndex(where: { $0.invite.isSameGateway(as: invite) }) {
                let link = old.remove(at: place)
                link.replace(invite)
                next.append(link)
            } else {
                next.append(try makeLink(invite))
            }
        }
        guard !next.isEmpty else { return }
        links = next
        for link in links + old {
            link.paths.follow(configuration.paths)
            link.congestion = configuration.congestion
        }
        retired += old
        if let active, old.contains(where: { $0 === active }) { self.active = nil }
        group.replace(links.map(\.invite.gateway), at: loop.now)
        follow()
        for link in old { link.rest() }
        moveApplicants(from: old)
        endRetired()
    }

    /// What people ask about: the gateway that is used, else the first one.
    var current: GatewayLink {
        guard let link = active ?? links.first else { preconditionFailure("there is at least one gateway") }
        return link
    }

    private var all: [GatewayLink] { links + retired }

    var sessions: [LinkSession] { all.flatMap(\.sessions) }
    var tunnelCount: Int { all.reduce(0) { $0 + $1.tunnelCount } }
    var openingCount: Int { all.reduce(0) { $0 + $1.openingCount } }
    func tunnelCount(at name: HostPort) -> Int { link(to: name)?.tunnelCount ?? 0 }
    var heldCount: Int { all.reduce(0) { $0 + $1.held.count } }
    var heldMemory: Int { all.reduce(0) { $0 + $1.held.memory } }
    var lastFailure: LinkFailure? { current.lastFailure }
    /// Whether nobody can get any further: the only gateway never took the token.
    var isRefusedForGood: Bool { links.count == 1 && !current.hasOpenedTunnel }

    // MARK: - Tunnels

    /// Opens a tunnel now, or when there is a connection.
    func open(_ applicant: any TunnelApplicant) {
        if group.isAsleep {
            group.wanted(at: loop.now)
            follow()
        }
        choice.open(applicant)
    }

    /// A program that waits for a tunnel is gone.
    func withdraw(_ applicant: any TunnelApplicant) {
        for link in all { link.withdraw(applicant) }
    }

    /// Replaces the local socket toward the gateway that is used.
    func rebind() throws { try current.rebind() }

    /// Carries a command about its paths out.
    func perform(_ command: PathCommand) -> Result<String, PathRequestError> { current.perform(command) }

    /// The link for a new tunnel.
    private var choice: GatewayLink { group.choice.flatMap { link(to: $0) } ?? current }

    private func link(to name: HostPort) -> GatewayLink? { links.first { $0.invite.gateway == name } }

    /// What a gateway has not answered that does not answer at all goes to one that does.
    private func moveApplicants(from given: [GatewayLink]? = nil) {
        let target = choice
        guard group.isConnected(target.invite.gateway) else { return }
        for link in given ?? links where link !== target && !(given == nil && group.isConnected(link.invite.gateway)) {
            for applicant in link.takeApplicants() { target.open(applicant) }
        }
    }

    // MARK: - The end

    /// Tells the gateways that this is the end, and connects no more.
    func stop() {
        isStopped = true
        if let timer { loop.disarm(timer) }
        for link in all { link.stop() }
    }

    /// Resets every program that has a tunnel: the process ends now.
    func abort() {
        for link in all { link.abort() }
    }

    // MARK: - What the group decides

    private func follow() {
        guard !isStopped else { return }
        while let action = group.nextAction() { perform(action) }
        if links.count > 1 { moveApplicants() }
        if let timer { loop.arm(timer, at: group.nextDeadline) }
    }

    private func perform(_ action: GatewayGroup.Action) {
        switch action {
        case .seek(let name): seek(name)
        case .release(let name): link(to: name)?.rest()
        case .question(let name): link(to: name)?.question()
        case .use(let name): active = link(to: name)
        case .failover(let failover):
            tell(failover)
            if case .trouble(let trouble) = failover.cause, trouble.isAbsence { goOn(from: failover.from) }
        case .giveUp(let name, let trouble):
            guard let link = link(to: name) else { return }
            goOn(from: name)
            let count = link.giveUp()
            log.warning(
                "a gateway is given up",
                metadata: ["gateway": "\(name)", "why": "\(trouble.sentence)", "tunnels": "\(count)"])
        case .judged(let name, let ailment?):
            log.notice(
                "a gateway stands behind the others", metadata: ["gateway": "\(name)", "why": "\(ailment.sentence)"])
        case .judged(let name, nil):
            log.notice("a gateway has its place in the order again", metadata: ["gateway": "\(name)"])
        }
    }

    private func seek(_ name: HostPort) {
        guard let link = link(to: name) else { return }
        link.start()
        // One that was released has kept its connection for the tunnels there.
        guard let session = link.session, session.isAcceptingTunnels else { return }
        group.found(name, at: loop.now)
        if session.isSilent { group.fellSilent(name, since: session.lastContact, at: loop.now) }
    }

    /// What can go on through another gateway does.
    private func goOn(from name: HostPort?) {
        guard let link = name.flatMap({ link(to: $0) }), choice !== link else { return }
        for tunnel in link.takeContinuations() { open(tunnel) }
    }

    private func tell(_ failover: GatewayFailover) {
        failoverCount += 1
        if failovers.count == Self.failoversRemembered { failovers.removeFirst() }
        failovers.append(Record(failover: failover, unixMilliseconds: Clock.unixMilliseconds()))
        log.notice(
            "failover",
            metadata: [
                "from": "\(failover.from.map { "\($0)" } ?? "-")", "to": "\(failover.to)",
                "why": "\(failover.cause.sentence)",
                "gap": "\(failover.gap.map { "\($0.milliseconds) ms" } ?? "none")",
            ])
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        group.deadlineReached(at: now)
        follow()
    }

    private func endRetired() {
        for link in retired where link.isIdle { link.end() }
        retired.removeAll { $0.isIdle }
    }
}

// MARK: - What happens to links

extension GatewayLinks: GatewayLinkOwner {
    /// Tells the group what a link has told, unless its gateway is configured no more.
    private func tellGroup(of link: GatewayLink, _ body: (inout GatewayGroup, HostPort, Instant) -> Void) {
        guard links.contains(where: { $0 === link }) else { return endRetired() }
        body(&group, link.invite.gateway, loop.now)
        follow()
    }

    func link(_ link: GatewayLink, connectedAfter handshake: Interval) {
        pages.wereUsed()
        tellGroup(of: link) { $0.connected($1, after: handshake, at: $2) }
        guard !wasEverEstablished else { return }
        wasEverEstablished = true
        owner.linkEstablished()
    }

    func link(_ link: GatewayLink, failed failure: LinkFailure) {
        tellGroup(of: link) { $0.attemptFailed($1, failure.trouble, at: $2) }
        guard !wasEverEstablished else { return }
        firstFailures[link.invite.gateway] = failure
        let failures = links.compactMap { firstFailures[$0.invite.gateway] }
        guard failures.count == links.count, let first = failures.first else { return }
        firstFailures = [:]
        owner.linkFailedAtFirst(failures.dropFirst().reduce(first) { $1.orWorse($0) })
    }

    func linkLost(_ link: GatewayLink) {
        pages.wereUsed()
        tellGroup(of: link) { $0.connectionLost($1, at: $2) }
    }

    func linkFellAsleep(_ link: GatewayLink) {
        pages.wereUsed()
        tellGroup(of: link) { $0.fellAsleep($1, at: $2) }
    }

    func link(_ link: GatewayLink, silentSince since: Instant?) {
        tellGroup(of: link) { group, name, now in
            if let since { group.fellSilent(name, since: since, at: now) } else { group.heard(name, at: now) }
        }
    }

    func linkRefusalReported(_ link: GatewayLink) { tellGroup(of: link) { $0.refusalReported($1, at: $2) } }

    func linkGoingAway(_ link: GatewayLink) { tellGroup(of: link) { $0.draining($1, at: $2) } }

    func linkRefused(_ link: GatewayLink, _ failure: LinkFailure) {
        tellGroup(of: link) { $0.notAuthenticated($1, at: $2) }
        owner.linkRefused(failure)
    }

    func reopen(_ applicant: any TunnelApplicant) { open(applicant) }

    // With one gateway, too: it may have lost its tunnels, and answer again.
    func tunnelBegan(_ side: TunnelSide, sent: [UInt8]) {
        pages.wereUsed()
        _ = ApplicationPassage(side, sent: sent, owner: self, on: loop)
    }

    func isAwaited(_ link: GatewayLink) -> Bool {
        links.contains { $0 !== link && $0.isAwaitedHere && !group.isConnected($0.invite.gateway) }
    }
}

extension GatewayLinks: ApplicationPassageOwner {
    func passage(_ passage: ApplicationPassage, wentOnFrom offset: UInt64?, after gap: Interval) {
        continuedCount += 1
        log.notice(
            "a download goes on through another tunnel",
            metadata: ["offset": "\(offset.map { "\($0)" } ?? "-")", "gap": "\(gap.milliseconds) ms"])
    }

    func passage(_ passage: ApplicationPassage, gaveUp reason: String) {
        log.warning("a download was reset: \(reason)")
    }
}

// MARK: - Tunnels that outlive the process

extension GatewayLinks {
    /// Has tunnels outlive the process, and goes on with those of the process before this one.
    func keep(_ keeper: LoopKeeper) {
        self.keeper = keeper
        for link in links { link.keeper = keeper }
        let limit = TunnelRelay.Limits().maximumRing
        let lost = keeper.recover(.client, linger: { TunnelOwner($0.owner)?.linger ?? .zero }, limit: limit) {
            switch $0 {
            case .recovered(let recovered): adopt(recovered)
            case .lost(let tunnel, let reason):
                log.warning("the tunnel to \(tunnel.entry.destination) cannot go on and was reset: \(reason)")
            }
        }
        guard lost != nil else { return }
        // The process before has seen it work.
        wasEverEstablished = true
        for link in links { link.wasEverEstablished = true }
        log.notice("going on after the process before", metadata: ["tunnels": "\(heldCount)"])
    }

    private func adopt(_ recovered: TunnelProtection.Recovered) {
        guard !links.contains(where: { $0.adopt(recovered) }) else { return }
        let destination = GatewayLink.destination(of: recovered.tunnel)
        log.warning("the tunnel to \(destination) was reset: its gateway is configured no more")
        recovered.side?.abort()
        keeper?.protection.ended(recovered.tunnel.id)
    }

    /// Lets every tunnel go for the process that takes over: nothing is read or written any more.
    func letGo() {
        isStopped = true
        for link in all { link.letGo() }
        keeper?.handOver()
    }
}

extension Invite {
    /// Whether it leads to the same gateway, whoever's it is.
    func isSameGateway(as other: Invite) -> Bool { gateway == other.gateway && pins == other.pins }
}

extension [Invite] {
    /// Each gateway once.
    fileprivate var distinct: [Invite] {
        reduce(into: []) { list, invite in
            if !list.contains(where: { $0.gateway == invite.gateway }) { list.append(invite) }
        }
    }
}

extension GatewayTimings {
    init(_ failover: LocalConfiguration.Failover) {
        self.init()
        giveUpAfter = failover.giveUpAfter
        returnAfter = failover.returnAfter
        standby = failover.standby == .connected ? .connected : .ticket
    }
}
