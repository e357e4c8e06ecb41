import Configuration
import Cryptography
import Driver
import EventLoop
import Glibc
import Keeper
import Logging
import Primitives
import QUIC
import TLS
import Telemetry

/// A gateway that serves: the main thread's part of it.
final class RunningGateway: SignalHandler, TimerHandler, ControlResponder, MailboxReceiver, KeeperLinkHandler {
    private enum Stage {
        case serving
        /// Told to stop: tunnels may end by themselves.
        case draining
        /// Connections were closed; the loop ends with the timer.
        case closing
        /// The same, and another process goes on with the tunnels.
        case lettingGo
    }

    private var options: GatewayOptions
    private let log: Logger
    private let loop: EventLoop
    private let state: GatewayState
    private var workers: [WorkerHandle<WorkerRequest>] = []
    private var stage = Stage.serving
    private var signals: SignalEvents?
    private var control: ControlServer?
    private var metrics: MetricsServer?
    private var reportEvents: MailboxEvents<WorkerReport>?
    private var stopTimer: TimerHandle?
    private var watchTimer: TimerHandle?
    private var usersFile: WatchedFile
    private var drainDeadline = Instant.origin
    private var hasToldOfDrain = false
    private var drainLimit = GatewayProcess.drainLimit
    private var collecting: [Int: StatusCollection] = [:]
    private var nextCollection = 0
    private(set) var listen: [NetworkAddress] = []

    /// The workers' reports, as they come in.
    fileprivate struct StatusCollection {
        /// What the reports are for.
        enum Purpose {
            case text(ControlRequest)
            case json(ControlRequest)
            case metrics(MetricsRequest)
            /// To see whether tunnels are left while draining.
            case drain
        }

        var purpose: Purpose
        var reports: [WorkerReport] = []
    }

    private let keeper: KeeperLink?

    /// Serves; what a process before this one has left comes from `keeper`.
    init(_ options: GatewayOptions, keeper: KeeperLink? = nil, log: Logger, on loop: EventLoop) throws {
        self.options = options
        self.keeper = keeper
        self.log = log
        self.loop = loop
        let configuration = options.configuration
        let material = try GatewayMaterial(configuration, ownAddresses: Self.ownAddresses())
        for warning in material.warnings(at: Clock.unixTime()) { log.warning("\(warning)") }
        usersFile = WatchedFile(configuration.users)
        state = GatewayState(GatewayState.Policy(material, configuration))
        let reports = try Mailbox<WorkerReport>()
        var setup = try Self.setup(configuration, material, state: state, log: log, reports: reports)
        setup.keeper = keeper?.access
        stopTimer = loop.addTimer(self)
        watchTimer = loop.addTimer(self)
        _ = usersFile.hasChanged()
        watchUsers()
        reportEvents = MailboxEvents(reports, on: loop, receiver: self)
        try startWorkers(setup, configuration)
        signals = try SignalEvents([.terminate, .interrupt, .hangUp, .user2], on: loop, handler: self)
        do {
            control = try ControlServer(path: configuration.control, on: loop, responder: self)
        } catch {
            // Without it the gateway works; only `status` does not.
            log.warning("no control socket: \(error)")
        }
        do {
            metrics = try configuration.metrics.map { (address) throws(SystemError) in
                try MetricsServer(address, on: loop, source: self)
            }
        } catch {
            // The same goes for these.
            log.warning("no metrics: \(error)")
        }
        try keeper?.watch(on: loop, handler: self)
        try keeper?.serving()
        if let warning = AEADSelection.current.warning { log.warning("\(warning)") }
        let addresses = listen.map { "\($0)" }.joined(separator: ", ")
        log.notice("gateway is ready", metadata: ["listen": "\(addresses)", "workers": "\(workers.count)"])
    }

    /// The machine's own addresses: users reach them only where private ones are open.
    private static func ownAddresses() -> Set<IPAddress> {
        let interfaces = (try? NetworkInterface.all()) ?? []
        return Set(interfaces.map(\.address.ip))
    }

