import Testing

@testable import Tunnel

@Suite("What the stream mapper reads")
struct MappingPartsTests {
    static let dates: [(String, Int64?)] = [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799), ("Sat, 21 Nov 2026 10:00:00 GMT", 1_795_255_200),
        ("Sunday, 06-Nov-94 08:49:37 GMT", nil), ("Sun Nov  6 08:49:37 1994", nil), ("", nil),
        ("Sun, 06 Nov 1994 24:49:37 GMT", nil), ("Sun, 6 Nov 1994 08:49:37 GMT ", nil),
        ("Sun, 06 Nov 1994 08:49:37 UTC", nil), ("Sun, 06 Xxx 1994 08:49:37 GMT", nil),
        ("Sun, 06 Nov 1969 08:49:37 GMT", nil),
    ]

    @Test("dates (RFC 9110 §5.6.7)", arguments: dates)
    func date(text: String, unixTime: Int64?) {
        #expect(HTTPDate(Array(text.utf8)[...])?.unixTime == unixTime)
    }

    static let ranges: [(String, String?)] = [
        ("bytes 0-0/1", "0 0 1"), ("Bytes 10-39/62", "10 39 62"), ("bytes 10-39/*", "10 39 -"),
        ("bytes */62", nil), ("bytes 10-9/62", nil), ("bytes 10-62/62", nil), ("bytes 10-39", nil),
        ("bytes  1-2/3", nil),
        ("bytes 1-2/3 ", nil), ("bytes=1-2/3", nil), ("lines 1-2/3", nil), ("bytes -2/3", nil), ("bytes 1-2/", nil),
        ("bytes 0-99999999999999999/999999999999999999", "0 99999999999999999 999999999999999999"),
        ("bytes 0-1/18446744073709551616", nil), ("", nil),
    ]

    @Test("Content-Range (RFC 9110 §14.4)", arguments: ranges)
    func contentRange(text: String, meaning: String?) {
        let range = ContentRange(Array(text.utf8)[...])
        #expect(range.map { "\($0.first) \($0.last) \($0.completeLength.map(String.init) ?? "-")" } == meaning)
    }

    static let validators: [(String, String?)] = [
        ("ETag: \"a\"\n", "\"a\""), ("ETag: \"\"\n", "\"\""), ("ETag: W/\"a\"\n", nil), ("ETag: a\n", nil),
        ("ETag: \"a\n", nil), ("ETag: \"a\"b\"\n", nil), ("ETag: \"a\"\nETag: \"a\"\n", nil), ("", nil),
        ("Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\n", nil),
        (
            "Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\nDate: Fri, 20 Nov 2026 10:01:00 GMT\n",
            "Fri, 20 Nov 2026 10:00:00 GMT"
        ),
        ("Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\nDate: Fri, 20 Nov 2026 10:00:59 GMT\n", nil),
        ("Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\nDate: Fri, 20 Nov 2026 09:00:00 GMT\n", nil),
        ("Last-Modified: yesterday\nDate: Fri, 20 Nov 2026 10:00:59 GMT\n", nil),
        ("ETag: W/\"a\"\nLast-Modified: Fri, 20 Nov 2026 10:00:00 GMT\nDate: Sat, 21 Nov 2026 10:00:00 GMT\n", nil),
    ]

    @Test("strong validators (RFC 9110 §8.8)", arguments: validators)
    func validator(fields: String, value: String?) throws {
        let lines = try MessageLines(octets("HTTP/1.1 200 OK\n\(fields)\n"))
        let validator = try? StrongValidator(lines)
        #expect(validator.map { String(decoding: $0.value, as: UTF8.self) } == value)
    }

    static let framings: [(String, BodyFraming?)] = [
        ("", nil), ("Content-Length: 5\n", .length(5)), ("content-length:\t05 \n", .length(5)),
        ("Content-Length: 0\n", BodyFraming.none), ("Transfer-Encoding: chunked\n", .chunked),
        ("transfer-encoding: Chunked\n", .chunked),
    ]
    static let contradictions = [
        "Content-Length: 5\nContent-Length: 5\n", "Content-Length: 5, 5\n", "Content-Length: +5\n",
        "Content-Length: -5\n", "Content-Length: 0x5\n", "Content-Length:\n", "Content-Length: 9999999999999999999\n",
        "Content-Length: 5\nTransfer-Encoding: chunked\n", "Transfer-Encoding: gzip, chunked\n",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", "Transfer-Encoding: identity\n",
        "Transfer-Encoding: chunked, chunked\n", "Transfer-Encoding:\n",
    ]

    @Test("framing (RFC 9112 §6.3)", arguments: framings)
    func framing(fields: String, framing: BodyFraming?) throws {
        let lines = try MessageLines(octets("HTTP/1.1 200 OK\n\(fields)\n"))
        #expect(try BodyFraming(lines, minorVersion: 1) == framing)
    }

    @Test("framing that two readers could understand differently", arguments: contradictions)
    func contradiction(fields: String) throws {
        let lines = try MessageLines(octets("HTTP/1.1 200 OK\n\(fields)\n"))
        #expect(throws: MappingFault.self) { try BodyFraming(lines, minorVersion: 1) }
    }

    @Test("chunked in HTTP/1.0 is none")
    func oldChunks() throws {
        let lines = try MessageLines(octets("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n"))
        #expect(throws: MappingFault.self) { try BodyFraming(lines, minorVersion: 0) }
    }

    /// Every position in the chunked coding, what is left of a body of 100 bytes there, and what the application gets for it.
    static let mendings: [(ChunkPosition, String?)] = [
        (.start, "64\r\n[100]\r\n0\r\n\r\n"),
        (.size(0, digits: 2), "64\r\n[100]\r\n0\r\n\r\n"),
        (.size(0, digits: 14), nil),
        (.size(0x63, digits: 2), "\r\n[99]\r\n1\r\n[1]\r\n0\r\n\r\n"),
        (.size(0x64, digits: 2), "\r\n[100]\r\n0\r\n\r\n"),
        (.size(0x65, digits: 2), nil),
        (.sizeEnd(10), "\n[10]\r\n5a\r\n[90]\r\n0\r\n\r\n"),
        (.sizeEnd(0), nil),
        (.chunkExtension(10, length: 1), nil),
        (.data(100), "[100]\r\n0\r\n\r\n"),
        (.data(1), "[1]\r\n63\r\n[99]\r\n0\r\n\r\n"),
        (.data(101), nil),
        (.dataEnd, "\r\n64\r\n[100]\r\n0\r\n\r\n"),
        (.dataEndLine, "\n64\r\n[100]\r\n0\r\n\r\n"),
        (.trailer(length: 0), nil), (.trailerLine(length: 1), nil), (.trailerLineEnd(length: 1), nil),
        (.lastLineEnd, nil),
    ]

    @Test("what is left of a chunked body, wherever it broke", arguments: mendings)
    func mending(position: ChunkPosition, output: String?) {
        let segments = try? RemainingFraming(.chunk(position)).segments(for: 100)
        let text = segments?.map { segment in
            (segment.content > 0 ? "[\(segment.content)]" : "") + String(decoding: segment.closing, as: UTF8.self)
        }
        #expect(text?.joined() == output)
        #expect(segments?.allSatisfy { $0.closing.count <= StreamMapper.longestFraming } != false)
    }
}
