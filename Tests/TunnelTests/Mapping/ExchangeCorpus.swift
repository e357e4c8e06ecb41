/// A representation of 62 bytes, no two of them alike.
let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
private let date = "Date: Sat, 21 Nov 2026 10:00:00 GMT\n"
private let old = "Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\n"
private let ok = "HTTP/1.1 200 OK\n" + date
private let tagged = ok + "ETag: \"v1\"\n"
private let part = "HTTP/1.1 206 Partial Content\n" + date + "ETag: \"v1\"\n"

private func get(_ target: String, _ fields: String = "") -> String {
    "GET \(target) HTTP/1.1\nHost: a.test\n\(fields)\n"
}

private func sized(_ head: String, _ content: String = letters) -> String {
    head + "Content-Length: \(content.utf8.count)\n\n" + content
}

/// `letters` in chunks of 10, 26, 1 and 25 bytes.
private func chunks(_ head: String, of text: String = letters, extension suffix: String = "", trailer: String = "")
    -> String
{
    var rest = text[...]
    var body = ""
    for size in [10, 26, 1, 64] where !rest.isEmpty {
        let chunk = rest.prefix(size)
        rest = rest.dropFirst(size)
        body += String(chunk.count, radix: 16) + suffix + "\n" + chunk + "\n"
    }
    return head + "Transfer-Encoding: chunked\n\n" + body + "0\(suffix)\n" + trailer + "\n"
}

extension Exchange {
    static let corpus = plain + framed + ranged + several + unfollowed

    /// One response with a length.
    static let plain = [
        Exchange("a strong ETag", .anywhere, (get("/a"), sized(tagged))),
        Exchange("an old Last-Modified", .anywhere, (get("/a"), sized(ok + old))),
        Exchange("ETag and Last-Modified", .anywhere, (get("/a"), sized(tagged + old))),
        Exchange("names in lower case", .anywhere, (get("/a"), sized(ok + "etag: \"v1\"\nserver: x\n"))),
        Exchange(
            "blanks around values", .anywhere,
            (get("/a", "Accept:\t */* \t\n"), sized(ok + "ETag:\t \"v1\"  \nServer:x\nX-Empty:\n"))),
        Exchange(
            "the target in absolute form", .anywhere,
            ("GET http://a.test/a HTTP/1.1\nHost: a.test\n\n", sized(tagged))),
        Exchange("no reason phrase", .anywhere, (get("/a"), sized("HTTP/1.1 200 \n" + date + "ETag: \"v1\"\n"))),
        Exchange("bytes beyond ASCII in a value", .anywhere, (get("/a", "X: é\n"), sized(tagged + "X: ü\n"))),
        Exchange("coded content", .anywhere, (get("/a"), sized(tagged + "Content-Encoding: br, gzip\n"))),
        Exchange("no content", .anywhere, (get("/a"), sized(tagged, ""))),
        Exchange("GET with a length of 0", .anywhere, (get("/a", "Content-Length: 0\n"), sized(tagged))),
        Exchange(
            "a condition that was met", .anywhere,
            (get("/a", "If-None-Match: \"v0\"\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\n"), sized(tagged))),
        Exchange("a weak ETag", .somewhere, (get("/a"), sized(ok + old + "ETag: W/\"v1\"\n"))),
        Exchange("no validator", .somewhere, (get("/a"), sized(ok))),
        Exchange(
            "a young Last-Modified", .somewhere,
            (get("/a"), sized(ok + "Last-Modified: Sat, 21 Nov 2026 09:59:30 GMT\n"))),
        Exchange("another status", .somewhere, (get("/a"), sized("HTTP/1.1 404 Not Found\nETag: \"v1\"\n", "gone"))),
        Exchange(
            "the answer to HEAD", .anywhere, ("HEAD /a HTTP/1.1\nHost: a.test\n\n", tagged + "Content-Length: 62\n\n")),
    ]

