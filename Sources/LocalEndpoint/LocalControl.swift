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
/// | `open HOST PORT` | `ok`, once the tunnel is up whose bytes come from and go to the TCP socket that was passed with the command |
///
/// Failures are answered by `error: SENTENCE`; of `open` also by `refused: SENTENCE` when the gateway does not accept the
/// token, and `unreachable: SENTENCE` when there is no gateway.
final class LocalControl: ControlResponder {
    let links: GatewayLinks
    private var server: ControlServer?

    init(path: String, links: GatewayLinks) throws(SystemError) {
        self.links = links
        server = try ControlServer(path: path, on: links.loop, responder: self)
    }

    func close() { server?.close() }

    func command(_ line: String, on request: ControlRequest) {
        switch LocalCommand(line) {
        case .status: request.reply(LocalStatus(links).text)
        case .statusAsJSON: request.reply(LocalStatus(links).json.text + "\n")
        case .paths(let command): perform(command, request)
        case .rebind: rebind(request)
        case .open(let destination): open(destination, request)
        case .malformed(let form): request.reply("error: not of the form \(form)\n")
        case .unknown:
            request.reply("error: unknown command; this process knows status, paths, rebind and open\n")
        }
    }

    private func perform(_ command: PathCommand, _ request: ControlRequest) {
        switch links.perform(command) {
        case .success(let answer): request.reply(answer)
        case .failure(let error): request.reply("error: \(error)\n")
        }
    }

    private func rebind(_ request: ControlRequest) {
        do {
            try links.rebind()
            request.reply("ok\n")
        } catch {
            request.reply("error: \(error)\n")
        }
    }

    private func open(_ destination: Destination, _ request: ControlRequest) {
        guard let socket = request.takeSocket(on: links.loop) else {
            return request.reply("error: open needs a connected TCP socket, passed with the command\n")
        }
        links.open(RequestedTunnel(to: destination, socket, request, links: links))
    }
}

/// A tunnel that another process asked for through the control socket.
final class RequestedTunnel: TunnelApplicant, ByteStreamHandler {
    let destination: Destination
    var optimism: TunnelClient.Optimism { .beforeAnswer }
    private let socket: ByteStream
    private let request: ControlRequest
    private unowned let links: GatewayLinks

    init(to destination: Destination, _ socket: ByteStream, _ request: ControlRequest, links: GatewayLinks) {
        self.destination = destination
        self.socket = socket
        self.request = request
        self.links = links
        socket.setHandler(self)
        socket.watchForReset()
    }

    func tunnelOpened() -> TunnelEntrance? { socket.isOpen ? TunnelEntrance(stream: socket) : nil }

    func gatewayAgreed() { request.reply("ok\n") }

    func tunnelFailed(_ failure: TunnelFailure) {
        socket.abort()
        let sentence = failure.description(for: destination)
        switch failure {
        case .unauthorized: request.reply("refused: \(sentence)\n")
        case .connectionLost, .gatewayGoingAway:
            request.reply("unreachable: \(links.lastFailure?.sentence ?? sentence)\n")
        default: request.reply("error: \(sentence)\n")
        }
    }

    func streamReadable(_ stream: ByteStream) {}
    func streamWritable(_ stream: ByteStream) {}

    func streamBroken(_ stream: ByteStream) {
        stream.abort()
        request.reply("error: the socket was closed\n")
        links.withdraw(self)
    }
}
