/// The head of one HTTP/1.1 message while it comes, up to and with its empty line (RFC 9112 §2.1).
///
/// What two readers could see differently is refused: a CR or LF that stands alone, and other control characters.
struct HeadCollector: Hashable, Sendable {
    /// Bytes in the longest head that is followed; most servers refuse longer ones. Bounds what a message without an end costs.
    static let longestHead = 16 << 10

    /// What has come so far.
    private(set) var bytes: [UInt8] = []

    var isEmpty: Bool { bytes.isEmpty }

    /// Takes bytes of `input` from `position` on; true once the head is complete.
    mutating func take(_ input: Span<UInt8>, at position: inout Int) throws(MappingFault) -> Bool {
        while position < input.count {
            try append(input[position])
            position += 1
            if isComplete { return true }
        }
        return false
    }

    private var isComplete: Bool { bytes.last == Octet.lineFeed && bytes.suffix(4) == [13, 10, 13, 10] }

    private mutating func append(_ byte: UInt8) throws(MappingFault) {
        guard bytes.count < Self.longestHead else {
            throw MappingFault("a head is longer than \(Self.longestHead) bytes")
        }
        // RFC 9112 §2.2: a bare CR is invalid, a bare LF something that readers understand differently.
        let followsCR = bytes.last == Octet.carriageReturn
        guard followsCR == (byte == Octet.lineFeed) else { throw MappingFault("a head has a CR or LF alone") }
        // A method and `HTTP` are tokens; what TLS and other protocols begin with is mostly none.
        let isFitting = bytes.isEmpty ? Octet.isToken(byte) : Octet.isText(byte) || byte == Octet.carriageReturn
        guard isFitting || followsCR else { throw MappingFault("this is no head of an HTTP/1.1 message") }
        bytes.append(byte)
    }
}