    /// Other framings.
    static let framed = [
        Exchange("chunks", .somewhere, (get("/a"), chunks(tagged))),
        Exchange("chunks with extensions", .somewhere, (get("/a"), chunks(tagged, extension: " ;a=\"b c\";d"))),
        Exchange("chunks and a trailer", .somewhere, (get("/a"), chunks(tagged, trailer: "X-Sum: 1\nX-B: 2\n"))),
        Exchange(
            "chunks and an announced trailer", .somewhere,
            (get("/a"), chunks(tagged + "Trailer: X-Sum\n", trailer: "X-Sum: 1\n"))),
        Exchange(
            "sizes with zeros and capitals", .somewhere,
            (
                get("/a"),
                tagged
                    + "Transfer-Encoding: Chunked\n\n001A\n\(letters.prefix(26))\n000024\n\(letters.dropFirst(26))\n00\n\n"
            )),
        Exchange(
            "HTTP/1.0 until the end", .somewhere,
            ("GET /a HTTP/1.0\n\n", "HTTP/1.0 200 OK\nETag: \"v1\"\n\n" + letters)),
        Exchange("until the end", .somewhere, (get("/a"), tagged + "\n" + letters)),
        Exchange(
            "HTTP/1.0 kept alive", .anywhere,
            (
                "GET /a HTTP/1.0\nConnection: Keep-Alive\n\n",
                sized("HTTP/1.0 200 OK\nConnection: keep-alive\nETag: \"v1\"\n")
            ),
            (get("/b"), sized(tagged))),
        Exchange("closing behind it", .anywhere, end: .over, (get("/a"), sized(tagged + "Connection: close\n"))),
        Exchange("asked to close", .anywhere, end: .over, (get("/a", "Connection: x, Close\n"), sized(tagged))),
        Exchange("chunks, closing", .somewhere, end: .over, (get("/a"), chunks(tagged + "Connection: close\n"))),
    ]

    /// The user's own ranges.
    static let ranged = [
        Exchange(
            "a range", .anywhere, whole: letters,
            (get("/a", "Range: bytes=10-39\n"), sized(part + "Content-Range: bytes 10-39/62\n", middle))),
        Exchange(
            "a range from the end", .anywhere, whole: letters,
            (
                get("/a", "Range: bytes=-20\n"),
                sized(part + "Content-Range: bytes 42-61/62\n", String(letters.suffix(20)))
            )),
        Exchange(
            "a range with a condition", .anywhere, whole: letters,
            (
                get("/a", "range: bytes=10-39\nIf-Range: \"v1\"\n"),
                sized(part + "Content-Range: bytes 10-39/62\n", middle)
            )),
        Exchange(
            "a range in chunks", .somewhere, whole: letters,
            (get("/a", "Range: bytes=10-39\n"), chunks(part + "Content-Range: bytes 10-39/62\n", of: middle))),
        Exchange(
            "a range until the end", .anywhere, end: .over, whole: letters,
            (get("/a", "Range: bytes=10-39\n"), part + "Content-Range: bytes 10-39/62\n\n" + middle)),
        Exchange(
            "a range of who knows how much", .anywhere, whole: letters,
            (get("/a", "Range: bytes=10-39\n"), sized(part + "Content-Range: bytes 10-39/*\n", middle))),
        Exchange("a range that was ignored", .anywhere, (get("/a", "Range: bytes=10-39\n"), sized(tagged))),
        Exchange(
            "several ranges", .somewhere,
            (
                get("/a", "Range: bytes=0-1,9-\n"),
                sized(part + "Content-Type: multipart/byteranges; boundary=x\n", "--x..AB..--x--")
            )),
        Exchange(
            "a range that cannot be", .somewhere,
            (
                get("/a", "Range: bytes=99-\n"),
                sized("HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */62\n", "no")
            )),
        Exchange(
            "a length that contradicts its range", .somewhere, whole: letters,
            (get("/a", "Range: bytes=10-39\n"), sized(part + "Content-Range: bytes 10-40/62\n", middle))),
    ]
    private static let middle = String(letters.dropFirst(10).prefix(30))

