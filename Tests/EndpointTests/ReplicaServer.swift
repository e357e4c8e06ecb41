import EventLoop
import Primitives
import Tunnel

/// An HTTP/1.1 server of one file on a loop, with ranges; it dies, falls silent or lies as it is told.
final class ReplicaServer: StreamListenerHandler, ByteStreamHandler {
    /// What happens in the middle of an answer.
    enum Death {
        case reset
        case end
        case silence
    }

    /// What is wrong with the answer to a range.
    enum Lie: CaseIterable {
        case otherTag
        case weakTag
        case ignoresRange
        case otherRange
        case otherLength
        case unavailable
    }

    private final class Exchange {
        let stream: ByteStream
        var request: [UInt8] = []
        var answer: [UInt8] = []
        var sent = 0
        var dies = false

        init(_ stream: ByteStream) { self.stream = stream }
    }

    let content: [UInt8]
    /// Bytes of each answer after which it dies, and how; nil while it is well.
    var death: (after: Int, Death)?
    var lie: Lie?
    var isChunked = false
    var status = "200 OK"
    private(set) var requests: [String] = []
    private(set) var listener: StreamListener?
    private var exchanges: [Exchange] = []

    init(_ content: [UInt8], at address: NetworkAddress = .ownLoopbackPort(), on loop: EventLoop) throws {
        self.content = content
        listener = try StreamListener(tcp: address, on: loop, handler: self)
    }

    var address: HostPort {
        let local = listener?.localAddress ?? .anyLoopbackPort
        return HostPort(.address(local.ip), port: local.port)
    }
    var connections: Int { exchanges.count { $0.stream.isOpen } }

    /// Ends every connection, and takes no more.
    func die() {
        listener?.close()
        for exchange in exchanges { exchange.stream.abort() }
    }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        exchanges.append(Exchange(stream))
        stream.setHandler(self)
        stream.isReading = true
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {}

    func streamReadable(_ stream: ByteStream) {
        guard let exchange = exchanges.first(where: { $0.stream === stream }) else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count):
            exchange.request += buffer.prefix(count)
            let text = String(decoding: exchange.request, as: UTF8.self)
            guard text.hasSuffix("\r\n\r\n") else { return }
            exchange.request = []
            requests.append(text)
            exchange.answer = answer(to: text)
            exchange.sent = 0
            streamWritable(stream)
        case .wouldBlock: break
        case .endOfStream, .failed: stream.close()
        }
    }

    func streamWritable(_ stream: ByteStream) {
        guard let exchange = exchanges.first(where: { $0.stream === stream }) else { return }
        let end = min(exchange.answer.count, death.map { $0.after } ?? .max)
        while exchange.sent < end {
            let rest = Array(exchange.answer[exchange.sent..<end])
            guard case .bytes(let count) = stream.write(rest.span) else { return }
            exchange.sent += count
        }
        guard end < exchange.answer.count, let (_, death) = death else { return }
        switch death {
        case .reset: stream.abort()
        case .end: stream.close()
        case .silence: break
        }
    }

    func streamBroken(_ stream: ByteStream) { stream.close() }

    // MARK: - Answers

    private func answer(to request: String) -> [UInt8] {
        let range = request.split(separator: "\r\n").first { $0.lowercased().hasPrefix("range: bytes=") }
            .flatMap { Int($0.dropFirst("range: bytes=".count).prefix { $0.isNumber }) }
        guard let first = range, lie != .ignoresRange else { return answer("HTTP/1.1 \(status)", "", content) }
        if lie == .unavailable { return bytes("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") }
        let (shift, growth) = (lie == .otherRange ? 1 : 0, lie == .otherLength ? 1 : 0)
        let place = "Content-Range: bytes \(first + shift)-\(content.count - 1)/\(content.count + growth)\r\n"
        return answer("HTTP/1.1 206 Partial Content", place, Array(content[(first + shift)...]))
    }

    private func answer(_ start: String, _ field: String, _ body: [UInt8]) -> [UInt8] {
        let tag =
            switch lie {
            case .otherTag: "\"2\""
            case .weakTag: "W/\"1\""
            default: "\"1\""
            }
        let head = "\(start)\r\nETag: \(tag)\r\n\(field)"
        guard isChunked else { return bytes("\(head)Content-Length: \(body.count)\r\n\r\n") + body }
        var chunks: [UInt8] = []
        for start in stride(from: 0, to: body.count, by: 10_000) {
            let chunk = body[start..<min(start + 10_000, body.count)]
            chunks += bytes(String(chunk.count, radix: 16) + "\r\n") + chunk + bytes("\r\n")
        }
        return bytes("\(head)Transfer-Encoding: chunked\r\n\r\n") + chunks + bytes("0\r\n\r\n")
    }
}
