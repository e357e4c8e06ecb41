import LocalEndpoint
import Primitives
import Testing
import Tunnel

/// What a proxy makes of some pieces, and how many of their bytes it took.
func outcome(
    _ pieces: [[UInt8]], _ handshake: HTTPProxyHandshake = HTTPProxyHandshake()
) -> (outcome: HTTPProxyHandshake.Outcome?, taken: Int) {
    var handshake = handshake
    var taken = 0
    for piece in pieces { taken += handshake.receive(piece.span) }
    return (handshake.outcome, taken)
}

func outcome(_ text: String, _ handshake: HTTPProxyHandshake = HTTPProxyHandshake()) -> HTTPProxyHandshake.Outcome? {
    outcome([Array(text.utf8)], handshake).outcome
}

/// The status of a refusal.
func status(_ text: String, _ handshake: HTTPProxyHandshake = HTTPProxyHandshake()) -> Int? {
    guard case .fail(let bytes, let fault) = outcome(text, handshake) else { return nil }
    let answer = String(decoding: bytes, as: UTF8.self)
    #expect(answer.hasPrefix("HTTP/1.1 \(fault.status.code) "))
    #expect(answer.contains("\r\nConnection: close\r\n"))
    return fault.status.code
}

@Suite("HTTP proxy: CONNECT and refusals")
struct HTTPProxyHandshakeTests {
    @Test(
        "CONNECT opens a tunnel",
        arguments: [
            ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", "example.com:443"),
            (
                "CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: x\r\nUser-Agent: curl\r\nProxy-Connection: Keep-Alive\r\n\r\n",
                "[2001:db8::1]:22"
            ),
            ("\r\n\r\nCONNECT 192.0.2.1:1 HTTP/1.0\r\n\r\n", "192.0.2.1:1"),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "a:1"),
        ])
    func connects(text: String, destination: String) throws {
        guard case .request(let request) = outcome(text) else {
            Issue.record("refused")
            return
        }
        #expect(request.destination == HostPort(destination))
        #expect(request.kind == .tunnel)
    }

    @Test("bytes behind the head are left to the tunnel")
    func payload() {
        let head = "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"
        let (result, taken) = outcome([Array((head + "\u{16}\u{3}\u{1}").utf8)])
        #expect(result != nil)
        #expect(taken == head.utf8.count)
    }

    @Test(
        "what is malformed or ambiguous is answered with 400",
        arguments: [
            "\n", "CONNECT a:1 HTTP/1.1\n\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\n\r\n", "\r\n\r\n\r\n\r\n\r\n",
            "GET\r\n\r\n", "GET http://a/\r\n\r\n",
            "GET  http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/ x HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "G@T http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/\r/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ http/1.1\r\nHost: a\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "GET http://a/ HTTP/1.1\r\n folded: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\u{0}\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "GET http://a/ HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: x, Transfer-Encoding\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/#f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:0/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a:65536/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://127.1/ HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT :1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n",
        ])
    func malformed(text: String) {
        #expect(status(text) == 400)
    }

    @Test("another protocol is refused at its first byte", arguments: [0x04, 0x05, 0x16, 0x00, 0x20, 0xff] as [UInt8])
    func otherProtocol(first: UInt8) {
        for pieces in [[[first]], [bytes("\r\n"), [first]]] {
            let (result, taken) = outcome(pieces)
            guard case .fail(let answer, _) = result else {
                Issue.record("waits for more")
                continue
            }
            #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
            #expect(taken == pieces.joined().count)
        }
    }

    @Test(
        "what this proxy does not do is answered with the status that says so",
        arguments: [
            ("TRACE http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 405), ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 501), ("PRI * HTTP/2.0\r\n\r\n", 505),
            ("GET http://a/ HTTP/1.2\r\nHost: a\r\n\r\n", 505),
            ("OPTIONS http://a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 501),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: 1\r\n", count: 300) + "\r\n", 431),
            ("GET http://a/ HTTP/1.1\r\nX: " + String(repeating: "a", count: 70_000), 431),
            (String(repeating: "a", count: 70_000), 431),
        ])
    func notOffered(text: String, code: Int) {
        #expect(status(text) == code)
    }

    @Test("a head of just under 64 KiB is taken")
    func longHead() {
        let start = "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: "
        let text =
            start + String(repeating: "a", count: HTTPProxyHandshake.longestHead - start.utf8.count - 5) + "\r\n\r\n"
        guard case .request = outcome(text) else {
            Issue.record("refused")
            return
        }
    }

    @Test("a user and a password are demanded where they are configured")
    func authentication() {
        let closed = HTTPProxyHandshake(user: "Aladdin", password: "open sesame")
        func request(_ fields: String) -> String { "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\(fields)\r\n" }
        // RFC 7617 §2's example.
        for value in ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ=="] {
            #expect(status(request("Proxy-Authorization: \(value)\r\n"), closed) == nil)
        }
        for fields in [
            "", "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==\r\n",
            "Proxy-Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n",
            "Proxy-Authorization: Basic\r\n", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n",
            "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nProxy-Authorization: Basic x\r\n",
        ] {
            #expect(status(request(fields), closed) == 407)
        }
        guard case .fail(let bytes, _) = outcome(request(""), closed) else { return }
        #expect(String(decoding: bytes, as: UTF8.self).contains("\r\nProxy-Authenticate: Basic realm="))
    }

    @Test("a failed tunnel has the status that its cause has")
    func failures() {
        for failure in [
            TunnelFailure.destinationProhibited, .connectionRefused, .dnsTimeout, .connectionLimitReached,
            .connectionLost,
        ] {
            #expect(HTTPProxyResponse.Status(of: failure).code == failure.localStatus)
        }
    }

    @Test("an answer has one line of text, and none after HEAD")
    func answers() throws {
        let answer = String(
            decoding: HTTPProxyResponse.failure(.badGateway, "connection refused by a:1\r\nX: y"), as: UTF8.self)
        let parts = answer.split(separator: "\r\n\r\n")
        #expect(parts.last == "connection refused by a:1??X: y\n")
        #expect(answer.contains("Content-Length: \(parts.last?.utf8.count ?? 0)\r\n"))
        guard case .request(let request) = outcome("HEAD http://a/ HTTP/1.1\r\nHost: a\r\n\r\n") else {
            Issue.record("refused")
            return
        }
        #expect(String(decoding: request.failure(.badGateway, "no"), as: UTF8.self).hasSuffix("\r\n\r\n"))
        #expect(String(decoding: HTTPProxyResponse.established, as: UTF8.self).hasPrefix("HTTP/1.1 200 "))
    }
}
