import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

@Suite("Ends of tunnels that outlive their connection")
struct ResumptionEndingTests {
    @Test("a tunnel whose TCP is closed lives until the other end has reported everything")
    func closingIsHeld() throws {
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        origin.sendsFin = true
        bench.pair.run()
        #expect(app.hasFin)
        // The last bytes and the FIN of the application leave, but nothing reaches the gateway.
        bench.pair.transport.deaf = [.server]
        app.outgoing = [1, 2, 3]
        app.sendsFin = true
        bench.pair.run(turns: 3)
        #expect(app.wasClosed && bench.pair.local.log.contains(.close(id)))
        #expect(bench.pair.client.relay.count == 1)
        bench.loseConnection()
        let held = try #require(bench.heldLocally.first?.held)
        #expect(held.isTCPClosed && held.ring.count == 3)
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run()
        #expect(origin.received == [1, 2, 3] && origin.hasFin && origin.wasClosed && !origin.wasReset)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
        #expect(bench.pair.client.http.openRequestCount == 0 && bench.pair.server.http.openRequestCount == 0)
    }

    @Test("a resumable tunnel to which nothing is owed any more is told once, and no other")
    func forgottenIsTold() throws {
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        #expect(bench.pair.client.relay.takeForgotten().isEmpty)
        origin.sendsFin = true
        app.sendsFin = true
        bench.pair.run()
        #expect(bench.pair.client.relay.takeForgotten() == [id])
        #expect(bench.pair.client.relay.takeForgotten().isEmpty)
        #expect(bench.pair.server.relay.takeForgotten().count == 1)
        _ = bench.pair.client.open(to: buildServer)
        bench.pair.run()
        #expect(bench.pair.client.relay.takeForgotten().isEmpty)
    }

    @Test("a client resumes once more when its last report was perhaps lost, and the gateway may have forgotten")
    func lastReportLost() throws {
        for gatewayHears in [true, false] {
            let bench = try ResumptionBench()
            let (_, app, origin) = try bench.open()
            app.sendsFin = true
            bench.pair.run()
            origin.outgoing = [5]
            origin.sendsFin = true
            bench.pair.turn(.server)
            bench.pair.transport.exchange()
            // The client delivers the end and reports it; at best the report arrives, but not its acknowledgment.
            bench.pair.turn(.client)
            if gatewayHears {
                bench.pair.transport.deaf = [.client]
                bench.pair.transport.exchange()
                bench.pair.turn(.server)
            }
            bench.loseConnection()
            #expect(app.wasClosed && app.received == [5])
            #expect(bench.heldLocally.count == 1)
            #expect(bench.heldAtGateway.count == (gatewayHears ? 0 : 1))
            try bench.reconnect()
            bench.resumeAll()
            bench.pair.run()
            #expect(bench.verdicts == [gatewayHears ? nil : .resumed])
            #expect(bench.heldLocally.isEmpty && bench.heldAtGateway.isEmpty)
            #expect(origin.wasClosed && !origin.wasReset && !app.wasReset)
            #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
        }
    }

