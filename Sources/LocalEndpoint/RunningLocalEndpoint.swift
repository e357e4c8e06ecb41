import Configuration
import Cryptography
import Driver
import EventLoop
import Keeper
import Logging
import Primitives

/// A local endpoint that serves.
///
/// ```
///   serving ──SIGTERM, SIGINT──► draining ──no tunnels, or drainLimit──► closing ──closeLimit──► (stopped)
///      ├── no gateway at first ─────────────► (stopped) ◄── second signal ──┘
///      └── another process takes over ──► settling ──nothing is being opened──► lettingGo ──releaseTime──► (stopped)
/// ```
final class RunningLocalEndpoint: GatewayLinksOwner, SignalHandler, TimerHandler, KeeperLinkHandler {
    /// How long tunnels may go on after SIGTERM or SIGINT.
    static let drainLimit = Interval.seconds(5)
    /// How long CONNECTION_CLOSE has to leave.
    static let closeLimit = Interval.milliseconds(100)
    /// How long CONNECTION_CLOSE has to leave when another process takes over.
    static let releaseTime = Interval.milliseconds(5)
    /// How long tunnels that are being opened have, before another process takes over: unlike open ones they cannot go on there.
    static let settlingLimit = Interval.seconds(1)
    /// How often it is looked whether they are open.
    static let settlingPoll = Interval.milliseconds(5)
    /// How often it is looked whether tunnels are left meanwhile.
    static let drainPoll = Interval.milliseconds(100)

    private enum Stage {
        case serving
        case draining(until: Instant)
        case closing
        /// Nobody is accepted any more; what is open goes on.
        case settling(until: Instant)
        case lettingGo
    }

    private let log: Logger
    private let loop: EventLoop
    private let reread: () throws -> LocalConfiguration
    private let keeper: KeeperLink?
    private var links: GatewayLinks?
    private var listeners: LocalListeners?
    private var signals: SignalEvents?
    private var control: LocalControl?
    private var timer: TimerHandle?
    private var stage = Stage.serving
    private(set) var status = ProcessStatus.done

    /// Serves; what a process before this one has left comes from `keeper`.
    init(
        _ configuration: LocalConfiguration, keeper: KeeperLink? = nil, log: Logger, on loop: EventLoop,
        reread: @escaping () throws -> LocalConfiguration
    ) throws {
        self.log = log
        self.loop = loop
        self.reread = reread
        self.keeper = keeper
        let links = try GatewayLinks(configuration, on: loop, log: log, keyLog: .ofEnvironment(), owner: self)
        self.links = links
        timer = loop.addTimer(self)
        let listeners = LocalListeners(links: links, sockets: try Self.takeOver(keeper, links))
        if let failure = listeners.follow(configuration).first { throw failure }
        self.listeners = listeners
        signals = try SignalEvents([.terminate, .interrupt, .hangUp, .user1, .user2], on: loop, handler: self)
        do {
            control = try LocalControl(path: configuration.control, links: links)
        } catch {
            log.warning("no control socket, so `godwit status` will not find this process: \(error)")
        }
        links.start()
        try keeper?.watch(on: loop, handler: self)
        try keeper?.serving()
    }

    /// Goes on with what the process before has left, tunnels first.
    private static func takeOver(_ keeper: KeeperLink?, _ links: GatewayLinks) throws -> ListeningSockets {
        guard let keeper else { return ListeningSockets(on: links.loop) }
        var inheritance = try keeper.takeOver()
        let kept = try LoopKeeper(
            keeper.access, loop: 0, inheritance.takeLoop(0), opening: .accepted, on: links.loop)
        let sockets = ListeningSockets(kept.client, &inheritance, on: links.loop)
        inheritance.closeRest(kept.client)
        links.keep(kept)
        return sockets
    }

    /// Where programs may connect.
    var addresses: [NetworkAddress] { listeners?.addresses ?? [] }

    func shutDown() {
        control?.close()
        signals?.cancel()
        // What another process goes on with is left as it is.
        if case .lettingGo = stage { return tellReleased() }
        listeners?.close()
        links?.abort()
    }

    private func tellReleased() {
        do throws(SystemError) { try keeper?.released() } catch {
            log.error("\(error)")
            status = .failed
        }
    }

    func letGo() {
        log.notice("another process takes over")
        listeners?.leave()
        stage = .settling(until: loop.now + Self.settlingLimit)
        settle(at: loop.now)
    }

    private func settle(at now: Instant) {
        guard case .settling(let limit) = stage else { return }
        let openings = (listeners?.applicantCount ?? 0) + (links?.openingCount ?? 0)
        if openings > 0, now < limit, let timer { return loop.arm(timer, at: now + Self.settlingPoll) }
        stage = .lettingGo
        control?.close()
        control = nil
        links?.letGo()
        if let timer { loop.arm(timer, at: loop.now + Self.releaseTime) }
    }

    // MARK: - GatewayLinksOwner

    func linkEstablished() { logReady() }

    private func logReady() {
        if let warning = AEADSelection.current.warning { log.warning("\(warning)") }
        let listening = addresses.map { "\($0)" }.joined(separator: ", ")
        log.notice("ready", metadata: ["listen": "\(listening)"])
    }

    func linkFailedAtFirst(_ failure: LinkFailure) {
        log.error("\(failure.sentence)")
        status = failure.status
        loop.stop()
    }

    func linkRefused(_ failure: LinkFailure) {
        log.error("\(failure.sentence)")
        guard links?.isRefusedForGood == true else { return }
        status = failure.status
        loop.stop()
    }

    // MARK: - Signals

    func signalReceived(_ signal: ProcessSignal) {
        switch signal {
        case .hangUp: reload()
        case .user1: rebind()
        case .terminate, .interrupt: endRequested()
        // Its keeper takes the signal where there is one.
        case .user2: log.warning("this process works alone: nobody could take over from it")
        }
    }

    private func rebind() {
        do {
            try links?.rebind()
            log.notice("replaced the local socket")
        } catch {
            log.error("cannot replace the local socket: \(error)")
        }
    }

    private func endRequested() {
        switch stage {
        case .serving:
            listeners?.close()
            stage = .draining(until: loop.now + Self.drainLimit)
            if let timer { loop.arm(timer, at: loop.now) }
        case .settling:
            stage = .settling(until: loop.now)
            settle(at: loop.now)
        case .draining, .closing, .lettingGo: loop.stop()
        }
    }

    /// What cannot be read or opened is logged; everything else goes on.
    private func reload() {
        guard case .serving = stage else { return }
        do {
            let configuration = try reread()
            try links?.follow(configuration)
            for failure in listeners?.follow(configuration) ?? [] { log.error("\(failure)") }
            log.notice("read the configuration again")
            logReady()
        } catch {
            log.error("the configuration stays as it was: \(error)")
        }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        switch stage {
        case .serving: break
        case .settling: settle(at: now)
        case .draining(let limit):
            if let links, links.tunnelCount > 0, now < limit { return loop.arm(timer, at: now + Self.drainPoll) }
            links?.stop()
            stage = .closing
            loop.arm(timer, at: now + Self.closeLimit)
        case .closing, .lettingGo: loop.stop()
        }
    }
}

extension KeyLogFile {
    /// The file that SSLKEYLOGFILE names, if it names one.
    static func ofEnvironment() -> KeyLogFile? {
        let variables = Surroundings.process(variables: ["SSLKEYLOGFILE"]).variables
        return variables["SSLKEYLOGFILE"].flatMap { $0.isEmpty ? nil : KeyLogFile(path: $0) }
    }
}
