import Cryptography
import Driver
import EventLoop
import HTTP3
import Logging
import Primitives
import QUIC
import TLS
import Telemetry

/// What the main thread asks of a worker.
enum WorkerRequest: Sendable {
    /// Users or rules were read again.
    case policyChanged
    /// Take no more connections and tunnels.
    case drain
    /// Close all connections.
    case close
    /// Post a report to the main thread.
    case report(number: Int)
}

/// One thread's share of the gateway: its sockets, its clients' connections and their tunnels.
final class GatewayWorker: MailboxReceiver, ConnectionAcceptor {
    let loop: EventLoop
    let state: GatewayState
    let log: Logger
    let resolver: Resolver
    var limiter = FailureLimiter()
    var counters = Counters()
    private let setup: WorkerSetup
    private var driver: EndpointDriver?
    private var sessions: [ObjectIdentifier: GatewaySession] = [:]
    private var generator = KeyedGenerator.system()
    private let reports: Mailbox<WorkerReport>

    init(_ setup: WorkerSetup, sockets: [BoundDatagramSocket], index: Int, on loop: EventLoop) throws(SystemError) {
        self.loop = loop
        self.setup = setup
        state = setup.state
        log = setup.log
        reports = setup.reports
        resolver = try Resolver(on: loop)
        var server = ServerConfiguration(tls: setup.tls, tokenKey: setup.tokenKey)
        server.maximumConnections = WorkerSetup.maximumConnections
        server.alternativeIPv4 = setup.addresses.ipv4
        server.alternativeIPv6 = setup.addresses.ipv6
        let driver = try EndpointDriver(
            EndpointConfiguration(
                transport: setup.transport, server: server, resetKey: setup.resetKey,
                place: WorkerPlace(index: UInt8(index), of: UInt8(setup.workers))),
            on: loop, addressing: .datagram, acceptor: self)
        for socket in sockets { driver.addSocket(socket) }
        self.driver = driver
    }

    func accept(_ connection: DrivenConnection) -> any ConnectionApplication {
        counters.connectionsOpened += 1
        let session = GatewaySession(connection, worker: self)
        sessions[ObjectIdentifier(session)] = session
        return session
    }

    func sessionEnded(_ session: GatewaySession) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        counters.connectionsClosed += 1
    }

    func drawSeed() -> UInt64 { generator.next() }

    func keyLog(_ line: String) { setup.keyLog?.append(line) }

    func receive(_ request: WorkerRequest) {
        switch request {
        case .policyChanged: for session in sessions.values { session.usersChanged() }
        case .drain:
            driver?.acceptance = .closed
            for session in sessions.values { session.drain() }
        case .close:
            for driven in driver?.allConnections ?? [] {
                driven.connection.close(
                    errorCode: HTTP3ErrorCode.noError.rawValue, reason: "the gateway stops", at: loop.now)
                driven.needsService()
            }
        case .report(let number): reports.post(report(number))
        }
    }

    private func report(_ number: Int) -> WorkerReport {
        WorkerReport(
            number: number, counters: counters,
            clients: sessions.values.map { session in
                WorkerReport.Client(
                    user: session.user, paths: session.status, tunnels: session.tunnels)
            })
    }
}
