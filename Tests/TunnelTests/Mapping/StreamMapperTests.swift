import Primitives
import Testing

@testable import Tunnel

@Suite("What a stream mapper does")
struct StreamMapperTests {
    private let head = octets("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 62\n\n")
    private let request = octets("GET /a HTTP/1.1\nHost: a.test\nRange: x\nIf-None-Match: \"v0\"\nX: 1\n\n")

    /// A mapper through which a request and so much of its answer has passed.
    private func followed(_ response: [UInt8], by request: [UInt8]? = nil) -> StreamMapper {
        var mapper = StreamMapper()
        let request = request ?? self.request
        mapper.requestsPassed(request.span)
        mapper.responsesPassed(response.span)
        return mapper
    }

    private func requests(_ plan: ContinuationPlan) -> String? {
        guard case .send(let bytes) = plan else { return nil }
        return String(decoding: bytes, as: UTF8.self).replacing("\r\n", with: "\n")
    }

    /// Everything that comes of one piece.
    private func spliced(_ mapper: inout StreamMapper, _ answer: String) throws -> String {
        let input = octets(answer)
        var output: [UInt8] = []
        var position = 0
        while let part = try mapper.splice(input.span, at: &position) {
            switch part {
            case .content(let range): output += input[range]
            case .framing(let bytes): output += bytes
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    // Every state of a response and every failure: what is done then.
    static let states: [(String, [OriginFailure: String])] = [
        ("", [.ended: "send", .reset: "send", .stalled: "unchanged", .declaredDead: "send"]),
        ("HTTP/1.1 2", [.ended: "send", .reset: "send", .stalled: "send", .declaredDead: "send"]),
        (
            "HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 62\n\nABC",
            [.ended: "send", .reset: "send", .stalled: "send", .declaredDead: "send"]
        ),
        (
            "HTTP/1.1 200 OK\nContent-Length: 62\n\nABC",
            [.ended: "abort", .reset: "abort", .stalled: "unchanged", .declaredDead: "abort"]
        ),
        (
            "HTTP/1.1 200 OK\nETag: \"v1\"\n\nABC",
            [.ended: "unchanged", .reset: "send", .stalled: "send", .declaredDead: "send"]
        ),
        (
            "HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 3\n\nABC",
            [.ended: "unchanged", .reset: "unchanged", .stalled: "unchanged", .declaredDead: "unchanged"]
        ),
        (
            "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 3\n\nABC",
            [.ended: "unchanged", .reset: "unchanged", .stalled: "unchanged", .declaredDead: "unchanged"]
        ),
        (
            "HTTP/9 x\n\n",
            [.ended: "unchanged", .reset: "unchanged", .stalled: "unchanged", .declaredDead: "unchanged"]
        ),
    ]

    @Test("in every state, at every failure", arguments: states)
    func table(response: String, outcomes: [OriginFailure: String]) {
        for failure in OriginFailure.allCases {
            var mapper = followed(octets(response))
            let isStallPossible = mapper.isStallPossible
            let outcome =
                switch mapper.originFailed(failure) {
                case .unchanged: "unchanged"
                case .send: "send"
                case .abort: "abort"
                }
            #expect(outcome == outcomes[failure], "\(failure)")
            if failure == .stalled { #expect(isStallPossible == (outcome == "send")) }
        }
    }

    @Test("the rest is asked for by range, with the validator and without the conditions that were met")
    func rangeRequest() {
        var mapper = followed(head + octets("ABCDE"))
        #expect(mapper.offset == 5)
        #expect(
            requests(mapper.originFailed(.reset))
                == "GET /a HTTP/1.1\nHost: a.test\nX: 1\nRange: bytes=5-61\nIf-Range: \"v1\"\n\n")
    }

    @Test("a range of the user is shifted, and its end kept")
    func shiftedRange() {
        let head = octets("HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 10-39/62\nContent-Length: 30\n\nKLM")
        var mapper = followed(head, by: octets("GET /a HTTP/1.1\nRange: bytes=10-39\nif-range: \"v1\"\n\n"))
        #expect(
            requests(mapper.originFailed(.ended)) == "GET /a HTTP/1.1\nRange: bytes=13-39\nIf-Range: \"v1\"\n\n")
    }

    @Test("requests behind the one being answered follow, and one that has only begun")
    func pipelining() throws {
        var mapper = StreamMapper()
        mapper.requestsPassed(octets("GET /a HTTP/1.1\n\nGET /b HTTP/1.1\nX: 1\n\nGET /c HT").span)
        mapper.responsesPassed(head.span)
        #expect(
            requests(mapper.originFailed(.reset))
                == "GET /a HTTP/1.1\nRange: bytes=0-61\nIf-Range: \"v1\"\n\nGET /b HTTP/1.1\nX: 1\n\nGET /c HT")
        mapper.requestsPassed(octets("TP/1.1\n\n").span)
        let answer = "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 0-61/62\nContent-Length: 62\n\n" + letters
        let next = "HTTP/1.1 204 N\n\nHTTP/1.1 204 M\n\n"
        #expect(try spliced(&mapper, answer + next) == letters + next.replacing("\n", with: "\r\n"))
        #expect(mapper.state == .following && mapper.memory == 0)
        #expect(mapper.originFailed(.ended) == .unchanged)
    }

    @Test("a request that has begun between two responses goes to the other origin")
    func begunRequest() throws {
        var mapper = followed([], by: octets("GET /a HTT"))
        #expect(requests(mapper.originFailed(.ended)) == "GET /a HTT")
        mapper.requestsPassed(octets("P/1.1\n\n").span)
        #expect(try spliced(&mapper, "HTTP/1.1 204 N\n\n") == "HTTP/1.1 204 N\r\n\r\n")
        #expect(mapper.originFailed(.reset) == .unchanged)
    }

    @Test("chunks go on in the middle of the one that broke, and the rest is one chunk")
    func chunks() throws {
        let chunked = octets("HTTP/1.1 200 OK\nETag: \"v1\"\nTransfer-Encoding: chunked\n\na\nABCDE")
        var mapper = followed(chunked)
        #expect(requests(mapper.originFailed(.reset))?.contains("Range: bytes=5-\n") == true)
        let answer = "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 5-61/62\nContent-Length: 57\n\n"
        let rest = letters.dropFirst(10)
        #expect(try spliced(&mapper, answer + "FGH") == "FGH")
        #expect(mapper.state == .splicing && mapper.offset == 8)
        #expect(try spliced(&mapper, letters.dropFirst(8) + "") == "IJ\r\n34\r\n\(rest)\r\n0\r\n\r\n")
        #expect(mapper.state == .following && mapper.offset == nil)
    }

    @Test("what is learnt of the length in one continuation holds for the next one")
    func learning() throws {
        let open = octets("HTTP/1.1 200 OK\nETag: \"v1\"\n\nAB")
        var mapper = followed(open)
        #expect(requests(mapper.originFailed(.reset))?.contains("Range: bytes=2-\n") == true)
        let answer = "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 2-4/5\nContent-Length: 3\n\nC"
        #expect(try spliced(&mapper, answer) == "C")
        #expect(requests(mapper.originFailed(.ended))?.contains("Range: bytes=3-4\n") == true)
        let second =
            "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 3-4/5\nTransfer-Encoding: chunked\n\n2\nDE\n0\n\n"
        #expect(try spliced(&mapper, second) == "DE")
        // The application was told that the connection ends behind the content.
        #expect(mapper.state == .over)
    }

    @Test("an origin that ends before it has answered has not ended a response without a length")
    func earlyEnd() throws {
        var mapper = followed(octets("HTTP/1.1 200 OK\nETag: \"v1\"\n\nAB"))
        for answer in ["", "HTTP/1.1 103 E\n\nHTTP/1.1 206 P\nETag: \"v1\"\n"] {
            let again = mapper.originFailed(.reset)
            #expect(requests(again)?.contains("Range: bytes=2-\n") == true)
            #expect(try spliced(&mapper, answer) == "")
            #expect(requests(mapper.originFailed(.ended))?.contains("Range: bytes=2-\n") == true)
        }
        let answer = "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 2-3/4\n\n"
        #expect(try spliced(&mapper, answer) == "")
        #expect(requests(mapper.originFailed(.ended))?.contains("Range: bytes=2-3\n") == true)
        #expect(try spliced(&mapper, answer + "CD") == "CD")
        #expect(mapper.state == .over)
    }

    @Test("an answer that begins differently from the one that broke is not taken")
    func otherBeginning() {
        var mapper = followed(octets("HTTP/1.1 20"))
        #expect(requests(mapper.originFailed(.reset)) != nil)
        #expect(throws: ContinuationFailure.self) { try spliced(&mapper, "HTTP/1.1 404 Not Found\n\n") }
        guard case .aside = mapper.state else { return #expect(Bool(false), "\(mapper.state)") }
    }

    @Test("nothing is asked for behind a response that closes the connection")
    func closing() {
        let pair = octets("GET /a HTTP/1.1\n\nGET /b HTTP/1.1\n\n")
        var mapper = followed(
            octets("HTTP/1.1 200 OK\nETag: \"v1\"\nConnection: close\nContent-Length: 9\n\nA"), by: pair)
        #expect(
            requests(mapper.originFailed(.reset)) == "GET /a HTTP/1.1\nRange: bytes=1-8\nIf-Range: \"v1\"\n\n")
    }

    @Test("an origin that is overloaded is none; another one is tried")
    func unavailable() throws {
        var mapper = followed(head + octets("AB"))
        _ = mapper.originFailed(.reset)
        #expect(throws: ContinuationFailure.self) {
            try spliced(&mapper, "HTTP/1.1 503 Service Unavailable\nContent-Length: 2\n\nno")
        }
        #expect(requests(mapper.originFailed(.declaredDead))?.contains("Range: bytes=2-61\n") == true)
        let answer = "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes 2-61/62\nContent-Length: 60\n\n"
        #expect(try spliced(&mapper, answer + "CD") == "CD")
    }

