import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

@Suite("Tunnels that outlive their connection")
struct ResumptionTests {
    @Test("a tunnel goes on at exactly the next byte, in both directions")
    func resume() throws {
        var generator = SeededGenerator(seed: 1)
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        #expect(bench.pair.client.relay.resumption(of: id)?.id == bench.granted.first)
        let up = randomBytes(300_000, using: &generator)
        let down = randomBytes(300_000, using: &generator)
        app.outgoing = Array(up[..<200_000])
        origin.outgoing = Array(down[..<200_000])
        app.room = 100_000
        origin.room = 50_000
        bench.pair.run(turns: 2)
        bench.loseConnection()
        #expect(bench.heldLocally.count == 1 && bench.heldAtGateway.count == 1)
        app.outgoing += up[200_000...]
        origin.outgoing += down[200_000...]
        app.sendsFin = true
        (app.room, origin.room) = (.max, .max)
        try bench.reconnect()
        let again = try #require(bench.resumeAll().first)
        bench.pair.run(turns: 20)
        #expect(bench.pair.local.log.contains(.resumed(again)))
        #expect(bench.verdicts == [.resumed])
        #expect(app.received == down && origin.received == up)
        #expect(origin.hasFin && !app.hasFin && !app.wasReset && !origin.wasReset)
        origin.sendsFin = true
        bench.pair.run()
        #expect(app.hasFin && app.wasClosed && origin.wasClosed)
        #expect(bench.pair.client.relay.count == 0 && bench.pair.server.relay.count == 0)
        #expect(bench.pair.client.http.openRequestCount == 0 && bench.pair.server.http.openRequestCount == 0)
        #expect(bench.pair.client.relay.memory == 0 && bench.pair.server.relay.memory == 0)
    }

    @Test("bytes stay in the ring until the peer has handed them on, and no longer")
    func release() throws {
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        origin.room = 1000
        app.outgoing = Array(repeating: 1, count: 10_000)
        bench.pair.run()
        #expect(origin.received.count == 1000)
        #expect(bench.pair.client.relay.ring(of: id)?.start == 1000)
        #expect(bench.pair.client.relay.ring(of: id)?.end == 10_000)
        origin.room = .max
        bench.pair.run()
        #expect(bench.pair.client.relay.ring(of: id)?.isEmpty == true)
        #expect(bench.pair.client.relay.statistics.first?.durability == .resumable(generation: 0))
    }

    @Test("a gateway that grants nothing serves as before, and its loss is a reset")
    func notGranted() throws {
        let bench = try ResumptionBench()
        bench.grants = false
        let (id, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 10_000)
        origin.room = 0
        bench.pair.run()
        #expect(bench.pair.client.relay.ring(of: id)?.isEmpty == true)
        bench.loseConnection()
        #expect(app.wasReset && origin.wasReset)
        #expect(bench.heldLocally.isEmpty && bench.heldAtGateway.isEmpty)
    }

    @Test("an end without anything wrong ends tunnels, whoever wants it", arguments: [Role.client, .server])
    func closedOnPurpose(by role: Role) throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        let connection = role == .client ? bench.pair.transport.client : bench.pair.transport.server
        connection.close(
            errorCode: HTTP3ErrorCode.noError.rawValue, reason: "", at: bench.pair.transport.now)
        bench.pair.run()
        #expect(app.wasReset && origin.wasReset)
        #expect(bench.heldLocally.isEmpty && bench.heldAtGateway.isEmpty)
    }
}
