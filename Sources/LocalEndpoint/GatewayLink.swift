import Configuration
import Cryptography
import Driver
import EventLoop
import HTTP3
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
///            ┌────────────── next address, next gateway ──────────────┐
///            ▼                                                        │
///  ─► resolving ──addresses──► connecting ──handshake──► ready        │ failed
///            ▲                     └──────────────────────┼───────────┘
///            └──────── waiting ◄─── round is over ────────┘ lost
/// ```
/// Tunnels that are asked for meanwhile wait for the connection, up to `openLimit`.
final class GatewayLink: ResolutionHandler, TimerHandler {
    /// How long a tunnel waits for a connection; then the program is told that the gateway is unreachable.
    static let openLimit = Interval.seconds(15)
    /// How long one address of a gateway has for its handshake before the next one is tried.
    static let handshakeLimit = Interval.seconds(4)
    /// How long a socket that was replaced still receives.
    static let oldSocketLifetime = Interval.seconds(3)

    enum State {
        case idle
        case resolving(Resolution)
        case connecting(LinkSession)
        /// An attempt failed; the next one begins with the next turn.
        case failed
        case ready(LinkSession)
        case waiting
        case stopped
    }

    struct Waiting {
        var applicant: any TunnelApplicant
        var deadline: Instant
    }

    let loop: EventLoop
    let log: Logger
    private let invites: [Invite]
    private let resolver: Resolver
    private unowned let owner: any GatewayLinkOwner
    private let keyLogFile: KeyLogFile?
    private var driver: EndpointDriver?
    private(set) var state = State.idle
    private var backoff = Backoff()
    private var generator = KeyedGenerator.system()
    /// Addresses of the gateway in turn that are still to be tried, and its place in the list.
    private var candidates: [NetworkAddress] = []
    private var current = 0
    private var waiting: [Waiting] = []
    private var retryTimer: TimerHandle?
    private var waitTimer: TimerHandle?
    private var wasEverEstablished = false
    private var roundFailure: LinkFailure?
    private var tickets: [Int: SessionTicket] = [:]
    private var tokens: [Int: [UInt8]] = [:]
    private(set) var reconnects = 0
    private(set) var lastFailure: LinkFailure?

    init(
        _ invites: [Invite], on loop: EventLoop, log: Logger, keyLog: KeyLogFile?, owner: any GatewayLinkOwner
    ) throws(SystemError) {
        self.invites = invites
        self.loop = loop
        self.log = log
        self.owner = owner
        keyLogFile = keyLog
        resolver = try Resolver(on: loop)
        retryTimer = loop.addTimer(self)
        waitTimer = loop.addTimer(self)
    }

    func start() {
        current = 0
        resolve()
    }

    func drawSeed() -> UInt64 { generator.next() }
    func keyLog(_ line: String) { keyLogFile?.append(line) }

    var session: LinkSession? {
        if case .ready(let session) = state { session } else { nil }
    }

    /// The gateway that is connected to or tried.
    var gateway: Invite { invites[current] }

    // MARK: - Tunnels

    /// Opens a tunnel now, or when the connection is up.
    func open(_ applicant: any TunnelApplicant) {
        if let session, session.isAcceptingTunnels { return session.open(applicant) }
        waiting.append(Waiting(applicant: applicant, deadline: loop.now + Self.openLimit))
        armWaitTimer()
        if case .waiting = state { reconnectAtOnce() }
    }

    /// A program that waits for a tunnel is gone.
    func withdraw(_ applicant: any TunnelApplicant) {
        waiting.removeAll { $0.applicant === applicant }
        session?.withdraw(applicant)
    }

    private func armWaitTimer() {
        if let waitTimer { loop.arm(waitTimer, at: waiting.map(\.deadline).min()) }
    }

