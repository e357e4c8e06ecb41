import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

/// A pair with extended CONNECT, and one whose gateway does not announce it.
private func pair(_ form: String, limits: TunnelRelay.Limits = .init()) throws -> TunnelPair {
    try TunnelPair.connected(limits: limits) { if form == "classic" { $0.extendedConnect = .notAnnounced } }
}

private let forms = ["connect-tcp", "classic"]

@Suite("Relaying")
struct RelayTests {
    @Test("bytes go both ways, both ends finish, and nothing is left", arguments: forms)
    func bothWays(form: String) throws {
        var generator = SeededGenerator(seed: 22)
        let pair = try pair(form)
        let (id, app) = pair.open(buildServer)
        app.outgoing = randomBytes(100_000, using: &generator)
        let request = app.outgoing
        pair.run()
        let origin = try #require(pair.gateway.sockets.values.first)
        #expect(pair.local.log.contains(.opened(id)))
        #expect(origin.received == request)
        origin.outgoing = randomBytes(150_000, using: &generator)
        let response = origin.outgoing
        origin.sendsFin = true
        pair.run()
        #expect(app.received == response)
        #expect(app.hasFin && !origin.hasFin)
        #expect(!app.wasClosed && !origin.wasClosed)
        app.sendsFin = true
        pair.run()
        #expect(origin.hasFin)
        #expect(app.wasClosed && origin.wasClosed)
        #expect(!app.wasReset && !origin.wasReset)
        #expect(pair.client.relay.count == 0 && pair.server.relay.count == 0)
        #expect(pair.client.http.openRequestCount == 0 && pair.server.http.openRequestCount == 0)
        #expect(pair.client.relay.memory == 0)
    }

    @Test("either end may finish first, and the other direction goes on", arguments: forms)
    func halfClose(form: String) throws {
        let pair = try pair(form)
        let (_, app) = pair.open(buildServer)
        app.outgoing = [1, 2, 3]
        app.sendsFin = true
        pair.run()
        let origin = try #require(pair.gateway.sockets.values.first)
        #expect(origin.received == [1, 2, 3] && origin.hasFin)
        #expect(!app.hasFin && !app.wasClosed && !origin.wasClosed)
        for round in 0..<3 {
            origin.outgoing = Array(repeating: UInt8(round), count: 5000)
            pair.run()
            #expect(app.received.count == 5000 * (round + 1))
        }
        origin.sendsFin = true
        pair.run()
        #expect(app.hasFin && app.wasClosed && origin.wasClosed)
        #expect(pair.client.relay.count == 0 && pair.server.relay.count == 0)
    }

    @Test("TCP is read as far as bytes leave, whatever room the ring has", arguments: forms)
    func drain(form: String) throws {
        var limits = TunnelRelay.Limits()
        limits.initialRing = limits.maximumRing
        let pair = try pair(form, limits: limits)
        let (id, app) = pair.open(buildServer)
        pair.run()
        app.outgoing = Array(repeating: 7, count: 4 << 20)
        app.sendsFin = true
        let ring = try #require(pair.client.relay.ring(of: id))
        pair.turn(.client)
        let most = TunnelRelay.mostUnsentEach.upperBound + pair.local.burst
        #expect(ring.count >= TunnelRelay.mostUnsentEach.upperBound && ring.count < most)
        #expect(pair.client.relay.wantsBytes(id) == 0)
        // Reading goes on when half of it has left, and nothing is waited for in vain.
        let origin = try #require(pair.gateway.sockets.values.first)
        var turns = 0
        while !origin.hasFin, turns < 2_000 {
            turns += 1
            pair.run(turns: 1)
            guard let stream = pair.client.relay.session(id)?.stream else { continue }
            #expect(pair.client.http.unsentBytes(on: stream) < most)
        }
        #expect(origin.received.count == 4 << 20 && origin.hasFin)
    }

