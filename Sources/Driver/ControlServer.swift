public import EventLoop

/// What answers the commands that come through a control socket.
public protocol ControlResponder: AnyObject {
    /// A command: the first line that came, without its end.
    ///
    /// Answer with `reply`, now or later.
    func command(_ line: String, on request: ControlRequest)
}

/// The Unix-domain socket through which other processes of the same user ask a running one for something.
///
/// One command for each connection: a line of at most `longestCommand` bytes, with a TCP socket passed along where the command
/// says so. The answer is text up to the end of the stream.
public final class ControlServer: StreamListenerHandler {
    /// Bytes in the longest command; a longer one ends the connection.
    public static let longestCommand = 4096
    /// Commands under way at once; further connections are closed.
    public static let maximumRequests = 256

    private unowned let responder: any ControlResponder
    private var listener: StreamListener?
    private var requests: [ObjectIdentifier: ControlRequest] = [:]

    /// Listens at `path`; a socket that nobody answers at is replaced.
    public init(path: String, on loop: EventLoop, responder: any ControlResponder) throws(SystemError) {
        self.responder = responder
        listener = try StreamListener(path: path, on: loop, handler: self)
    }

    /// Stops listening and removes the socket; commands under way are cut off.
    public func close() {
        listener?.close()
        listener = nil
        for request in requests.values { request.abandon() }
        requests = [:]
    }

    /// For the listener.
    public func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        guard requests.count < Self.maximumRequests else { return stream.close() }
        let request = ControlRequest(stream, server: self)
        requests[ObjectIdentifier(request)] = request
        stream.setHandler(request)
        stream.isReading = true
    }

    /// For the listener.
    public func listener(_ listener: StreamListener, pausedBy error: SystemError) {}

    func commandCame(_ line: String, on request: ControlRequest) { responder.command(line, on: request) }

    func ended(_ request: ControlRequest) { requests[ObjectIdentifier(request)] = nil }
}

/// One command and its answer.
public final class ControlRequest: ByteStreamHandler {
    private let stream: ByteStream
    private weak var server: ControlServer?
    private var question = ControlLine(atMost: ControlServer.longestCommand)
    private var reply: [UInt8] = []
    private var written = 0
    /// A descriptor that came with the command, until somebody takes it.
    private var passed: Int32?

    init(_ stream: ByteStream, server: ControlServer) {
        self.stream = stream
        self.server = server
    }

    /// Answers with text and ends the stream.
    public func reply(_ text: String) {
        reply = Array(text.utf8)
        writeReply()
    }

    /// The TCP socket that came with the command; nil when there is none, or it was taken.
    public func takeSocket(on loop: EventLoop) -> ByteStream? {
        defer { passed = nil }
        return passed.flatMap { ByteStream(passedTCP: $0, on: loop) }
    }

    func abandon() {
        dropSocket()
        stream.close()
    }

    private func dropSocket() {
        if let passed { ByteStream.close(passed: passed) }
        passed = nil
    }

    /// For the stream.
    public func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: ControlServer.longestCommand)
        let (outcome, descriptor) = stream.readPassed(into: &buffer)
        if let descriptor {
            dropSocket()
            passed = descriptor
        }
        switch outcome {
        case .bytes(let count): take(buffer.prefix(count))
        case .wouldBlock: return
        case .endOfStream, .failed: end()
        }
    }

    private func take(_ bytes: ArraySlice<UInt8>) {
        switch question.take(bytes) {
        case .incomplete: break
        case .tooLong: end()
        case .line(let line):
            stream.isReading = false
            server?.commandCame(line, on: self)
        }
    }

    /// For the stream.
    public func streamWritable(_ stream: ByteStream) { writeReply() }

    /// For the stream.
    public func streamBroken(_ stream: ByteStream) { end() }

    private func writeReply() {
        let reply = reply
        while written < reply.count {
            switch stream.write(reply.span.extracting(written..<reply.count)) {
            case .bytes(let count): written += count
            case .wouldBlock: return
            case .failed: return end()
            }
        }
        end()
    }

    private func end() {
        abandon()
        server?.ended(self)
    }
}
