import EventLoop
import Primitives

/// Asks another process of the user, local endpoint or gateway, for something through its control socket.
final class ControlClient: ByteStreamHandler, TimerHandler {
    /// How long a process has for its answer.
    static let limit = Interval.seconds(5)
    /// Bytes in the longest answer; a longer one counts as none.
    static let longestAnswer = 64 << 20

    private let loop: EventLoop
    private var received: [UInt8] = []
    private var isComplete = false

    /// What came of a question.
    enum Answer: Hashable, Sendable {
        /// The whole answer.
        case text(String)
        /// The command failed: why.
        case error(String)
        /// Nobody answers, or not in time.
        case nobody
    }

    /// The whole answer; nil when nobody answers, or only that the command failed.
    static func ask(_ command: String, at path: String) -> String? {
        if case .text(let text) = answer(to: command, at: path) { text } else { nil }
    }

    /// The answer to a command.
    static func answer(to command: String, at path: String) -> Answer {
        guard let loop = try? EventLoop() else { return .nobody }
        let question = ControlClient(loop)
        guard let stream = try? ByteStream.connect(path: path, on: loop, handler: question) else { return .nobody }
        _ = stream.write(Array("\(command)\n".utf8).span)
        stream.isReading = true
        let timer = loop.addTimer(question)
        loop.arm(timer, at: loop.now + Self.limit)
        loop.run()
        stream.close()
        loop.removeTimer(timer)
        let text = String(decoding: question.received, as: UTF8.self)
        guard question.isComplete, !text.isEmpty else { return .nobody }
        let failure = "error: "
        guard text.hasPrefix(failure) else { return .text(text) }
        return .error(text.dropFirst(failure.count).split(separator: "\n").first.map { String($0) } ?? text)
    }

    private init(_ loop: EventLoop) { self.loop = loop }

    /// For the stream.
    func streamReadable(_ stream: ByteStream) {
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
    func streamWritable(_ stream: ByteStream) {}
    /// For the stream.
    func streamBroken(_ stream: ByteStream) {}
    /// For the loop: the time is up.
    func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }
}