    private static func setup(
        _ configuration: GatewayConfiguration, _ material: GatewayMaterial, state: GatewayState, log: Logger,
        reports: Mailbox<WorkerReport>
    ) throws -> WorkerSetup {
        var secrets = GatewaySecrets(privateKeyPEM: Array(try ConfigurationFile.read(configuration.key).utf8))
        if let keys = material.keys { secrets.ticketSecret = keys.ticketSecret }
        let keyLogPath = Surroundings.process(variables: ["SSLKEYLOGFILE"]).variables["SSLKEYLOGFILE"]
        var tlsOptions = TLSOptions(applicationProtocols: ["h3"])
        tlsOptions.keyLogging = keyLogPath == nil ? .disabled : .enabled
        var server = TLSServerConfiguration(options: tlsOptions, identity: material.identity)
        server.ticketSecret = secrets.ticketSecret
        let cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        return WorkerSetup(
            state: state, tls: try TLSContext(server: server), tokenKey: secrets.tokenKey, resetKey: secrets.resetKey,
            workers: min(configuration.workers ?? cores, 255), congestion: configuration.congestion, log: log,
            keyLog: keyLogPath.flatMap(KeyLogFile.init(path:)), reports: reports)
    }

    private func startWorkers(_ setup: WorkerSetup, _ configuration: GatewayConfiguration) throws {
        // From here on nobody else uses what was inherited.
        var inheritance = try keeper?.takeOver()
        var groups = inheritance?.takeSockets(of: configuration.listen, workers: setup.workers)
        if groups == nil {
            groups = try configuration.listen.map { try BoundDatagramSocket.group($0, count: setup.workers) }
        }
        let sockets = groups ?? []
        listen = sockets.map { $0[0].localAddress }
        var setup = setup
        setup.addresses = GatewayAddresses(
            configured: configuration.addresses, listen: listen,
            own: ((try? NetworkInterface.all()) ?? []).filter(\.isUp).map(\.address.ip))
        let final = setup
        for index in 0..<setup.workers {
            var own = WorkerInheritance(sockets: sockets.map { $0[index] })
            if let inherited = inheritance?.takeLoop(index) { own.loop = inherited }
            let ready = own
            workers.append(
                try Worker.start(named: "gateway-\(index)", receiving: WorkerRequest.self) {
                    (loop) throws(SystemError) in
                    try GatewayWorker(final, ready, index: index, on: loop)
                })
        }
        state.directory.publish(workers)
        tellWorkers(.serve)
        guard let keeper, var rest = inheritance, !rest.isEmpty else { return }
        // What this process has no use for: another configuration has other sockets.
        let client = try KeeperClient(keeper.access, on: loop, inherited: rest.keys)
        rest.closeRest(client)
        client.flush(atMost: LoopKeeper.patience)
        client.close()
    }

    func shutDown() {
        control?.close()
        metrics?.close()
        signals?.cancel()
        for worker in workers { worker.stop() }
        for worker in workers { worker.join() }
        reportEvents?.cancel()
        // Nobody here uses anything any more.
        if stage == .lettingGo { try? keeper?.released() }
    }

    private func tellWorkers(_ request: WorkerRequest) {
        for worker in workers where worker.post(request) != .posted {
            log.error("a worker does not take messages any more")
        }
    }

    // MARK: - Signals

    func signalReceived(_ signal: ProcessSignal) {
        switch signal {
        case .hangUp: reload()
        case .terminate, .interrupt: stop()
        // Its keeper takes the signal where there is one.
        case .user2: log.warning("this process works alone: nobody could take over from it")
        case .user1: break
        }
    }

    /// Users, rules and limits are read again; what is wrong leaves everything as it was.
    private func reload() {
        do throws(ConfigurationError) {
            let configuration = try GatewayConfiguration.load(
                options.configuration.source, surroundings: options.surroundings)
            let material = try GatewayMaterial(configuration, ownAddresses: Self.ownAddresses())
            state.replace(GatewayState.Policy(material, configuration))
            options.configuration = configuration
            tellWorkers(.policyChanged)
            log.notice("configuration was read again")
        } catch {
            log.error("configuration was not changed: \(error)")
        }
    }

    private func stop() {
        switch stage {
        case .serving:
            log.notice("stopping")
            drain(within: GatewayProcess.drainLimit)
        // One that was told to drain has more time than one that is to stop.
        case .draining where drainDeadline > loop.now + GatewayProcess.drainLimit:
            log.notice("stopping")
            drainDeadline = loop.now + GatewayProcess.drainLimit
        // Without a word clients would wait for their idle timeout.
        case .draining: closeConnections()
        case .closing, .lettingGo: loop.stop()
        }
    }