    @Test("attempts that come to nothing end; those of which something comes do not")
    func budget() throws {
        let big = octets("HTTP/1.1 200 OK\nETag: \"v1\"\nContent-Length: 100000000\n\nA")
        var fruitless = followed(big)
        for _ in 0..<ContinuationBudget.mostAttempts { #expect(requests(fruitless.originFailed(.reset)) != nil) }
        guard case .abort(let reason) = fruitless.originFailed(.reset) else {
            Issue.record("an attempt too many")
            return
        }
        #expect(reason == "the response cannot be continued: 8 attempts in a row came to nothing")
        #expect(fruitless.state == .aside(reason: reason))
        var fruitful = followed(big)
        let content = [UInt8](repeating: 65, count: ContinuationBudget.progress)
        for round in 0..<100 {
            let first = 1 + round * content.count
            #expect(requests(fruitful.originFailed(.reset))?.contains("Range: bytes=\(first)-") == true)
            let head = "HTTP/1.1 206 P\nETag: \"v1\"\nContent-Range: bytes \(first)-99999999/100000000\n\n"
            #expect(try spliced(&fruitful, head) == "")
            var position = 0
            #expect(try fruitful.splice(content.span, at: &position) == .content(0..<content.count))
        }
    }

    @Test("what no request asked for is not followed")
    func unasked() {
        var mapper = followed(octets("HTTP/1.1 204 N\n\n"))
        #expect(mapper.state == .following)
        mapper.responsesPassed(octets("HTTP/1.1 408 Too Late\n\n").span)
        #expect(mapper.state == .aside(reason: "the origin sends what no request asked for"))
    }

    @Test("memory is bounded: a head without an end, and requests without answers, are not followed")
    func bounds() {
        var endless = StreamMapper()
        endless.requestsPassed(octets("GET /a HTTP/1.1\nX: ").span)
        let piece = [UInt8](repeating: 65, count: 1024)
        for _ in 0..<20 {
            endless.requestsPassed(piece.span)
            #expect(endless.memory <= HeadCollector.longestHead)
        }
        #expect(endless.state == .aside(reason: "a head is longer than 16384 bytes"))
        var many = StreamMapper()
        for _ in 0...ExchangeFollower.mostOutstanding { many.requestsPassed(octets("GET /a HTTP/1.1\n\n").span) }
        #expect(many.state == .aside(reason: "more requests wait for an answer than are remembered"))
        var long = StreamMapper()
        let request = octets("GET /a HTTP/1.1\nX: " + String(repeating: "x", count: 15_000) + "\n\n")
        for _ in 0..<5 {
            long.requestsPassed(request.span)
            #expect(long.memory <= ExchangeFollower.mostRetained)
        }
        #expect(long.state == .aside(reason: "more requests wait for an answer than are remembered"))
    }

    @Test("interim responses without an end are not followed")
    func interim() {
        var mapper = followed([])
        let hint = octets("HTTP/1.1 103 Early Hints\nLink: " + String(repeating: "x", count: 4_000) + "\n\n")
        for _ in 0..<5 { mapper.responsesPassed(hint.span) }
        #expect(mapper.state == .aside(reason: "too many interim responses"))
    }
}
