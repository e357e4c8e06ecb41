import Configuration
import Driver
import EventLoop
import Primitives
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

/// Two gateways, a local endpoint that knows both, and programs at one of its ports.
private struct Scene {
    let bench: Bench
    let other: OtherGateway
    let links: GatewayLinks
    let echo: Echo
    let listener: ForwardListener

    /// The bench's own gateway is the preferred one.
    init(_ change: (inout LocalConfiguration.Failover) -> Void = { _ in }) throws {
        bench = try Bench()
        other = try bench.otherGateway()
        var failover = LocalConfiguration.Failover()
        failover.giveUpAfter = .seconds(2)
        failover.returnAfter = .milliseconds(500)
        change(&failover)
        links = try bench.makeLinks([bench.invite, other.invite], failover)
        echo = try bench.echo()
        listener = try ForwardListener(
            .init(listen: .anyLoopbackPort, destination: HostPort(.address(.loopback(.ipv4)), port: echo.port)),
            links: links, sockets: bench.sockets)
        links.start()
    }

    var first: HostPort { bench.invite.gateway }
    var second: HostPort { other.invite.gateway }

    /// A program whose tunnel is up.
    func program(_ text: String = "hello") throws -> Program {
        let program = try bench.program(to: listener.localAddress, sends: bytes(text))
        #expect(bench.run { program.text == text })
        return program
    }

    /// The preferred gateway's process is gone; its machine says that nothing listens, or nothing at all.
    func kill(_ end: End) throws -> BoundDatagramSocket? {
        bench.gateway.fallSilent()
        return end == .silent ? try BoundDatagramSocket(bench.gatewayAddress) : nil
    }

    enum End: CaseIterable {
        case refused
        case silent
    }

    func condition(_ name: HostPort) -> GatewayGroup.Statistics.Condition? {
        links.group.statistics.first { $0.name == name }?.condition
    }
}

@Suite("Several gateways, over real sockets")
struct GatewayFailoverTests {
    @Test(
        "new tunnels go to the next gateway when the first one dies, also those that ask when it is dead already",
        arguments: Scene.End.allCases)
    fileprivate func newTunnels(_ end: Scene.End) throws {
        let scene = try Scene()
        _ = try scene.program()
        #expect(scene.links.current.invite == scene.bench.invite)
        let silence = try scene.kill(end)
        // Nothing is sent ahead of the answer to a gateway that was not heard of late.
        scene.bench.pass(.milliseconds(200))
        let began = scene.bench.loop.now
        let program = try scene.bench.program(to: scene.listener.localAddress)
        #expect(scene.bench.run { scene.links.tunnelCount(at: scene.second) == 1 })
        program.send(bytes("later"))
        #expect(scene.bench.run { program.text == "later" })
        // Where it waits for the silent one, it is for a second at most; the rest is for machines that do other things, too.
        #expect(scene.bench.loop.now - began < .seconds(5))
        #expect(scene.bench.run { scene.links.failoverCount == 1 })
        silence?.close()
    }

    @Test("tunnels of a gateway that is declared dead are reset, and not before", arguments: Scene.End.allCases)
    fileprivate func declaredDead(_ end: Scene.End) throws {
        let scene = try Scene()
        let program = try scene.program()
        let silence = try scene.kill(end)
        program.send(bytes("?"))
        #expect(scene.bench.run { scene.condition(scene.first) == .dead })
        #expect(scene.bench.run { program.isBroken })
        #expect(scene.links.failovers.map(\.failover.to) == [scene.second])
        #expect(scene.links.failovers.first?.failover.cause == .trouble(end == .silent ? .silence : .refusal))
        #expect(scene.links.current.invite == scene.other.invite)
        silence?.close()
    }

