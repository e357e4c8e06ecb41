import Primitives
import QUIC
import Simulator
import Testing

@Suite("A client that changes its network")
struct MigrationScenarios {
    /// RFC 9000 §9.2: a path that was probed before is there at once when it is needed.
    @Test(arguments: Flow.allCases)
    func isNotNoticedWhenBothNetworksWork(flow: Flow) {
        play(
            Scenario("\(flow) to cellular and back") { stage in
                let receiver = BulkReceiver(4_000_000)
                let (client, server) = flow.applications(4_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                scene.activate(RoamingScene.cellular, at: .milliseconds(250))
                scene.activate(RoamingScene.wifi, at: .milliseconds(600))
                stage.completes(within: .milliseconds(1_200))
                stage.expectStall(
                    of: receiver, from: .milliseconds(250), to: .milliseconds(700), atMost: .milliseconds(70))
            })
    }

    @Test func isNotNoticedAtATerminal() {
        play(
            Scenario("echo over two networks") { stage in
                let echo = EchoSource(60)
                let scene = try RoamingScene(stage, client: [echo], server: { [EchoResponder()] })
                scene.add(RoamingScene.cellular, at: .milliseconds(100))
                scene.activate(RoamingScene.cellular, at: .milliseconds(400))
                scene.activate(RoamingScene.wifi, at: .milliseconds(800))
                stage.completes(within: .milliseconds(1_400))
                stage.expect("a keystroke takes no longer than the slower network makes it") {
                    echo.longestRoundTrip() <= .milliseconds(61)
                }
            })
    }

    @Test(arguments: Flow.allCases, 1...3 as ClosedRange<UInt64>)
    func survivesLossMeanwhile(flow: Flow, seed: UInt64) {
        play(
            Scenario("\(flow) with 5 % loss and two switches", seed: seed) { stage in
                let receiver = BulkReceiver(500_000)
                let (client, server) = flow.applications(500_000, receiver)
                let lossy = LinkConditions.wifi.with { $0.loss = .random(0.05) }
                let scene = try RoamingScene(
                    stage, wifi: lossy, cellular: .cellular.with { $0.loss = .random(0.05) }, client: client,
                    server: server)
                // Late enough for the handshake of every seed.
                scene.at(.milliseconds(500)) { connection, now in
                    try connection.addLocalAddress(RoamingScene.cellular, at: now)
                    try connection.activate(RoamingScene.cellular, at: now)
                }
                scene.activate(RoamingScene.wifi, at: .milliseconds(1_000))
                stage.completes(within: .seconds(8))
            })
    }

    @Test(arguments: Flow.allCases)
    func sendsWhatWasInFlightAgainAtOnceWhenItsAddressGoes(flow: Flow) {
        play(
            Scenario("\(flow), Wi-Fi address removed") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                stage.at(.milliseconds(200)) {
                    $0.removeAddress(RoamingScene.wifi.ip, from: scene.pair.clientPlace.host)
                }
                scene.remove(RoamingScene.wifi, at: .milliseconds(200))
                stage.completes(within: .milliseconds(1_200))
                stage.expectStall(
                    of: receiver, from: .milliseconds(200), to: .milliseconds(400), atMost: .milliseconds(2 * 60 + 50))
            })
    }

