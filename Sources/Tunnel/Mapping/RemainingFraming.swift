/// So much content, then bytes that belong to the framing.
struct ContentSegment: Hashable, Sendable {
    var content: UInt64
    let closing: [UInt8]
}

/// The framing of a body that another origin goes on with: the application has read half of it already, so it stays as it
/// is, whatever framing the new answer has.
enum RemainingFraming: Hashable, Sendable {
    /// Content and nothing else.
    case plain
    /// The chunked coding, from here on.
    case chunked(ChunkPosition)

    /// Where a body is; refused where the framing cannot be gone on with.
    init(_ state: BodyReader.State) throws(MappingFault) {
        switch state {
        case .remaining, .untilClose: self = .plain
        case .chunk(.chunkExtension):
            throw MappingFault("it broke within a chunk's extension, whose end nobody else knows")
        case .chunk(.trailer), .chunk(.trailerLine), .chunk(.trailerLineEnd), .chunk(.lastLineEnd), .chunk(.sizeEnd(0)):
            throw MappingFault("it broke within its trailer section, whose fields nobody else knows")
        case .chunk(let position): self = .chunked(position)
        case .finished: throw MappingFault("it is complete")
        }
    }

    /// What the application has to get, given that so many bytes of content are left (at least one): what is left of the
    /// chunk that broke, then everything else as one chunk, then the end.
    func segments(for content: UInt64) throws(MappingFault) -> [ContentSegment] {
        guard case .chunked(let position) = self else { return [ContentSegment(content: content, closing: [])] }
        let (opening, inChunk) = try Self.mending(position, content)
        guard inChunk <= content else { throw MappingFault("the chunk that broke is longer than what is left") }
        let rest = content - inChunk
        let behindChunk = inChunk > 0 ? Octet.lineEnd : []
        guard rest > 0 else {
            return [ContentSegment(content: 0, closing: opening), ContentSegment(content: inChunk, closing: Self.end)]
        }
        return [
            ContentSegment(content: 0, closing: opening),
            ContentSegment(content: inChunk, closing: behindChunk + Self.sizeLine(rest)),
            ContentSegment(content: rest, closing: Self.end),
        ]
    }

    /// Bytes that make the framing whole, and how much content the chunk under way has then.
    private static func mending(
        _ position: ChunkPosition, _ content: UInt64
    ) throws(MappingFault) -> (opening: [UInt8], inChunk: UInt64) {
        switch position {
        case .size(_, digits: 0), .chunkExtension, .trailer, .trailerLine, .trailerLineEnd, .lastLineEnd:
            return ([], 0)
        case .size(0, let zeros):
            // A size that begins with zeros: the digits of the rest can follow them.
            let line = sizeLine(content)
            guard zeros + line.count - 2 <= ChunkPosition.mostDigits else {
                throw MappingFault("a chunk's size has too many digits")
            }
            return (line, content)
        case .size(let size, _): return (Octet.lineEnd, size)
        case .sizeEnd(let size): return ([Octet.lineFeed], size)
        case .data(let remaining): return ([], remaining)
        case .dataEnd: return (Octet.lineEnd, 0)
        case .dataEndLine: return ([Octet.lineFeed], 0)
        }
    }

    private static func sizeLine(_ size: UInt64) -> [UInt8] {
        Array(String(size, radix: 16).utf8) + Octet.lineEnd
    }

    /// Behind the content of the last chunk that has any: its end, the last chunk, no trailers.
    private static let end = Octet.lineEnd + Array("0\r\n\r\n".utf8)
}
