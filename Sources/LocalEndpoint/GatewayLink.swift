import Configuration
import Cryptography
import Driver
import EventLoop
import Logging
import Primitives
import QUIC
import TLS
import Tunnel

/// Keeps one connection to one gateway, whatever happens to it.
///
/// ```
///           start             failed
///    idle ─────────► dialling ───────► waiting ──► (dialling)
///     ▲                 └── handshake ──► ready ─── lost, or the gateway goes away ──► (waiting)
///     └── rest, when no tunnel needs it ───┘
/// ```
/// Tunnels that are asked for meanwhile wait for the connection, up to `openLimit`. Those that were up are held, and go on
/// with the next connection. A gateway that goes away keeps the tunnels that it has on its old connection until they end.
final class GatewayLink: TimerHandler {
    /// How long a tunnel waits for a connection; then the program is told that the gateway is unreachable.
    static let openLimit = Interval.seconds(15)
    /// Tunnels that wait at once; further ones fail. Bounds memory while the gateway is away.
    static let maximumWaiting = 8192
    /// How long a gateway that goes away is left alone: asked at once, the process that is about to end would answer.
    static let pauseAfterGoingAway = Interval.seconds(1)
    /// How long a connection that is not needed has to send its CONNECTION_CLOSE.
    static let closeLimit = Interval.milliseconds(50)

    enum State {
        case idle
        case dialling(GatewayDial)
        case ready(LinkSession)
        case waiting
        case stopped
    }

    private struct Waiting {
        var applicant: any TunnelApplicant
        var deadline: Instant
    }

    let loop: EventLoop
    let log: Logger
    private(set) var invite: Invite
    let resolver: Resolver
    /// What the connections know of this machine's links.
    let paths: PathContext
    /// The congestion control of the next connections.
    var congestion: CongestionAlgorithm
    unowned let owner: any GatewayLinkOwner
    private let keyLogFile: KeyLogFile?
    var state = State.idle

    /// A fresh connection beside one that does not answer.
    struct Race {
        var dial: GatewayDial
        var began: Instant
    }
    /// Only while a connection is there.
    var racing: Race?
    /// When the network said that nobody listens where the connection leads; nil when something was heard after that.
    var refused: Instant?
    /// Whether the gateway takes no further tunnels, as far as is known.
    var isDraining = false
    /// Connections that take no further tunnels and have some left.
    var leaving: [LinkSession] = []
    /// Connections that are over, until their sockets are closed.
    private var discarded: [LinkSession] = []
    /// Tunnels without a connection.
    let held: TunnelHold<TunnelNote>
    /// Room for the buffers of tunnels that a connection carries.
    let rings = LocalRingBudget(limit: GatewayLink.ringLimit)
    /// What people are told of them.
    var outage = Outage()
    var outageTimer: TimerHandle?
    private var backoff = Backoff()
    private var noDialBefore = Instant.origin
    private var generator = KeyedGenerator.system()
    /// Whether there is to be a connection also without tunnels.
    private(set) var isWanted = false
    private var waiting: [Waiting] = []
    /// What makes tunnels outlive the process; nil where nobody keeps them.
    var keeper: LoopKeeper?
    private var retryTimer: TimerHandle?
    private var waitTimer: TimerHandle?
    private var discardTimer: TimerHandle?
    /// Whether there was a connection, or one of the process before this one.
    var wasEverEstablished = false
    /// The same of a tunnel.
    var hasOpenedTunnel = false
    private var ticket: SessionTicket?
    private var token: [UInt8] = []
    private(set) var reconnects = 0
    private(set) var lastFailure: LinkFailure?
    /// What was last said of a gateway that cannot be reached: it is not said again until something else is so.
    private var toldFailure: LinkFailure?

