import Primitives
import QUIC
import Testing

@testable import HTTP3

/// Two ends that speak HTTP/3 with each other.
private final class Ends {
    let pair: TransportPair
    let client: HTTP3End
    let server: HTTP3End

    init(server configure: (inout HTTP3Connection.Configuration) -> Void = { _ in }) throws {
        pair = try TransportPair.connected()
        client = HTTP3End(pair.client)
        server = HTTP3End(pair.server, configure: configure)
        exchange()
    }

    func exchange() {
        for _ in 0..<4 {
            pair.exchange()
            client.drain()
            server.drain()
        }
    }

    func open(_ head: RequestHead, _ fin: Fin = .more) throws -> StreamID {
        guard case .opened(let id) = client.http.openRequest(head, fin) else { throw NoStream() }
        return id
    }
}

private let get = RequestHead(.resource(method: "GET", scheme: "https", authority: "gw", path: "/"))
private let connect = RequestHead(.connect(authority: "build.internal:22"), fields: [Field("a", "b")])

@Suite("HTTP/3 connection")
struct ConnectionTests {
    @Test("both ends learn each other's settings; only the server announces extended CONNECT")
    func settings() throws {
        let ends = try Ends()
        #expect(ends.client.http.peerSettings?.extendedConnect == .announced)
        #expect(ends.server.http.peerSettings?.extendedConnect == .notAnnounced)
        #expect(ends.client.http.peerSettings?.maximumFieldSectionSize == 16 * 1024)
        #expect(ends.client.http.peerSettings?.qpackMaximumTableCapacity == 0)
    }

    @Test("a request and its response arrive, and the streams are forgotten")
    func requestAndResponse() throws {
        let ends = try Ends()
        let id = try ends.open(get, .end)
        ends.exchange()
        #expect(ends.server.requests.map(\.head) == [get])
        #expect(ends.server.content(of: id) == ([], .ended))
        ends.server.http.respond(ResponseHead(status: 404), on: id, .end)
        ends.exchange()
        #expect(ends.client.responses.map(\.head.status) == [404])
        #expect(ends.client.content(of: id) == ([], .ended))
        ends.exchange()
        #expect(ends.client.http.openRequestCount == 0)
        #expect(ends.server.http.openRequestCount == 0)
    }

    @Test("requests that are alike and requests that differ arrive as they were sent, in any order")
    func repeatedRequests() throws {
        let ends = try Ends()
        var other = connect
        other.fields.append(Field("c", "d"))
        let heads = [connect, connect, other, connect, get, get, other]
        for head in heads { _ = try ends.open(head) }
        ends.exchange()
        #expect(ends.server.requests.map(\.head) == heads)
    }

    @Test("interim responses come before the final one")
    func interim() throws {
        let ends = try Ends()
        let id = try ends.open(connect)
        ends.exchange()
        ends.server.http.respond(ResponseHead(status: 100), on: id)
        ends.server.http.respond(ResponseHead(status: 103, fields: [Field("link", "x")]), on: id)
        ends.server.http.respond(ResponseHead(status: 200), on: id)
        ends.server.http.sendContent([7, 8], on: id)
        ends.exchange()
        #expect(ends.client.responses.map(\.head.status) == [100, 103, 200])
        #expect(ends.client.content(of: id) == ([7, 8], .open))
    }

    @Test("content passes through a ring, in DATA frames of any size, and is acknowledged")
    func content() throws {
        let ends = try Ends()
        let id = try ends.open(connect)
        let ring = ByteRing(limit: 1 << 16)
        var generator = SeededGenerator(seed: 6)
        let bytes = randomBytes(20_000, using: &generator)
        _ = ring.append(bytes.span)
        var sent: UInt64 = 0
        while sent < ring.end {
            let end = min(ring.end, sent + UInt64.random(in: 1...5000, using: &generator))
            ends.client.http.sendContent([0xee], ring, sent..<end, on: id)
            sent = end
        }
        ends.client.http.finish(id)
        ends.exchange()
        let (received, state) = ends.server.content(of: id)
        #expect(state == .ended)
        #expect(received.count > bytes.count)
        ends.exchange()
        #expect(ends.pair.client.acknowledgedRingOffset(on: id) ?? ring.end == ring.end)
    }