    @Test("a gateway alone is waited for, whatever its machine says")
    func alone() throws {
        let bench = try Bench()
        let echo = try bench.echo()
        let listener = try ForwardListener(
            .init(listen: .anyLoopbackPort, destination: HostPort(.address(.loopback(.ipv4)), port: echo.port)),
            links: bench.links, sockets: bench.sockets)
        bench.links.start()
        let program = try bench.program(to: listener.localAddress, sends: bytes("x"))
        #expect(bench.run { program.text == "x" })
        bench.gateway.close(.restart)
        bench.gateway.fallSilent()
        #expect(bench.run { bench.link.lastFailure?.sentence.contains("nothing listens") == true })
        var rounds = 0
        #expect(
            bench.run {
                rounds += 1
                return rounds > 20
            })
        #expect(!program.isBroken && bench.links.heldCount == 1)
        #expect(bench.links.failoverCount == 0)
    }

    @Test("a gateway that goes away keeps its tunnels, and new ones go to the next")
    func draining() throws {
        let scene = try Scene()
        let old = try scene.program()
        scene.bench.gateway.receive(.drain)
        #expect(scene.bench.run { scene.links.failoverCount == 1 })
        let new = try scene.program("new")
        #expect(scene.links.tunnelCount(at: scene.first) == 1)
        #expect(scene.links.tunnelCount(at: scene.second) == 1)
        old.send(bytes(", again"))
        new.send(bytes(", too"))
        #expect(scene.bench.run { old.text == "hello, again" && new.text == "new, too" })
        #expect(scene.condition(scene.first) == .draining)
    }

    @Test("a draining gateway goes on with the tunnels of a client that lost its connection, each time, and opens none")
    func drainingConnectionLost() throws {
        let scene = try Scene()
        let bench = scene.bench
        let program = try scene.program("x")
        bench.gateway.receive(.drain)
        #expect(bench.run { scene.links.failoverCount == 1 })
        let origin = try #require(scene.echo.streams.first)
        let content = (0..<300_000).flatMap { number in [0, 8, 16].map { UInt8(number >> $0 & 0xff) } }
        var sent = 0
        func download(upTo end: Int) -> () -> Bool {
            {
                let rest = content.span.extracting(sent..<end)
                if !rest.isEmpty, case .bytes(let count) = origin.write(rest) { sent += count }
                return program.received.count == end + 1
            }
        }
        for round in 1...3 {
            // The connection goes while bytes are under way.
            #expect(bench.run(until: download(upTo: round * 200_000)))
            let part = content.span.extracting(sent..<sent + 50_000)
            if case .bytes(let count) = origin.write(part) { sent += count }
            bench.gateway.close(.restart)
            #expect(bench.run { bench.gateway.counters.tunnelsResumed == round })
        }
        let new = try scene.program("new")
        #expect(scene.links.tunnelCount(at: scene.first) == 1 && scene.links.tunnelCount(at: scene.second) == 1)
        #expect(bench.run(until: download(upTo: content.count)))
        let isRight = program.received.dropFirst() == content[...]
        #expect(isRight)
        program.send(bytes("y"))
        #expect(bench.run { scene.echo.received.suffix(4) == bytes("newy")[...] })
        #expect(new.text == "new" && scene.condition(scene.first) == .draining)
        #expect(scene.links.failoverCount == 1 && bench.gateway.counters.tunnelsOpened == 1)
        try program.stream?.shutdownWrite()
        #expect(bench.run { program.hasEnded && bench.gateway.held.count == 0 && bench.gateway.carriers.isEmpty })
    }

    @Test("a local endpoint that does not know that the only gateway is draining hears of it, and its programs wait")
    func drainingAtFirst() throws {
        let bench = try Bench()
        bench.gateway.receive(.drain)
        bench.links.start()
        let asker = Asker(try bench.echo().destination)
        bench.links.open(asker)
        #expect(bench.run { bench.link.isDraining })
        #expect(bench.links.group.statistics.first?.condition == .draining)
        #expect(bench.gateway.counters.tunnelsRefused == 0 && !asker.isOpened && asker.failure == nil)
        // The next process takes tunnels again.
        bench.gateway.close(.stop)
        bench.gateway.fallSilent()
        try bench.restartGateway()
        #expect(bench.run { asker.isOpened })
        #expect(!bench.link.isDraining)
    }

    @Test("a gateway that was released with tunnels on it takes new ones as soon as it is needed again")
    func releasedWithTunnels() throws {
        let scene = try Scene()
        let lost = try scene.program()
        _ = try scene.kill(.refused)
        lost.send(bytes("?"))
        #expect(scene.bench.run { scene.links.failoverCount == 1 })
        _ = try scene.program("stays")
        try scene.bench.restartGateway()
        #expect(scene.bench.run { scene.links.failoverCount == 2 })
        #expect(scene.bench.run { scene.condition(scene.second) == .standby })
        #expect(scene.links.tunnelCount(at: scene.second) == 1)
        scene.bench.gateway.receive(.drain)
        #expect(scene.bench.run { scene.links.failoverCount == 3 })
        _ = try scene.program("new")
        #expect(scene.links.tunnelCount(at: scene.second) == 2)
    }

    @Test("the preferred gateway is returned to when it has been there for a while; tunnels stay where they are")
    func returns() throws {
        let scene = try Scene()
        let lost = try scene.program()
        _ = try scene.kill(.refused)
        lost.send(bytes("?"))
        #expect(scene.bench.run { scene.links.failoverCount == 1 })
        let between = try scene.program("between")
        try scene.bench.restartGateway()
        #expect(scene.bench.run { scene.links.failoverCount == 2 })
        #expect(scene.links.failovers.last?.failover.cause == .returned)
        let after = try scene.program("after")
        #expect(scene.bench.run { scene.links.tunnelCount(at: scene.first) == 1 })
        #expect(scene.links.tunnelCount(at: scene.second) == 1)
        for program in [between, after] { program.send(bytes("!")) }
        #expect(scene.bench.run { between.text == "between!" && after.text == "after!" })
    }

    @Test(
        "the standby's ticket is there before it is needed, and its connection only if that is asked for",
        arguments: [LocalConfiguration.Failover.Standby.ticket, .connected])
    func standby(_ standby: LocalConfiguration.Failover.Standby) throws {
        let scene = try Scene { $0.standby = standby }
        let link = scene.links.links[1]
        #expect(scene.bench.run { link.hasTicket })
        if standby == .ticket {
            #expect(scene.bench.run { scene.condition(scene.second) == .standby && link.session == nil })
        } else {
            #expect(link.session != nil && scene.condition(scene.second) == .connected)
        }
        #expect(scene.links.current.invite == scene.bench.invite)
    }

    @Test("another list of gateways: tunnels of one that is configured no more go on, and its link ends with them")
    func reconfigured() throws {
        let scene = try Scene()
        let old = try scene.program()
        var configuration = LocalConfiguration(surroundings: Surroundings(variables: [:], userID: 1))
        configuration.gateways = [scene.other.invite]
        try scene.links.follow(configuration)
        #expect(scene.bench.run { scene.condition(scene.second) == .active })
        let new = try scene.program("new")
        old.send(bytes("!"))
        #expect(scene.bench.run { old.text == "hello!" })
        #expect(scene.links.tunnelCount == 2 && scene.links.links.count == 1)
        try old.stream?.shutdownWrite()
        #expect(scene.bench.run { old.hasEnded && scene.links.tunnelCount == 1 })
        new.send(bytes("!"))
        #expect(scene.bench.run { new.text == "new!" })
    }

    @Test("a token that the first gateway does not take leaves the second one")
    func notAuthenticated() throws {
        let bench = try Bench()
        let other = try bench.otherGateway()
        let links = try bench.makeLinks([LocalLinkTests.withWrongToken(bench.invite), other.invite])
        links.start()
        #expect(bench.run { links.current.session != nil })
        let echo = try bench.echo()
        let asker = Asker(echo.destination)
        links.open(asker)
        #expect(bench.run { asker.failure == .unauthorized && links.current.invite == other.invite })
        let next = Asker(echo.destination)
        links.open(next)
        #expect(bench.run { next.isOpened })
        #expect(!links.isRefusedForGood)
    }

    @Test("the status tells of gateways and failovers")
    func status() throws {
        let scene = try Scene()
        _ = try scene.program()
        scene.bench.gateway.receive(.drain)
        #expect(scene.bench.run { scene.links.failoverCount == 1 })
        let text = LocalStatus(scene.links).text
        #expect(text.contains("gateway \(scene.first) draining for 0 s (it takes no more tunnels), 1 tunnels"))
        #expect(text.contains("failover 0 s ago: \(scene.first) -> \(scene.second), it takes no more tunnels"))
        let json = LocalStatus(scene.links).json.text
        #expect(json.contains("\"gateways\":[{\"gateway\":\"\(scene.first)\",\"state\":\"draining\""))
        #expect(json.contains("\"cause\":\"draining\""))
    }
}