    init(
        _ invite: Invite, _ configuration: LocalConfiguration, on loop: EventLoop, log: Logger,
        keyLog: KeyLogFile?, owner: any GatewayLinkOwner
    ) throws(SystemError) {
        self.invite = invite
        self.loop = loop
        self.log = log
        self.owner = owner
        keyLogFile = keyLog
        held = TunnelHold(Self.holdLimits, on: loop)
        resolver = try Resolver(on: loop)
        paths = PathContext(configuration.paths, on: loop, log: log)
        congestion = configuration.congestion
        retryTimer = loop.addTimer(self)
        waitTimer = loop.addTimer(self)
        discardTimer = loop.addTimer(self)
        outageTimer = loop.addTimer(self)
        self.paths.owner = self
        held.setOwner(self)
    }

    /// Connects, and does so again whenever the connection is lost.
    func start() {
        isWanted = true
        if case .idle = state { dial() }
    }

    /// Needs no connection any more but for the tunnels that there are.
    func rest() {
        isWanted = false
        restIfIdle()
    }

    private func restIfIdle() {
        guard !isNeeded else { return }
        switch state {
        case .dialling(let dial): dial.cancel()
        case .ready(let session): discard(session)
        case .waiting: break
        case .idle, .stopped: return
        }
        cancelRace()
        state = .idle
    }

    /// Whether there has to be a connection.
    private var isNeeded: Bool { isWanted || isUsed }

    /// Whether there are tunnels, or programs that wait for one.
    private var isUsed: Bool { held.count > 0 || !waiting.isEmpty || (session?.tunnelCount ?? 0) > 0 }

    /// Whether there is nothing here that anybody could miss.
    var isIdle: Bool {
        if case .idle = state { tunnelCount == 0 } else { false }
    }

    /// Gives back what a link takes that is used no more.
    func end() {
        for timer in [retryTimer, waitTimer, discardTimer, outageTimer] { if let timer { loop.removeTimer(timer) } }
        endDiscarded()
        held.close()
        paths.close()
    }

    /// Connects where tunnels need it.
    func connectIfNeeded() {
        if case .idle = state, isNeeded { dial() }
    }

    /// The same gateway with another token, from the next connection on.
    func replace(_ invite: Invite) { self.invite = invite }

    /// Tells the gateway that this is the end, and connects no more.
    func stop() {
        if case .dialling(let dial) = state { dial.cancel() }
        cancelRace()
        for session in sessions { session.close("the local endpoint stops") }
        state = .stopped
        for entry in waiting { entry.applicant.tunnelFailed(.connectionLost) }
        waiting = []
        abortHeld()
    }

    /// Resets every program that has a tunnel: the process ends now.
    func abort() {
        for session in sessions { session.abortTunnels() }
        held.close()
        paths.close()
    }

    /// The connection that new tunnels go to.
    var session: LinkSession? {
        if case .ready(let session) = state { session } else { nil }
    }

    /// Every connection with tunnels.
    var sessions: [LinkSession] { leaving + (session.map { [$0] } ?? []) }

    var tunnelCount: Int { sessions.reduce(held.count) { $0 + $1.tunnelCount } }

    // MARK: - Tunnels

    /// Opens a tunnel now, or when the connection is up.
    func open(_ applicant: any TunnelApplicant) {
        if let session, session.isAcceptingTunnels { return session.open(applicant) }
        guard waiting.count < Self.maximumWaiting else { return fail(applicant) }
        waiting.append(Waiting(applicant: applicant, deadline: loop.now + Self.openLimit))
        armWaitTimer()
        switch state {
        case .waiting: armRetry(.zero)
        case .idle: dial()
        case .dialling, .ready, .stopped: break
        }
    }

    /// Takes back what was asked for and has no answer, and of which nothing was sent: another gateway may do better.
    func takeApplicants() -> [any TunnelApplicant] {
        let taken = waiting.map(\.applicant) + (session?.takeApplicants() ?? [])
        waiting = []
        armWaitTimer()
        restIfIdle()
        return taken
    }

    /// A program that waits for a tunnel is gone.
    func withdraw(_ applicant: any TunnelApplicant) {
        waiting.removeAll { $0.applicant === applicant }
        for session in sessions { session.withdraw(applicant) }
    }

