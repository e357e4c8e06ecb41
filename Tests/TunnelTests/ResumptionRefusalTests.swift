import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

@Suite("Requests to resume that are refused")
struct ResumptionRefusalTests {
    /// A gateway that holds a tunnel: the client was sent 1,000 bytes of which it took 400, and has sent 300.
    private func scene() throws -> (bench: ResumptionBench, id: ResumptionID, app: FakeTCP, origin: FakeTCP) {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 2, count: 300)
        bench.pair.run()
        app.room = 400
        origin.outgoing = Array(repeating: 1, count: 1000)
        bench.pair.run()
        bench.loseConnection()
        try bench.reconnect()
        return (bench, try #require(bench.granted.first), app, origin)
    }

    /// The tunnel that was held still is, and goes on.
    private func expectUnharmed(_ bench: ResumptionBench, _ app: FakeTCP, _ origin: FakeTCP) {
        app.room = .max
        bench.resumeAll()
        bench.pair.run()
        #expect(bench.verdicts.last == .resumed)
        #expect(app.received == Array(repeating: 1, count: 1000))
        #expect(origin.received == Array(repeating: 2, count: 300))
        #expect(!app.wasReset && !origin.wasReset)
    }

    @Test(
        "an offset beyond what was sent, or below what was reported, changes nothing", arguments: [399, 1001, 1 << 40])
    func wrongOffset(offset: UInt64) throws {
        let (bench, id, app, origin) = try scene()
        let failure = try bench.request(.init(id: id, delivered: offset, generation: 1))
        #expect(failure == .resumptionRefused)
        #expect(bench.verdicts == [.conflict])
        expectUnharmed(bench, app, origin)
    }

    @Test("the position of a FIN that was never sent is beyond what was sent")
    func finThatWasNotSent() throws {
        let (bench, id, app, origin) = try scene()
        origin.sendsFin = true
        // The gateway reads the FIN while it holds the tunnel; the client cannot have got it.
        bench.readWhileHeld()
        #expect(bench.heldAtGateway[id]?.held.outgoing == .ended)
        #expect(try bench.request(.init(id: id, delivered: 1001, generation: 1)) == .resumptionRefused)
        expectUnharmed(bench, app, origin)
        #expect(app.hasFin)
    }

    @Test("a generation that was taken before is refused, a later one is not, even if some were lost")
    func generations() throws {
        let (bench, id, app, origin) = try scene()
        try #require(bench.heldAtGateway[id]).held.generation = 5
        for generation: UInt64 in [1, 4, 5] {
            let failure = try bench.request(.init(id: id, delivered: 400, generation: generation))
            #expect(failure == .resumptionRefused)
        }
        try #require(bench.heldLocally.first).held.generation = 7
        expectUnharmed(bench, app, origin)
        #expect(bench.pair.server.relay.statistics.first?.durability == .resumable(generation: 8))
    }

    @Test("a late copy of a request cannot take a tunnel from the connection that carries it")
    func stealing() throws {
        let (bench, id, app, origin) = try scene()
        expectUnharmed(bench, app, origin)
        for (offset, generation): (UInt64, UInt64) in [(1000, 1), (999, 2), (1001, 2)] {
            let request = ResumptionRequest(id: id, delivered: offset, generation: generation)
            #expect(try bench.request(request) == .resumptionRefused)
        }
        origin.outgoing = [9]
        bench.pair.run()
        #expect(app.received.count == 1001)
    }

    @Test("an id that nobody has is gone, and so is a tunnel that has ended")
    func unknown() throws {
        let (bench, id, app, origin) = try scene()
        var generator = SeededGenerator(seed: 3)
        let other = ResumptionID(drawing: &generator)
        #expect(try bench.request(.init(id: other, delivered: 0, generation: 1)) == .resumptionGone)
        expectUnharmed(bench, app, origin)
        (app.sendsFin, origin.sendsFin) = (true, true)
        bench.pair.run()
        #expect(app.wasClosed && origin.wasClosed)
        #expect(try bench.request(.init(id: id, delivered: 1001, generation: 9)) == .resumptionGone)
    }

