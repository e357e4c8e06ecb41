import Primitives
import QUIC
import Simulator
import Testing

/// A client behind a home router's translator.
struct NATScene {
    let pair: QUICPair
    let nat: VirtualNetwork.TranslatorID

    static let outside: [IPAddress] = [.v4(203, 0, 113, 1), .v4(203, 0, 113, 2)]

    init(
        _ stage: Stage, over link: LinkConditions, behaviour: TranslatorBehaviour = TranslatorBehaviour(),
        client: [any QUICApplication], server: @escaping () -> [any QUICApplication],
        _ change: (inout QUICOptions) -> Void = { _ in }
    ) throws {
        let nat = stage.network.addTranslator("nat", outside: Self.outside, behaviour: behaviour)
        self.nat = nat
        pair = try stage.quic(over: link, client: client, server: server) {
            $0.upstream = .translator(nat)
            change(&$0)
        }
    }
}

@Suite("A NAT that rebinds")
struct RebindingScenarios {
    static let kinds: [Rebinding] = [.port, .addressAndPort]

    @Test(arguments: kinds)
    func stallsAnUploadForNoRoundTrip(_ rebinding: Rebinding) {
        play(
            Scenario("upload, new \(rebinding)") { stage in
                let receiver = BulkReceiver(3_000_000)
                let scene = try NATScene(
                    stage, over: .wifi, client: [BulkSender(3_000_000)], server: { [receiver] }, QUICOptions.steady)
                stage.at(.milliseconds(200)) { $0.rebind(scene.nat, rebinding) }
                stage.completes(within: .milliseconds(700))
                stage.expectStall(
                    of: receiver, from: .milliseconds(200), to: .milliseconds(260), atMost: .milliseconds(20))
            })
    }

    @Test(arguments: kinds)
    func stallsADownloadForTwoRoundTripsAtMost(_ rebinding: Rebinding) {
        play(
            Scenario("download, new \(rebinding)") { stage in
                let receiver = BulkReceiver(3_000_000)
                let scene = try NATScene(
                    stage, over: .wifi, client: [receiver], server: { [BulkSender(3_000_000)] },
                    QUICOptions.steady)
                stage.at(.milliseconds(200)) { $0.rebind(scene.nat, rebinding) }
                stage.completes(within: .milliseconds(700))
                stage.expectStall(
                    of: receiver, from: .milliseconds(200), to: .milliseconds(260), atMost: .milliseconds(40))
            })
    }

    @Test(arguments: kinds)
    func hardlyDelaysATerminal(_ rebinding: Rebinding) {
        play(
            Scenario("echo, new \(rebinding)") { stage in
                let echo = EchoSource(50)
                let scene = try NATScene(stage, over: .wifi, client: [echo], server: { [EchoResponder()] })
                for time in [300, 600] as [Int64] {
                    stage.at(.milliseconds(time)) { $0.rebind(scene.nat, rebinding) }
                }
                stage.completes(within: .milliseconds(1_200))
                stage.expect("no keystroke takes more than two round trips") {
                    echo.longestRoundTrip() <= .milliseconds(40)
                }
            })
    }

    /// RFC 9000 §9.4 and careful resume: the window begins anew, and once the new address has answered in the time that the
    /// network took before, half of what it carried is restored.
    @Test func restoresHalfOfTheWindowOnceTheNewAddressHasAnswered() {
        play(
            Scenario("the window a round trip after a new address") { stage in
                let receiver = BulkReceiver(3_000_000)
                let scene = try NATScene(
                    stage, over: .wifi, client: [receiver], server: { [BulkSender(3_000_000)] }, QUICOptions.steady)
                var (before, after): (Int64, Int64) = (0, 0)
                stage.at(.milliseconds(190)) { _ in before = scene.pair.serverPath?.congestionWindow.bytes ?? 0 }
                stage.at(.milliseconds(200)) { $0.rebind(scene.nat, .addressAndPort) }
                stage.at(.milliseconds(245)) { _ in after = scene.pair.serverPath?.congestionWindow.bytes ?? 0 }
                stage.completes(within: .milliseconds(700))
                // What 100 Mbit/s and 30 ms hold, a round trip and a little queue, is 375,000; its half.
                stage.expect("about half of what the network carried") {
                    before > 200_000 && after >= 140_000 && after < before
                }
            })
    }

