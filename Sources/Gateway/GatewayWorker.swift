import Configuration
import Cryptography
import Driver
import EventLoop
import HTTP3
import Keeper
import Logging
import Primitives
import QUIC
import TLS
import Telemetry
import Tunnel

/// What the main thread asks of a worker.
enum WorkerRequest: Sendable {
    /// Take what clients send: all workers are there, with the tunnels that they have inherited.
    case serve
    /// Users or rules were read again.
    case policyChanged
    /// Take no more tunnels; clients that have lost their connection may come back for those that they have.
    case drain
    /// Close all connections.
    case close(GatewayEnd)
    /// Post a report to the main thread.
    case report(number: Int)
    /// Hand over a tunnel that a client of another worker wants to go on with.
    case claim(TunnelClaim)
    /// What another worker says to such a wish of this one.
    case handedOver(TunnelHandover)
    /// A user who has as many connections as allowed wants another one: those that are dead make room.
    case roomWanted(user: String)
    /// A replica of a name is dead.
    case originDied(HostPort, Destination)
}

/// How a gateway ends.
enum GatewayEnd: Hashable, Sendable {
    /// For good: its tunnels end with it.
    case stop
    /// Another process goes on with its tunnels.
    case restart
}

/// One thread's share of the gateway: its sockets, its clients' connections and their tunnels.
final class GatewayWorker: MailboxReceiver, ConnectionAcceptor {
    let loop: EventLoop
    let state: GatewayState
    let log: Logger
    let resolver: Resolver
    var limiter = FailureLimiter()
    /// How long a client may be silent that was asked whether it is there.
    var patience = LivenessQuestion.limit
    var counters = Counters()
    /// The worker's place among all.
    let index: Int
    /// Tunnels without a connection.
    let held: TunnelHold<GatewayNote>
    /// What makes tunnels outlive the process; nil where nobody keeps them.
    var keeper: LoopKeeper?
    var protection: TunnelProtection? { keeper?.protection }
    /// The connections that have the tunnels that can be resumed.
    var carriers: [ResumptionID: Carrier] = [:]
    /// Wishes for tunnels that other workers have.
    var claims: [UInt64: Carrier] = [:]
    var nextClaim: UInt64 = 0
    /// Tunnels to names that have replicas; there from the end of `init` to the end of the process.
    private var ownedOrigins: GatewayOrigins?
    private let setup: WorkerSetup
    private var driver: EndpointDriver?
    /// Whether no more tunnels are opened.
    private(set) var isDraining = false
    /// Sockets that nobody reads yet.
    private var sockets: [BoundDatagramSocket]
    private var sessions: [ObjectIdentifier: GatewaySession] = [:]
    private var generator = KeyedGenerator.system()
    private let reports: Mailbox<WorkerReport>
    let pages: ProgramPages

    init(
        _ setup: WorkerSetup, _ inheritance: WorkerInheritance, index: Int, on loop: EventLoop
    ) throws(SystemError) {
        self.loop = loop
        self.setup = setup
        self.index = index
        sockets = inheritance.sockets
        held = TunnelHold(Self.holdLimits(setup), on: loop)
        state = setup.state
        log = setup.log
        reports = setup.reports
        resolver = try Resolver(on: loop)
        pages = ProgramPages(on: loop)
        var server = ServerConfiguration(tls: setup.tls, tokenKey: setup.tokenKey)
        server.maximumConnections = WorkerSetup.maximumConnections
        server.alternativeIPv4 = setup.addresses.ipv4
        server.alternativeIPv6 = setup.addresses.ipv6
        let driver = try EndpointDriver(
            EndpointConfiguration(
                transport: setup.transport, server: server, resetKey: setup.resetKey,
                place: WorkerPlace(index: UInt8(index), of: UInt8(setup.workers))),
            on: loop, addressing: .datagram, acceptor: self)
        self.driver = driver
        held.setOwner(self)
        ownedOrigins = GatewayOrigins(state.origins, worker: self)
        if let access = setup.keeper { try keep(access, inheritance) }
        pages.wereUsed()
    }

    /// Each worker has its share of the memory that the configuration allows. That of a user is not divided: the tunnels of one client are
    /// with one worker.
    private static func holdLimits(_ setup: WorkerSetup) -> TunnelHold<GatewayNote>.Limits {
        let limits = setup.state.policy.limits
        return TunnelHold.Limits(
            count: WorkerSetup.maximumHeld, memory: limits.holdMemory / setup.workers,
            memoryPerHolder: limits.holdMemoryPerUser,
            ring: min(HeldTunnel.largestRing, Int(setup.state.policy.resumption.buffer.bytes)))
    }

    func accept(_ connection: DrivenConnection) -> any ConnectionApplication {
        counters.connectionsOpened += 1
        pages.wereUsed()
        let session = GatewaySession(connection, worker: self)
        sessions[ObjectIdentifier(session)] = session
        return session
    }

    func sessionEnded(_ session: GatewaySession) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        counters.connectionsClosed += 1
        pages.wereUsed()
    }

    var origins: GatewayOrigins {
        guard let ownedOrigins else { preconditionFailure("made in init") }
        return ownedOrigins
    }

    /// Has every worker take a request, this one at once.
    func tellAll(_ request: WorkerRequest) {
        for worker in 0..<setup.workers where worker != index { _ = state.directory.post(request, to: worker) }
        receive(request)
    }

    func drawSeed() -> UInt64 { generator.next() }
    func drawResumptionID() -> ResumptionID { ResumptionID(drawing: &generator) }

    func keyLog(_ line: String) { setup.keyLog?.append(line) }

    func receive(_ request: WorkerRequest) {
        switch request {
        case .serve:
            for socket in sockets { driver?.addSocket(socket) }
            sockets = []
        case .policyChanged:
            held.limits = Self.holdLimits(setup)
            origins.configure()
            for session in sessions.values { session.usersChanged() }
            endTunnelsOfRemovedUsers()
        case .drain:
            isDraining = true
            for session in sessions.values { session.drain() }
        case .close(.restart): letGo()
        case .close(.stop): close(.stop)
        case .report(let number): reports.post(report(number))
        case .claim(let claim): hand(over: claim)
        case .handedOver(let handover): take(over: handover)
        case .roomWanted(let user): for session in sessions.values where session.user == user { session.askForSign() }
        case .originDied(let replica, let name): origins.died(replica, of: name)
        }
    }

    func close(_ end: GatewayEnd) {
        let (code, reason): (HTTP3ErrorCode, String) =
            switch end {
            case .stop: (.noError, "the gateway stops")
            case .restart: (.tunnelResumptionRestart, "the gateway restarts")
            }
        // Left to the system, connections to origins would seem to end in order.
        if end == .stop { held.close() }
        // Whoever comes now would be left without a word.
        if end == .stop, isDraining { driver?.acceptance = .closed }
        for driven in driver?.allConnections ?? [] {
            driven.connection.close(errorCode: code.rawValue, reason: reason, at: loop.now)
            driven.needsService()
        }
    }

    /// Sends what is to be said, and lets go of the sockets.
    func fallSilent() {
        guard let driver else { return }
        driver.turnEnded(at: loop.now)
        for address in driver.localAddresses { driver.removeSocket(address) }
    }

    private func report(_ number: Int) -> WorkerReport {
        WorkerReport(
            number: number, counters: counters, held: held.count, heldMemory: held.memory,
            failovers: origins.reports,
            clients: sessions.values.map { session in
                WorkerReport.Client(
                    user: session.user, paths: session.status, tunnels: session.tunnels)
            })
    }
}
