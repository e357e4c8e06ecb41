import EventLoop
import Primitives

/// The demonstration's origin: whoever connects gets the numbered stream, without end.
final class DemoOrigin: StreamListenerHandler {
    private var listener: StreamListener?
    private var servings: [DemoServing] = []
    private(set) var port: UInt16 = 0

    init(on loop: EventLoop) throws(SystemError) {
        let listener = try StreamListener(tcp: NetworkAddress(.loopback(.ipv4), port: 0), on: loop, handler: self)
        port = listener.localAddress?.port ?? 0
        self.listener = listener
    }

    func close() {
        listener?.close()
        for serving in servings { serving.stream.close() }
    }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) { servings.append(DemoServing(stream)) }
    func listener(_ listener: StreamListener, pausedBy error: SystemError) {}
}

/// One connection of the origin.
private final class DemoServing: ByteStreamHandler {
    /// Bytes written at once.
    static let pieceSize = 64 * 1024

    let stream: ByteStream
    private var piece: [UInt8] = []
    private var written = 0
    private var offset = 0

    init(_ stream: ByteStream) {
        self.stream = stream
        stream.setHandler(self)
        fill()
    }

    private func fill() {
        while true {
            if written == piece.count {
                offset += piece.count
                piece = NumberedStream.bytes(from: offset, count: Self.pieceSize)
                written = 0
            }
            switch stream.write(piece.span.extracting(written..<piece.count)) {
            case .bytes(let count): written += count
            case .wouldBlock: return
            case .failed: return stream.close()
            }
        }
    }

    func streamReadable(_ stream: ByteStream) {}
    func streamWritable(_ stream: ByteStream) { fill() }
    func streamBroken(_ stream: ByteStream) { stream.close() }
}

/// The demonstration's application: reads the numbered stream and notes when bytes came.
final class DemoDownload: ByteStreamHandler, TCPConnectAttemptHandler, TimerHandler {
    /// How long it tries to connect, while the local endpoint starts.
    static let startLimit = Interval.seconds(20)
    /// How long it waits between two attempts.
    static let retryInterval = Interval.milliseconds(50)

    /// How it goes.
    enum State {
        case starting(until: Instant)
        case running(ByteStream)
        case ended(String)
    }

    private(set) var state: State
    private(set) var check = StreamCheck()
    /// When the last bytes came.
    private(set) var lastArrival: Instant?
    /// The longest time without a byte since `mark`.
    private(set) var longestGap = Interval.zero
    /// Called once the first bytes are here, or when the download ended before.
    var started: (() -> Void)?

    private let loop: EventLoop
    private let address: NetworkAddress
    private var attempt: TCPConnectAttempt?
    private var timer: TimerHandle?
    private var buffer = [UInt8](repeating: 0, count: 256 * 1024)

    init(from address: NetworkAddress, on loop: EventLoop) {
        self.loop = loop
        self.address = address
        state = .starting(until: loop.now + Self.startLimit)
        timer = loop.addTimer(self)
        connect()
    }

    /// Forgets the gaps so far; the one that has begun counts from its beginning.
    func mark() { longestGap = .zero }

    /// The longest time without a byte since `mark`, the present one included.
    func stall(at now: Instant) -> Interval { max(longestGap, lastArrival.map { now - $0 } ?? .zero) }

    func close() {
        attempt?.cancel()
        if case .running(let stream) = state { stream.close() }
        if let timer { loop.removeTimer(timer) }
        timer = nil
    }

    private func connect() {
        do throws(SystemError) {
            attempt = try TCPConnectAttempt(to: address, on: loop, handler: self)
        } catch {
            failed(error)
        }
    }

    private func failed(_ error: SystemError) {
        guard case .starting(let limit) = state, loop.now < limit, let timer else { return end("\(error)") }
        loop.arm(timer, at: loop.now + Self.retryInterval)
    }

    private func end(_ reason: String) {
        state = .ended(reason)
        started?()
        started = nil
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { connect() }
    func attempt(_ attempt: TCPConnectAttempt, failed error: SystemError) { failed(error) }

    func attempt(_ attempt: TCPConnectAttempt, connected stream: ByteStream) {
        state = .running(stream)
        stream.setHandler(self)
        stream.isReading = true
    }

    func streamReadable(_ stream: ByteStream) {
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count):
            if let lastArrival { longestGap = max(longestGap, loop.now - lastArrival) }
            lastArrival = loop.now
            check.take(Array(buffer.prefix(count)))
            started?()
            started = nil
        case .wouldBlock: break
        case .endOfStream: end("the stream ended after \(check.count) bytes")
        case .failed(let error): end("\(error), after \(check.count) bytes")
        }
    }

    func streamWritable(_ stream: ByteStream) {}
    func streamBroken(_ stream: ByteStream) { end("the connection was reset after \(check.count) bytes") }
}
