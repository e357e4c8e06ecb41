/// Where in the chunked coding the next byte is (RFC 9112 §7.1).
///
///     [ size ] ─┬──────────────► [ sizeEnd ] ─┬─► [ data ] ─► [ dataEnd ] ─► [ dataEndLine ] ─► [ size ]
///               └► [ extension ] ───┘         └─ 0 ─► [ trailer ] ─► [ lastLineEnd ] ─► the end
///                                                        ▲  └► [ trailerLine ] ─► [ trailerLineEnd ] ─┐
///                                                        └─────────────────────────────────────────────┘
enum ChunkPosition: Hashable, Sendable {
    /// In the digits of a size.
    case size(UInt64, digits: Int)
    /// Behind so many bytes of the extensions of a chunk of this size.
    case chunkExtension(UInt64, length: Int)
    /// Before the LF of a size's line.
    case sizeEnd(UInt64)
    /// Before so many bytes of content.
    case data(UInt64)
    /// Before the CR behind the content.
    case dataEnd
    /// Before its LF.
    case dataEndLine
    /// At the start of a line of the trailer section, which has so many bytes so far.
    case trailer(length: Int)
    /// In such a line.
    case trailerLine(length: Int)
    /// Before its LF.
    case trailerLineEnd(length: Int)
    /// Before the very last LF.
    case lastLineEnd

    /// Bytes in a chunk's extensions, and in the trailer section; more of them are not followed.
    static let longestExtension = 16 << 10
    /// Digits of a size, so that none overflows (RFC 9112 §7.1); they are more than any body has.
    static let mostDigits = 15

    static let start = ChunkPosition.size(0, digits: 0)

    /// Where the coding is behind `byte`; nil at its end. `byte` is none of the content.
    func next(_ byte: UInt8) throws(MappingFault) -> ChunkPosition? {
        switch self {
        case .size(let size, let digits): return try Self.inSize(size, digits, byte)
        case .chunkExtension(let size, let length):
            if byte == Octet.carriageReturn { return .sizeEnd(size) }
            guard Octet.isText(byte), length < Self.longestExtension else {
                throw MappingFault("a chunk's extension is too long or no text")
            }
            return .chunkExtension(size, length: length + 1)
        case .sizeEnd(let size):
            try Self.require(Octet.lineFeed, byte)
            return size == 0 ? .trailer(length: 0) : .data(size)
        case .data: throw MappingFault("a chunk's content is no part of the coding")
        case .dataEnd:
            try Self.require(Octet.carriageReturn, byte)
            return .dataEndLine
        case .dataEndLine:
            try Self.require(Octet.lineFeed, byte)
            return .start
        case .trailer(let length):
            return byte == Octet.carriageReturn ? .lastLineEnd : try Self.inTrailer(length, byte)
        case .trailerLine(let length):
            return byte == Octet.carriageReturn ? .trailerLineEnd(length: length) : try Self.inTrailer(length, byte)
        case .trailerLineEnd(let length):
            try Self.require(Octet.lineFeed, byte)
            return .trailer(length: length)
        case .lastLineEnd:
            try Self.require(Octet.lineFeed, byte)
            return nil
        }
    }

    private static func inSize(_ size: UInt64, _ digits: Int, _ byte: UInt8) throws(MappingFault) -> ChunkPosition {
        if let digit = Octet.hexadecimalDigit(byte) {
            guard digits < mostDigits else { throw MappingFault("a chunk's size has too many digits") }
            return .size(size << 4 | UInt64(digit), digits: digits + 1)
        }
        guard digits > 0 else { throw MappingFault("a chunk has no size") }
        if byte == Octet.carriageReturn { return .sizeEnd(size) }
        // RFC 9112 §7.1.1: extensions start with a semicolon, before which blanks may stand.
        guard byte == UInt8(ascii: ";") || Octet.isBlank(byte) else {
            throw MappingFault("a chunk's size is no number")
        }
        return .chunkExtension(size, length: 1)
    }

    private static func inTrailer(_ length: Int, _ byte: UInt8) throws(MappingFault) -> ChunkPosition {
        guard Octet.isText(byte), length < longestExtension else {
            throw MappingFault("the trailer section is too long or no text")
        }
        return .trailerLine(length: length + 1)
    }

    private static func require(_ expected: UInt8, _ byte: UInt8) throws(MappingFault) {
        guard byte == expected else { throw MappingFault("the chunked coding is broken") }
    }
}
