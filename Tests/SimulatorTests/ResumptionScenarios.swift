import Primitives
import QUIC
import Simulator
import Testing
import Tunnel

/// A local endpoint and a gateway with tunnels between them that outlive their connection.
private struct TunnelScene {
    let pair: QUICPair
    let local: TunnelHost
    let gateway: TunnelHost

    /// `sizes`: how many bytes each tunnel carries up and down.
    init(
        _ stage: Stage, _ link: LinkConditions, sizes: [(up: Int, down: Int)], grants: Bool = true,
        idleTimeout: Interval = .seconds(30)
    ) throws {
        var generator = SeededGenerator(seed: stage.network.seed &+ 99)
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) } }
        let local = TunnelHost(.client, sending: sizes.map { bytes($0.up) })
        let gateway = TunnelHost(.server, sending: sizes.map { bytes($0.down) }, grants: grants)
        self.local = local
        self.gateway = gateway
        pair = try stage.quic(over: link, client: local.carrier(), server: gateway.carrier) { options in
            options.both {
                $0.idleTimeout = idleTimeout
                $0.streams.peerBidirectionalStreams = 2_000
            }
        }
        pair.server.goal = .nothing
        pair.client.goal = .nothing
    }

    /// Opens another connection, on which the local endpoint goes on with all that it holds.
    func reconnect(at now: Instant) {
        let parameters = QUICPair.parameters(pair.options, pair.credentials)
        do {
            try pair.client.connect(parameters, running: local.carrier(), at: now)
        } catch {
            Issue.record("no connection: \(error)")
        }
    }

    /// Expects that every byte arrived once and in order, and every end.
    func expectAll(_ stage: Stage) {
        let (local, gateway) = (local, gateway)
        stage.when({ local.isFinished && gateway.isFinished }, { _ in })
        stage.expect("both ends have ended every tunnel in order") {
            (local.sockets + gateway.sockets).allSatisfy { $0.hasFin && $0.wasClosed && !$0.wasReset }
        }
        stage.expect("every byte, once and in order") {
            zip(gateway.sockets, local.payload).allSatisfy { $0.received == $1 }
                && zip(local.sockets, gateway.payload).allSatisfy { $0.received == $1 }
        }
        stage.continues(for: .seconds(2))
        stage.expect("nothing is left", { local.waiting.count + gateway.waiting.count }, equals: 0)
    }
}

@Suite("Tunnels go on after their connection")
struct ResumptionScenarios {
    static let mixed: [(up: Int, down: Int)] = [(400_000, 0), (0, 900_000), (300_000, 300_000), (10, 20)]

    @Test("a network gone for longer than the idle timeout costs no byte")
    func blackhole() {
        play(
            Scenario("an outage of 20 s, idle timeout 5 s") { stage in
                let scene = try TunnelScene(stage, .wifi, sizes: Self.mixed, idleTimeout: .seconds(5))
                stage.at(.milliseconds(120)) { $0.set(.blackhole, of: scene.pair.link) }
                stage.at(.milliseconds(20_120)) {
                    $0.set(.up, of: scene.pair.link)
                    scene.reconnect(at: $0.now)
                }
                scene.expectAll(stage)
                stage.completes(within: .milliseconds(22_000))
                stage.expect("both ends had lost the connection") {
                    scene.local.losses == 1 && scene.gateway.losses == 1
                }
                stage.expect("the tunnels went on", { scene.local.resumptions.isEmpty }, equals: false)
            })
    }

    @Test("a gateway process without memory of the connection resets it, and its tunnels go on at once")
    func statelessReset() {
        play(
            Scenario("the gateway is killed") { stage in
                let scene = try TunnelScene(stage, .wifi, sizes: Self.mixed)
                stage.at(.milliseconds(120)) {
                    scene.gateway.crash()
                    $0.restart(scene.pair.serverPlace.host, running: scene.pair.freshServer(scene.gateway.carrier))
                }
                stage.when({ scene.local.losses == 1 }) { scene.reconnect(at: $0.now) }
                scene.expectAll(stage)
                stage.completes(within: .milliseconds(2_000))
                stage.expect("by a stateless reset") {
                    scene.pair.client.events.contains(.closed(.statelessReset))
                }
            })
    }

    @Test(
        "a client moves its tunnels to a new connection while the gateway still believes in the old one",
        arguments: [true, false])
    func restartOfConnection(isHeard: Bool) {
        play(
            Scenario("the client gives its connection up, heard: \(isHeard)") { stage in
                let scene = try TunnelScene(stage, .wifi, sizes: Self.mixed)
                stage.at(.milliseconds(120)) { network in
                    if !isHeard { network.set(.blackhole, of: scene.pair.link) }
                    for carrier in scene.local.carriers { carrier.detachAll() }
                }
                stage.at(.milliseconds(600)) { network in
                    network.set(.up, of: scene.pair.link)
                    scene.reconnect(at: network.now)
                }
                scene.expectAll(stage)
                stage.completes(within: .milliseconds(3_000))
            })
    }

    @Test("a thousand tunnels go on in one flight")
    func thousand() {
        play(
            Scenario("1,000 tunnels after an outage") { stage in
                let sizes = (0..<1_000).map { _ in (up: 200, down: 200) }
                let scene = try TunnelScene(stage, .wifi, sizes: sizes, idleTimeout: .seconds(5))
                (scene.local.isTalking, scene.gateway.isTalking) = (false, false)
                stage.when({ scene.local.openings == 1_000 }) { network in
                    (scene.local.isTalking, scene.gateway.isTalking) = (true, true)
                    network.set(.blackhole, of: scene.pair.link)
                }
                var back = Instant.origin
                stage.when({ scene.local.losses == 1 && scene.gateway.losses == 1 }) { network in
                    network.set(.up, of: scene.pair.link)
                    back = network.now
                    scene.reconnect(at: network.now)
                }
                scene.expectAll(stage)
                stage.completes(within: .seconds(20))
                stage.expect("within ten round trips of 20 ms, the handshake included") {
                    guard let last = scene.local.resumptions.max() else { return false }
                    return last - back <= .milliseconds(200)
                }
            })
    }

    @Test("a gateway without the extension serves as before, and resets what a lost connection carried")
    func withoutExtension() {
        play(
            Scenario("no extension, no loss") { stage in
                let scene = try TunnelScene(stage, .wifi, sizes: Self.mixed, grants: false)
                scene.expectAll(stage)
                stage.completes(within: .milliseconds(2_000))
            })
        play(
            Scenario("no extension, an outage") { stage in
                let scene = try TunnelScene(
                    stage, .wifi, sizes: Self.mixed, grants: false, idleTimeout: .seconds(5))
                stage.at(.milliseconds(120)) { $0.set(.blackhole, of: scene.pair.link) }
                stage.when({ scene.local.losses == 1 && scene.gateway.losses == 1 }, { _ in })
                stage.completes(within: .seconds(10))
                stage.expect("every tunnel that had not ended is reset at both ends") {
                    (scene.local.sockets + scene.gateway.sockets).allSatisfy { $0.wasReset || $0.wasClosed }
                        && scene.local.sockets.contains { $0.wasReset }
                }
                stage.expect("nothing is held", { scene.local.waiting.count + scene.gateway.waiting.count }, equals: 0)
            })
    }
}