    private func expireWaiting(at now: Instant) {
        let expired = waiting.filter { $0.deadline <= now }
        waiting.removeAll { $0.deadline <= now }
        for entry in expired {
            tunnelFailed(to: entry.applicant.destination, .connectionLost)
            entry.applicant.tunnelFailed(.connectionLost)
        }
        armWaitTimer()
    }

    func tunnelOpened(to destination: Destination) {
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

    private func resolve() {
        let host = invites[current].gateway.host.description
        state = .resolving(resolver.resolve(host, handler: self))
        candidates = []
        familiesAwaited = 2
    }

    private var familiesAwaited = 0
    private var resolutionFailure: ResolutionError?

    func resolution(
        _ resolution: Resolution, of family: IPAddress.Family, answered result: Result<[IPAddress], ResolutionError>
    ) {
        familiesAwaited -= 1
        switch result {
        case .success(let addresses):
            candidates += addresses.map { NetworkAddress($0, port: invites[current].gateway.port) }
        case .failure(let error): resolutionFailure = error
        }
        guard familiesAwaited == 0 else { return }
        // RFC 8305 §4: IPv6 first.
        candidates.sort { $0.ip.family == .ipv6 && $1.ip.family == .ipv4 }
        if candidates.isEmpty, let resolutionFailure { roundFailure = .unreachable("\(resolutionFailure)") }
        connectToNextAddress()
    }

    private func connectToNextAddress() {
        guard !candidates.isEmpty else { return gatewayFailed() }
        let attempt = GatewayAttempt(invite: invites[current], index: current, address: candidates.removeFirst())
        do {
            try connect(attempt)
        } catch let error as SystemError {
            fail(.unreachable("\(error)"))
        } catch let error as TLSError {
            fail(.notAuthenticated(error.reason))
        } catch {
            fail(.unreachable("\(error)"))
        }
    }

    private func connect(_ attempt: GatewayAttempt) throws {
        let driver = try makeDriver(for: attempt.address)
        let parameters = ClientParameters(
            remote: attempt.address, local: driver.localAddresses[0],
            serverName: attempt.invite.gateway.host.description,
            tls: try tlsContext(for: attempt.invite), ticket: tickets.removeValue(forKey: attempt.index),
            token: tokens.removeValue(forKey: attempt.index) ?? [])
        let driven = try driver.connect(parameters) { driven in
            let session = LinkSession(driven, attempt, link: self)
            state = .connecting(session)
            return session
        }
        log.debug("connecting", metadata: ["gateway": "\(attempt.address)"])
        driven.needsService()
        armRetry(Self.handshakeLimit)
    }

    /// One endpoint and one socket for each attempt: what an earlier one left behind cannot disturb it.
    private func makeDriver(for address: NetworkAddress) throws -> EndpointDriver {
        driver?.shutDown()
        var transport = TransportConfiguration()
        transport.handshakeTimeout = Self.handshakeLimit
        transport.keepAliveInterval = .seconds(15)
        transport.streams.peerBidirectionalStreams = 0
        let bound = try BoundDatagramSocket(NetworkAddress(.unspecified(address.ip.family), port: 0))
        let driver = try EndpointDriver(
            EndpointConfiguration(
                transport: transport, resetKey: StatelessResetKey(SecretBytes(systemRandomBytes(count: 32)))),
            on: loop, addressing: .socket)
        driver.addSocket(bound)
        self.driver = driver
        return driver
    }

    private func tlsContext(for invite: Invite) throws -> TLSContext {
        var options = TLSOptions(applicationProtocols: ["h3"])
        options.keyLogging = keyLogFile == nil ? .disabled : .enabled
        let trust: ServerTrust =
            invite.pins.isEmpty ? .systemStore : .pinned(publicKeyHashes: invite.pins.map(\.digest))
        return try TLSContext(client: TLSClientConfiguration(options: options, trust: trust))
    }

    // MARK: - What becomes of an attempt

    func established(_ session: LinkSession) {
        guard case .connecting(let expected) = state, expected === session else { return }
        state = .ready(session)
        if let retryTimer { loop.disarm(retryTimer) }
        backoff.succeeded()
        roundFailure = nil
        lastFailure = nil
        log.notice("connected", metadata: ["gateway": "\(session.attempt.address)"])
        let ready = waiting
        waiting = []
        armWaitTimer()
        for entry in ready { session.open(entry.applicant) }
        if wasEverEstablished {
            reconnects += 1
        } else {
            wasEverEstablished = true
            owner.linkEstablished()
        }
    }

    func closed(_ session: LinkSession, _ end: ConnectionEnd) {
        switch state {
        case .connecting(let current) where current === session:
            fail(LinkFailure(end, gateway: session.attempt))
        case .ready(let current) where current === session:
            log.warning("connection lost: \(end.sentence)", metadata: ["gateway": "\(session.attempt.address)"])
            lastFailure = LinkFailure(end, gateway: session.attempt)
            state = .waiting
            armRetry(backoff.next(using: &generator))
        case .idle, .resolving, .connecting, .failed, .ready, .waiting, .stopped: break
        }
    }

    /// The gateway takes no further tunnels: a new connection does, while this one ends its own.
    func goingAway(_ session: LinkSession) {
        log.notice("the gateway is going away", metadata: ["gateway": "\(session.attempt.address)"])
    }

    private func fail(_ failure: LinkFailure) {
        roundFailure = failure
        lastFailure = failure
        log.debug("attempt failed: \(failure.sentence)")
        state = .failed
        armRetry(.zero)
    }

    /// All addresses of a gateway failed: the next gateway's turn, or a pause.
    private func gatewayFailed() {
        if current + 1 < invites.count {
            current += 1
            return resolve()
        }
        current = 0
        let failure = roundFailure ?? .unreachable("\(invites[0].gateway) cannot be reached")
        log.warning("no gateway: \(failure.sentence)")
        state = .waiting
        armRetry(backoff.next(using: &generator))
        if !wasEverEstablished { owner.linkFailedAtFirst(failure) }
    }

    private func armRetry(_ interval: Interval) {
        if let retryTimer { loop.arm(retryTimer, at: loop.now + interval) }
    }

    private func reconnectAtOnce() { armRetry(.zero) }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        if timer == waitTimer { return expireWaiting(at: now) }
        switch state {
        case .waiting: start()
        case .failed: connectToNextAddress()
        case .connecting(let session):
            // The transport's own handshake timer says why; this one only makes sure.
            session.driven.connection.close(errorCode: 0, reason: "", at: now)
            session.driven.needsService()
        case .idle, .resolving, .ready, .stopped: break
        }
    }