    @Test(arguments: Flow.allCases)
    func recoversWhenANetworkDiesSilently(flow: Flow) {
        play(
            Scenario("\(flow), Wi-Fi swallows everything") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                stage.at(.milliseconds(200)) { $0.set(.blackhole, of: scene.wifiLink) }
                scene.activate(RoamingScene.cellular, at: .milliseconds(400))
                stage.completes(within: .milliseconds(1_500))
                stage.expectStall(
                    of: receiver, from: .milliseconds(200), to: .milliseconds(500),
                    atMost: .milliseconds(200 + 2 * 60 + 50))
            })
    }

    @Test func tellsItsServerEvenWhenItHasNothingToSend() {
        play(
            Scenario("a receiver switches while nothing is under way") { stage in
                let scene = try RoamingScene(
                    stage, client: [IdleApplication()], server: { [IdleApplication()] })
                scene.add(RoamingScene.cellular, at: .milliseconds(100))
                scene.activate(RoamingScene.cellular, at: .milliseconds(500))
                stage.continues(for: .seconds(1))
                stage.expect(
                    "the server's view of the client",
                    {
                        scene.pair.server.connection?.networkPaths.first?.path.remote
                    }, equals: RoamingScene.cellular)
            })
    }

    /// netty-quic#698: the second migration failed when nobody provided new connection IDs.
    @Test(arguments: [2, 8])
    func canDoSoManyTimes(connectionIDLimit: Int) {
        play(
            Scenario("twelve networks one after the other, \(connectionIDLimit) connection IDs") { stage in
                let echo = EchoSource(350)
                let scene = try RoamingScene(stage, client: [echo], server: { [EchoResponder()] }) {
                    $0.both { $0.activeConnectionIDLimit = connectionIDLimit }
                }
                var previous = RoamingScene.wifi
                for index in 0..<12 {
                    let address = NetworkAddress(.v4(100, 64, 1, UInt8(index)), port: 5_000)
                    _ = stage.link("network-\(index)", of: scene.pair.clientPlace, at: address.ip, .wifi)
                    let (left, start) = (previous, Interval.milliseconds(Int64(500 + 500 * index)))
                    scene.add(address, at: start)
                    scene.activate(address, at: start + .milliseconds(200))
                    scene.remove(left, at: start + .milliseconds(300))
                    previous = address
                }
                stage.completes(within: .milliseconds(7_300))
                stage.expect("no keystroke takes more than two round trips") {
                    echo.longestRoundTrip() <= .milliseconds(40)
                }
            })
    }

    /// ngtcp2#2259: a path that was given up can be had again.
    @Test(arguments: Flow.allCases)
    func mayComeBackToAnAddressThatWasGone(flow: Flow) {
        play(
            Scenario("\(flow), Wi-Fi goes and comes back") { stage in
                let receiver = BulkReceiver(3_000_000)
                let (client, server) = flow.applications(3_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                scene.remove(RoamingScene.wifi, at: .milliseconds(150))
                scene.add(RoamingScene.wifi, at: .milliseconds(300))
                scene.activate(RoamingScene.wifi, at: .milliseconds(400))
                stage.completes(within: .milliseconds(1_000))
                stage.expectStall(
                    of: receiver, from: .milliseconds(150), to: .milliseconds(700), atMost: .milliseconds(2 * 60 + 50))
            })
    }

    /// quinn#2309: what is in flight is in the books of the path that it left on.
    @Test(arguments: Flow.allCases)
    func leavesNoBytesInFlightBehind(flow: Flow) {
        play(
            Scenario("\(flow), the books of both paths afterwards") { stage in
                let receiver = BulkReceiver(1_000_000)
                let (client, server) = flow.applications(1_000_000, receiver)
                let lossy = LinkConditions.wifi.with { $0.loss = .random(0.02) }
                let scene = try RoamingScene(stage, wifi: lossy, client: client, server: server)
                scene.add(RoamingScene.cellular, at: .milliseconds(250))
                for (index, time) in stride(from: 350, to: 750, by: 100).enumerated() {
                    scene.activate(
                        index % 2 == 0 ? RoamingScene.cellular : RoamingScene.wifi, at: .milliseconds(Int64(time)))
                }
                stage.completes(within: .seconds(4))
                stage.continues(for: .seconds(5))
                for node in [scene.pair.client, scene.pair.server] {
                    stage.expect("nothing in flight") {
                        node.connection?.networkPaths.allSatisfy { $0.bytesInFlight == 0 } ?? false
                    }
                }
            })
    }

    /// A link monitor that says which address is gone, and a node that does what it says.
    @Test(arguments: Flow.allCases)
    func followsItsLinkMonitor(flow: Flow) {
        play(
            Scenario("\(flow), the Wi-Fi link goes down") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                scene.pair.client.linkMonitoring = .followed
                stage.at(.milliseconds(150)) { $0.set(.down, of: scene.wifiLink) }
                stage.completes(within: .milliseconds(1_100))
                stage.expectStall(
                    of: receiver, from: .milliseconds(150), to: .milliseconds(700), atMost: .milliseconds(2 * 60 + 50))
            })
    }

    /// All networks gone for five seconds, then another one: the stall is the outage and little more.
    @Test(arguments: Flow.allCases)
    func goesOnWithTheFirstNetworkAfterAnOutage(flow: Flow) {
        play(
            Scenario("\(flow), five seconds without any network") { stage in
                let receiver = BulkReceiver(1_000_000)
                let (client, server) = flow.applications(1_000_000, receiver)
                let pair = try stage.quic(over: .wifi, client: client, server: server, QUICOptions.steady)
                pair.client.linkMonitoring = .followed
                stage.at(.milliseconds(120)) { $0.removeAddress(RoamingScene.wifi.ip, from: pair.clientPlace.host) }
                stage.at(.milliseconds(5_120)) {
                    $0.attach(pair.clientPlace.host, at: RoamingScene.cellular.ip, named: "cellular", .cellular)
                }
                stage.completes(within: .milliseconds(6_800))
                stage.expectStall(
                    of: receiver, from: .milliseconds(120), to: .milliseconds(6_800), atMost: .milliseconds(5_400))
            })
    }
}
