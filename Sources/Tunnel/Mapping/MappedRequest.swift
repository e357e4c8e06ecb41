/// What is remembered of a request until it is answered.
struct MappedRequest: Hashable, Sendable {
    enum Method: Hashable, Sendable {
        case get
        case head
        case options
        case other
    }

    /// Whether the request asks for a part of the representation.
    enum Extent: Hashable, Sendable {
        case whole
        case ranged
    }

    let method: Method
    let framing: BodyFraming
    let persistence: Persistence
    private(set) var extent: Extent
    /// The head as it came; empty for a request that is never sent a second time.
    let head: [UInt8]

    /// Reads a head that a `HeadCollector` has collected.
    init(_ head: [UInt8]) throws(MappingFault) {
        let lines = try MessageLines(head)
        // RFC 9112 §3: method SP request-target SP HTTP-version, with exactly these two spaces.
        let parts = lines.startLine.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(Octet.isToken), !parts[1].isEmpty,
            parts[1].allSatisfy({ (0x21...0x7e).contains($0) })
        else { throw MappingFault("a request does not begin with METHOD TARGET HTTP/1.1") }
        let minorVersion = try MessageLines.minorVersion(parts[2])
        switch String(decoding: parts[0], as: UTF8.self) {
        case "GET": method = .get
        case "HEAD": method = .head
        case "OPTIONS": method = .options
        case "CONNECT": throw MappingFault("the request is CONNECT: what follows is another protocol")
        default: method = .other
        }
        guard lines.values(of: "upgrade").isEmpty else {
            throw MappingFault("the request offers another protocol (Upgrade)")
        }
        framing = try BodyFraming(lines, minorVersion: minorVersion) ?? .none
        persistence = Persistence(lines, minorVersion: minorVersion)
        extent = lines.values(of: "range").isEmpty ? .whole : .ranged
        // RFC 9110 §9.2.2: only what is safe is sent again by someone who cannot ask the user.
        self.head = method != .other && framing == .none ? head : []
    }

    /// Whether the request may be sent to another origin, as it was.
    var isRepeatable: Bool { !head.isEmpty }

    /// The request as `continuing` sends it to another origin.
    var asRanged: MappedRequest {
        var request = self
        request.extent = .ranged
        return request
    }

    /// Fields that do not go along when a response is continued. RFC 9110 §13.2.2: the conditions were met when the response
    /// began; from now on only If-Range counts.
    private static let replacedFields: Set<String> = [
        "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
    ]

    /// The head that asks for the rest of the response: from byte `first` of the representation to `last`, or to its end.
    func continuing(
        from first: UInt64, to last: UInt64?, _ validator: StrongValidator
    ) throws(MappingFault) -> [UInt8] {
        let lines = try MessageLines(head)
        var bytes = Array(lines.startLine) + Octet.lineEnd
        for field in lines.fields where !Self.replacedFields.contains(field.name) { bytes += field.line }
        bytes += Array("Range: bytes=\(first)-\(last.map(String.init) ?? "")\r\nIf-Range: ".utf8)
        return bytes + validator.value + Octet.lineEnd + Octet.lineEnd
    }
}
