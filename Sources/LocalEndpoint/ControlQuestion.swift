import Driver
import EventLoop
import Primitives

/// What hears the answer to a question at a control socket.
protocol ControlQuestionOwner: AnyObject {
    /// The first line of the answer, without its end; nil when the stream ended without one.
    func answered(_ line: String?, to question: ControlQuestion)
}

/// A command to another process of Godwit, through its control socket, and the line that it answers.
final class ControlQuestion: ByteStreamHandler {
    /// Bytes in the longest answer line; a longer one counts as none.
    static let longestAnswer = 8192

    private var stream: ByteStream?
    private weak var owner: (any ControlQuestionOwner)?
    private var answer = ControlLine(atMost: ControlQuestion.longestAnswer)

    /// Connects and asks, with a descriptor that the other process gets a copy of; throws when nobody listens at `path`.
    init(
        _ command: String, passing descriptor: Int32, at path: String, on loop: EventLoop,
        owner: any ControlQuestionOwner
    ) throws(SystemError) {
        self.owner = owner
        let stream = try ByteStream.connect(path: path, on: loop, handler: self)
        self.stream = stream
        stream.isReading = true
        try stream.write(Array("\(command)\n".utf8), passing: descriptor)
    }

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: Self.longestAnswer)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count): take(buffer.prefix(count))
        case .wouldBlock: return
        case .endOfStream, .failed: end(nil)
        }
    }

    func streamWritable(_ stream: ByteStream) {}
    func streamBroken(_ stream: ByteStream) {}

    private func take(_ bytes: ArraySlice<UInt8>) {
        switch answer.take(bytes) {
        case .incomplete: break
        case .tooLong: end(nil)
        case .line(let line): end(line)
        }
    }

    private func end(_ line: String?) {
        stream?.close()
        stream = nil
        owner?.answered(line, to: self)
    }
}
