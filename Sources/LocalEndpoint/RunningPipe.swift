import Configuration
import Driver
import EventLoop
import Glibc
import Logging
import Primitives
import Tunnel

/// A pair of pipes on their way through a tunnel: that of a local endpoint that is running, else one of its own.
///
/// ```
///   ─► asking ──"ok"──► joined ──tunnel over──────────────────┐
///        │ nobody answers                                     ▼
///        └──► linked ──tunnel over──► draining ──all sent──► ending ──► (stopped)
/// ```
/// The local endpoint gets one end of a TCP connection, the other one is joined to the pipes at once: its reset tells that the
/// tunnel was cut off.
final class RunningPipe: GatewayLinksOwner, SignalHandler, TimerHandler {
    /// How long what was sent has to be acknowledged after the tunnel's end.
    static let drainLimit = Interval.seconds(5)
    /// How often it is looked whether it is.
    static let drainPoll = Interval.milliseconds(5)
    /// How long CONNECTION_CLOSE has to leave.
    static let closeLimit = Interval.milliseconds(5)

    private enum Stage {
        case starting
        /// How it ended is kept where that comes before the answer.
        case asking(ControlQuestion, StreamJunction, ended: TunnelEnding?)
        case joined(StreamJunction)
        case linked(GatewayLinks)
        case draining(GatewayLinks, until: Instant)
        case ending
    }

    let destination: Destination
    private let configuration: LocalConfiguration
    private let log: Logger
    private let loop: EventLoop
    private var stage = Stage.starting
    private var signals: SignalEvents?
    private var timer: TimerHandle?
    /// What the process says at its end; a failure unless the tunnel has ended in order.
    private(set) var status = ProcessStatus.failed

    init(_ options: PipeOptions, log: Logger, on loop: EventLoop) throws {
        destination = options.destination
        configuration = options.configuration
        self.log = log
        self.loop = loop
        timer = loop.addTimer(self)
        signals = try SignalEvents([.terminate, .interrupt, .hangUp], on: loop, handler: self)
        if try !ask() { try connect() }
    }

    func shutDown() { signals?.cancel() }

    // MARK: - Through a running local endpoint

    /// Asks the local endpoint that is running for a tunnel; tells whether there is one.
    private func ask() throws -> Bool {
        let (stream, other) = try ByteStream.loopbackPair(on: loop)
        defer { ByteStream.close(passed: other) }
        let command = "open \(destination.host) \(destination.port)"
        guard
            let question = try? ControlQuestion(
                command, passing: other, at: configuration.control, on: loop, owner: self)
        else {
            stream.abort()
            return false
        }
        let pipes = try ByteStream(reading: STDIN_FILENO, writing: STDOUT_FILENO, on: loop, handler: self)
        let junction = StreamJunction(pipes, stream, owner: self)
        stage = .asking(question, junction, ended: nil)
        junction.start()
        return true
    }

    private func opened(_ line: String?, _ junction: StreamJunction, _ ending: TunnelEnding?) {
        guard let line else { return fail("the local endpoint at \(configuration.control) ended without an answer") }
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        let rest = parts.count == 2 ? parts[1] : ""
        switch parts.first {
        case "ok":
            stage = .joined(junction)
            if let ending { junctionEnded(ending) }
        case "refused:": fail(rest, .notAuthenticated)
        case "unreachable:": fail(rest, .unreachable)
        default: fail(rest.isEmpty ? line : rest)
        }
    }

    // MARK: - A connection of its own

    private func connect() throws {
        guard !configuration.gateways.isEmpty else {
            return fail(
                "no local endpoint answers at \(configuration.control) and no gateway is known; "
                    + "start `godwit connect`, or give an invite or GODWIT_INVITE", .wrongUsage)
        }
        let links = try GatewayLinks(configuration, on: loop, log: log, keyLog: .ofEnvironment(), owner: self)
        stage = .linked(links)
        links.open(self)
        links.start()
    }

    func linkEstablished() {}
    func linkFailedAtFirst(_ failure: LinkFailure) { fail(failure.sentence, failure.status) }
    func linkRefused(_ failure: LinkFailure) { fail(failure.sentence, failure.status) }

    // MARK: - The end

    private func cutOff() { fail("the tunnel to \(destination) was cut off") }

    private func fail(_ sentence: String, _ status: ProcessStatus = .failed) {
        if case .ending = stage { return }
        log.error("\(sentence)")
        end(status)
    }

    private func end(_ status: ProcessStatus) {
        self.status = status
        let last = stage
        stage = .ending
        switch last {
        case .linked(let links), .draining(let links, _): links.stop()
        // Standard input and output are given back as they were.
        case .asking(_, let junction, _), .joined(let junction): junction.broken()
        case .starting, .ending: break
        }
        if let timer { loop.arm(timer, at: loop.now + Self.closeLimit) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        switch stage {
        case .starting, .asking, .joined, .linked: break
        case .draining(let links, let limit):
            guard links.tunnelCount > 0, now < limit else { return end(.done) }
            loop.arm(timer, at: now + Self.drainPoll)
        case .ending: loop.stop()
        }
    }

    func signalReceived(_ signal: ProcessSignal) { end(.failed) }
}

extension RunningPipe: ControlQuestionOwner, StreamJunctionOwner {
    func answered(_ line: String?, to question: ControlQuestion) {
        if case .asking(_, let junction, let ending) = stage { opened(line, junction, ending) }
    }

    func junctionEnded(_ ending: TunnelEnding) {
        switch (stage, ending) {
        case (.asking(let question, let junction, _), _): stage = .asking(question, junction, ended: ending)
        case (.joined, .finished): end(.done)
        case (.joined, .reset): cutOff()
        case (.starting, _), (.linked, _), (.draining, _), (.ending, _): break
        }
    }
}

extension RunningPipe: TunnelApplicant, TunnelFollower, ByteStreamHandler {
    var optimism: TunnelClient.Optimism { .beforeAnswer }

    func tunnelOpened() -> TunnelEntrance? {
        do throws(SystemError) {
            let pipes = try ByteStream(reading: STDIN_FILENO, writing: STDOUT_FILENO, on: loop, handler: self)
            return TunnelEntrance(stream: pipes, follower: self)
        } catch {
            fail("\(error)")
            return nil
        }
    }

    func tunnelFailed(_ failure: TunnelFailure) {
        switch failure {
        case .connectionLost, .gatewayGoingAway: fail(failure.description(for: destination), .unreachable)
        default: fail(failure.description(for: destination))
        }
    }

    func tunnelEnded(_ ending: TunnelEnding) {
        guard case .linked(let links) = stage else { return }
        guard ending == .finished else { return cutOff() }
        stage = .draining(links, until: loop.now + Self.drainLimit)
        if let timer { loop.arm(timer, at: loop.now) }
    }

    func streamReadable(_ stream: ByteStream) {}
    func streamWritable(_ stream: ByteStream) {}
    func streamBroken(_ stream: ByteStream) {}
}
