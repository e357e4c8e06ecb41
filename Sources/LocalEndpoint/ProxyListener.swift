import Configuration
import EventLoop
import Logging
import Primitives
import Tunnel

/// A local SOCKS5 or HTTP proxy.
final class ProxyListener: StreamListenerHandler {
    /// Connections that negotiate or wait for their tunnel at once; further ones are closed. Bounds memory.
    static let maximumApplicants = 8192

    enum Kind {
        case socks
        case http
    }

    private let kind: Kind
    private let credentials: LocalConfiguration.ProxyCredentials?
    private let link: GatewayLink
    private var listener: StreamListener?
    private var applicants: [ObjectIdentifier: ProxiedConnection] = [:]

    init(_ kind: Kind, _ configuration: LocalConfiguration.ProxyListener, link: GatewayLink) throws(SystemError) {
        self.kind = kind
        credentials = configuration.credentials
        self.link = link
        listener = try StreamListener(tcp: configuration.listen, on: link.loop, handler: self)
        if configuration.isOpenToOthers {
            link.log.warning(
                "the proxy on \(configuration.listen) is open to everyone who reaches it; set user and password")
        }
    }

    var localAddress: NetworkAddress? { listener?.localAddress }

    func close() {
        listener?.close()
        listener = nil
    }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        guard applicants.count < Self.maximumApplicants else { return stream.abort() }
        let negotiation: ProxyNegotiation = kind == .socks ? .socks(credentials) : .http(credentials)
        let connection = ProxiedConnection(stream, negotiation, link: link, listener: self)
        applicants[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {
        link.log.warning("connections have to wait: \(error)")
    }

    /// The connection's tunnel is up, or it is gone.
    func settled(_ connection: ProxiedConnection) { applicants[ObjectIdentifier(connection)] = nil }
}

/// One program at a local proxy, until its tunnel is up.
///
/// ```
///   negotiating ──request──► waiting ──tunnel is up──► (handed over)
///        │                      │ no tunnel
///        └──────── fault ───────┴───► answering ──all written──► closed
/// ```
final class ProxiedConnection: TunnelApplicant, ByteStreamHandler {
    /// How long a program has for its request.
    static let negotiationLimit = Interval.seconds(30)

    private enum State {
        case negotiating(ProxyNegotiation)
        case waiting(ProxyRequest)
        case answering
        case over
    }

    private let stream: ByteStream
    private unowned let link: GatewayLink
    private weak var listener: ProxyListener?
    private var state: State
    private var outgoing: [UInt8] = []
    /// What the program sent behind its request.
    private var early: [UInt8] = []

    init(_ stream: ByteStream, _ negotiation: ProxyNegotiation, link: GatewayLink, listener: ProxyListener) {
        self.stream = stream
        self.link = link
        self.listener = listener
        state = .negotiating(negotiation)
    }

    func start() {
        stream.setHandler(self)
        stream.isReading = true
    }

    // MARK: - TunnelApplicant

    var destination: Destination {
        if case .waiting(let request) = state { return request.destination }
        return Destination(.address(.unspecified(.ipv4)), port: 0)
    }

    var optimism: TunnelClient.Optimism { .afterAnswer }

    func tunnelOpened() -> (stream: ByteStream, received: [UInt8])? {
        guard case .waiting(let request) = state, stream.isOpen else { return nil }
        state = .over
        listener?.settled(self)
        // The answer is far smaller than an empty socket buffer: what is not taken at once is a broken connection.
        let answer = request.success
        guard answer.isEmpty || stream.write(answer.span) == .bytes(answer.count) else {
            stream.abort()
            return nil
        }
        return (stream, request.head + early)
    }

    func tunnelFailed(_ failure: TunnelFailure) {
        guard case .waiting(let request) = state else { return }
        answer(request.refusal(failure))
    }

    // MARK: - ByteStreamHandler

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let outcome = Self.read(stream, into: &buffer)
        switch outcome {
        case .bytes(let count): take(Array(buffer.prefix(count)))
        case .wouldBlock: return
        case .endOfStream, .failed: end()
        }
    }

    private static func read(_ stream: ByteStream, into buffer: inout [UInt8]) -> ByteStream.ReadOutcome {
        var region = buffer.mutableSpan
        return stream.read(into: &region)
    }

    private func take(_ bytes: [UInt8]) {
        guard case .negotiating(var negotiation) = state else { return }
        let (taken, steps) = negotiation.receive(bytes)
        state = .negotiating(negotiation)
        for step in steps {
            switch step {
            case .reply(let bytes): send(bytes)
            case .connect(let request):
                early = Array(bytes.dropFirst(taken))
                state = .waiting(request)
                stream.isReading = false
                stream.watchForReset()
                link.open(self)
            case .fail(let bytes, let reason):
                link.log.info("refused a program's request: \(reason)")
                answer(bytes)
            }
        }
    }

    /// Sends the last bytes and closes.
    private func answer(_ bytes: [UInt8]) {
        state = .answering
        stream.isReading = false
        send(bytes)
    }

    private func send(_ bytes: [UInt8]) {
        outgoing += bytes
        streamWritable(stream)
    }

    func streamWritable(_ stream: ByteStream) {
        while !outgoing.isEmpty {
            switch stream.write(outgoing.span) {
            case .bytes(let count): outgoing.removeFirst(count)
            case .wouldBlock: return
            case .failed: return end()
            }
        }
        if case .answering = state { end() }
    }

    func streamBroken(_ stream: ByteStream) { end() }

    private func end() {
        if case .waiting = state { link.withdraw(self) }
        state = .over
        stream.close()
        listener?.settled(self)
    }
}
