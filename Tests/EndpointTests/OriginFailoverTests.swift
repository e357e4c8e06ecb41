import Configuration
import Driver
import EventLoop
import Primitives
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

/// Downloads through a gateway from a name with replicas, over real sockets.
@Suite("Replicas behind a name", .serialized)
struct OriginFailoverTests {
    private struct Scene {
        let bench: Bench
        let replicas: [ReplicaServer]
        let content: [UInt8]
        let listener: ForwardListener
        let name: HostPort

        /// No part of it is like another one.
        private static let content = (0..<100_000).flatMap { number in [0, 8, 16].map { UInt8(number >> $0 & 0xff) } }

        init(
            _ count: Int = 2, workers: Int = 1, _ change: (inout GatewayConfiguration.Origin) -> Void = { _ in }
        ) throws {
            bench = try Bench(workers: workers)
            let content = Self.content
            self.content = content
            let loop = bench.loop
            replicas = try (0..<count).map { _ in try ReplicaServer(content, on: loop) }
            name = HostPort(try #require(Host("mirror.test")), port: 80)
            var origin = GatewayConfiguration.Origin(name: name, replicas: replicas.map(\.address))
            origin.checkInterval = .seconds(3_600)
            origin.checkTimeout = .milliseconds(500)
            change(&origin)
            var policy = bench.state.policy
            policy.origins = [origin]
            bench.state.replace(policy)
            bench.gateway.receive(.policyChanged)
            bench.links.start()
            listener = try ForwardListener(
                .init(listen: .anyLoopbackPort, destination: name), links: bench.links, sockets: bench.sockets)
        }

        func download(_ fields: String = "") throws -> Program {
            try bench.program(
                to: listener.localAddress, sends: bytes("GET /file HTTP/1.1\r\nHost: mirror.test\r\n\(fields)\r\n"))
        }

        /// The content that a program has got so far.
        func body(_ program: Program) -> ArraySlice<UInt8> {
            let end = bytes("\r\n\r\n")
            let received = program.received
            guard let head = (0..<min(received.count, 1000)).first(where: { received[$0...].starts(with: end) }) else {
                return []
            }
            return received[(head + end.count)...]
        }

        func isWhole(_ program: Program) -> Bool { body(program).count == content.count }
    }

    @Test(
        "a download goes on with another replica when the first one dies, wherever and however it does",
        arguments: [ReplicaServer.Death.reset, .end, .silence], [0, 10, 70, 150_000, 299_999])
    func goesOn(death: ReplicaServer.Death, after: Int) throws {
        // An answer that has not begun may be late for good reasons: silence is no failure then.
        if death == .silence, after == 0 { return }
        let scene = try Scene { $0.stallLimit = .milliseconds(100) }
        scene.replicas[0].death = (after, death)
        let program = try scene.download()
        #expect(scene.bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(scene.bench.gateway.counters.failovers == 1)
        #expect(scene.bench.gateway.counters.failoversFailed == 0)
        let report = try #require(scene.bench.gateway.origins.reports.first)
        #expect(report.name == scene.name)
        #expect(report.failover.from == scene.replicas[0].address)
        #expect(report.failover.to == scene.replicas[1].address)
        #expect((report.failover.offset ?? 0) <= UInt64(scene.content.count))
        #expect(!program.isBroken && !program.hasEnded)
        // The connection is used again, with the replica that took over.
        program.send(bytes("GET /again HTTP/1.1\r\nHost: mirror.test\r\n\r\n"))
        #expect(scene.bench.run { scene.body(program).count > 2 * scene.content.count })
        let isRepeated = scene.body(program).suffix(scene.content.count) == scene.content[...]
        #expect(isRepeated)
        #expect(scene.replicas[1].requests.last?.hasPrefix("GET /again ") == true)
    }

    @Test("chunks go on as chunks, with replicas that die in turn, over and over")
    func chunks() throws {
        let scene = try Scene(3)
        for replica in scene.replicas {
            replica.isChunked = true
            replica.death = (after: 41_234, .reset)
        }
        let program = try scene.download()
        #expect(scene.bench.run { program.received.suffix(7) == bytes("\r\n0\r\n\r\n")[...] })
        let isRight = try unchunked(scene.body(program)) == scene.content
        #expect(isRight)
        #expect(scene.bench.gateway.counters.failovers >= 6)
        #expect(!program.isBroken)
    }

