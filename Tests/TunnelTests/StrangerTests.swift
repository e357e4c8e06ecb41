import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

/// A gateway, and a client of it that is written by the test.
private final class Stranger {
    let transport: TransportPair
    let http: HTTP3Connection
    let server: TunnelServer
    let gateway: FakeDriver
    var events: [HTTP3Event] = []

    init() throws {
        transport = try TransportPair.connected()
        let configuration = HTTP3Connection.Configuration(greaseSeed: 1)
        http = HTTP3Connection(transport.client, configuration: configuration)
        server = TunnelServer(HTTP3Connection(transport.server, configuration: configuration))
        gateway = FakeDriver(server)
        gateway.onAuthenticate = { [unowned self] id, _ in server.authenticationSucceeded(for: id) }
        gateway.onConnect = { [unowned self] id, _ in
            gateway.sockets[id] = FakeTCP()
            server.connected(id)
        }
        run()
    }

    func run() {
        for _ in 0..<6 {
            transport.exchange()
            gateway.turn()
            while let event = transport.client.nextEvent() { http.receive(event, at: transport.now) }
            while let event = http.nextEvent() { events.append(event) }
        }
    }

    func open(_ head: RequestHead, _ fin: Fin = .more) throws -> StreamID {
        guard case .opened(let id) = http.openRequest(head, fin) else { throw NotOpened() }
        return id
    }

    struct NotOpened: Error {}

    var statuses: [Int] { events.compactMap { if case .response(_, let head) = $0 { head.status } else { nil } } }
    var resets: [HTTP3ErrorCode] { events.compactMap { if case .streamReset(_, let code) = $0 { code } else { nil } } }

    var stops: [HTTP3ErrorCode] { events.compactMap { if case .streamStopped(_, let code) = $0 { code } else { nil } } }

    func content(of id: StreamID) -> [UInt8] {
        var bytes: [UInt8] = []
        _ = http.readContent(of: id, at: transport.now) { span in
            for index in span.indices { bytes.append(span[index]) }
            return span.count
        }
        return bytes
    }

    var origin: FakeTCP? { gateway.sockets.values.first }
}

private func templated(_ token: String = "connect-tcp", _ fields: FieldSection = []) -> RequestHead {
    RequestHead(
        .extendedConnect(
            protocol: token, scheme: "https", authority: "gw", path: ConnectTCPTemplate.path(to: buildServer)),
        fields: fields)
}

private func capsule(_ draft: ConnectTCPDraft, _ kind: CapsuleKind, _ payload: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    draft.appendCapsuleHeader(kind, length: UInt64(payload.count), to: &bytes)
    return bytes + payload
}

@Suite("A gateway among strangers")
struct StrangerTests {
    @Test("GET / is 404, an unknown protocol 501, and the stream ends cleanly")
    func others() throws {
        let stranger = try Stranger()
        _ = try stranger.open(RequestHead(.resource(method: "GET", scheme: "https", authority: "gw", path: "/")), .end)
        _ = try stranger.open(RequestHead(.resource(method: "POST", scheme: "https", authority: "gw", path: "/x")))
        _ = try stranger.open(
            RequestHead(.extendedConnect(protocol: "connect-udp", scheme: "https", authority: "gw", path: "/")))
        stranger.run()
        #expect(stranger.statuses == [404, 404, 501])
        #expect(stranger.gateway.log.isEmpty)
        #expect(stranger.resets.isEmpty)
        #expect(stranger.server.http.openRequestCount == 0)
    }

    @Test("a destination that cannot be understood is 400, for who may use the gateway")
    func malformed() throws {
        let stranger = try Stranger()
        _ = try stranger.open(RequestHead(.connect(authority: "no-port")))
        stranger.run()
        #expect(stranger.statuses == [400])
        stranger.gateway.onAuthenticate = {
            stranger.server.authenticationFailed(for: $0); _ = $1
        }
        _ = try stranger.open(RequestHead(.connect(authority: "no-port")))
        stranger.run()
        #expect(stranger.statuses == [400, 407])
    }

    @Test("Expect: 100-continue is answered when the request is not refused at once")
    func expectation() throws {
        let stranger = try Stranger()
        stranger.gateway.onConnect = { _, _ in }
        _ = try stranger.open(templated("connect-tcp", [Field("expect", "100-continue")]))
        stranger.run()
        #expect(stranger.statuses == [100])
    }

    @Test(
        "a reset of TCP is H3_CONNECT_ERROR in both directions of the stream (RFC 9114 §4.4)",
        arguments: [templated(), RequestHead(.connect(authority: "build.internal:22"))])
    func resetCodes(head: RequestHead) throws {
        let stranger = try Stranger()
        _ = try stranger.open(head)
        stranger.run()
        #expect(stranger.statuses == [200])
        let tunnel = try #require(stranger.gateway.sockets.keys.first)
        stranger.server.relay.resetArrived(on: tunnel)
        stranger.run()
        #expect(stranger.resets == [.connectError])
        #expect(stranger.stops == [.connectError])
    }