    /// RFC 9000 §9.4: a new port is most likely the same network, a new address another one.
    @Test(arguments: kinds)
    func keepsTheCongestionWindowOnlyWithTheAddress(_ rebinding: Rebinding) {
        play(
            Scenario("the window after a new \(rebinding)") { stage in
                let receiver = BulkReceiver(2_000_000)
                let scene = try NATScene(
                    stage, over: .wifi, client: [receiver], server: { [BulkSender(2_000_000)] }, QUICOptions.steady)
                var (before, after): (Int64, Int64) = (0, 0)
                stage.at(.milliseconds(190)) { _ in before = scene.pair.serverPath?.congestionWindow.bytes ?? 0 }
                stage.at(.milliseconds(200)) { $0.rebind(scene.nat, rebinding) }
                stage.at(.milliseconds(218)) { _ in after = scene.pair.serverPath?.congestionWindow.bytes ?? 0 }
                stage.completes(within: .milliseconds(500))
                stage.expect("the right window") {
                    before > 100_000 && (rebinding == .port ? after >= before : after <= 24_000)
                }
            })
    }

    @Test(arguments: kinds, Flow.allCases)
    func mayDoSoAgainAndAgain(_ rebinding: Rebinding, flow: Flow) {
        play(
            Scenario("\(flow), ten new \(rebinding)s") { stage in
                let receiver = BulkReceiver(1_500_000)
                let (client, server) = flow.applications(1_500_000, receiver)
                let scene = try NATScene(stage, over: .wifi, client: client, server: server, QUICOptions.steady)
                for index in 0..<10 as Range<Int64> {
                    stage.at(.milliseconds(100 + 25 * index)) { $0.rebind(scene.nat, rebinding) }
                }
                stage.completes(within: .milliseconds(1_500))
                stage.expectStall(
                    of: receiver, from: .milliseconds(100), to: .milliseconds(1_500), atMost: .milliseconds(100))
            })
    }

    /// Packets on their way, a new address and a new connection ID, all at once.
    @Test(arguments: kinds, Flow.allCases)
    func mayCoincideWithANewConnectionID(_ rebinding: Rebinding, flow: Flow) {
        play(
            Scenario("\(flow), new \(rebinding) and connection ID") { stage in
                let receiver = BulkReceiver(1_500_000)
                let (client, server) = flow.applications(1_500_000, receiver)
                let scene = try NATScene(stage, over: .wifi, client: client, server: server, QUICOptions.steady)
                for time in [150, 250] as [Int64] {
                    stage.at(.milliseconds(time)) { network in
                        network.rebind(scene.nat, rebinding)
                        let rotated = scene.pair.client.connection?.rotateConnectionID(at: network.now)
                        if rotated != true { Issue.record("no spare connection ID") }
                    }
                }
                stage.completes(within: .milliseconds(900))
                stage.expectStall(
                    of: receiver, from: .milliseconds(150), to: .milliseconds(400), atMost: .milliseconds(60))
            })
    }

    /// iroh#4424: a carrier's translator that ends every mapping after 50 s, whatever passes.
    @Test func mayDoSoOnATimetable() {
        play(
            Scenario("two minutes behind a translator with mappings of 50 s") { stage in
                let echo = EchoSource(240, every: .milliseconds(500))
                _ = try NATScene(
                    stage, over: .cellular, behaviour: TranslatorBehaviour(absoluteLifetime: .seconds(50)),
                    client: [echo], server: { [EchoResponder()] })
                stage.completes(within: .seconds(121))
                stage.expect("no keystroke takes more than two round trips") {
                    echo.longestRoundTrip() <= .milliseconds(121)
                }
            })
    }

    /// s2n-quic#2516: a server that forbids migration still has to follow a rebinding (RFC 9000 §18.2).
    @Test func isFollowedByAServerThatForbidsMigration() {
        play(
            Scenario("a rebinding under disable_active_migration") { stage in
                let echo = EchoSource(50)
                let scene = try NATScene(stage, over: .wifi, client: [echo], server: { [EchoResponder()] }) {
                    $0.server.allowsActiveMigration = false
                }
                stage.at(.milliseconds(500)) { $0.rebind(scene.nat, .addressAndPort) }
                stage.at(.milliseconds(700)) { network in
                    #expect(throws: Connection.PathRefusal.migrationDisabled) {
                        try scene.pair.client.connection?.addLocalAddress(RoamingScene.cellular, at: network.now)
                    }
                }
                stage.completes(within: .milliseconds(1_100))
                stage.expect("no keystroke takes more than two round trips") {
                    echo.longestRoundTrip() <= .milliseconds(41)
                }
            })
    }

    /// RFC 9000 §9: what comes from another address before the handshake is confirmed is dropped, and nothing is sent there.
    @Test func isNotFollowedDuringTheHandshake() {
        let report = play(
            Scenario("a rebinding during the handshake") { stage in
                let scene = try NATScene(stage, over: .wifi, client: [], server: { [] })
                stage.at(.milliseconds(15)) { $0.rebind(scene.nat, .addressAndPort) }
                scene.pair.client.goal = .end
                scene.pair.server.goal = .end
                stage.completes(within: .milliseconds(10_100))
            })
        #expect(report.trace.bytesSent(by: "server", to: NATScene.outside[1]) == 0)
    }
}
