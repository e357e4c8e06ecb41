import EventLoop
import Primitives

/// `godwit status`: asks a running local endpoint or gateway for its status.
public final class StatusClient {
    /// What came of asking.
    public enum Outcome: Hashable, Sendable {
        /// The answer, ready to print.
        case answer(String)
        /// Nobody answered: one line that says whom was asked and what to do.
        case failure(String)
    }

    private let options: StatusOptions

    /// Creates the client; nothing happens before `run`.
    public init(_ options: StatusOptions) { self.options = options }

    /// Asks one process after the other until one answers.
    public func run() -> Outcome {
        for path in options.controlSockets {
            if let text = try? StatusQuestion.ask(options.format == .json ? "status json" : "status", at: path) {
                return .answer(text)
            }
        }
        let asked = options.controlSockets.joined(separator: " and ")
        return .failure(
            "no local endpoint or gateway answers at \(asked); start `godwit connect`, or name the socket with --control"
        )
    }
}

/// One command to a control socket, and everything that it answers.
private final class StatusQuestion: ByteStreamHandler, TimerHandler {
    /// How long a process has for its answer.
    static let limit = Interval.seconds(5)
    /// Bytes in the longest answer; a longer one counts as none.
    static let longestAnswer = 64 << 20

    private let loop: EventLoop
    private var received: [UInt8] = []
    private var isComplete = false

    /// The answer; nil when there is none, or only that the command failed.
    static func ask(_ command: String, at path: String) throws(SystemError) -> String? {
        let question = StatusQuestion(try EventLoop())
        let stream = try ByteStream.connect(path: path, on: question.loop, handler: question)
        _ = stream.write(Array("\(command)\n".utf8).span)
        stream.isReading = true
        let timer = question.loop.addTimer(question)
        question.loop.arm(timer, at: question.loop.now + Self.limit)
        question.loop.run()
        stream.close()
        question.loop.removeTimer(timer)
        let text = String(decoding: question.received, as: UTF8.self)
        return question.isComplete && !text.isEmpty && !text.hasPrefix("error:") ? text : nil
    }

    private init(_ loop: EventLoop) { self.loop = loop }

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

    func streamWritable(_ stream: ByteStream) {}
    func streamBroken(_ stream: ByteStream) {}
    func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }
}