    // MARK: - Tickets, tokens, paths

    func keepTicket(_ bytes: [UInt8], of attempt: GatewayAttempt) {
        tickets[attempt.index] = SessionTicket(bytes: bytes)
    }

    func keepToken(_ bytes: [UInt8], of attempt: GatewayAttempt) { tokens[attempt.index] = bytes }

    func pathChanged(_ change: PathEvent) { log.info("path: \(change.sentence)") }

    /// Replaces the local socket by a new one and moves the connection there.
    func rebind() throws {
        guard let session, let driver else { return }
        let connection = session.driven.connection
        let old = connection.activeLocalAddress
        let bound = try BoundDatagramSocket(NetworkAddress(.unspecified(old.ip.family), port: 0))
        driver.addSocket(bound)
        try connection.addLocalAddress(bound.localAddress, at: loop.now)
        try connection.activate(bound.localAddress, at: loop.now)
        try connection.removeLocalAddress(old, at: loop.now)
        driver.removeSocket(old)
        session.driven.needsService()
    }

    // MARK: - The end

    /// Tells the gateway that this is the end, and connects no more.
    func stop() {
        if let session {
            session.driven.connection.close(
                errorCode: HTTP3ErrorCode.noError.rawValue, reason: "the local endpoint stops", at: loop.now)
            session.driven.needsService()
        }
        state = .stopped
    }
}
