import Tunnel

/// What one mapper made of an input.
private struct Mapped: Equatable {
    var mapper = StreamMapper()
    var plans: [ContinuationPlan] = []
    var output: [UInt8] = []
    var failure: ContinuationFailure?
}

/// Bytes that a mapper may hold: the bounds of two heads, of the requests that wait and of interim responses.
private let mostMemory = (16 + 16 + 64 + 16) << 10

/// The first byte chooses two failures; then come, each as a block, requests, responses, another origin's answer and that of a third.
func fuzzStreamMapper(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let failures = OriginFailure.allCases
    let choice = input.byte()
    let first = failures[Int(choice) % failures.count]
    let second = failures[Int(choice >> 4) % failures.count]
    let streams = (requests: input.block(), responses: input.block(), answer: input.block(), last: input.rest())
    let results = [Int.max, 1, 7].map { size in
        var mapped = Mapped()
        for piece in cut(streams.requests, size) { mapped.mapper.requestsPassed(piece.span) }
        for piece in cut(streams.responses, size) { mapped.mapper.responsesPassed(piece.span) }
        require(mapped.mapper.memory <= mostMemory, "\(mapped.mapper.memory) bytes held")
        goOn(&mapped, first, cut(streams.answer, size))
        goOn(&mapped, second, cut(streams.last, size))
        return mapped
    }
    for result in results { require(result == results[0], "\(results[0]) at once, \(result) in pieces") }
}

private func cut(_ bytes: [UInt8], _ size: Int) -> [[UInt8]] {
    var rest = bytes[...]
    var pieces: [[UInt8]] = []
    while !rest.isEmpty {
        pieces.append(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
    }
    return pieces
}

private func goOn(_ mapped: inout Mapped, _ failure: OriginFailure, _ answer: [[UInt8]]) {
    if case .abort = mapped.failure { return }
    let plan = mapped.mapper.originFailed(failure)
    mapped.plans.append(plan)
    guard case .send = plan else { return }
    for piece in answer {
        var position = 0
        do throws(ContinuationFailure) {
            while let part = try mapped.mapper.splice(piece.span, at: &position) {
                switch part {
                case .content(let range): mapped.output += piece[range]
                case .framing(let bytes):
                    require(bytes.count <= StreamMapper.longestFraming, "\(bytes.count) bytes of framing")
                    mapped.output += bytes
                }
            }
        } catch {
            mapped.failure = error
            return
        }
        require(position == piece.count, "bytes left though there is nothing more")
        require(mapped.mapper.memory <= mostMemory, "\(mapped.mapper.memory) bytes held")
    }
}

/// Requests, what came of their answers, and what another origin answers, in text whose `\n` stands for CR LF.
let mapperSeeds: [[UInt8]] = {
    let get = "GET /a HTTP/1.1\nHost: a.test\n\n"
    let ranged = "GET /a HTTP/1.1\nHost: a.test\nRange: bytes=2-7\n\n"
    let ok = "HTTP/1.1 200 OK\nDate: Sat, 21 Nov 2026 10:00:00 GMT\n"
    let part = "HTTP/1.1 206 Partial Content\nDate: Sat, 21 Nov 2026 10:00:00 GMT\n"
    let tag = "ETag: \"v1\"\n"
    let old = "Last-Modified: Fri, 20 Nov 2026 10:00:00 GMT\n"
    let texts: [[String]] = [
        [
            get, ok + tag + "Content-Length: 9\n\nABC",
            part + tag + "Content-Range: bytes 3-8/9\nContent-Length: 6\n\nDEF",
            part + tag + "Content-Range: bytes 6-8/9\n\nGHI",
        ],
        [
            get + get, ok + old + "Transfer-Encoding: chunked\n\n3;x\nABC\n4\nD",
            part + old + "Content-Range: bytes 4-8/9\nContent-Length: 5\n\nEFGHI" + ok + "\n", "",
        ],
        [
            get, ok + tag + "\nABC",
            part + tag + "Content-Range: bytes 3-8/9\nTransfer-Encoding: chunked\n\n06\nDEFGHI\n0\nX: 1\n\n", "",
        ],
        [
            ranged, part + tag + "Content-Range: bytes 2-7/9\nContent-Length: 6\n\nC",
            "HTTP/1.1 103 Early Hints\n\n" + part + tag + "Content-Range: bytes 3-7/9\nContent-Length: 5\n\nDE", "",
        ],
        [get + "GET /b HT", "HTTP/1.1 20", ok + tag + "Content-Length: 2\n\nAB", ""],
        ["HEAD /a HTTP/1.0\nConnection: keep-alive\n\n" + get, ok + "Content-Length: 2\n\n", ok + "\nAB", ""],
        [
            get, ok + tag + "Content-Length: 9\n\nA", "HTTP/1.1 503 Busy\nContent-Length: 0\n\n",
            part + tag + "Content-Range: bytes 1-8/9\nContent-Length: 8\n\nBCDEFGHI",
        ],
        [
            "POST /a HTTP/1.1\nTransfer-Encoding: chunked\n\n1\nA\n0\n\n", "HTTP/1.1 100 Continue\n\n" + ok + "\n", "",
            "",
        ],
    ]
    func octets(_ text: String) -> [UInt8] { Array(text.utf8).flatMap { $0 == 0x0a ? [0x0d, 0x0a] : [$0] } }
    return texts.map { text in
        let blocks = text.dropLast().flatMap { octets($0).asBlock }
        return [0x11] + blocks + octets(text.last ?? "")
    }
}()
