/// Collects the line with which one side of a control socket begins, from pieces of any size.
public struct ControlLine {
    /// What the bytes so far have come to.
    public enum Progress: Hashable, Sendable {
        /// The line goes on.
        case incomplete
        /// The whole line, without its line feed. What came behind it is passed over.
        case line(String)
        /// It is longer than its bound: nothing more is taken.
        case tooLong
    }

    /// Bytes in the longest line, without its line feed.
    private let limit: Int
    private var received: [UInt8] = []

    /// A line of at most `limit` bytes.
    public init(atMost limit: Int) { self.limit = limit }

    /// Takes bytes; not to be called again once the line is complete or too long.
    public mutating func take(_ bytes: some Collection<UInt8>) -> Progress {
        guard let newline = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            guard bytes.count <= limit - received.count else { return .tooLong }
            received += bytes
            return .incomplete
        }
        let end = bytes[..<newline]
        guard end.count <= limit - received.count else { return .tooLong }
        received += end
        return .line(String(decoding: received, as: UTF8.self))
    }
}