    /// Takes no more tunnels, and ends when the last one has ended or the time is over.
    private func drain(within limit: Interval) {
        stage = .draining
        drainLimit = limit
        drainDeadline = loop.now + limit
        tellWorkers(.drain)
        collect(for: .drain)
    }

    // MARK: - Another process takes over

    func letGo() {
        guard stage == .serving || stage == .draining else { return }
        stage = .lettingGo
        log.notice("another process takes over")
        control?.close()
        control = nil
        metrics?.close()
        metrics = nil
        tellWorkers(.close(.restart))
        arm(GatewayProcess.releaseTime)
    }

    private func arm(_ interval: Interval) {
        if let stopTimer { loop.arm(stopTimer, at: loop.now + interval) }
    }

    /// `godwit user` changes the file; who was added comes in, who was removed is out, within a second.
    private func watchUsers() {
        if let watchTimer { loop.arm(watchTimer, at: loop.now + GatewayProcess.usersPoll) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        if timer == watchTimer {
            if usersFile.hasChanged() { reload() }
            return watchUsers()
        }
        switch stage {
        case .serving: break
        case .draining: now >= drainDeadline ? closeConnections() : collect(for: .drain)
        case .closing, .lettingGo: loop.stop()
        }
    }

    private func closeConnections() {
        stage = .closing
        tellWorkers(.close(.stop))
        arm(GatewayProcess.closeLimit)
    }

    // MARK: - Control socket

    func command(_ line: String, on request: ControlRequest) {
        switch line {
        case "status": collect(for: .text(request))
        case "status json": collect(for: .json(request))
        case "replace": request.reply(replace())
        default:
            guard let limit = GatewayProcess.drainLimit(in: line) else {
                return request.reply(
                    "error: unknown command; this gateway knows status, status json, replace and drain MILLISECONDS\n")
            }
            request.reply(drainAsked(within: limit))
        }
    }

    private func drainAsked(within limit: Interval) -> String {
        switch stage {
        case .serving:
            log.notice("draining", metadata: ["deadline": "\(limit.milliseconds / 1000) s"])
            drain(within: limit)
        case .draining: drainDeadline = loop.now + limit
        case .closing, .lettingGo: return "error: this process is at its end\n"
        }
        return "ok\n"
    }

    /// Has the keeper start the program that stands on the disk now.
    private func replace() -> String {
        guard keeper != nil else { return "error: this gateway works alone: nobody could take over from it\n" }
        kill(getppid(), SIGUSR2)
        return "ok\n"
    }

    fileprivate func collect(for purpose: StatusCollection.Purpose) {
        collecting[nextCollection] = StatusCollection(purpose: purpose)
        tellWorkers(.report(number: nextCollection))
        nextCollection += 1
    }

    func receive(_ report: WorkerReport) {
        guard var collection = collecting[report.number] else { return }
        collection.reports.append(report)
        collecting[report.number] = collection
        guard collection.reports.count == workers.count else { return }
        collecting[report.number] = nil
        let status = GatewayStatus(
            listen: listen.map { "\($0)" }, reports: collection.reports,
            draining: stage == .draining ? drainDeadline - loop.now : nil, replicas: state.origins.replicas)
        switch collection.purpose {
        case .text(let request): request.reply(status.text)
        case .json(let request): request.reply(status.json.text + "\n")
        case .metrics(let request): request.reply(status.metrics)
        case .drain: drained(status)
        }
    }

    private func drained(_ status: GatewayStatus) {
        guard stage == .draining else { return }
        // Clients may come back for what is held.
        let count = status.tunnelCount + status.heldTunnels
        if count == 0 { return closeConnections() }
        if !hasToldOfDrain {
            hasToldOfDrain = true
            let seconds = drainLimit.milliseconds / 1000
            log.notice("\(count) tunnels have \(seconds) s to end")
        }
        arm(GatewayProcess.drainPoll)
    }
}

extension RunningGateway: MetricsSource {
    func metricsWanted(by request: MetricsRequest) { collect(for: .metrics(request)) }
}
