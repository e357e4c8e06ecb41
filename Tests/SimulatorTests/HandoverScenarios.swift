import Primitives
import QUIC
import Simulator
import Testing
import Tunnel

/// The goals of the project, each as the application sees it: the longest time without a byte.
@Suite("A client whose policy decides on its path")
struct HandoverScenarios {
    static let seeds: [UInt64] = [1, 2]

    /// The goal is for what arrives at the client. A server that gets an upload has had most of what was in flight, and
    /// waits for what comes after the first window of the new path.
    private static func goalOfInterfaceDown(_ load: HandoverScene.Load) -> Interval {
        switch load {
        case .download, .echo: .milliseconds(90)
        case .upload: .milliseconds(120)
        }
    }

    @Test(
        "an interface that goes down stalls the application for at most 90 ms", arguments: HandoverScene.Load.allCases,
        seeds)
    func interfaceDown(load: HandoverScene.Load, seed: UInt64) {
        play(
            Scenario("\(load), Wi-Fi goes down", seed: seed) { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.set(.down, of: scene.wifiLink) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: Self.goalOfInterfaceDown(load))
                scene.expectMoves(["wwan0 (linkDown)"])
            })
    }

    @Test(
        "an address that is removed stalls the application for at most 90 ms", arguments: HandoverScene.Load.allCases,
        seeds)
    func addressRemoved(load: HandoverScene.Load, seed: UInt64) {
        play(
            Scenario("\(load), the Wi-Fi address goes", seed: seed) { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.removeAddress(HandoverScene.wifi.ip, from: scene.host) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: Self.goalOfInterfaceDown(load))
                scene.expectMoves(["wwan0 (linkDown)"])
            })
    }

    @Test(
        "silent death under load stalls the application for at most 250 ms",
        arguments: [HandoverScene.Load.download, .upload], seeds)
    func silentDeathUnderLoad(load: HandoverScene.Load, seed: UInt64) {
        play(
            Scenario("\(load), Wi-Fi swallows everything", seed: seed) { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.set(.blackhole, of: scene.wifiLink) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(250))
                scene.expectMoves(["wwan0 (silence)"])
            })
    }

    @Test("silent death in one direction is noticed too", arguments: HandoverScene.Load.allCases, Direction.allCases)
    func silentDeathOfADirection(load: HandoverScene.Load, direction: Direction) {
        play(
            Scenario("\(load), Wi-Fi swallows everything \(direction)") { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.set(.blackhole, of: scene.wifiLink, direction) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(350))
                scene.expectMoves(["wwan0 (silence)"])
            })
    }

    @Test("silent death stalls an echo for at most 350 ms", arguments: seeds)
    func silentDeathOfAnEcho(seed: UInt64) {
        play(
            Scenario("echo, Wi-Fi swallows everything", seed: seed) { stage in
                let scene = try HandoverScene(stage, .echo, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.set(.blackhole, of: scene.wifiLink) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(350))
                scene.expectMoves(["wwan0 (silence)"])
            })
    }

    @Test(
        "a new address of the same link stalls the application for at most 60 ms",
        arguments: HandoverScene.Load.allCases, seeds)
    func newAddress(load: HandoverScene.Load, seed: UInt64) {
        play(
            Scenario("\(load), another Wi-Fi address", seed: seed) { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { network in
                    scene.paths.snapshot(at: network.now) {
                        network.removeAddress(HandoverScene.wifi.ip, from: scene.host)
                        network.attach(scene.host, at: .v4(192, 168, 1, 77), named: "wifi-2", .wifi)
                    }
                }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(60))
                scene.expectMoves(["wlan0 (addressChanged)"])
            })
    }

    /// The first link gets bad after the second one came, and then dies. A message of an exchange may have left just after
    /// the last one that arrived, so that a pace of messages is added to what the switch takes.
    @Test(
        "a switch before the first link breaks stalls the application for at most 100 ms",
        arguments: [(.echo, 120, 1), (.echo, 120, 2), (.download, 100, 1)] as [(HandoverScene.Load, Int64, UInt64)])
    func makeBeforeBreak(load: HandoverScene.Load, limit: Int64, seed: UInt64) {
        play(
            Scenario("\(load), Wi-Fi fades", seed: seed) { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(4), window: .kibibytes(300))
                scene.at(.zero) { $0.set(.down, of: scene.cellularLink) }
                scene.at(.milliseconds(1_000)) { $0.set(.up, of: scene.cellularLink) }
                scene.at(.milliseconds(2_000)) { network in
                    network.change(scene.wifiLink) {
                        $0.delay = .milliseconds(150)
                        $0.loss = .random(0.3)
                    }
                }
                scene.at(.milliseconds(3_000)) { $0.set(.blackhole, of: scene.wifiLink) }
                scene.expectStall(from: .milliseconds(1_500), to: .milliseconds(3_800), atMost: .milliseconds(limit))
                scene.expectMoves(["wwan0 (silence)"])
            })
    }

    @Test(
        "ten switches in twenty seconds stall the application for at most 150 ms",
        arguments: HandoverScene.Load.allCases, [1] as [UInt64])
    func tenSwitches(load: HandoverScene.Load, seed: UInt64) {
        play(
            Scenario("\(load), ten switches", seed: seed) { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(23))
                for index in 0..<10 {
                    let (dying, coming) =
                        index % 2 == 0
                        ? (scene.wifiLink, scene.cellularLink) : (scene.cellularLink, scene.wifiLink)
                    let time = Interval.milliseconds(1_503 + 2_000 * Int64(index))
                    scene.at(time) { $0.set(.up, of: coming) }
                    scene.at(time + .milliseconds(400)) { $0.set(.down, of: dying) }
                }
                scene.expectStall(from: .seconds(1), to: .milliseconds(22_500), atMost: .milliseconds(150))
                stage.expect("ten switches") { scene.moves.count == 10 }
            })
    }

    @Test(
        "when both links were silent, the application goes on within 400 ms of their return",
        arguments: HandoverScene.Load.allCases, [(5, 1), (90, 2)] as [(Int64, UInt64)])
    func outage(load: HandoverScene.Load, play parameters: (seconds: Int64, seed: UInt64)) {
        play(
            Scenario("\(load), both links silent for \(parameters.seconds) s", seed: parameters.seed) { stage in
                let end = Interval.milliseconds(1_503) + .seconds(parameters.seconds)
                let scene = try HandoverScene(stage, load, lasting: end + .seconds(3))
                for link in [scene.wifiLink, scene.cellularLink] {
                    scene.at(.milliseconds(1_503)) { $0.set(.blackhole, of: link) }
                    scene.at(end) { $0.set(.up, of: link) }
                }
                scene.expectStall(
                    from: .seconds(1), to: end + .seconds(2), atMost: .seconds(parameters.seconds) + .milliseconds(400))
            })
    }
}