    @Test("bulk tunnels share what may wait to be sent, and one alone has its whole part again", arguments: forms)
    func sharedDrain(form: String) throws {
        var limits = TunnelRelay.Limits()
        limits.initialRing = limits.maximumRing
        let pair = try pair(form, limits: limits)
        let tunnels = (0..<16).map { _ in pair.open(buildServer) }
        pair.run()
        let relay = pair.client.relay
        for tunnel in tunnels {
            tunnel.tcp.outgoing = Array(repeating: 7, count: 1 << 20)
            tunnel.tcp.sendsFin = true
        }
        pair.turn(.client)
        let (least, most) = (TunnelRelay.mostUnsentEach.lowerBound, TunnelRelay.mostUnsentEach.upperBound)
        let waiting = tunnels.compactMap { relay.ring(of: $0.id)?.count }.sorted()
        #expect(relay.bulkCount == tunnels.count)
        #expect(relay.mostUnsent == least)
        // Each has its part as it was when it came.
        #expect(waiting.count == tunnels.count && waiting.allSatisfy { $0 >= least })
        #expect(try #require(waiting.first) < least + pair.local.burst)
        #expect(try #require(waiting.last) < most + pair.local.burst)
        #expect(waiting.reduce(0, +) < tunnels.count * most * 3 / 4)
        let origins = pair.gateway.sockets.values
        var turns = 0
        while !origins.allSatisfy(\.hasFin), turns < 2_000 {
            turns += 1
            pair.run(turns: 1)
        }
        #expect(origins.allSatisfy { $0.received.count == 1 << 20 })
        #expect(relay.bulkCount == 0)
        #expect(relay.mostUnsent == most)
    }

    @Test("the last bytes and the end leave together, and whoever writes them knows that they are the last")
    func lastBytes() throws {
        let pair = try pair("connect-tcp")
        let (_, app) = pair.open(buildServer)
        pair.run()
        let origin = try #require(pair.gateway.sockets.values.first)
        app.outgoing = [1, 2, 3]
        pair.run()
        #expect(origin.received == [1, 2, 3] && !origin.knewLast && !origin.hasFin)
        app.outgoing = [4, 5]
        app.sendsFin = true
        origin.room = 1
        pair.run()
        #expect(origin.received == [1, 2, 3, 4] && !origin.knewLast && !origin.hasFin)
        origin.room = .max
        pair.run()
        #expect(origin.received == [1, 2, 3, 4, 5] && origin.knewLast && origin.hasFin)
        origin.sendsFin = true
        pair.run()
        #expect(app.hasFin && !app.knewLast && app.wasClosed, "an end without bytes")
    }

    @Test("both ends finish at the same time", arguments: forms)
    func simultaneousClose(form: String) throws {
        let pair = try pair(form)
        let (_, app) = pair.open(buildServer)
        pair.run()
        let origin = try #require(pair.gateway.sockets.values.first)
        app.sendsFin = true
        origin.sendsFin = true
        pair.run()
        #expect(app.hasFin && origin.hasFin && app.wasClosed && origin.wasClosed)
        #expect(pair.client.relay.count == 0 && pair.server.relay.count == 0)
    }

    @Test(
        "a TCP reset on one side is one on the other, never an end of file", arguments: forms, [Role.client, .server])
    func reset(form: String, side: Role) throws {
        let pair = try pair(form)
        let (id, app) = pair.open(buildServer)
        pair.run()
        let (gatewayID, origin) = try #require(pair.gateway.sockets.first)
        app.outgoing = [1, 2, 3]
        pair.run()
        if side == .client {
            pair.client.relay.resetArrived(on: id)
        } else {
            pair.server.relay.resetArrived(on: gatewayID)
        }
        pair.run()
        #expect(app.wasReset && origin.wasReset)
        #expect(!app.hasFin && !origin.hasFin && !app.wasClosed && !origin.wasClosed)
        #expect(pair.client.relay.count == 0 && pair.server.relay.count == 0)
        #expect(pair.client.http.openRequestCount == 0 && pair.server.http.openRequestCount == 0)
    }

    @Test("a reset after a FIN in the other direction is passed on too", arguments: forms)
    func resetAfterFin(form: String) throws {
        let pair = try pair(form)
        let (id, app) = pair.open(buildServer)
        pair.run()
        let (gatewayID, origin) = try #require(pair.gateway.sockets.first)
        app.sendsFin = true
        pair.run()
        #expect(origin.hasFin)
        origin.outgoing = [9]
        pair.run()
        pair.server.relay.resetArrived(on: gatewayID)
        pair.run()
        #expect(app.received == [9] && app.wasReset && !app.hasFin)
        #expect(pair.local.log.last == .reset(id))
    }

    @Test("the end of a stream that came before the driver looked is not forgotten")
    func lateLook() throws {
        let pair = try pair("connect-tcp")
        let (id, app) = pair.open(buildServer)
        pair.run()
        let (gatewayID, origin) = try #require(pair.gateway.sockets.first)
        origin.sendsFin = true
        pair.run()
        #expect(app.hasFin)
        // The local driver is busy while the gateway's side ends in both directions.
        pair.client.relay.finArrived(on: id)
        for _ in 0..<5 {
            pair.transport.exchange()
            pair.gateway.turn()
        }
        #expect(origin.wasClosed)
        #expect(pair.server.relay.session(gatewayID) == nil)
        pair.run()
        #expect(pair.client.relay.count == 0)
        #expect(pair.client.http.openRequestCount == 0 && pair.server.http.openRequestCount == 0)
    }