    @Test("a tunnel goes on to where it leads and nowhere else")
    func otherDestination() throws {
        let (bench, id, app, origin) = try scene()
        let elsewhere = Destination(.name("elsewhere.internal"), port: 22)
        #expect(
            try bench.request(.init(id: id, delivered: 400, generation: 1), to: elsewhere) == .resumptionRefused)
        expectUnharmed(bench, app, origin)
    }

    @Test("an answer about anything but what was asked for, or beyond what was sent, resets TCP; nobody guesses")
    func wrongAnswer() throws {
        for wrong in 0..<4 {
            let (bench, id, app, _) = try scene()
            let (pair, held) = (bench.pair, try #require(bench.heldLocally.first).held)
            pair.gateway.onResume = { tunnel, request in
                var position = ResumptionRequest(id: id, delivered: 300, generation: request.generation)
                switch wrong {
                case 0: position.delivered = 301
                case 1: position.delivered = held.peerDelivered - 1
                case 2: position.generation += 1
                default:
                    var generator = SeededGenerator(seed: 3)
                    position.id = ResumptionID(drawing: &generator)
                }
                guard let stream = pair.server.relay.session(tunnel)?.stream else { return }
                let answer = TunnelResponse.resumed(.init(position, linger: .seconds(1)))
                pair.server.http.respond(answer.head(for: .connectTCP(.draft08)), on: stream)
            }
            bench.resumeAll()
            pair.run(turns: 4)
            #expect(app.wasReset)
            #expect(app.received.count == 400)
            // The gateway hears of it.
            #expect(pair.gateway.log.contains { if case .reset = $0 { true } else { false } })
        }
    }

    @Test("a gateway that answers as to a new tunnel is not believed")
    func newTunnelInstead() throws {
        let (bench, _, app, _) = try scene()
        let pair = bench.pair
        pair.gateway.onResume = { tunnel, _ in
            guard let stream = pair.server.relay.session(tunnel)?.stream else { return }
            pair.server.http.respond(TunnelResponse.established.head(for: .connectTCP(.draft08)), on: stream)
        }
        let id = try #require(bench.resumeAll().first)
        pair.run(turns: 4)
        #expect(pair.local.log.contains(.failed(id, .resumptionGone, .taken)))
        #expect(app.wasReset && app.received.count == 400)
    }

    @Test("an id without a position is a bad request, and opens nothing")
    func malformed() throws {
        let bench = try ResumptionBench()
        var head = TunnelRequest(.connectTCP(.draft08), to: buildServer, credentials: .bearer("secret"))
            .head(gateway: "gw.example")
        head.fields.append(Field(ResumptionField.name, ":AAAAAAAAAAAAAAAAAAAAAA==:;generation=1"))
        guard case .opened = bench.pair.client.http.openRequest(head) else {
            Issue.record("not opened")
            return
        }
        bench.pair.run()
        #expect(bench.pair.gateway.sockets.isEmpty)
        #expect(!bench.pair.gateway.log.contains { if case .connect = $0 { true } else { false } })
        #expect(bench.pair.server.relay.count == 0)
    }

    @Test("a client that sends payload before it is told from where on is cut off")
    func payloadBeforeAnswer() throws {
        let (bench, id, app, origin) = try scene()
        let pair = bench.pair
        let answer = pair.gateway.onResume
        pair.gateway.onResume = nil
        var head = TunnelRequest(
            .connectTCP(.draft08), to: buildServer, credentials: .bearer("secret"),
            resumption: .resume(.init(id: id, delivered: 400, generation: 1))
        ).head(gateway: "gw.example")
        head.fields.append(Field("x", "y"))
        guard case .opened(let stream) = pair.client.http.openRequest(head) else { return }
        var capsule: [UInt8] = []
        ConnectTCPDraft.draft08.appendCapsuleHeader(.data, length: 1, to: &capsule)
        pair.client.http.sendContent(capsule + [1], on: stream)
        pair.run(turns: 3)
        #expect(pair.server.relay.count == 0)
        pair.gateway.onResume = answer
        expectUnharmed(bench, app, origin)
    }

    @Test(
        "a report that goes back, or beyond what was sent, ends the stream with H3_MESSAGE_ERROR",
        arguments: [0, 301, 1 << 60])
    func wrongReport(position: UInt64) throws {
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 2, count: 300)
        bench.pair.run()
        let stream = try #require(bench.pair.server.relay.session(on: StreamID(rawValue: 0))?.stream)
        var capsule: [UInt8] = []
        TunnelDelivered.append(position, to: &capsule)
        bench.pair.server.http.sendContent(capsule, on: stream)
        bench.pair.run(turns: 4)
        #expect(bench.pair.local.log.contains(.reset(id)))
        #expect(app.wasReset && origin.wasReset)
    }

    /// What a faulty gateway may do on the stream of a tunnel whose FIN was delivered on the connection before.
    enum Fault: CaseIterable {
        case payloadAfterEnd
        case secondEnd
        case endOfStreamUnreported
    }

    @Test(
        "payload or another end after the end, and a stream that ends before its last report, are faults",
        arguments: Fault.allCases)
    func faultsAfterTheEnd(fault: Fault) throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        origin.outgoing = [1, 2, 3]
        origin.sendsFin = true
        bench.pair.run()
        #expect(app.hasFin)
        bench.loseConnection()
        try bench.reconnect()
        let id = try #require(bench.resumeAll().first)
        app.outgoing = [7]
        bench.pair.run()
        #expect(bench.pair.local.log.contains(.resumed(id)) && origin.received == [7])
        let (server, stream) = (bench.pair.server, StreamID(rawValue: 0))
        var capsule: [UInt8] = []
        switch fault {
        case .payloadAfterEnd:
            ConnectTCPDraft.draft08.appendCapsuleHeader(.data, length: 1, to: &capsule)
            server.http.sendContent(capsule + [4], on: stream)
        case .secondEnd:
            ConnectTCPDraft.draft08.appendCapsuleHeader(.finalData, length: 0, to: &capsule)
            server.http.sendContent(capsule, on: stream)
        case .endOfStreamUnreported:
            server.http.finish(stream)
        }
        bench.pair.run(turns: 3)
        #expect(bench.pair.local.log.contains(.reset(id)))
        #expect(app.received == [1, 2, 3])
        #expect(origin.wasReset)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
    }
}