/// Downloads through two gateways, over real sockets.
@Suite("Downloads when a gateway dies", .serialized)
struct GatewayDownloadTests {
    /// No part of it is like another one.
    private static let content = (0..<100_000).flatMap { number in [0, 8, 16].map { UInt8(number >> $0 & 0xff) } }

    private struct Download {
        let scene: Scene
        let server: ReplicaServer
        let listener: ForwardListener
        let program: Program

        /// A download that stands still after so many bytes of the answer.
        init(standingStillAt place: Int, _ change: (ReplicaServer) -> Void = { _ in }) throws {
            scene = try Scene()
            server = try ReplicaServer(GatewayDownloadTests.content, on: scene.bench.loop)
            server.death = (place, .silence)
            change(server)
            listener = try ForwardListener(
                .init(listen: .anyLoopbackPort, destination: server.address), links: scene.links,
                sockets: scene.bench.sockets)
            program = try scene.bench.program(
                to: listener.localAddress, sends: bytes("GET /file HTTP/1.1\r\nHost: a\r\n\r\n"))
            let (server, program) = (self.server, self.program)
            #expect(scene.bench.run { server.requests.count == 1 && program.received.count == place })
        }

        func run(until condition: @escaping () -> Bool) -> Bool { scene.bench.run(until: condition) }

