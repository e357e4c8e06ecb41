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
}
