import LocalEndpoint
import Primitives
import Testing

@Suite("HTTP proxy: forwarded requests")
struct HTTPProxyForwardingTests {
    /// The destination, the head for the origin and the body's filter.
    func forward(_ text: String) throws -> (destination: String, head: String, body: HTTPRequestBody) {
        guard case .request(let request) = outcome(text), case .forward(let head, let body) = request.kind else {
            throw Refused()
        }
        return (request.destination.description, String(decoding: head, as: UTF8.self), body)
    }

    struct Refused: Error {}

    @Test(
        "an absolute target becomes origin-form and Host",
        arguments: [
            ("GET http://a/ HTTP/1.1", "a:80", "GET / HTTP/1.1", "a"),
            ("GET http://A.Example:8080/b?c=d HTTP/1.1", "a.example:8080", "GET /b?c=d HTTP/1.1", "a.example:8080"),
            ("GET http://a HTTP/1.1", "a:80", "GET / HTTP/1.1", "a"),
            ("GET http://a:/x HTTP/1.1", "a:80", "GET /x HTTP/1.1", "a"),
            ("GET http://a?b HTTP/1.0", "a:80", "GET /?b HTTP/1.0", "a"),
            ("OPTIONS http://a HTTP/1.1", "a:80", "OPTIONS * HTTP/1.1", "a"),
            ("OPTIONS http://a/ HTTP/1.1", "a:80", "OPTIONS / HTTP/1.1", "a"),
            ("HTTP://GET http://a/ HTTP/1.1", nil, "", ""),
            ("GET HTTP://[2001:db8::1]/ HTTP/1.1", "[2001:db8::1]:80", "GET / HTTP/1.1", "[2001:db8::1]"),
            ("PROPFIND http://a:81//x HTTP/1.1", "a:81", "PROPFIND //x HTTP/1.1", "a:81"),
        ] as [(String, String?, String, String)])
    func rewrites(line: String, destination: String?, first: String, host: String) throws {
        let text = line + "\r\nHost: other.example\r\nAccept: */*\r\n\r\n"
        guard let destination else {
            #expect(throws: Refused.self) { try forward(text) }
            return
        }
        let result = try forward(text)
        #expect(result.destination == destination)
        #expect(result.head == "\(first)\r\nHost: \(host)\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        #expect(result.body.isFinished)
    }

    @Test("fields for this connection only stay here, the others go on as they are")
    func hopByHop() throws {
        let result = try forward(
            """
            POST http://a/ HTTP/1.1\r
            Host: a\r
            Proxy-Connection: keep-alive\r
            Connection: keep-alive, X-Private , Upgrade\r
            Keep-Alive: timeout=5\r
            X-PRIVATE: 1\r
            TE: trailers\r
            Upgrade: h2c\r
            Proxy-Authorization: Basic abc\r
            X-Odd:  spaces kept \r
            Content-Length: 5\r
            Cookie: a=b\r
            \r

            """)
        #expect(
            result.head
                == "POST / HTTP/1.1\r\nHost: a\r\nX-Odd:  spaces kept \r\nContent-Length: 5\r\nCookie: a=b\r\nConnection: close\r\n\r\n"
        )
    }

    @Test("of the bytes behind the head only the body goes to the origin")
    func lengthBody() throws {
        var body = try forward("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").body
        #expect(!body.isFinished)
        #expect(body.accept(Array("ab".utf8).span) == 2)
        #expect(body.accept(Array("cdeGET http://b/".utf8).span) == 3)
        #expect(body.isFinished)
        #expect(body.accept([1].span) == 0)
        var none = try forward("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n").body
        #expect(none.accept(Array("GET".utf8).span) == 0)
    }

    @Test(
        "a chunked body ends where its coding ends",
        arguments: [
            "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n",
            "5;name=value;q=\"x\"\r\nhello\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
            "a \r\n0123456789\r\n0;last\r\n\r\n",
            "0005\r\nhello\r\nFf\r\n" + String(repeating: "\r", count: 255) + "\r\n00\r\n\r\n",
        ])
    func chunkedBody(text: String) throws {
        let fresh = try forward("POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n").body
        let bytes = Array(text.utf8)
        var whole = fresh
        #expect(whole.accept((bytes + Array("GET http://b/".utf8)).span) == bytes.count)
        #expect(whole.isFinished)
        var single = fresh
        for (index, byte) in bytes.enumerated() {
            #expect(!single.isFinished, "before byte \(index)")
            #expect(single.accept([byte].span) == 1)
        }
        #expect(single.isFinished)
    }

    @Test(
        "a chunked coding that can be read in two ways is broken",
        arguments: [
            "x", "\r\n", "5\nhello", "5\r\nhelloX", "5\r\nhello\n", "5\r\nhello\r\n\r\n", "1000000000000000\r\n",
            "-1\r\n", "5;a\nb\r\nhello\r\n", "0\r\n\n",
            "0\r\nT: x\n\r\n", "0\r\n\rx", "0x5\r\n", "0\r\nT: " + String(repeating: "a", count: 20_000),
            "1;" + String(repeating: "a", count: 20_000),
        ])
    func broken(text: String) throws {
        var body = try forward("POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").body
        let bytes = Array(text.utf8)
        #expect(body.accept(bytes.span) < bytes.count)
        #expect(body.isBroken)
        #expect(!body.isFinished)
    }

    @Test("any fragmentation comes to the same")
    func fragmentation() {
        var generator = SeededGenerator(seed: 8)
        for text in [
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\npayload", "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest",
            "GET http://a/ HTTP/1.1\r\nX\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/ HTTP/1.1\nHost: a\r\n\r\n",
        ] {
            let bytes = Array(text.utf8)
            let whole = outcome([bytes])
            for _ in 0..<30 {
                let parts = outcome(SOCKS5HandshakeTests.pieces(of: bytes, using: &generator))
                #expect(parts.outcome == whole.outcome)
                #expect(parts.taken == whole.taken)
            }
        }
    }

    @Test("damaged requests never trap, and what is forwarded is one request with one Host")
    func garbage() {
        var generator = SeededGenerator(seed: 9)
        let valid = Array(
            "POST http://a.example:81/p?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .utf8)
        let alphabet = Array("\r\n\t :;,/0aZ\u{0}\u{7f}".utf8)
        for _ in 0..<3_000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
                    alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            }
            guard case (.request(let request)?, let taken) = outcome([bytes]),
                case .forward(let head, var body) = request.kind
            else { continue }
            let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
            #expect(lines.filter { $0.lowercased().hasPrefix("host:") }.count == 1)
            #expect(lines.suffix(3) == ["Connection: close", "", ""])
            #expect(!lines.dropLast(2).contains(""))
            _ = body.accept(Array(bytes[taken...]).span)
        }
    }
}