        /// The content that the program has got so far.
        var body: ArraySlice<UInt8> {
            let end = bytes("\r\n\r\n")
            let received = program.received
            guard let head = (0..<min(received.count, 1000)).first(where: { received[$0...].starts(with: end) }) else {
                return []
            }
            return received[(head + end.count)...]
        }
    }

    @Test(
        "a download goes on through the next gateway when the first one dies, wherever and however it does",
        arguments: Scene.End.allCases, [0, 10, 70, 150_000, 299_999])
    fileprivate func goesOn(_ end: Scene.End, place: Int) throws {
        let download = try Download(standingStillAt: place)
        let silence = try download.scene.kill(end)
        download.server.death = nil
        // What it sends tells that the gateway is gone.
        download.scene.links.current.session?.ping()
        #expect(download.run { download.body.count == Self.content.count })
        let isRight = download.body == Self.content[...]
        #expect(isRight)
        #expect(download.server.requests.count == 2)
        #expect(download.server.requests.last?.contains("Range: bytes=") == (place > 60))
        #expect(download.scene.links.continuedCount == 1)
        // The connection is used again, through the same gateway.
        download.program.send(bytes("GET /again HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(download.run { download.body.count > 2 * Self.content.count })
        let isRepeated = download.body.suffix(Self.content.count) == Self.content[...]
        #expect(isRepeated && !download.program.isBroken)
        silence?.close()
    }

    @Test("a gateway that comes back alone and has lost its tunnels is asked for the rest", arguments: [0, 150_000])
    func lostTunnels(place: Int) throws {
        let bench = try Bench()
        let server = try ReplicaServer(Self.content, on: bench.loop)
        server.death = (place, .silence)
        let listener = try ForwardListener(
            .init(listen: .anyLoopbackPort, destination: server.address), links: bench.links, sockets: bench.sockets)
        bench.links.start()
        let program = try bench.program(
            to: listener.localAddress, sends: bytes("GET /file HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(bench.run { server.requests.count == 1 && program.received.count == place })
        bench.gateway.fallSilent()
        server.death = nil
        try bench.restartGateway()
        bench.link.session?.ping()
        let end = Self.content.suffix(1_000)
        #expect(bench.run { program.received.count > Self.content.count && program.received.suffix(1_000) == end })
        let isRight = program.received.suffix(Self.content.count) == Self.content[...]
        #expect(isRight && !program.isBroken)
        #expect(server.requests.count == 2)
        #expect(bench.links.continuedCount == 1)
    }

    @Test(
        "an answer that does not go on with what the program has is a reset, never a mixture",
        arguments: [ReplicaServer.Lie.otherTag, .weakTag, .ignoresRange, .otherRange, .otherLength])
    func lies(_ lie: ReplicaServer.Lie) throws {
        let download = try Download(standingStillAt: 150_000)
        _ = try download.scene.kill(.refused)
        download.server.death = nil
        download.server.lie = lie
        download.scene.links.current.session?.ping()
        #expect(download.run { download.program.isBroken })
        let isPart = Self.content.starts(with: download.body)
        #expect(isPart && download.body.count < Self.content.count)
        #expect(download.scene.links.continuedCount == 0)
    }

    @Test("a program that sends something else than HTTP is reset with its gateway")
    func opaque() throws {
        let scene = try Scene()
        let program = try scene.program("SSH-2.0-x\r\n")
        _ = try scene.kill(.refused)
        program.send(bytes("?"))
        #expect(scene.bench.run { program.isBroken })
        #expect(scene.links.continuedCount == 0)
    }
}
