public import EventLoop
public import Primitives

/// Asks another process of the user, local endpoint or gateway, for something through its control socket.
public final class ControlClient: ByteStreamHandler, TimerHandler {
    /// How long a process has for its answer.
    static let limit = Interval.seconds(5)
    /// Bytes in the longest answer; a longer one counts as none.
    static let longestAnswer = 64 << 20

    private let loop: EventLoop
    private var received: [UInt8] = []
    private var isComplete = false

    /// The whole answer; nil when nobody answers, or only that the command failed.
    public static func ask(_ command: String, at path: String) -> String? {
        guard let loop = try? EventLoop() else { return nil }
        let question = ControlClient(loop)
        guard let stream = try? ByteStream.connect(path: path, on: loop, handler: question) else { return nil }
        _ = stream.write(Array("\(command)\n".utf8).span)
        stream.isReading = true
        let timer = loop.addTimer(question)
        loop.arm(timer, at: loop.now + Self.limit)
        loop.run()
        stream.close()
        loop.removeTimer(timer)
        let text = String(decoding: question.received, as: UTF8.self)
        return question.isComplete && !text.isEmpty && !text.hasPrefix("error:") ? text : nil
    }

    private init(_ loop: EventLoop) { self.loop = loop }

    /// For the stream.
    public func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: ByteStream.readSize)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count):
            received += buffer.prefix(count)
            if received.count > Self.longestAnswer { loop.stop() }
        case .wouldBlock: break
        case .endOfStream:
            isComplete = true
            loop.stop()
        case .failed: loop.stop()
        }
    }

    /// For the stream.
    public func streamWritable(_ stream: ByteStream) {}
    /// For the stream.
    public func streamBroken(_ stream: ByteStream) {}
    /// For the loop: the time is up.
    public func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }
}
