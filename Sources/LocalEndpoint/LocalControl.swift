import Configuration
import Driver
import EventLoop
import Primitives
import Telemetry
import Tunnel

/// What other processes of the user may ask a running local endpoint for, through its control socket.
///
/// One command a connection: a line; the answer is text up to the end of the stream.
///
/// | command | answer |
/// |---|---|
/// | `status` | the status, for people |
/// | `status json` | the status as one JSON object |
/// | `paths`, `paths json` | the paths, the other addresses of this machine, and the last handovers |
/// | `paths add ADDRESS`, `paths use ADDRESS`, `paths remove ADDRESS` | `ok`, after the path policy was told |
/// | `rebind` | `ok`, after the socket toward the gateway was replaced by a new one |
/// | `open HOST PORT` | once the tunnel is up: `ok NUMBER` and a line feed, and then the stream *is* the tunnel, with half-close |
/// | `outcome NUMBER` | once that tunnel is over: `finished` or `reset`, which the end of a local stream cannot tell |
///
/// Failures are answered by `error: SENTENCE`; of `open` also by `refused: SENTENCE` when the gateway does not accept the
/// token, and `unreachable: SENTENCE` when there is no gateway.
final class LocalControl: ControlResponder {
    /// Outcomes that are remembered; older ones are forgotten. Whoever asks does so at once.
    static let maximumOutcomes = 1024

    private enum Outcome {
        case open
        case awaited(ControlRequest)
        case ended(TunnelEnding)
    }

    let link: GatewayLink
    private var server: ControlServer?
    private var outcomes: [UInt64: Outcome] = [:]
    private var endedOrder: [UInt64] = []
    private var nextNumber: UInt64 = 1

    init(path: String, link: GatewayLink) throws(SystemError) {
        self.link = link
        server = try ControlServer(path: path, on: link.loop, responder: self)
    }

    func close() { server?.close() }

    func command(_ line: String, on request: ControlRequest) {
        switch LocalCommand(line) {
        case .status: request.reply(LocalStatus(link).text)
        case .statusAsJSON: request.reply(LocalStatus(link).json.text + "\n")
        case .paths(let command): perform(command, request)
        case .rebind: rebind(request)
        case .open(let destination): link.open(RequestedTunnel(to: destination, request, control: self))
        case .outcome(let number): outcome(number, request)
        case .malformed(let form): request.reply("error: not of the form \(form)\n")
        case .unknown:
            request.reply("error: unknown command; this process knows status, paths, rebind and open\n")
        }
    }

    private func perform(_ command: PathCommand, _ request: ControlRequest) {
        switch link.perform(command) {
        case .success(let answer): request.reply(answer)
        case .failure(let error): request.reply("error: \(error)\n")
        }
    }

    private func rebind(_ request: ControlRequest) {
        do {
            try link.rebind()
            request.reply("ok\n")
        } catch {
            request.reply("error: \(error)\n")
        }
    }

    // MARK: - Tunnels

    func numberForOpened() -> UInt64 {
        defer { nextNumber += 1 }
        outcomes[nextNumber] = .open
        return nextNumber
    }

    func ended(_ number: UInt64, _ ending: TunnelEnding) {
        if case .awaited(let request) = outcomes[number] {
            outcomes[number] = nil
            return request.reply("\(ending.rawValue)\n")
        }
        outcomes[number] = .ended(ending)
        endedOrder.append(number)
        if endedOrder.count > Self.maximumOutcomes { outcomes[endedOrder.removeFirst()] = nil }
    }

    private func outcome(_ number: UInt64, _ request: ControlRequest) {
        switch outcomes[number] {
        case .open: outcomes[number] = .awaited(request)
        case .ended(let ending): request.reply("\(ending.rawValue)\n")
        case .awaited, nil: request.reply("error: no such tunnel\n")
        }
    }
}

/// A tunnel that another process asked for through the control socket.
final class RequestedTunnel: TunnelApplicant, TunnelFollower {
    let destination: Destination
    // The answer tells whether there is a tunnel: no byte is taken before it.
    var optimism: TunnelClient.Optimism { .afterAnswer }
    private let request: ControlRequest
    private unowned let control: LocalControl
    private var number: UInt64?

    init(to destination: Destination, _ request: ControlRequest, control: LocalControl) {
        self.destination = destination
        self.request = request
        self.control = control
    }

    func tunnelOpened() -> TunnelEntrance? {
        let (stream, received) = request.takeStream()
        let number = control.numberForOpened()
        let answer = Array("ok \(number)\n".utf8)
        guard stream.write(answer.span) == .bytes(answer.count) else {
            stream.close()
            control.ended(number, .reset)
            return nil
        }
        self.number = number
        return TunnelEntrance(stream: stream, received: received, follower: self)
    }

    func tunnelFailed(_ failure: TunnelFailure) {
        let sentence = failure.description(for: destination)
        switch failure {
        case .unauthorized: request.reply("refused: \(sentence)\n")
        case .connectionLost, .gatewayGoingAway:
            request.reply("unreachable: \(control.link.lastFailure?.sentence ?? sentence)\n")
        default: request.reply("error: \(sentence)\n")
        }
    }

    func tunnelEnded(_ ending: TunnelEnding) {
        if let number { control.ended(number, ending) }
    }
}