    /// Told as a whole: to describe the difference of long arrays takes longer than everything else.
    private func expectRight(_ program: Program, _ scene: Scene, _ location: SourceLocation = #_sourceLocation) {
        let isRight = scene.body(program) == scene.content[...]
        #expect(isRight, sourceLocation: location)
    }

    private func unchunked(_ body: ArraySlice<UInt8>) throws -> [UInt8] {
        var (rest, content) = (body, [UInt8]())
        while let end = rest.firstIndex(of: UInt8(ascii: "\r")) {
            let size = try #require(Int(String(decoding: rest[rest.startIndex..<end], as: UTF8.self), radix: 16))
            content += rest.dropFirst(end - rest.startIndex + 2).prefix(size)
            rest = rest.dropFirst(end - rest.startIndex + 2 + size + 2)
        }
        return content
    }

    @Test(
        "a replica that lies ends the download: the application never gets bytes of two versions",
        arguments: ReplicaServer.Lie.allCases.filter { $0 != .unavailable })
    func liars(lie: ReplicaServer.Lie) throws {
        let scene = try Scene()
        scene.replicas[0].death = (after: 150_000, .reset)
        scene.replicas[1].lie = lie
        let program = try scene.download()
        #expect(scene.bench.run { program.isBroken })
        let isBeginning = scene.body(program) == scene.content.prefix(scene.body(program).count)
        #expect(isBeginning)
        #expect(scene.body(program).count < 150_000)
        #expect(scene.bench.gateway.counters.failovers == 0)
        #expect(scene.bench.gateway.counters.failoversFailed == 1)
    }

    @Test("a replica that is busy is no liar: the other one is tried again, after a while")
    func busy() throws {
        let scene = try Scene()
        scene.replicas[0].death = (after: 160_000, .end)
        scene.replicas[1].lie = .unavailable
        let program = try scene.download()
        #expect(scene.bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(scene.bench.gateway.counters.failovers == 1)
        #expect(scene.replicas[1].requests.count > 0)
    }

    @Test("a replica that refuses is passed over; when all do, the tunnel is refused as by a lone destination")
    func refused() throws {
        let scene = try Scene()
        scene.replicas[0].die()
        let program = try scene.download()
        #expect(scene.bench.run { scene.isWhole(program) })
        #expect(scene.bench.gateway.counters.failovers == 0)
        scene.replicas[1].die()
        let asker = Asker(scene.name)
        scene.bench.links.open(asker)
        #expect(scene.bench.run { asker.failure != nil })
        #expect(asker.failure == .connectionRefused)
    }

    @Test(
        "a replica that is left alone is the last resort, when the usable one refuses or says nothing",
        arguments: [true, false])
    func lastResort(isSilent: Bool) throws {
        let full = try FullPort()
        let scene = try Scene(2) { if isSilent { $0.replicas[0] = full.address } }
        if !isSilent { scene.replicas[0].die() }
        let bench = scene.bench
        // Left alone until long after the test.
        let later = bench.loop.now + .seconds(3_600)
        bench.state.origins.connectionFailed(scene.replicas[1].address, of: scene.name, at: later)
        #expect(bench.state.origins.replicas.map(\.statistics.health) == [.usable, .ejected])
        let program = try scene.download()
        #expect(bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(bench.state.origins.replicas.map(\.statistics.connections) == [0, 1])
        // One that works is used again as any other.
        #expect(bench.state.origins.replicas.last?.statistics.health == .usable)
    }

    @Test("replicas that say nothing are tried in turn, and not given up at the first attempt")
    func silent() throws {
        let ports = try [FullPort(), FullPort()]
        let scene = try Scene { $0.replicas = ports.map(\.address) }
        let asker = Asker(scene.name)
        scene.bench.links.open(asker)
        #expect(scene.bench.run { scene.bench.state.origins.replicas.map(\.statistics.connections) == [0, 1] })
        ports[0].makeRoom()
        #expect(scene.bench.run { asker.isOpened })
    }

    @Test("what the rules forbid is not dialled, and does not count against the replica")
    func prohibited() throws {
        let scene = try Scene()
        var policy = scene.bench.state.policy
        policy.rules = try AccessRules(allow: ["*:*"], deny: ["127.0.0.0/8:*"])
        scene.bench.state.replace(policy)
        let asker = Asker(scene.name)
        scene.bench.links.open(asker)
        #expect(scene.bench.run { asker.failure != nil })
        #expect(asker.failure == .destinationProhibited)
        #expect(scene.bench.state.origins.replicas.allSatisfy { $0.statistics.health == .usable })
        #expect(scene.bench.state.origins.replicas.allSatisfy { $0.statistics.connections == 0 })
    }