    /// Whether programs wait for the gateway, and not for so long yet that it hardly comes back in the next second.
    var isAwaited: Bool { isAwaitedHere || owner.isAwaited(self) }

    /// The same for programs that have asked for this gateway.
    var isAwaitedHere: Bool { !waiting.isEmpty || (outage.began != nil && loop.now - outage.lastHope < Outage.hope) }

    private func armWaitTimer() {
        if let waitTimer { loop.arm(waitTimer, at: waiting.first?.deadline) }
    }

    private func expireWaiting(at now: Instant) {
        let expired = waiting.prefix { $0.deadline <= now }
        waiting.removeFirst(expired.count)
        for entry in expired { fail(entry.applicant) }
        armWaitTimer()
    }

    private func fail(_ applicant: any TunnelApplicant) {
        tunnelFailed(to: applicant.destination, .connectionLost)
        applicant.tunnelFailed(.connectionLost)
    }

    func tunnelOpened(to destination: Destination) {
        hasOpenedTunnel = true
        log.debug("tunnel is up", metadata: ["destination": "\(destination)"])
    }

    func tunnelFailed(to destination: Destination, _ failure: TunnelFailure) {
        log.warning("\(failure.description(for: destination))")
        guard failure == .unauthorized else { return }
        let refusal = LinkFailure.notAuthenticated(
            "the gateway \(invite.gateway) does not accept the token; ask its owner for a new invite")
        lastFailure = refusal
        owner.linkRefused(self, refusal)
    }

    // MARK: - Reaching a gateway

    func dial() {
        let dial = GatewayDial(invite, link: self)
        state = .dialling(dial)
        dial.start(resolver)
    }

    func dial(_ dial: GatewayDial, connected session: LinkSession) {
        if dial === racing?.dial { raceWon(by: session) } else { connected(session) }
    }

    func connected(_ session: LinkSession) {
        guard !session.isResumptionOnly else { return goOnDraining(on: session) }
        isDraining = false
        state = .ready(session)
        refused = nil
        lastFailure = nil
        toldFailure = nil
        log.notice("connected", metadata: ["gateway": "\(session.attempt.address)"])
        let ready = waiting
        waiting = []
        armWaitTimer()
        resumeHeld(on: session)
        for entry in ready { session.open(entry.applicant) }
        if wasEverEstablished { reconnects += 1 }
        wasEverEstablished = true
        owner.link(self, connectedAfter: session.established.map { $0 - session.began } ?? .zero)
    }

    /// All addresses of the gateway failed: a pause.
    func dial(_ dial: GatewayDial, failed failure: LinkFailure) {
        guard dial !== racing?.dial else { return raceFailed(failure) }
        lastFailure = failure
        state = .waiting
        armRetry(nextPause())
        if wasEverEstablished, failure != toldFailure { log.warning("no gateway: \(failure.sentence)") }
        toldFailure = failure
        owner.link(self, failed: failure)
    }

    func nextPause() -> Interval {
        backoff.next(atMost: isAwaited ? Backoff.longestAwaited : Backoff.longest, using: &generator)
    }

    func retryAtOnce() { armRetry(.zero) }

