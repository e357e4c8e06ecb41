import EventLoop
import Primitives

/// What knows the numbers that are asked for.
protocol MetricsSource: AnyObject {
    /// Answer with `reply`, now or later.
    func metricsWanted(by request: MetricsRequest)
}

/// Serves numbers over HTTP/1.1, for Prometheus: one request for each connection.
final class MetricsServer: StreamListenerHandler {
    /// Requests under way at once; further connections are closed.
    static let mostRequests = 16

    private unowned let source: any MetricsSource
    private let loop: EventLoop
    private var listener: StreamListener?
    private var requests: [ObjectIdentifier: MetricsRequest] = [:]

    init(_ address: NetworkAddress, on loop: EventLoop, source: any MetricsSource) throws(SystemError) {
        self.source = source
        self.loop = loop
        listener = try StreamListener(tcp: address, on: loop, handler: self)
    }

    /// Where it listens; nil when it is closed.
    var address: NetworkAddress? { listener?.localAddress }

    /// Stops listening; requests under way are cut off.
    func close() {
        listener?.close()
        listener = nil
        for request in Array(requests.values) { request.end() }
    }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        guard requests.count < Self.mostRequests else { return stream.close() }
        let request = MetricsRequest(stream, server: self, on: loop)
        requests[ObjectIdentifier(request)] = request
        stream.setHandler(request)
        stream.isReading = true
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {}

    fileprivate func asked(_ request: MetricsRequest) { source.metricsWanted(by: request) }
    fileprivate func ended(_ request: MetricsRequest) { requests[ObjectIdentifier(request)] = nil }
}

/// One request for the numbers, and its answer.
final class MetricsRequest: ByteStreamHandler, TimerHandler {
    /// Bytes in the longest request head; a longer one ends the connection.
    static let longestHead = 8 << 10
    /// How long a connection may take from its beginning to its end.
    static let patience = Interval.seconds(5)

    private let stream: ByteStream
    private weak var server: MetricsServer?
    private let loop: EventLoop
    private var timer: TimerHandle?
    private var head: [UInt8] = []
    private var answer: [UInt8] = []
    private var written = 0

    fileprivate init(_ stream: ByteStream, server: MetricsServer, on loop: EventLoop) {
        self.stream = stream
        self.server = server
        self.loop = loop
        let timer = loop.addTimer(self)
        loop.arm(timer, at: loop.now + Self.patience)
        self.timer = timer
    }

    /// Answers with the numbers, in the text format of Prometheus.
    func reply(_ text: String) { respond("200 OK", "text/plain; version=0.0.4", text) }

    private func respond(_ status: String, _ type: String, _ text: String) {
        guard timer != nil, answer.isEmpty else { return }
        let body = Array(text.utf8)
        answer =
            Array(
                "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\nConnection: close\r\n\r\n"
                    .utf8)
            + body
        write()
    }

    /// What is asked for, by the first line of a request (RFC 9112 §3).
    enum Wish: Hashable {
        case metrics
        case otherPath
        case otherMethod
        case malformed

        init(_ head: [UInt8]) {
            let line = head.prefix { $0 != UInt8(ascii: "\r") }
            let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard words.count == 3, words[2].starts(with: Array("HTTP/1.".utf8)) else {
                self = .malformed
                return
            }
            let path = words[1].prefix { $0 != UInt8(ascii: "?") }
            if !words[0].elementsEqual(Array("GET".utf8)) {
                self = .otherMethod
            } else {
                self = path.elementsEqual(Array("/metrics".utf8)) ? .metrics : .otherPath
            }
        }
    }

    private func headCame() {
        stream.isReading = false
        switch Wish(head) {
        case .metrics: server?.asked(self)
        case .otherPath: respond("404 Not Found", "text/plain", "the numbers are at /metrics\n")
        case .otherMethod: respond("405 Method Not Allowed", "text/plain", "only GET is understood\n")
        case .malformed: respond("400 Bad Request", "text/plain", "this is no request of HTTP/1.1\n")
        }
    }

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: Self.longestHead - head.count)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count):
            head += buffer.prefix(count)
            if Self.isComplete(head) {
                headCame()
            } else if head.count == Self.longestHead {
                end()
            }
        case .wouldBlock: break
        case .endOfStream, .failed: end()
        }
    }

    private static func isComplete(_ head: [UInt8]) -> Bool {
        let end = Array("\r\n\r\n".utf8)
        return head.count >= end.count
            && head.indices.dropLast(end.count - 1).contains { head[$0...].starts(with: end) }
    }

    func streamWritable(_ stream: ByteStream) { write() }
    func streamBroken(_ stream: ByteStream) { end() }
    func timerFired(_ timer: TimerHandle, at now: Instant) { end() }

    private func write() {
        while written < answer.count {
            switch stream.write(answer.span.extracting(written..<answer.count)) {
            case .bytes(let count): written += count
            case .wouldBlock: return
            case .failed: return end()
            }
        }
        if !answer.isEmpty { end() }
    }

    fileprivate func end() {
        guard let timer else { return }
        self.timer = nil
        loop.removeTimer(timer)
        stream.close()
        server?.ended(self)
    }
}
