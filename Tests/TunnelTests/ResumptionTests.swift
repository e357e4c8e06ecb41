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

    @Test("a report is due 50 ms after the first byte that was handed on, at once for many and for the end")
    func reportTimes() throws {
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        let pair = bench.pair
        let relay = pair.server.relay
        let tunnel = try #require(pair.gateway.sockets.keys.first)
        #expect(relay.nextDeadline == nil && pair.client.relay.nextDeadline == nil)
        app.outgoing = [1, 2, 3]
        pair.turn(.client)
        pair.transport.exchange()
        pair.turn(.server)
        #expect(origin.received == [1, 2, 3])
        let due = pair.transport.now + .milliseconds(50)
        #expect(relay.nextDeadline == due)
        relay.deadlineReached(at: due - .nanoseconds(1))
        #expect(relay.nextDeadline == due)
        #expect(relay.session(tunnel)?.attachment?.reported == 0)
        relay.deadlineReached(at: due)
        #expect(relay.nextDeadline == nil)
        #expect(relay.session(tunnel)?.attachment?.reported == 3)
        pair.run(turns: 1)
        pair.turn(.client)
        #expect(pair.client.relay.ring(of: id)?.start == 3)
        app.outgoing = Array(repeating: 1, count: 16 << 10)
        pair.turn(.client)
        pair.transport.exchange()
        pair.turn(.server)
        #expect(relay.nextDeadline == nil && relay.session(tunnel)?.attachment?.reported == 3 + 16 << 10)
        app.sendsFin = true
        pair.turn(.client)
        pair.transport.exchange()
        pair.turn(.server)
        #expect(origin.hasFin && relay.nextDeadline == nil)
        #expect(relay.session(tunnel)?.attachment?.reported == 4 + 16 << 10)
    }

    @Test("a tunnel moves from a connection that lives, and the one that carried it ends nothing")
    func stealing() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 50_000)
        origin.room = 10_000
        bench.pair.run()
        bench.loseConnectionLocally()
        origin.room = .max
        let old = bench.pair
        old.gateway.turn()
        #expect(bench.heldAtGateway.isEmpty)
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run()
        #expect(bench.verdicts == [.resumed])
        #expect(old.server.relay.count == 0 && old.server.http.openRequestCount == 0)
        old.gateway.lose(.idleTimeout)
        #expect(bench.heldAtGateway.isEmpty && !origin.wasReset)
        app.outgoing = [2]
        bench.pair.run()
        #expect(origin.received == Array(repeating: 1, count: 50_000) + [2])
    }

    @Test("either end may move a tunnel to another connection while both live", arguments: [Role.client, .server])
    func detach(by role: Role) throws {
        let bench = try ResumptionBench()
        let (id, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 50_000)
        origin.room = 10_000
        app.room = 5_000
        origin.outgoing = Array(repeating: 2, count: 30_000)
        bench.pair.run()
        let driver = role == .client ? bench.pair.local : bench.pair.gateway
        let tunnel = role == .client ? id : try #require(driver.sockets.keys.first)
        let held = try #require(driver.relay.detach(tunnel))
        driver.onDetached?(tunnel, held, driver.sockets.removeValue(forKey: tunnel))
        bench.pair.run(turns: 3)
        #expect(bench.heldLocally.count == 1 && bench.heldAtGateway.count == 1)
        #expect(!app.wasReset && !origin.wasReset)
        #expect(bench.pair.client.http.openRequestCount == 0 && bench.pair.server.http.openRequestCount == 0)
        bench.resumeAll()
        (origin.room, app.room) = (.max, .max)
        bench.pair.run()
        #expect(origin.received == Array(repeating: 1, count: 50_000))
        #expect(app.received == Array(repeating: 2, count: 30_000))
    }

    @Test("many tunnels go on in one flight")
    func many() throws {
        let bench = try ResumptionBench()
        var ends: [(app: FakeTCP, origin: FakeTCP)] = []
        for _ in 0..<100 {
            let (_, app, origin) = try bench.open()
            ends.append((app, origin))
        }
        for (index, end) in ends.enumerated() { end.app.outgoing = [UInt8(index)] }
        bench.pair.transport.deaf = [.server]
        bench.pair.run(turns: 1)
        bench.loseConnection()
        #expect(bench.heldLocally.count == 100)
        #expect(bench.heldLocally.allSatisfy { $0.held.memory <= 2048 })
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run(turns: 6)
        for (index, end) in ends.enumerated() { #expect(end.origin.received == [UInt8(index)]) }
    }

    @Test(
        "an application that only writes is not stopped by one direction's payload that stands before the other's reports"
    )
    func independentDirections() throws {
        var generator = SeededGenerator(seed: 9)
        var limits = TunnelRelay.Limits()
        limits.maximumRing = 128 << 10
        let bench = try ResumptionBench(limits: limits)
        let (_, app, origin) = try bench.open()
        app.room = 0
        let down = randomBytes(100 << 10, using: &generator)
        origin.outgoing = down
        origin.sendsFin = true
        bench.pair.run(turns: 8)
        let up = randomBytes(1 << 20, using: &generator)
        app.outgoing = up
        bench.pair.run(turns: 40)
        #expect(app.outgoing.isEmpty)
        #expect(origin.received.count == up.count)
        #expect(app.received.isEmpty)
        // What was put aside is not delivered: after a loss it comes again.
        bench.loseConnection()
        app.room = 50_000
        try bench.reconnect()
        bench.resumeAll()
        bench.pair.run(turns: 10)
        #expect(app.received == Array(down[..<50_000]))
        app.room = .max
        bench.pair.run(turns: 30)
        #expect(app.received == down && app.hasFin)
        #expect(origin.received == up)
    }

    @Test("a process rebuilds tunnels from what it has recorded of them")
    func restoring() throws {
        let bench = try ResumptionBench()
        let (_, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 5000)
        origin.room = 2000
        bench.pair.run()
        bench.loseConnection()
        let waiting = try #require(bench.heldLocally.first)
        #expect(waiting.held.record.peerDelivered == 2000)
        let restored = try #require(HeldTunnel(restoring: waiting.held.record, waiting.held.ring))
        #expect(restored.record == waiting.held.record)
        bench.heldLocally = [.init(held: restored, tcp: app)]
        try bench.reconnect()
        bench.resumeAll()
        origin.room = .max
        bench.pair.run()
        #expect(origin.received == Array(repeating: 1, count: 5000))
    }

    @Test("records that contradict their ring are refused")
    func contradictions() throws {
        let ring = ByteRing(limit: 100, start: 50)
        let bytes = [UInt8](repeating: 1, count: 10)
        _ = ring.append(bytes.span)
        var record = HeldTunnel.Record(
            id: try #require(ResumptionID([UInt8](repeating: 1, count: 16))), role: .server, destination: nil,
            linger: .zero, generation: 0, outgoing: .open, peerDelivered: 0, delivered: 0, hasDeliveredEnd: false)
        for (position, outgoing, isFine): (UInt64, HeldTunnel.Outgoing, Bool) in [
            (49, .open, false), (50, .open, true), (60, .open, true), (61, .open, false), (61, .ended, true),
            (62, .ended, false), (.max, .ended, false),
        ] {
            record.peerDelivered = position
            record.outgoing = outgoing
            let copy = ByteRing(limit: 100, start: 50)
            _ = copy.append(bytes.span)
            #expect((HeldTunnel(restoring: record, copy) != nil) == isFine)
        }
    }

    @Test("the ring of a tunnel that was busy and came to rest is bounded as at first again")
    func ringAtRest() throws {
        var limits = TunnelRelay.Limits()
        limits.initialRing = 4096
        let bench = try ResumptionBench(limits: limits)
        let (id, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 512 << 10)
        var largest = 0
        for _ in 0..<200 where origin.received.count < 512 << 10 {
            bench.pair.run(turns: 1)
            largest = max(largest, bench.pair.client.relay.ring(of: id)?.limit ?? 0)
        }
        #expect(origin.received.count == 512 << 10 && largest >= 32 << 10)
        for _ in 0..<8 {
            app.outgoing = [1]
            bench.pair.run(turns: 3)
        }
        bench.pair.run()
        #expect(bench.pair.client.relay.ring(of: id)?.limit == 4096)
        #expect(bench.pair.client.relay.memory == 0)
    }

    @Test("room for a ring goes back with the connection, and is taken again on the next one as far as there is some")
    func roomOfHeld() throws {
        var limits = TunnelRelay.Limits()
        limits.initialRing = 4096
        let bench = try ResumptionBench(limits: limits)
        let budget = LocalRingBudget(limit: 1 << 20)
        bench.pair.client.relay.budget = budget
        let (_, app, origin) = try bench.open()
        app.outgoing = Array(repeating: 1, count: 512 << 10)
        origin.room = 100_000
        bench.pair.run(turns: 60)
        #expect(budget.taken > 0)
        bench.loseConnection()
        #expect(budget.taken == 0)
        let held = try #require(bench.heldLocally.first?.held)
        let count = held.ring.count
        #expect(count > limits.initialRing)
        try bench.reconnect()
        let small = LocalRingBudget(limit: 100)
        bench.pair.client.relay.budget = small
        bench.resumeAll()
        bench.pair.run(turns: 10)
        #expect(small.taken == 0 && held.ring.limit <= count)
        origin.room = .max
        bench.pair.run(turns: 400)
        #expect(origin.received.count == 512 << 10)
    }

    @Test("no more than 16 MiB are kept unreported, whatever the limits say")
    func replayLimit() throws {
        var limits = TunnelRelay.Limits()
        limits.maximumRing = 64 << 20
        let bench = try ResumptionBench(limits: limits)
        let (id, app, origin) = try bench.open()
        origin.room = 0
        app.outgoing = Array(repeating: 1, count: 24 << 20)
        var largest = 0
        for _ in 0..<80 {
            bench.pair.run(turns: 1)
            largest = max(largest, bench.pair.client.relay.ring(of: id)?.limit ?? 0)
        }
        #expect(largest <= 16 << 20)
        let ring = try #require(bench.pair.client.relay.ring(of: id))
        #expect(
            origin.received.isEmpty && ring.count <= 16 << 20 && app.outgoing.count == 24 << 20 - ring.count,
            "\(ring.count) \(ring.limit) \(app.outgoing.count)")
    }
}
