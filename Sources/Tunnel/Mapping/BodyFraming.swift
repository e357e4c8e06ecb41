/// How the end of a message's body is found (RFC 9112 §6.3).
enum BodyFraming: Hashable, Sendable {
    /// There is no body.
    case none
    /// So many bytes.
    case length(UInt64)
    /// The chunked coding.
    case chunked
    /// Everything up to the connection's end.
    case untilClose

    /// What the fields of a head say; nil when they say nothing.
    init?(_ lines: MessageLines, minorVersion: UInt8) throws(MappingFault) {
        let codings = lines.values(of: "transfer-encoding")
        guard codings.isEmpty else {
            // RFC 9112 §6.1: with Content-Length beside it, or in HTTP/1.0, this is how requests are smuggled.
            guard codings.count == 1, lines.list("transfer-encoding") == ["chunked"], minorVersion >= 1,
                lines.values(of: "content-length").isEmpty
            else { throw MappingFault("the framing is not just chunked, or contradicts itself") }
            self = .chunked
            return
        }
        guard let text = try lines.single("content-length") else { return nil }
        guard let length = Octet.decimal(text) else { throw MappingFault("a Content-Length is no number") }
        self = length == 0 ? .none : .length(length)
    }
}

/// Finds the content of one body in bytes that come in pieces of any size, and keeps none of them.
///
/// A body by length costs the same for every piece, however long.
struct BodyReader: Hashable, Sendable {
    enum State: Hashable, Sendable {
        case remaining(UInt64)
        case chunk(ChunkPosition)
        case untilClose
        case finished
    }

    private(set) var state: State

    init(_ framing: BodyFraming) {
        switch framing {
        case .none: state = .finished
        case .length(let length): state = length == 0 ? .finished : .remaining(length)
        case .chunked: state = .chunk(.start)
        case .untilClose: state = .untilClose
        }
    }

    var isFinished: Bool { state == .finished }

    /// Where the next content of `input` from `position` on stands, at most `most` bytes of it; nil when the input or the body is
    /// used up before. Empty when there is content and `most` is 0.
    mutating func next(
        _ input: Span<UInt8>, at position: inout Int, atMost most: UInt64
    ) throws(MappingFault) -> Range<Int>? {
        while position < input.count {
            let available = min(UInt64(input.count - position), most)
            switch state {
            case .finished: return nil
            case .untilClose: return advance(&position, available)
            case .remaining(let remaining):
                let part = min(remaining, available)
                state = part == remaining ? .finished : .remaining(remaining - part)
                return advance(&position, part)
            case .chunk(.data(let remaining)):
                let part = min(remaining, available)
                state = .chunk(part == remaining ? .dataEnd : .data(remaining - part))
                return advance(&position, part)
            case .chunk(let chunk):
                let next = try chunk.next(input[position])
                state = next.map(State.chunk) ?? .finished
                position += 1
            }
        }
        return nil
    }

    private func advance(_ position: inout Int, _ count: UInt64) -> Range<Int> {
        let start = position
        position += Int(count)
        return start..<position
    }
}