    @Test("a reader that takes less gets the rest later, and each byte once")
    func slowReader() throws {
        var generator = SeededGenerator(seed: 12)
        let ends = try Ends()
        let id = try ends.open(connect)
        var bytes: [UInt8] = []
        for _ in 0..<40 {
            let part = randomBytes(Int.random(in: 0...100, using: &generator), using: &generator)
            ends.client.http.sendContent(part, on: id)
            bytes += part
        }
        ends.client.http.finish(id)
        ends.exchange()
        var received: [UInt8] = []
        var state = ContentState.open
        var calls = 0
        while state == .open, calls < 10_000 {
            calls += 1
            var room = Int.random(in: 0...30, using: &generator)
            state = ends.server.http.readContent(of: id, at: .origin) { span in
                let taken = min(room, span.count)
                for index in 0..<taken { received.append(span[index]) }
                room -= taken
                return taken
            }
        }
        #expect(state == .ended)
        #expect(received == bytes)
    }

    @Test("a request in pieces of any size is the same request")
    func pieces() throws {
        var generator = SeededGenerator(seed: 13)
        for _ in 0..<20 {
            let pair = try TransportPair.connected()
            let end = HTTP3End(pair.server)
            let bytes = frame(0x21, [1, 2]) + connectHeaders + frame(0, [1, 2, 3]) + frame(0x40, [9]) + frame(0, [4])
            let id = try #require(pair.client.openStream(.bidirectional))
            var received: [UInt8] = []
            for piece in HTTP3Tests.pieces(of: bytes, using: &generator) {
                pair.client.write(piece.span, to: id)
                pair.exchange()
                end.drain()
                received += end.content(of: id).bytes
            }
            #expect(end.requests.map(\.head.target) == [.connect(authority: "build.internal:22")])
            #expect(received == [1, 2, 3, 4])
            #expect(end.failure == nil)
        }
    }