    @Test(
        "capsules of either draft are understood and answered in kind", arguments: ConnectTCPDraft.allCases,
        ["connect-tcp", "connect-tcp-12"])
    func drafts(draft: ConnectTCPDraft, token: String) throws {
        let stranger = try Stranger()
        let id = try stranger.open(templated(token))
        stranger.http.sendContent(
            capsule(draft, .data, [1, 2]) + [0x17, 1, 0xff] + capsule(draft, .data, [3]), on: id)
        stranger.run()
        #expect(stranger.origin?.received == [1, 2, 3])
        stranger.origin?.outgoing = [9, 8]
        stranger.run()
        #expect(stranger.content(of: id) == capsule(draft, .data, [9, 8]))
    }

    @Test("FINAL_DATA is a FIN; a stream that ends after it ends well")
    func finalData() throws {
        let stranger = try Stranger()
        let id = try stranger.open(templated())
        stranger.http.sendContent(capsule(.draft08, .finalData, [1, 2]), on: id)
        stranger.http.finish(id)
        stranger.run()
        #expect(stranger.origin?.received == [1, 2])
        #expect(stranger.origin?.hasFin == true)
        stranger.origin?.outgoing = [7]
        stranger.origin?.sendsFin = true
        stranger.run()
        #expect(stranger.content(of: id) == capsule(.draft08, .finalData, [7]))
        #expect(stranger.origin?.wasClosed == true)
        stranger.run()
        #expect(stranger.server.relay.count == 0)
        #expect(stranger.server.http.openRequestCount == 0)
    }

    @Test("a connect-tcp stream that ends without FINAL_DATA, or inside a capsule, is a reset")
    func truncated() throws {
        for bytes in [
            [], capsule(.draft08, .data, [1, 2]), Array(capsule(.draft08, .finalData, [1, 2]).dropLast()), [0x60],
        ] {
            let stranger = try Stranger()
            let id = try stranger.open(templated())
            stranger.http.sendContent(bytes, on: id)
            stranger.http.finish(id)
            stranger.run()
            #expect(stranger.origin?.wasReset == true)
            #expect(stranger.origin?.hasFin == false)
            #expect(stranger.resets == [.connectError])
            #expect(stranger.server.relay.count == 0)
        }
    }

    @Test("payload after FINAL_DATA makes the message malformed")
    func afterFinal() throws {
        let stranger = try Stranger()
        let id = try stranger.open(templated())
        stranger.http.sendContent(capsule(.draft08, .finalData, []) + capsule(.draft08, .data, [1]), on: id)
        stranger.run()
        #expect(stranger.resets == [.messageError])
        #expect(stranger.origin?.wasReset == true)
        #expect(stranger.origin?.received == [])
    }

    @Test("a client that wants no more bytes gives the tunnel up")
    func stopped() throws {
        for head in [templated(), RequestHead(.connect(authority: "build.internal:22"))] {
            let stranger = try Stranger()
            let id = try stranger.open(head)
            stranger.run()
            stranger.http.stopReading(id, .noError)
            stranger.run()
            #expect(stranger.origin?.wasReset == true)
            #expect(stranger.server.relay.count == 0)
        }
    }

    @Test("payload cut into DATA frames of any size, and capsules across them, is the same payload")
    func anyCut() throws {
        var generator = SeededGenerator(seed: 31)
        let stranger = try Stranger()
        let id = try stranger.open(templated())
        var wire: [UInt8] = []
        var payload: [UInt8] = []
        for _ in 0..<40 {
            let bytes = randomBytes(Int.random(in: 0...70, using: &generator), using: &generator)
            wire += capsule(.draft08, .data, bytes)
            payload += bytes
        }
        while !wire.isEmpty {
            let count = min(wire.count, Int.random(in: 1...50, using: &generator))
            stranger.http.sendContent(Array(wire.prefix(count)), on: id)
            wire.removeFirst(count)
        }
        stranger.run()
        #expect(stranger.origin?.received == payload)
    }

    @Test("random content in a tunnel never traps the gateway")
    func randomContent() throws {
        var generator = SeededGenerator(seed: 32)
        let stranger = try Stranger()
        for round in 0..<100 {
            let id = try stranger.open(round.isMultiple(of: 2) ? templated() : RequestHead(.connect(authority: "a:1")))
            var bytes = randomBytes(Int.random(in: 0...60, using: &generator), using: &generator)
            if Bool.random(using: &generator) { bytes = capsule(.draft08, .finalData, bytes) + bytes }
            stranger.http.sendContent(bytes, on: id)
            if Bool.random(using: &generator) { stranger.http.finish(id) }
            if round % 10 == 9 { stranger.run() }
            if Bool.random(using: &generator) { stranger.http.abort(id, .connectError) }
        }
        stranger.run()
        #expect(!stranger.server.http.isClosed)
    }
}