    @Test("connections are spread, and given back at the end")
    func spread() throws {
        let scene = try Scene()
        let programs = try (0..<4).map { _ in try scene.download() }
        #expect(scene.bench.run { programs.allSatisfy { scene.isWhole($0) } })
        #expect(scene.bench.state.origins.replicas.map(\.statistics.connections) == [2, 2])
        for program in programs { try program.stream?.shutdownWrite() }
        #expect(scene.bench.run { scene.bench.links.tunnelCount == 0 })
        #expect(scene.bench.run { scene.bench.state.origins.replicas.allSatisfy { $0.statistics.connections == 0 } })
    }

    @Test(
        "a replica whose checks fail is dead: downloads leave it, new tunnels avoid it, but use it rather than none"
    )
    func checks() throws {
        let scene = try Scene {
            $0.check = .http(path: "/health")
            $0.checkInterval = .milliseconds(50)
        }
        scene.replicas[0].death = (after: 150_000, .silence)
        let program = try scene.download()
        #expect(scene.bench.run { scene.body(program).count > 100_000 })
        scene.replicas[0].status = "500 Broken"
        #expect(scene.bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(scene.bench.gateway.origins.reports.map(\.failover.cause) == [.declaredDead])
        scene.replicas[1].status = "404 Not Found"
        let health = { scene.bench.state.origins.replicas.map(\.statistics.health) }
        #expect(scene.bench.run { health() == [.dead, .dead] })
        let again = try scene.download()
        #expect(scene.bench.run { scene.body(again).count > 100_000 })
        scene.replicas[0].status = "200 OK"
        #expect(scene.bench.run { health() == [.usable, .dead] })
    }

    @Test("a replica that dies while the client is away is replaced meanwhile")
    func away() throws {
        let scene = try Scene()
        let bench = scene.bench
        let control = try LocalControl(path: "\(bench.folder)/control", links: bench.links)
        defer { control.close() }
        scene.replicas[0].death = (after: 150_000, .silence)
        let program = try scene.download()
        #expect(bench.run { scene.body(program).count > 140_000 })
        bench.link.replace(LocalLinkTests.withWrongPin(bench.invite))
        bench.gateway.close(.restart)
        #expect(bench.run { bench.gateway.held.count == 1 })
        scene.replicas[0].die()
        #expect(bench.run { scene.replicas[1].requests.count == 1 })
        bench.link.replace(bench.invite)
        #expect(bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(!program.isBroken)
        #expect(bench.gateway.counters.failovers == 1)
    }

    /// How a tunnel comes to another worker.
    enum Move: CaseIterable {
        /// The first one has lost its client's connection, and holds it.
        case held
        /// The first one knows nothing yet: for all it knows the client is there.
        case carried
    }

    /// What the tunnel's passage is at then.
    enum Situation: CaseIterable {
        /// The answer is the first replica's.
        case untouched
        /// A second replica has taken over.
        case continued
        /// The second one has been asked for the rest, and has said nothing yet.
        case unanswered
    }