    func armRetry(_ interval: Interval) {
        if let retryTimer { loop.arm(retryTimer, at: max(loop.now + interval, noDialBefore)) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        if timer == waitTimer { return expireWaiting(at: now) }
        if timer == discardTimer { return endDiscarded() }
        if timer == outageTimer { return tellOfOutage(at: now) }
        guard case .waiting = state else { return }
        state = .idle
        if isNeeded { dial() }
    }

    // MARK: - What becomes of connections

    /// What is trying to reach a gateway.
    private var dials: [GatewayDial] {
        let first: [GatewayDial] = if case .dialling(let dial) = state { [dial] } else { [] }
        return first + (racing.map { [$0.dial] } ?? [])
    }

    func established(_ session: LinkSession) {
        for dial in dials where dial.established(session) { return }
    }

    /// The gateway cannot be reached in this way: no need to wait for the end of the handshake's time.
    func unreachable(_ session: LinkSession, _ failure: LinkFailure) {
        for dial in dials { dial.failed(session, failure) }
    }

    func closed(_ session: LinkSession, _ end: ConnectionEnd) {
        discard(session)
        let wasLeaving = leaving.contains { $0 === session }
        leaving.removeAll { $0 === session }
        for dial in dials where dial.closed(session, end) { return }
        switch state {
        case .ready(let current) where current === session && end == .idleTimeout && !isUsed:
            state = .idle
            owner.linkFellAsleep(self)
        case .ready(let current) where current === session:
            log.warning("connection lost: \(end.sentence)", metadata: ["gateway": "\(session.attempt.address)"])
            lastFailure = LinkFailure(end, gateway: session.attempt)
            replace(session)
            owner.linkLost(self)
        // Its tunnels go on with another one.
        case .waiting where wasLeaving: retryAtOnce()
        case .idle, .dialling, .ready, .waiting, .stopped: break
        }
    }

    /// The gateway takes no further tunnels: a new connection does, while this one ends its own.
    func goingAway(_ session: LinkSession) {
        guard session === self.session else { return }
        log.notice("the gateway is going away", metadata: ["gateway": "\(session.attempt.address)"])
        isDraining = true
        cancelRace()
        leave(session)
        noDialBefore = loop.now + Self.pauseAfterGoingAway
        replace(session)
        owner.linkGoingAway(self)
    }

    /// A connection that takes no further tunnels ends with its last one.
    func leave(_ session: LinkSession) {
        if session.tunnelCount > 0 { leaving.append(session) } else { discard(session) }
    }

    func tunnelsEnded(on session: LinkSession) {
        guard leaving.contains(where: { $0 === session }) else { return restIfIdle() }
        leaving.removeAll { $0 === session }
        discard(session)
    }

    /// Lets go of every connection; another one is made where one is needed.
    func abandonSessions() {
        for session in leaving { discard(session) }
        leaving = []
        guard let session else { return }
        replace(session)
        discard(session)
    }

    private func replace(_ session: LinkSession) {
        if let racing {
            self.racing = nil
            state = .dialling(racing.dial)
            return
        }
        state = .waiting
        backoff.lost(after: session.established.map { loop.now - $0 } ?? .zero)
        armRetry(nextPause())
    }

    /// Lets go of a connection; its socket is closed once it had the time to say so.
    func discard(_ session: LinkSession) {
        guard !discarded.contains(where: { $0 === session }) else { return }
        discarded.append(session)
        session.close("this end uses another connection")
        if let discardTimer { loop.arm(discardTimer, at: loop.now + Self.closeLimit) }
    }

    private func endDiscarded() {
        for session in discarded { session.driver.shutDown() }
        discarded = []
    }

    // MARK: - Tickets, tokens, secrets, paths

    func drawSeed() -> UInt64 { generator.next() }

    var keyLogging: KeyLogging { keyLogFile == nil ? .disabled : .enabled }
    func keyLog(_ line: String) { keyLogFile?.append(line) }

    func keepTicket(_ bytes: [UInt8]) { ticket = SessionTicket(bytes: bytes) }

    // RFC 8446 §C.4: a ticket is used once, so that connections cannot be linked to one another.
    func takeTicket() -> SessionTicket? {
        defer { ticket = nil }
        return ticket
    }

    var hasTicket: Bool { ticket != nil }

    func keepToken(_ bytes: [UInt8]) { token = bytes }

    // RFC 9000 §8.1.3: a token is used once.
    func takeToken() -> [UInt8] {
        defer { token = [] }
        return token
    }

    func pathChanged(_ change: PathEvent) {
        // Every probe is answered; what counts is what changes.
        let isChange = if case .answered = change { false } else { true }
        log.log(level: isChange ? .info : .debug, "path: \(change.sentence)")
    }
}
