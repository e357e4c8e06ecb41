/// A server that has what another one has, and serves parts of it; or that lies.
struct ModelOrigin {
    /// How it frames its parts.
    enum Framing: CaseIterable {
        case length
        case chunks
        case untilClose
        /// With a length, behind an interim response.
        case interim
    }

    /// What is wrong with it.
    enum Lie: CaseIterable {
        case otherVersion
        case weakTag
        case noValidator
        case ignoresRange
        case wrongFirst
        case wrongLast
        case otherLength
        case unknownLength
        case coded
        case contradictingLength
        case severalParts
        case notFound
        case unsatisfiable
        case twoLengths
        case broken
        case switching
        case tooMuch
        case tooLittle

        /// Whether its content is another one: what comes of it must be recognisable. The others say the truth, but not all of it.
        var hasOtherContent: Bool { self != .tooMuch && self != .tooLittle }
    }

    let turns: [Exchange.Turn]
    var framing = Framing.length
    var lie: Lie?

    /// The answers to requests, whether they were repeated or ask for the rest of a response.
    func answer(_ requests: [UInt8]) -> [UInt8] {
        var rest = requests[...]
        var stream: [UInt8] = []
        while let end = ReceivedMessage.endOfHead(rest) {
            let request = Array(rest[..<end])
            rest = rest[end...]
            guard let turn = turns.first(where: { request.starts(with: $0.startLine) }) else { return stream }
            stream += request == turn.request ? turn.response : partialAnswer(request, turn)
            if request != turn.request, framing == .untilClose { return stream }
        }
        return stream
    }

    private func partialAnswer(_ request: [UInt8], _ turn: Exchange.Turn) -> [UInt8] {
        guard let original = ReceivedMessage.all(in: turn.response, turns: [turn]).last,
            let range = ReceivedMessage.value("range", in: request)?.dropFirst(6).split(separator: "-"),
            let condition = ReceivedMessage.value("if-range", in: request),
            let first = range.first.flatMap({ Int($0) }),
            condition == original.value("etag") ?? original.value("last-modified")
        else { return octets("HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n") }
        let whole = turn.whole ?? original.content
        guard first < whole.count else {
            return octets(
                "HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */\(whole.count)\nContent-Length: 0\n\n")
        }
        let last = min(range.count > 1 ? Int(range[1]) ?? 0 : whole.count - 1, whole.count - 1)
        var part = Part(original: original, first: first, last: last, complete: whole.count, content: whole)
        if lie?.hasOtherContent == true { part.content = whole.map { $0 ^ 0x20 } }
        return part.answer(framing, lie)
    }
}

/// A part of a representation, on its way to be served.
private struct Part {
    let original: ReceivedMessage
    var first: Int
    var last: Int
    var complete: Int
    var content: [UInt8]

    func answer(_ framing: ModelOrigin.Framing, _ lie: ModelOrigin.Lie?) -> [UInt8] {
        switch lie {
        case .ignoresRange:
            return octets("HTTP/1.1 200 OK\n" + validators(lie) + "Content-Length: \(content.count)\n\n") + content
        case .notFound: return octets("HTTP/1.1 404 Not Found\nContent-Length: 4\n\ngone")
        case .unsatisfiable: return octets("HTTP/1.1 416 No\nContent-Range: bytes */\(complete)\nContent-Length: 0\n\n")
        case .broken: return octets("HTTP/1.1 206 Partial\nETag \"v1\"\n\nabc")
        case .switching: return octets("HTTP/1.1 101 Switching Protocols\n\nabc")
        default: return partialContent(framing, lie)
        }
    }

    private func partialContent(_ framing: ModelOrigin.Framing, _ lie: ModelOrigin.Lie?) -> [UInt8] {
        var head = "HTTP/1.1 206 Partial Content\n" + validators(lie)
        if lie != .coded, let coding = original.value("content-encoding") { head += "Content-Encoding: \(coding)\n" }
        if lie == .coded { head += "Content-Encoding: zstd\n" }
        if lie == .severalParts { head += "Content-Type: multipart/byteranges; boundary=x\n" }
        let complete = lie == .unknownLength ? "*" : "\(lie == .otherLength ? complete + 1 : complete)"
        let first = lie == .wrongFirst ? (first == 0 ? 1 : first - 1) : first
        let last = lie == .wrongLast ? last + 1 : last
        head += "Content-Range: bytes \(first)-\(last)/\(complete)\n"
        var body = Array(content[min(first, content.count)..<min(last + 1, content.count)])
        if lie == .tooMuch { body += [1] }
        if lie == .tooLittle { body.removeLast() }
        if lie == .contradictingLength { head += "Content-Length: \(body.count + 1)\n" }
        if lie == .twoLengths { head += "Content-Length: \(body.count)\nContent-Length: \(body.count)\n" }
        // These two show only in a framing that has no length before the content.
        let isOpen = lie == .tooMuch || lie == .tooLittle
        return frame(octets(head), body, isOpen ? .chunks : framing, lie)
    }

    private func frame(
        _ head: [UInt8], _ body: [UInt8], _ framing: ModelOrigin.Framing, _ lie: ModelOrigin.Lie?
    ) -> [UInt8] {
        let hasLength = lie == .contradictingLength || lie == .twoLengths
        switch framing {
        case .untilClose: return head + octets("\n") + body
        case .length, .interim:
            let before = framing == .interim ? octets("HTTP/1.1 103 Early Hints\nLink: </y>\n\n") : []
            return before + head + octets(hasLength ? "\n" : "Content-Length: \(body.count)\n\n") + body
        case .chunks where hasLength: return head + octets("\n") + body
        case .chunks:
            var chunks: [UInt8] = []
            var rest = body[...]
            while !rest.isEmpty {
                let chunk = rest.prefix(7)
                rest = rest.dropFirst(7)
                chunks += octets("0\(chunk.count);x=y\n") + chunk + octets("\n")
            }
            return head + octets("Transfer-Encoding: chunked\n\n") + chunks + octets("0\nX-T: 1\n\n")
        }
    }

    private func validators(_ lie: ModelOrigin.Lie?) -> String {
        var fields = original.value("date").map { "Date: \($0)\n" } ?? ""
        guard lie != .noValidator else { return fields }
        if let tag = original.value("etag") {
            let lied = lie == .weakTag ? "W/" + tag : "\"v2\""
            fields += "ETag: \(lie == .otherVersion || lie == .weakTag ? lied : tag)\n"
        }
        if let modified = original.value("last-modified") {
            let isChanged = lie == .otherVersion || lie == .weakTag
            fields += "Last-Modified: \(isChanged ? "Thu, 19 Nov 2026 10:00:00 GMT" : modified)\n"
        }
        return fields
    }
}