    @Test("RFC 9114 §4.1.2: a malformed request resets its stream only")
    func malformed() throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.server)
        let raw = RawEnd(pair.client)
        let id = try raw.send(.bidirectional, headers([Field(":method", "GET")]))
        try raw.send(.bidirectional, getHeaders, .end)
        pair.exchange()
        end.drain()
        pair.exchange()
        raw.drain()
        #expect(raw.resets[id] == .messageError)
        #expect(raw.stops[id] == .messageError)
        #expect(end.requests.count == 1)
        #expect(end.failure == nil)
    }

    @Test("RFC 9114 §4.1.2, §4.3: malformed trailers reset their stream only", arguments: [":status", ":path", "A"])
    func malformedTrailers(name: String) throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.server)
        let raw = RawEnd(pair.client)
        let id = try raw.send(.bidirectional, getHeaders + frame(0, [1, 2]) + headers([Field(name, "/")]), .end)
        pair.exchange()
        end.drain()
        #expect(end.content(of: id).state == .gone)
        pair.exchange()
        raw.drain()
        #expect(raw.resets[id] == .messageError)
        #expect(end.http.openRequestCount == 0)
        #expect(end.failure == nil)
    }

    @Test("RFC 9114 §4.1: a stream that ends before its request is H3_REQUEST_INCOMPLETE")
    func incomplete() throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.server)
        let raw = RawEnd(pair.client)
        let id = try raw.send(.bidirectional, frame(0x21, [1]), .end)
        pair.exchange()
        end.drain()
        pair.exchange()
        raw.drain()
        #expect(raw.resets[id] == .requestIncomplete)
        #expect(end.http.openRequestCount == 0)
    }

    @Test("RFC 9114 §4.2.2: fields beyond the limit are answered with 431")
    func tooLarge() throws {
        let ends = try Ends { $0.maximumFieldSectionSize = 300 }
        // The client keeps to the limit by itself.
        let large = RequestHead(get.target, fields: [Field("x", String(repeating: "y", count: 300))])
        #expect(ends.client.http.openRequest(large) == .tooLarge)

        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.server) { $0.maximumFieldSectionSize = 300 }
        let raw = RawEnd(pair.client)
        let id = try raw.send(.bidirectional, headers(large.allFields))
        pair.exchange()
        end.drain()
        pair.exchange()
        raw.drain()
        let response = frame(1, FieldSectionEncoder.encode([Field(":status", "431")]))
        #expect(raw.received[id] == response)
        #expect(raw.finished.contains(id))
        #expect(raw.stops[id] == .noError)
        #expect(end.failure == nil && end.requests.isEmpty)
    }

    @Test("requests beyond the bound are rejected, to be tried again")
    func tooMany() throws {
        let pair = try TransportPair.connected()
        let end = HTTP3End(pair.server) { $0.maximumConcurrentRequests = 2 }
        let raw = RawEnd(pair.client)
        let ids = try (0..<3).map { _ in try raw.send(.bidirectional, connectHeaders) }
        pair.exchange()
        end.drain()
        pair.exchange()
        raw.drain()
        #expect(end.requests.count == 2)
        #expect(raw.resets == [ids[2]: .requestRejected])
        end.http.abort(ids[0], .connectError)
        try raw.send(.bidirectional, connectHeaders)
        pair.exchange()
        end.drain()
        #expect(end.requests.count == 3)
    }

    @Test("RFC 9114 §5.2: after GOAWAY the server rejects later requests and the client opens none")
    func goAway() throws {
        let ends = try Ends()
        let first = try ends.open(connect)
        ends.exchange()
        ends.server.http.goAway()
        // On its way while GOAWAY is.
        let second = try ends.open(connect)
        ends.exchange()
        #expect(ends.server.requests.map(\.id) == [first])
        let announced = ends.client.events.compactMap { if case .goingAway(let id) = $0 { id } else { nil } }
        #expect(announced == [second])
        #expect(ends.client.http.openRequest(connect) == .refused)
        let resets = ends.client.events.compactMap {
            if case .streamReset(let id, let code) = $0 { (id, code) } else { nil }
        }
        #expect(resets.map(\.0) == [second])
        #expect(resets.map(\.1) == [.requestRejected])
        // The first one goes on.
        ends.server.http.respond(ResponseHead(status: 200), on: first)
        ends.exchange()
        #expect(ends.client.responses.map(\.id) == [first])
    }

    @Test("a client's GOAWAY says that no push will be taken, once")
    func clientGoAway() throws {
        let ends = try Ends()
        ends.client.http.goAway()
        ends.client.http.goAway()
        ends.exchange()
        #expect(ends.server.http.isPeerGoingAway)
        #expect(ends.server.failure == nil)
    }

    @Test("reset and stop are told with their codes, and a stream that is gone takes no notice")
    func resets() throws {
        let ends = try Ends()
        let id = try ends.open(connect)
        ends.exchange()
        ends.client.http.abort(id, .connectError)
        ends.client.http.sendContent([1], on: id)
        ends.client.http.finish(id)
        ends.exchange()
        let resets = ends.server.events.compactMap { if case .streamReset(id, let code) = $0 { code } else { nil } }
        let stops = ends.server.events.compactMap { if case .streamStopped(id, let code) = $0 { code } else { nil } }
        #expect(resets == [.connectError])
        #expect(stops == [.connectError])
        #expect(ends.server.http.openRequestCount == 0)
        #expect(ends.client.http.openRequestCount == 0)
    }

    @Test("a request waits for the handshake and for stream credit")
    func credit() throws {
        let end = HTTP3End(try TransportPair().client)
        #expect(end.http.openRequest(get) == .blocked)
        let ends = try Ends()
        var opened = 0
        while case .opened = ends.client.http.openRequest(get) { opened += 1 }
        #expect(opened == 128)
        #expect(ends.client.http.openRequest(get) == .blocked)
        ends.client.http.receive(.streamsAvailable(.bidirectional), at: .origin)
        ends.client.drain()
        guard case .requestsAvailable = ends.client.events.last else {
            Issue.record("nothing was told")
            return
        }
    }

    @Test("random streams never trap the server, and close it only with an error of HTTP/3")
    func randomStreams() throws {
        var generator = SeededGenerator(seed: 99)
        let parts = [
            getHeaders, connectHeaders, frame(0, [1, 2]), frame(4, []), frame(0x21, [3]), [0], [2], [3], [0x40],
        ]
        for _ in 0..<25 {
            let pair = try TransportPair.connected()
            let end = HTTP3End(pair.server)
            let raw = RawEnd(pair.client)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                var bytes: [UInt8] = []
                for _ in 0..<Int.random(in: 0...4, using: &generator) {
                    bytes +=
                        Bool.random(using: &generator)
                        ? parts.randomElement(using: &generator) ?? []
                        : randomBytes(Int.random(in: 0..<9, using: &generator), using: &generator)
                }
                let direction = Bool.random(using: &generator) ? StreamDirection.bidirectional : .unidirectional
                // A connection that was closed for what came before opens no stream.
                _ = try? raw.send(direction, bytes, Bool.random(using: &generator) ? .end : .more)
                pair.exchange()
                end.drain()
                for (id, _) in end.requests { _ = end.content(of: id) }
            }
            end.drain()
            if let code = end.failure { #expect(code.rawValue >= 0x100) }
        }
    }
}
