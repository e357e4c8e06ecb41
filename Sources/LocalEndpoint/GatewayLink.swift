import Configuration
import Cryptography
import Driver
import EventLoop
import Logging
import Primitives
import QUIC
import TLS
import Tunnel

/// What hears of a gateway link's fate.
protocol GatewayLinkOwner: AnyObject {
    /// The first connection is up.
    func linkEstablished()
    /// No gateway of the list could be reached in the first round; the link goes on trying unless it is stopped.
    func linkFailedAtFirst(_ failure: LinkFailure)
    /// The gateway refused the token.
    func linkRefused(_ failure: LinkFailure)
}

/// Keeps one connection to a gateway, whatever happens to it.
///
/// ```
///            ┌── next gateway ──┐
///            ▼                  │ failed
///  ─► dialling ─────────────────┴── round is over ──► waiting ──► (dialling)
///            └── handshake ──► ready ─── lost, or the gateway goes away ──┘
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
    private(set) var invites: [Invite]
    let resolver: Resolver
    /// What the connections know of this machine's links.
    let paths: PathContext
    private unowned let owner: any GatewayLinkOwner
    private let keyLogFile: KeyLogFile?
    var state = State.idle

    /// A fresh connection beside one that does not answer.
    struct Race {
        var dial: GatewayDial
        var began: Instant
        /// Gateways whose turn it is if this one does not answer.
        var others: [Invite]
    }
    /// Only while a connection is there.
    var racing: Race?
    /// Connections that take no further tunnels and have some left.
    private(set) var leaving: [LinkSession] = []
    /// Connections that are over, until their sockets are closed.
    private var discarded: [LinkSession] = []
    /// Tunnels without a connection.
    let held: TunnelHold<TunnelNote>
    /// What people are told of them.
    var outage = Outage()
    var outageTimer: TimerHandle?
    private var backoff = Backoff()
    private var noDialBefore = Instant.origin
    private var generator = KeyedGenerator.system()
    /// The place in the list of the gateway whose turn it is.
    private var current = 0
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
    private var roundFailure: LinkFailure?
    private var tickets: [Invite: SessionTicket] = [:]
    private var tokens: [Invite: [UInt8]] = [:]
    private(set) var reconnects = 0
    private(set) var lastFailure: LinkFailure?
    /// What was last said of a gateway that cannot be reached: it is not said again until something else is so.
    private var toldFailure: LinkFailure?

    init(
        _ invites: [Invite], paths: LocalConfiguration.Paths = .init(), on loop: EventLoop, log: Logger,
        keyLog: KeyLogFile?, owner: any GatewayLinkOwner
    ) throws(SystemError) {
        self.invites = invites
        self.loop = loop
        self.log = log
        self.owner = owner
        keyLogFile = keyLog
        held = TunnelHold(Self.holdLimits, on: loop)
        resolver = try Resolver(on: loop)
        self.paths = PathContext(paths, on: loop, log: log)
        retryTimer = loop.addTimer(self)
        waitTimer = loop.addTimer(self)
        discardTimer = loop.addTimer(self)
        outageTimer = loop.addTimer(self)
        self.paths.owner = self
        held.setOwner(self)
    }

    /// Begins a round through the list of gateways.
    func start() {
        current = 0
        roundFailure = nil
        dial()
    }

    /// Other gateways, from the next connection on.
    func replaceGateways(_ invites: [Invite]) {
        guard invites != self.invites, !invites.isEmpty else { return }
        self.invites = invites
        current = min(current, invites.count - 1)
    }

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

    /// The gateways for a fresh connection: first the one that is connected to, then the others in their order.
    var gatewaysForRace: [Invite] {
        invites.filter { $0 == gateway } + invites.filter { $0 != gateway }
    }

    /// The gateway that is connected to or tried.
    var gateway: Invite { session?.attempt.invite ?? invites[current] }

    var tunnelCount: Int { sessions.reduce(held.count) { $0 + $1.tunnelCount } }

    // MARK: - Tunnels

    /// Opens a tunnel now, or when the connection is up.
    func open(_ applicant: any TunnelApplicant) {
        if let session, session.isAcceptingTunnels { return session.open(applicant) }
        guard waiting.count < Self.maximumWaiting else { return fail(applicant) }
        waiting.append(Waiting(applicant: applicant, deadline: loop.now + Self.openLimit))
        armWaitTimer()
        if case .waiting = state { armRetry(.zero) }
    }

    /// A program that waits for a tunnel is gone.
    func withdraw(_ applicant: any TunnelApplicant) {
        waiting.removeAll { $0.applicant === applicant }
        for session in sessions { session.withdraw(applicant) }
    }

    /// Whether programs wait for the gateway, and not for so long yet that it hardly comes back in the next second.
    var isAwaited: Bool { !waiting.isEmpty || (outage.began != nil && loop.now - outage.lastHope < Outage.hope) }

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

    /// Whether nobody can get any further: the only gateway never took the token.
    var isRefusedForGood: Bool { invites.count == 1 && !hasOpenedTunnel }

    func tunnelOpened(to destination: Destination) {
        hasOpenedTunnel = true
        log.debug("tunnel is up", metadata: ["destination": "\(destination)"])
    }

    func tunnelFailed(to destination: Destination, _ failure: TunnelFailure) {
        log.warning("\(failure.description(for: destination))")
        guard failure == .unauthorized else { return }
        let refusal = LinkFailure.notAuthenticated(
            "the gateway \(gateway.gateway) does not accept the token; ask its owner for a new invite")
        lastFailure = refusal
        owner.linkRefused(refusal)
    }

    // MARK: - Reaching a gateway

    private func dial() {
        let dial = GatewayDial(invites[current], link: self)
        state = .dialling(dial)
        dial.start(resolver)
    }

    func dial(_ dial: GatewayDial, connected session: LinkSession) {
        if dial === racing?.dial { raceWon(by: session) } else { connected(session) }
    }

    func connected(_ session: LinkSession) {
        state = .ready(session)
        current = invites.firstIndex(of: session.attempt.invite) ?? current
        roundFailure = nil
        lastFailure = nil
        toldFailure = nil
        log.notice("connected", metadata: ["gateway": "\(session.attempt.address)"])
        let ready = waiting
        waiting = []
        armWaitTimer()
        resumeHeld(on: session)
        for entry in ready { session.open(entry.applicant) }
        if wasEverEstablished {
            reconnects += 1
        } else {
            wasEverEstablished = true
            owner.linkEstablished()
        }
    }

    /// All addresses of a gateway failed: the next gateway's turn, or a pause.
    func dial(_ dial: GatewayDial, failed failure: LinkFailure) {
        guard dial !== racing?.dial else { return raceFailed(failure) }
        let failure = failure.orWorse(roundFailure)
        roundFailure = failure
        lastFailure = failure
        if current + 1 < invites.count {
            current += 1
            return self.dial()
        }
        state = .waiting
        armRetry(nextPause())
        guard wasEverEstablished else { return owner.linkFailedAtFirst(failure) }
        if failure != toldFailure { log.warning("no gateway: \(failure.sentence)") }
        toldFailure = failure
    }

    private func nextPause() -> Interval {
        backoff.next(atMost: isAwaited ? Backoff.longestAwaited : Backoff.longest, using: &generator)
    }

    func retryAtOnce() { armRetry(.zero) }

    private func armRetry(_ interval: Interval) {
        if let retryTimer { loop.arm(retryTimer, at: max(loop.now + interval, noDialBefore)) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        if timer == waitTimer { return expireWaiting(at: now) }
        if timer == discardTimer { return endDiscarded() }
        if timer == outageTimer { return tellOfOutage(at: now) }
        if case .waiting = state { start() }
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
        leaving.removeAll { $0 === session }
        for dial in dials where dial.closed(session, end) { return }
        switch state {
        case .ready(let current) where current === session:
            log.warning("connection lost: \(end.sentence)", metadata: ["gateway": "\(session.attempt.address)"])
            lastFailure = LinkFailure(end, gateway: session.attempt)
            replace(session)
        case .idle, .dialling, .ready, .waiting, .stopped: break
        }
    }

    /// The gateway takes no further tunnels: a new connection does, while this one ends its own.
    func goingAway(_ session: LinkSession) {
        guard session === self.session else { return }
        log.notice("the gateway is going away", metadata: ["gateway": "\(session.attempt.address)"])
        cancelRace()
        leave(session)
        noDialBefore = loop.now + Self.pauseAfterGoingAway
        replace(session)
    }

    /// A connection that takes no further tunnels ends with its last one.
    func leave(_ session: LinkSession) {
        if session.tunnelCount > 0 { leaving.append(session) } else { discard(session) }
    }

    func tunnelsEnded(on session: LinkSession) {
        guard leaving.contains(where: { $0 === session }) else { return }
        leaving.removeAll { $0 === session }
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

    func keepTicket(_ bytes: [UInt8], of attempt: GatewayAttempt) {
        tickets[attempt.invite] = SessionTicket(bytes: bytes)
    }

    // RFC 8446 §C.4: a ticket is used once, so that connections cannot be linked to one another.
    func takeTicket(of invite: Invite) -> SessionTicket? { tickets.removeValue(forKey: invite) }

    func keepToken(_ bytes: [UInt8], of attempt: GatewayAttempt) { tokens[attempt.invite] = bytes }

    // RFC 9000 §8.1.3: a token is used once.
    func takeToken(of invite: Invite) -> [UInt8] { tokens.removeValue(forKey: invite) ?? [] }

    func pathChanged(_ change: PathEvent) {
        // Every probe is answered; what counts is what changes.
        let isChange = if case .answered = change { false } else { true }
        log.log(level: isChange ? .info : .debug, "path: \(change.sentence)")
    }
}
