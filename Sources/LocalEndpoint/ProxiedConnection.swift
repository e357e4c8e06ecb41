import Driver
import EventLoop
import Logging
import Primitives
import Tunnel

/// One program at a local proxy, until its tunnel is up.
///
/// ```
///   negotiating ──request──► waiting ──tunnel is up──► (handed over)
///        │                      │ no tunnel
///        └──────── fault ───────┴───► answering ──all written──► closed
/// ```
final class ProxiedConnection: TunnelApplicant, ByteStreamHandler, TimerHandler {
    /// How long a program has for its request, and for taking the answer to a request that failed; then it is reset.
    static let negotiationLimit = Interval.seconds(30)

    private enum State {
        case negotiating(ProxyNegotiation)
        case waiting(ProxyRequest)
        case answering
        case over
    }

    private let stream: ByteStream
    private unowned let links: GatewayLinks
    private weak var listener: ProxyListener?
    private var state: State
    private var outgoing: [UInt8] = []
    /// What the program sent behind its request.
    private var early: [UInt8] = []
    private var timer: TimerHandle?

    init(_ stream: ByteStream, _ negotiation: ProxyNegotiation, links: GatewayLinks, listener: ProxyListener) {
        self.stream = stream
        self.links = links
        self.listener = listener
        state = .negotiating(negotiation)
    }

    func start() {
        stream.setHandler(self)
        stream.isReading = true
        timer = links.loop.addTimer(self)
        armTimer()
    }

    private func armTimer() {
        if let timer { links.loop.arm(timer, at: links.loop.now + Self.negotiationLimit) }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        links.log.info("a program at a local proxy was too slow")
        stream.abort()
        settle()
    }

    /// The listener and the loop need to know no more of it.
    private func settle() {
        state = .over
        if let timer { links.loop.removeTimer(timer) }
        timer = nil
        listener?.settled(self)
    }

    // MARK: - TunnelApplicant

    var destination: Destination {
        if case .waiting(let request) = state { return request.destination }
        return Destination(.address(.unspecified(.ipv4)), port: 0)
    }

    var optimism: TunnelClient.Optimism { .afterAnswer }

    func tunnelOpened() -> TunnelEntrance? {
        guard case .waiting(let request) = state, stream.isOpen else { return nil }
        settle()
        // The answer is far smaller than an empty socket buffer: what is not taken at once is a broken connection.
        let answer = request.success
        guard answer.isEmpty || stream.write(answer.span) == .bytes(answer.count) else {
            stream.abort()
            return nil
        }
        var entrance = TunnelEntrance(stream: stream, received: request.head)
        guard let body = request.body else {
            entrance.received += early
            return entrance
        }
        switch body.admit(early.span) {
        case .bytes(let count): entrance.received += early.prefix(count)
        case .violation:
            stream.abort()
            return nil
        }
        entrance.filter = body
        return entrance
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
                if let timer { links.loop.disarm(timer) }
                links.open(self)
            case .fail(let bytes, let reason):
                links.log.info("refused a program's request: \(reason)")
                answer(bytes)
            }
        }
    }

    /// Sends the last bytes and closes.
    private func answer(_ bytes: [UInt8]) {
        state = .answering
        stream.isReading = false
        armTimer()
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
        if case .waiting = state { links.withdraw(self) }
        stream.close()
        settle()
    }
}
