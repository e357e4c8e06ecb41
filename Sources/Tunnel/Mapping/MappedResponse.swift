/// What the head of a response says.
struct MappedResponse: Hashable, Sendable {
    /// What another origin can be asked to go on with.
    enum Content: Hashable, Sendable {
        case continuable(RepresentationPart)
        /// The reason is one clause, behind "because".
        case notContinuable(reason: String)
    }

    let status: Int
    let framing: BodyFraming
    let persistence: Persistence
    var content: Content

    /// Reads a head that a `HeadCollector` has collected: the answer to `request`, or an interim response before it.
    init(_ head: [UInt8], to request: MappedRequest) throws(MappingFault) {
        let lines = try MessageLines(head)
        // RFC 9112 §4: HTTP-version SP status-code SP [ reason-phrase ].
        let parts = lines.startLine.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[1].count == 3, let status = Octet.decimal(parts[1]), status >= 100 else {
            throw MappingFault("a response does not begin with HTTP/1.1 and a status")
        }
        let minorVersion = try MessageLines.minorVersion(parts[0])
        self.status = Int(status)
        let declared = try BodyFraming(lines, minorVersion: minorVersion)
        // RFC 9112 §6.3: these have no body, whatever their fields say.
        let isBodiless = request.method == .head || status < 200 || status == 204 || status == 304
        framing = isBodiless ? .none : declared ?? .untilClose
        let answered = Persistence(lines, minorVersion: minorVersion)
        // RFC 9112 §9.6: either side's `close` ends the connection behind this response.
        let isKept = answered == .keepsOpen && request.persistence == .keepsOpen && framing != .untilClose
        persistence = isKept ? .keepsOpen : .closes
        do throws(MappingFault) {
            content = .continuable(try RepresentationPart(lines, status: self.status, framing, to: request))
        } catch {
            content = .notContinuable(reason: error.reason)
        }
    }

    /// RFC 9110 §15.2: the response proper is still to come.
    var isInterim: Bool { status < 200 }
}

/// The bytes of a representation that a response has, and what tells that another response is of the same representation.
struct RepresentationPart: Hashable, Sendable {
    /// The representation's byte with which the content begins.
    let first: UInt64
    /// The byte with which it ends; nil when that is not known.
    var last: UInt64?
    /// Bytes in the whole representation; nil when that is not known.
    var completeLength: UInt64?
    let validator: StrongValidator
    /// The values of Content-Encoding, in order: ranges count coded bytes.
    let codings: [String]

    /// What a response says of its content; the reason why it cannot be continued otherwise.
    init(
        _ lines: MessageLines, status: Int, _ framing: BodyFraming, to request: MappedRequest
    ) throws(MappingFault) {
        guard request.method == .get, request.isRepeatable else {
            throw MappingFault("only the answer to a GET without a body is asked for in part")
        }
        guard lines.values(of: "trailer").isEmpty else { throw MappingFault("fields behind its content are announced") }
        switch status {
        case 200: (first, last, completeLength) = (0, nil, nil)
        case 206:
            guard request.extent == .ranged else { throw MappingFault("it is a part that nobody asked for") }
            let types = lines.values(of: "content-type").map { String(decoding: $0, as: UTF8.self).lowercased() }
            // RFC 9110 §15.3.7.2: several parts have their own boundaries, which another origin chooses differently.
            guard !types.contains(where: { $0.hasPrefix("multipart/byteranges") }),
                let text = try lines.single("content-range"), let range = ContentRange(text)
            else { throw MappingFault("it has several parts, or no Content-Range that says which one") }
            (first, last, completeLength) = (range.first, range.last, range.completeLength)
        default: throw MappingFault("its status is \(status)")
        }
        validator = try StrongValidator(lines)
        codings = lines.list("content-encoding")
        try close(framing, status: status)
    }

    private mutating func close(_ framing: BodyFraming, status: Int) throws(MappingFault) {
        guard case .length(let length) = framing else { return }
        guard let last else {
            last = length - 1
            completeLength = length
            return
        }
        guard last - first + 1 == length else {
            throw MappingFault("its Content-Length is not that of its Content-Range")
        }
    }

    /// Why the answer of another origin does not go on with this part at its byte `offset`; nil when it does.
    func mismatch(of answer: RepresentationPart, at offset: UInt64) -> String? {
        guard answer.validator == validator else { return "it is of another version (ETag, Last-Modified)" }
        guard answer.codings == codings else { return "it is coded differently (Content-Encoding)" }
        guard answer.first == offset else { return "it begins at byte \(answer.first), not at \(offset)" }
        guard let length = answer.completeLength, length == completeLength ?? length else {
            return "its complete length is another one, or unknown"
        }
        guard answer.last == last ?? length - 1 else { return "it does not end where the response has to end" }
        return nil
    }
}