    /// Several responses.
    static let several = [
        Exchange(
            "three requests at once", .anywhere, (get("/a"), sized(tagged)), (get("/b"), sized(tagged, "second")),
            (get("/c"), sized(ok + old, "third"))),
        Exchange(
            "HEAD and GET", .anywhere, ("HEAD /a HTTP/1.1\nHost: a.test\n\n", tagged + "Content-Length: 62\n\n"),
            (get("/a"), sized(tagged))),
        Exchange(
            "bodiless answers", .anywhere,
            (get("/a", "If-None-Match: \"v1\"\n"), "HTTP/1.1 304 Not Modified\nETag: \"v1\"\n\n"),
            ("OPTIONS * HTTP/1.1\nHost: a.test\n\n", "HTTP/1.1 204 No Content\nAllow: GET\n\n"),
            (get("/b"), sized(tagged))),
        Exchange(
            "interim responses", .anywhere,
            (get("/a"), "HTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.1 103 Early Hints\n\n" + sized(tagged)),
            (get("/b"), sized(tagged, "second"))),
        Exchange(
            "chunks and a length", .somewhere, (get("/a"), chunks(tagged)), (get("/b"), sized(tagged)),
            (get("/c"), chunks(ok + old))),
        Exchange(
            "POST with a length, then GET", .somewhere,
            ("POST /p HTTP/1.1\nHost: a.test\nContent-Length: 7\n\na=1&b=2", sized("HTTP/1.1 201 Created\n", "made")),
            (get("/a"), sized(tagged))),
        Exchange(
            "POST in chunks", .nowhere,
            (
                "POST /p HTTP/1.1\nHost: a.test\nTransfer-Encoding: chunked\n\n3;x\nabc\n0\nT: 1\n\n",
                "HTTP/1.1 100 Continue\n\n" + sized(tagged, "made")
            )),
        Exchange("GET with a body", .nowhere, (get("/a", "Content-Length: 2\n") + "hi", sized(tagged))),
        Exchange(
            "GET before DELETE", .nowhere, (get("/a"), sized(tagged)),
            ("DELETE /b HTTP/1.1\nHost: a.test\n\n", sized(ok, "done"))),
    ]

    /// What is not followed.
    static let unfollowed = [
        Exchange("CONNECT", .nowhere, end: .aside, ("CONNECT b.test:443 HTTP/1.1\nHost: b.test\n\n", ok + "\nx")),
        Exchange(
            "a web socket", .nowhere, end: .aside,
            (get("/a", "Connection: Upgrade\nUpgrade: websocket\n"), "HTTP/1.1 101 Switching Protocols\n\n\u{1}x")),
        Exchange("101 that nobody asked for", .somewhere, end: .aside, (get("/a"), "HTTP/1.1 101 Switching\n\nabc")),
        Exchange("HTTP/2", .nowhere, end: .aside, ("PRI * HTTP/2.0\n\nSM\n\n\u{0}\u{0}", "\u{0}\u{0}\u{12}\u{4}")),
        Exchange("TLS", .nowhere, end: .aside, ("\u{16}\u{3}\u{1}\u{2}", "\u{16}\u{3}\u{3}\u{1}")),
        Exchange("the origin speaks first", .nowhere, end: .aside, ("", "220 mail.test ESMTP\n")),
        Exchange(
            "two lengths", .somewhere, end: .aside,
            (get("/a"), tagged + "Content-Length: 62\nContent-Length: 62\n\n" + letters)),
        Exchange(
            "a list of lengths", .somewhere, end: .aside, (get("/a"), tagged + "Content-Length: 62, 62\n\n" + letters)),
        Exchange(
            "chunks with a length", .somewhere, end: .aside, (get("/a"), chunks(tagged + "Content-Length: 62\n"))),
        Exchange(
            "another transfer coding", .somewhere, end: .aside,
            (get("/a"), tagged + "Transfer-Encoding: gzip, chunked\n\n0\n\n")),
        Exchange("a folded field", .somewhere, end: .aside, (get("/a"), tagged + "X: a\n b\nContent-Length: 2\n\nab")),
        Exchange(
            "a request with two lengths", .nowhere, end: .aside, (get("/a", "Content-Length: 1, 1\n") + "x", sized(ok))),
        Exchange("a blank before the colon", .nowhere, end: .aside, (get("/a", "X : 1\n"), sized(tagged))),
        Exchange("a CR alone", .somewhere, end: .aside, (get("/a"), "HTTP/1.1 200 OK\rX: 1\n\n")),
        Exchange(
            "chunks that are none", .somewhere, end: .aside, (get("/a"), ok + "Transfer-Encoding: chunked\n\nxyz\n")),
    ]
}
