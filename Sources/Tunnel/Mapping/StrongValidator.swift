/// What two answers must agree in to be the same representation, byte for byte (RFC 9110 §8.8.1).
enum StrongValidator: Hashable, Sendable {
    /// An ETag that is not weak, with its quotes.
    case entityTag([UInt8])
    /// A Last-Modified that is old enough to be strong.
    case lastModified([UInt8])

    /// Seconds by which a Date must be later than a Last-Modified: enough that clocks which differ do not matter
    /// (RFC 9110 §8.8.2.2).
    static let strongDateMargin: Int64 = 60

    /// The validator of a response.
    init(_ lines: MessageLines) throws(MappingFault) {
        if let tag = try lines.single("etag") {
            // RFC 9110 §13.1.5: who has an ETag must not send a date in If-Range, and no weak ETag.
            guard Self.isStrong(tag) else { throw MappingFault("its ETag is weak or malformed") }
            self = .entityTag(Array(tag))
            return
        }
        guard let modified = try lines.single("last-modified"), let date = try lines.single("date") else {
            throw MappingFault("it has no ETag, and no Last-Modified with a Date")
        }
        guard let from = HTTPDate(modified), let now = HTTPDate(date),
            now.unixTime - from.unixTime >= Self.strongDateMargin
        else { throw MappingFault("its Last-Modified is too young to tell two versions apart") }
        self = .lastModified(Array(modified))
    }

    /// As `If-Range` has it.
    var value: [UInt8] {
        switch self {
        case .entityTag(let value), .lastModified(let value): value
        }
    }

    /// RFC 9110 §8.8.3: opaque-tag, without the W/ before it.
    private static func isStrong(_ tag: ArraySlice<UInt8>) -> Bool {
        let quote = UInt8(ascii: "\"")
        guard tag.count >= 2, tag.first == quote, tag.last == quote else { return false }
        return tag.dropFirst().dropLast().allSatisfy { $0 > 0x20 && $0 != quote && $0 != 0x7f }
    }
}