    @Test("a stalled reader stalls its own tunnel and no other", arguments: forms)
    func backPressure(form: String) throws {
        var generator = SeededGenerator(seed: 4)
        let pair = try pair(form)
        let (_, slow) = pair.open(buildServer)
        pair.run()
        let origin = try #require(pair.gateway.sockets.values.first)
        slow.room = 0
        // More than the stream's window and the ring hold together.
        let bytes = randomBytes(4 << 20, using: &generator)
        origin.outgoing = bytes
        pair.run(turns: 20)
        // The ring and the stream's window are full, and nothing more was taken.
        #expect(slow.received.isEmpty)
        #expect(!origin.outgoing.isEmpty)
        let left = origin.outgoing.count
        pair.run()
        #expect(origin.outgoing.count == left)

        let (_, quick) = pair.open(Destination(.name("other.internal"), port: 80))
        quick.outgoing = Array(repeating: 7, count: 50_000)
        pair.run()
        let other = try #require(pair.gateway.sockets.max { $0.key < $1.key }?.value)
        #expect(other.received.count == 50_000)
        other.outgoing = Array(repeating: 8, count: 50_000)
        pair.run()
        #expect(quick.received.count == 50_000)

        // Drop by drop at first, then freely.
        for _ in 0..<20 {
            slow.room = Int.random(in: 1...3000, using: &generator)
            pair.run(turns: 1)
        }
        slow.room = .max
        origin.sendsFin = true
        pair.run(turns: 60)
        #expect(slow.received == bytes)
        #expect(slow.hasFin)
    }

    @Test("the ring grows while it is what limits the tunnel, up to its bound, and is empty at last")
    func ringGrowth() throws {
        var limits = TunnelRelay.Limits()
        limits.initialRing = 4096
        limits.maximumRing = 64 * 1024
        let pair = try pair("connect-tcp", limits: limits)
        let (id, app) = pair.open(buildServer)
        app.outgoing = Array(repeating: 1, count: 2 << 20)
        var largest = 0
        for _ in 0..<200 where !app.outgoing.isEmpty {
            pair.run(turns: 1)
            largest = max(largest, pair.client.relay.ring(of: id)?.limit ?? 0)
        }
        #expect(largest == limits.maximumRing)
        pair.run(turns: 20)
        #expect(try #require(pair.gateway.sockets.values.first).received.count == 2 << 20)
        #expect(pair.client.relay.ring(of: id)?.isEmpty == true)
    }

    @Test("a ring grows as far as there is room for it, gives the room back, and nothing is lost without")
    func ringBudget() throws {
        var limits = TunnelRelay.Limits()
        limits.initialRing = 4096
        limits.maximumRing = 64 * 1024
        let pair = try pair("connect-tcp", limits: limits)
        let budget = LocalRingBudget(limit: 20 * 1024)
        pair.client.relay.budget = budget
        let tunnels = (0..<2).map { _ in pair.open(buildServer) }
        for (_, app) in tunnels { app.outgoing = Array(repeating: 1, count: 512 << 10) }
        var largest = 0
        for _ in 0..<400 where tunnels.contains(where: { !$0.tcp.outgoing.isEmpty }) {
            pair.run(turns: 1)
            let total = tunnels.reduce(0) { $0 + (pair.client.relay.ring(of: $1.id)?.limit ?? 0) }
            largest = max(largest, total)
            #expect(budget.taken <= 20 * 1024 && total <= 28 * 1024)
        }
        #expect(largest > 2 * limits.initialRing)
        for (_, app) in tunnels { app.sendsFin = true }
        pair.run(turns: 20)
        #expect(pair.gateway.sockets.values.allSatisfy { $0.received.count == 512 << 10 && $0.hasFin })
        for (id, _) in tunnels { pair.client.relay.resetArrived(on: id) }
        #expect(budget.taken == 0)
    }

    @Test("an idle tunnel holds no ring memory")
    func idleMemory() throws {
        let pair = try pair("connect-tcp")
        let (_, app) = pair.open(buildServer)
        app.outgoing = Array(repeating: 1, count: 10_000)
        pair.run()
        pair.client.relay.releaseUnusedMemory()
        #expect(pair.client.relay.count == 1)
        #expect(pair.client.relay.memory == 0)
        #expect(pair.server.relay.memory == 0)
    }

