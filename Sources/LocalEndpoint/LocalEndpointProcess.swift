public import Configuration
import Driver
import EventLoop
import Logging
import Primitives
import Telemetry

/// `godwit connect`: one thread with the link to the gateway, the local ports, the control socket and signals.
public final class LocalEndpointProcess {
    private let options: LocalEndpointOptions

    /// Creates the process; nothing happens before `run`.
    public init(_ options: LocalEndpointOptions) { self.options = options }

    /// Serves until it is told to stop.
    public func run() -> ProcessStatus {
        let log = Logger("connect", options: options.log, unixMilliseconds: { Clock.unixMilliseconds() })
        do {
            let loop = try EventLoop()
            let running = try RunningLocalEndpoint(options, log: log, on: loop)
            loop.run()
            running.shutDown()
            return running.status
        } catch {
            log.error("\(error)")
            return .failed
        }
    }
}

/// A local endpoint that serves.
final class RunningLocalEndpoint: GatewayLinkOwner, SignalHandler, TimerHandler, ControlResponder {
    /// How long tunnels may go on after SIGTERM or SIGINT.
    static let drainLimit = Interval.seconds(5)
    /// How long CONNECTION_CLOSE has to leave.
    static let closeLimit = Interval.milliseconds(100)
    /// How often it is looked whether tunnels are left meanwhile.
    static let drainPoll = Interval.milliseconds(100)

    private enum Stage {
        case serving
        case draining(until: Instant)
        case closing
    }

    private let options: LocalEndpointOptions
    private let log: Logger
    private let loop: EventLoop
    private var link: GatewayLink?
    private var forwards: [ForwardListener] = []
    private var proxies: [ProxyListener] = []
    private var signals: SignalEvents?
    private var control: ControlServer?
    private var timer: TimerHandle?
    private var stage = Stage.serving
    private(set) var status = ProcessStatus.done

    init(_ options: LocalEndpointOptions, log: Logger, on loop: EventLoop) throws {
        self.options = options
        self.log = log
        self.loop = loop
        let configuration = options.configuration
        let keyLogPath = Surroundings.process(variables: ["SSLKEYLOGFILE"]).variables["SSLKEYLOGFILE"]
        let link = try GatewayLink(
            configuration.gateways, on: loop, log: log, keyLog: keyLogPath.flatMap(KeyLogFile.init(path:)), owner: self)
        self.link = link
        timer = loop.addTimer(self)
        for forward in configuration.forwards { forwards.append(try ForwardListener(forward, link: link)) }
        for socks in configuration.socks { proxies.append(try ProxyListener(.socks, socks, link: link)) }
        for http in configuration.http { proxies.append(try ProxyListener(.http, http, link: link)) }
        signals = try SignalEvents([.terminate, .interrupt], on: loop, handler: self)
        do {
            control = try ControlServer(path: configuration.control, on: loop, responder: self)
        } catch {
            log.warning("no control socket, so `godwit status` will not find this process: \(error)")
        }
        link.start()
    }

    func shutDown() {
        control?.close()
        signals?.cancel()
        for forward in forwards { forward.close() }
        for proxy in proxies { proxy.close() }
    }

    // MARK: - GatewayLinkOwner

    func linkEstablished() {
        let listening = (forwards.compactMap(\.localAddress) + proxies.compactMap(\.localAddress))
            .map { "\($0)" }.joined(separator: ", ")
        log.notice("ready", metadata: ["listen": "\(listening)"])
    }

    func linkFailedAtFirst(_ failure: LinkFailure) {
        log.error("\(failure.sentence)")
        switch failure {
        case .unreachable: status = .unreachable
        case .notAuthenticated: status = .notAuthenticated
        }
        loop.stop()
    }

    func linkRefused(_ failure: LinkFailure) { log.error("\(failure.sentence)") }

    // MARK: - Signals

    func signalReceived(_ signal: ProcessSignal) {
        switch stage {
        case .serving:
            for forward in forwards { forward.close() }
            for proxy in proxies { proxy.close() }
            stage = .draining(until: loop.now + Self.drainLimit)
            if let timer { loop.arm(timer, at: loop.now) }
        case .draining, .closing: loop.stop()
        }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        switch stage {
        case .serving: break
        case .draining(let limit):
            if let session = link?.session, session.tunnelCount > 0, now < limit {
                return loop.arm(timer, at: now + Self.drainPoll)
            }
            link?.stop()
            stage = .closing
            loop.arm(timer, at: now + Self.closeLimit)
        case .closing: loop.stop()
        }
    }

    // MARK: - Control socket

    func command(_ line: String, on request: ControlRequest) {
        guard let link else { return request.reply("error: not started yet\n") }
        switch line {
        case "status": request.reply(LocalStatus(link).text)
        case "status json": request.reply(LocalStatus(link).json.text + "\n")
        case "rebind":
            do {
                try link.rebind()
                request.reply("ok\n")
            } catch {
                request.reply("error: \(error)\n")
            }
        default: request.reply("error: unknown command; this process knows status, status json and rebind\n")
        }
    }
}
