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
///   ─► asking ──"ok"──► joined ──► learning ──outcome──────────────┐
///        │ nobody answers                                          ▼
///        └──► linked ──tunnel over──► draining ──all sent──► ending ──► (stopped)
/// ```
final class RunningPipe: GatewayLinkOwner, SignalHandler, TimerHandler {
    /// How long what was sent has to be acknowledged after the tunnel's end.
    static let drainLimit = Interval.seconds(5)
    /// How often it is looked whether it is.
    static let drainPoll = Interval.milliseconds(5)
    /// How long CONNECTION_CLOSE has to leave.
    static let closeLimit = Interval.milliseconds(5)

    private enum Stage {
        case starting
        case asking(ControlQuestion)
        case joined(StreamJunction, number: String)
        case learning(ControlQuestion)
        case linked(GatewayLink)
        case draining(GatewayLink, until: Instant)
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
        do throws(SystemError) {
            stage = .asking(try ask("open \(destination.host) \(destination.port)"))
        } catch {
            try connect()
        }
    }

    func shutDown() { signals?.cancel() }

    // MARK: - Through a running local endpoint

    private func ask(_ command: String) throws(SystemError) -> ControlQuestion {
        try ControlQuestion(command, at: configuration.control, on: loop, owner: self)
    }

    private func opened(_ line: String?, by question: ControlQuestion) {
        guard let line else { return fail("the local endpoint at \(configuration.control) ended without an answer") }
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        let rest = parts.count == 2 ? parts[1] : ""
        switch parts.first {
        case "ok": join(question, number: rest)
        case "refused:": fail(rest, .notAuthenticated)
        case "unreachable:": fail(rest, .unreachable)
        default: fail(rest.isEmpty ? line : rest)
        }
    }

    private func join(_ question: ControlQuestion, number: String) {
        do throws(SystemError) {
            guard let (stream, received) = question.takeStream() else { return cutOff() }
            let pipes = try ByteStream(reading: STDIN_FILENO, writing: STDOUT_FILENO, on: loop, handler: self)
            let junction = StreamJunction(pipes, stream, received: received, owner: self)
            stage = .joined(junction, number: number)
            junction.start()
        } catch {
            fail("\(error)")
        }
    }

    /// The end of a local stream does not tell a tunnel that was cut off from one that has ended: the process does.
    private func learn(_ number: String) {
        do throws(SystemError) {
            stage = .learning(try ask("outcome \(number)"))
        } catch {
            cutOff()
        }
    }

    // MARK: - A connection of its own

    private func connect() throws {
        guard !configuration.gateways.isEmpty else {
            return fail(
                "no local endpoint answers at \(configuration.control) and no gateway is known; "
                    + "start `godwit connect`, or give an invite or GODWIT_INVITE", .wrongUsage)
        }
        let link = try GatewayLink(
            configuration.gateways, on: loop, log: log, keyLog: .ofEnvironment(), owner: self)
        stage = .linked(link)
        link.open(self)
        link.start()
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
        case .linked(let link), .draining(let link, _): link.stop()
        // Standard input and output are given back as they were.
        case .joined(let junction, _): junction.broken()
        case .starting, .asking, .learning, .ending: break
        }
        if let timer { loop.arm(timer, at: loop.now + Self.closeLimit) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        switch stage {
        case .starting, .asking, .joined, .learning, .linked: break
        case .draining(let link, let limit):
            guard link.tunnelCount > 0, now < limit else { return end(.done) }
            loop.arm(timer, at: now + Self.drainPoll)
        case .ending: loop.stop()
        }
    }

    func signalReceived(_ signal: ProcessSignal) { end(.failed) }
}

extension RunningPipe: ControlQuestionOwner, StreamJunctionOwner {
    func answered(_ line: String?, to question: ControlQuestion) {
        switch stage {
        case .asking: opened(line, by: question)
        case .learning where line == TunnelEnding.finished.rawValue: end(.done)
        case .learning: cutOff()
        case .starting, .joined, .linked, .draining, .ending: break
        }
    }

    func junctionEnded(_ ending: TunnelEnding) {
        guard case .joined(_, let number) = stage else { return }
        switch ending {
        case .finished: learn(number)
        case .reset: cutOff()
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
        guard case .linked(let link) = stage else { return }
        guard ending == .finished else { return cutOff() }
        stage = .draining(link, until: loop.now + Self.drainLimit)
        if let timer { loop.arm(timer, at: loop.now) }
    }

    func streamReadable(_ stream: ByteStream) {}
    func streamWritable(_ stream: ByteStream) {}
    func streamBroken(_ stream: ByteStream) {}
}