    @Test("tunnels that have ended leave no stream behind, at either end", arguments: forms)
    func streamsOfEndedTunnels(form: String) throws {
        let pair = try pair(form)
        for round in 0..<30 {
            let (id, app) = pair.open(buildServer)
            app.outgoing = [1, 2, 3]
            pair.run(turns: 3)
            let origin = try #require(pair.gateway.sockets.max { $0.key < $1.key }?.value)
            switch round % 4 {
            // The application closes first, the destination first, or one of them resets.
            case 0:
                app.sendsFin = true
                pair.run(turns: 3)
                origin.sendsFin = true
            case 1:
                origin.sendsFin = true
                pair.run(turns: 3)
                app.sendsFin = true
            case 2: pair.client.relay.resetArrived(on: id)
            default: if let last = pair.gateway.sockets.keys.max() { pair.server.relay.resetArrived(on: last) }
            }
            pair.run(turns: 4)
        }
        pair.run(turns: 20)
        for (relay, http) in [
            (pair.client.relay, pair.client.http), (pair.server.relay, pair.server.http),
        ] {
            #expect(relay.count == 0)
            #expect(http.openRequestCount == 0)
            #expect(http.connection.openStreamCount <= 6)
        }
    }

    @Test("a lost connection resets every tunnel and fails those that wait", arguments: forms)
    func connectionLost(form: String) throws {
        let pair = try pair(form)
        let (up, app) = pair.open(buildServer)
        pair.run()
        let slow = Destination(.name("slow.internal"), port: 1)
        pair.silent = [slow]
        let (waiting, _) = pair.open(slow, .afterAnswer)
        pair.run()
        pair.transport.server.close(errorCode: 0x100, reason: "restart", at: pair.transport.now)
        pair.run()
        #expect(app.wasReset)
        #expect(
            Array(pair.local.log.suffix(3))
                == [.reset(up), .failed(waiting, .connectionLost, .untouched), .ended(.transport)])
        #expect(pair.client.relay.count == 0)
        let (late, _) = pair.open(buildServer)
        pair.run(turns: 1)
        #expect(pair.local.log.last == .failed(late, .connectionLost, .untouched))
        #expect(!pair.client.isAcceptingTunnels)
    }

    @Test("closing on purpose resets tunnels on both ends at once", arguments: forms)
    func closedOnPurpose(form: String) throws {
        let pair = try pair(form)
        let (id, app) = pair.open(buildServer)
        pair.run()
        pair.client.http.close(reason: "done", at: pair.transport.now)
        pair.run()
        #expect(app.wasReset)
        #expect(pair.gateway.sockets.values.first?.wasReset == true)
        #expect(Array(pair.local.log.suffix(2)) == [.reset(id), .ended(.transport)])
        #expect(pair.gateway.log.last == .ended(.transport))
    }

    @Test("many tunnels with random traffic deliver exactly what was sent", arguments: forms)
    func manyTunnels(form: String) throws {
        var generator = SeededGenerator(seed: 2024)
        let pair = try pair(form)
        var tunnels: [(app: FakeTCP, sent: [UInt8])] = []
        for index in 0..<12 {
            let (_, app) = pair.open(Destination(.name("host\(index).internal"), port: 80))
            let bytes = randomBytes(Int.random(in: 0...40_000, using: &generator), using: &generator)
            app.outgoing = bytes
            app.sendsFin = Bool.random(using: &generator)
            tunnels.append((app, bytes))
        }
        pair.run()
        let origins = pair.gateway.sockets.sorted { $0.key < $1.key }.map(\.value)
        #expect(origins.count == 12)
        var answers: [[UInt8]] = []
        for origin in origins {
            origin.outgoing = randomBytes(Int.random(in: 0...40_000, using: &generator), using: &generator)
            answers.append(origin.outgoing)
            origin.sendsFin = true
        }
        for _ in 0..<10 {
            for (app, _) in tunnels { app.room = Int.random(in: 0...9000, using: &generator) }
            pair.run(turns: 1)
        }
        for (app, _) in tunnels {
            app.room = .max
            app.sendsFin = true
        }
        pair.run()
        for index in 0..<12 {
            #expect(origins[index].received == tunnels[index].sent)
            #expect(tunnels[index].app.received == answers[index])
            #expect(tunnels[index].app.wasClosed && origins[index].wasClosed)
        }
        #expect(pair.client.relay.count == 0 && pair.server.relay.count == 0)
    }

    @Test("statistics tell what a tunnel has carried")
    func statistics() throws {
        let pair = try pair("connect-tcp")
        let (id, app) = pair.open(buildServer)
        app.outgoing = [1, 2, 3]
        pair.run()
        try #require(pair.gateway.sockets.values.first).outgoing = [4, 5]
        pair.run()
        #expect(
            pair.client.relay.statistics
                == [
                    .init(
                        id: id, destination: buildServer, sent: 3, delivered: 2, buffered: 0,
                        memory: pair.client.relay.memory)
                ])
    }
}