    @Test(
        "a tunnel that another worker goes on with is followed there: its replica dies, and the download is whole",
        arguments: Move.allCases, Situation.allCases)
    func moved(move: Move, situation: Situation) throws {
        let scene = try Scene(3, workers: 2)
        let bench = scene.bench
        let used = situation == .untouched ? 0 : 1
        if situation != .untouched { scene.replicas[0].death = (after: 40_000, .reset) }
        scene.replicas[used].death = (after: situation == .unanswered ? 0 : 150_000, .silence)
        let program = try scene.download()
        if situation == .unanswered {
            #expect(bench.run { scene.replicas[used].requests.count == 1 })
        } else {
            #expect(bench.run { scene.body(program).count > 140_000 })
        }
        if move == .held {
            bench.link.replace(LocalLinkTests.withWrongPin(bench.invite))
            bench.gateway.close(.restart)
            #expect(bench.run { bench.gateway.held.count == 1 })
        }
        let worker = try bench.secondWorker()
        // Whatever the client says is answered with a reset where its connection is not known.
        let echo = try bench.echo()
        if move == .carried { bench.links.open(Asker(echo.destination)) }
        bench.link.replace(bench.invite)
        #expect(bench.run { worker.counters.tunnelsResumed == 1 })
        #expect(bench.gateway.held.count == 0 && bench.gateway.carriers.isEmpty)
        #expect(scene.body(program).count < 200_000 && !scene.isWhole(program))
        for replica in scene.replicas[...used] { replica.die() }
        #expect(bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(!program.isBroken)
        #expect(bench.gateway.counters.failovers == (situation == .continued ? 1 : 0))
        #expect(worker.counters.failovers == 1)
        let failover = try #require(worker.origins.reports.first?.failover)
        #expect(failover.from == scene.replicas[situation == .continued ? 1 : 0].address)
        #expect(failover.to == scene.replicas[used + 1].address)
        try program.stream?.shutdownWrite()
        #expect(bench.run { bench.state.origins.replicas.allSatisfy { $0.statistics.connections == 0 } })
    }

    @Test(
        "a tunnel between two replicas stays with its worker until it has one again, and the client asks for it until then"
    )
    func movedBetween() throws {
        let scene = try Scene(workers: 2)
        let bench = scene.bench
        let other = try #require(scene.replicas[1].listener?.localAddress)
        scene.replicas[1].die()
        scene.replicas[0].death = (after: 150_000, .silence)
        let program = try scene.download()
        #expect(bench.run { scene.body(program).count > 140_000 })
        bench.link.replace(LocalLinkTests.withWrongPin(bench.invite))
        bench.gateway.close(.restart)
        #expect(bench.run { bench.gateway.held.count == 1 })
        scene.replicas[0].die()
        #expect(bench.run { bench.gateway.held.all.first?.side?.isBetweenOrigins == true })
        let worker = try bench.secondWorker()
        bench.link.replace(bench.invite)
        #expect(bench.run { worker.counters.resumptionsRefused > 0 })
        #expect(bench.gateway.held.count == 1)
        let back = try ReplicaServer(scene.content, at: other, on: bench.loop)
        #expect(bench.run { scene.isWhole(program) })
        expectRight(program, scene)
        #expect(!program.isBroken && back.requests.count == 1)
        #expect(worker.counters.tunnelsResumed == 1)
    }

    @Test("what is not HTTP ends as it always did when its replica dies")
    func opaque() throws {
        let scene = try Scene()
        let program = try scene.bench.program(
            to: scene.listener.localAddress, sends: [0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])
        #expect(scene.bench.run { scene.bench.gateway.counters.tunnelsOpened == 1 })
        scene.replicas[0].die()
        #expect(scene.bench.run { program.isBroken })
        #expect(scene.bench.gateway.counters.failovers == 0)
        #expect(scene.bench.gateway.counters.failoversFailed == 0)
    }

    @Test("the last answer of a connection ends it, though the replica that took over would keep it open")
    func lastAnswer() throws {
        let scene = try Scene()
        scene.replicas[0].death = (after: 150_000, .reset)
        scene.replicas[0].status = "200 OK\r\nConnection: close"
        let program = try scene.download()
        #expect(scene.bench.run { program.hasEnded })
        expectRight(program, scene)
        try program.stream?.shutdownWrite()
        #expect(scene.bench.run { scene.bench.links.tunnelCount == 0 })
        #expect(scene.bench.run { scene.bench.state.origins.replicas.allSatisfy { $0.statistics.connections == 0 } })
    }
}

@Suite("The status line of a check")
struct OriginCheckTests {
    @Test(
        "passes with 2xx and 3xx, and fails with everything else",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", OriginCheck.Outcome.passed), ("HTTP/1.0 301 \r\n", .passed),
            ("HTTP/1.1 404 N", .failed),
            ("HTTP/1.1 500 \r", .failed), ("HTTP/2.0 200 O", .failed), ("SSH-2.0-OpenSSH", .failed),
            ("HTTP/1.1 2x0 O", .failed),
            ("HTTP/1.12200 O", .failed), ("HTTP/1.1 200", nil), ("", nil),
        ] as [(String, OriginCheck.Outcome?)])
    func outcomes(answer: String, outcome: OriginCheck.Outcome?) {
        #expect(OriginCheck.outcome(of: bytes(answer)) == outcome)
    }
}