    @Test("a FIN that TCP sends while the tunnel is held arrives behind everything else")
    func finWhileHeld() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        bench.loseConnection()
        app.outgoing = Array(repeating: 3, count: 20_000)
        app.sendsFin = true
        origin.sendsFin = true
        bench.readWhileHeld()
        bench.readWhileHeld()
        #expect(bench.heldLocally.first?.held.ring.count == 20_000)
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run()
        #expect(origin.received.count == 20_000 && origin.hasFin && app.hasFin && app.wasClosed && origin.wasClosed)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
    }

    @Test("a reset of the application's TCP while its tunnel is held is passed on by resuming only for that")
    func resetWhileHeld() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        app.outgoing = [1, 2]
        origin.room = 0
        bench.pair.run()
        bench.loseConnection()
        let held = try #require(bench.heldLocally.first?.held)
        #expect(held.resetArrived() == nil)
        #expect(held.wantsBytes == 0 && held.memory == 0)
        bench.heldLocally[0].tcp = nil
        try bench.reconnect()
        bench.resumeAll()
        origin.room = .max
        bench.pair.run()
        #expect(origin.wasReset && !origin.hasFin && origin.received.isEmpty)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
    }

    @Test("a destination that has sent everything and is gone then loses no byte of it", arguments: [0, 1, 2])
    func goneAfterItsEnd(outages: Int) throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0) }
        app.room = 5000
        origin.outgoing = bytes
        origin.sendsFin = true
        bench.pair.run()
        #expect(app.received.count == 5000)
        // It breaks while a connection carries the tunnel, while none does, and in between two.
        if outages < 2 { bench.resetAtGateway(origin) }
        for round in 0..<outages {
            // What the application goes on to say reaches nobody any more, but holds up nothing.
            app.outgoing += Array(repeating: 1, count: 3000)
            bench.pair.run()
            bench.loseConnection()
            if outages == 2, round == 0 { bench.resetAtGateway(origin) }
            try bench.reconnect()
            bench.resumeAll()
            bench.pair.run()
            #expect(!app.wasReset && !app.hasFin)
        }
        app.room = .max
        bench.pair.run()
        #expect(app.received == bytes && app.hasFin)
        // And hears of the break when it has everything.
        #expect(app.wasReset && bench.heldLocally.isEmpty && bench.heldAtGateway.isEmpty)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
    }

    @Test("an application that ends after a destination that is gone ends in order")
    func endsAfterOneThatIsGone() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        app.room = 0
        origin.outgoing = [1, 2, 3]
        origin.sendsFin = true
        bench.pair.run()
        bench.resetAtGateway(origin)
        app.sendsFin = true
        app.room = .max
        bench.pair.run()
        #expect(app.received == [1, 2, 3] && app.hasFin && app.wasClosed && !app.wasReset)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
    }

    @Test("an application that has sent everything and is gone then loses no byte of it")
    func applicationGoneAfterItsEnd() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        origin.room = 100
        app.outgoing = Array(repeating: 9, count: 3000)
        app.sendsFin = true
        bench.pair.run()
        bench.resetLocally(app)
        bench.loseConnection()
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run()
        #expect(origin.received.count == 100 && !origin.wasReset)
        origin.room = .max
        bench.pair.run()
        #expect(origin.received.count == 3000 && origin.hasFin && origin.wasReset)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
    }

    @Test("a reset between the request to resume and its answer is not lost")
    func resetWhileResuming() throws {
        let bench = try ResumptionBench()
        let (_, _, origin) = try bench.open()
        bench.loseConnection()
        try bench.reconnect()
        let id = try #require(bench.resumeAll().first)
        bench.pair.client.relay.resetArrived(on: id)
        bench.pair.run()
        #expect(Array(bench.pair.local.log.suffix(2)) == [.resumed(id), .reset(id)])
        #expect(origin.wasReset)
    }

    @Test("a reset that a dead connection cannot carry any more is told on the next one")
    func resetOnDeadConnection() throws {
        let bench = try ResumptionBench()
        let (id, _, origin) = try bench.open()
        let (known, _, other) = try bench.open()
        bench.pair.client.relay.resetArrived(on: known)
        bench.pair.run()
        #expect(other.wasReset && !origin.wasReset)
        bench.pair.transport.deaf = [.client, .server]
        bench.pair.client.relay.resetArrived(on: id)
        bench.pair.run(turns: 2)
        bench.loseConnection()
        #expect(!origin.wasReset)
        // Of the reset that was acknowledged nothing is left.
        #expect(bench.heldLocally.map(\.held.outgoing) == [.reset])
        #expect(bench.heldLocally.first?.held.memory == 0)
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run()
        #expect(origin.wasReset && bench.heldAtGateway.isEmpty)
    }

    @Test("a tunnel that the gateway has given up resets the application's TCP")
    func gone() throws {
        let bench = try ResumptionBench()
        let (_, app, _) = try bench.open()
        bench.loseConnection()
        bench.heldAtGateway = [:]
        try bench.reconnect()
        let id = try #require(bench.resumeAll().first)
        bench.pair.run()
        #expect(bench.pair.local.log.contains(.failed(id, .resumptionGone, .untouched)) == false)
        #expect(bench.pair.local.log.contains(.failed(id, .resumptionGone, .taken)))
        #expect(app.wasReset && !app.hasFin && bench.heldLocally.isEmpty)
    }

    @Test("an answer that says nothing about the tunnel leaves it to be tried again")
    func temporaryRefusal() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        bench.loseConnection()
        try bench.reconnect()
        let resume = bench.pair.gateway.onResume
        bench.pair.gateway.onResume = { [server = bench.pair.server] id, _ in server.connectFailed(id, .internalError) }
        bench.resumeAll()
        bench.pair.run()
        #expect(bench.heldLocally.count == 1 && !app.wasReset)
        bench.pair.gateway.onResume = resume
        bench.resumeAll()
        app.outgoing = [7]
        bench.pair.run()
        #expect(origin.received == [7])
    }

    @Test("a gateway that goes away without having looked leaves the tunnel to the next connection")
    func goingAway() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        bench.loseConnection()
        try bench.reconnect()
        bench.pair.server.goAway()
        bench.pair.run(turns: 1)
        bench.resumeAll()
        bench.pair.run()
        #expect(bench.heldLocally.count == 1 && !app.wasReset)
        try bench.reconnect()
        bench.resumeAll()
        app.outgoing = [7]
        bench.pair.run()
        #expect(origin.received == [7])
    }

    @Test("the loss of the connection before the answer leaves the tunnel held at both ends, whoever took it")
    func answerLost() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 5000)
        origin.room = 2000
        bench.pair.run()
        for round in 1...3 {
            bench.loseConnection()
            try bench.reconnect()
            bench.resumeAll()
            bench.pair.turn(.client)
            bench.pair.transport.exchange()
            bench.pair.transport.deaf = [.client]
            bench.pair.run(turns: 2)
            #expect(bench.verdicts.count == round)
        }
        bench.loseConnection()
        #expect(bench.heldLocally.first?.held.generation == 3 && bench.heldAtGateway.count == 1)
        try bench.reconnect()
        bench.resumeAll()
        origin.room = .max
        bench.pair.run()
        #expect(bench.verdicts == [.resumed, .resumed, .resumed, .resumed])
        #expect(origin.received == Array(repeating: 1, count: 5000))
        #expect(bench.pair.client.relay.statistics.first?.durability == .resumable(generation: 4))
    }

    @Test("a tunnel whose client never heard of its id is kept for an hour, and every other as long as promised")
    func unconfirmed() throws {
        let bench = try ResumptionBench()
        bench.linger = .seconds(7200)
        _ = bench.pair.client.open(to: buildServer, .beforeAnswer, .resumable)
        bench.pair.turn(.client)
        bench.pair.transport.exchange()
        bench.pair.transport.deaf = [.client]
        bench.pair.run(turns: 2)
        bench.loseConnection()
        let name = try #require(bench.granted.first)
        #expect(bench.heldAtGateway[name]?.held.linger == .seconds(3600))
        #expect(bench.heldLocally.isEmpty)
        // A tunnel without a byte: what tells that the id arrived is a report of nothing.
        try bench.reconnect()
        _ = try bench.open()
        bench.loseConnection()
        let other = try #require(bench.granted.last)
        #expect(bench.heldAtGateway[other]?.held.linger == bench.linger)
    }
}
