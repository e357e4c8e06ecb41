import Primitives
import QUIC
import Simulator
import Testing

@Suite("A key update")
struct KeyUpdateScenarios {
    /// RFC 9001 §6: neither end waits, and no packet is lost for want of a key.
    @Test func isNotNoticedDuringATransfer() {
        play(
            Scenario("both ends update their keys") { stage in
                let (down, up) = (BulkReceiver(1_500_000), BulkReceiver(750_000))
                let pair = try stage.quic(
                    over: .wifi, client: [down, BulkSender(750_000)], server: { [up, BulkSender(1_500_000)] },
                    QUICOptions.steady)
                for time in stride(from: 60, to: 240, by: 60) as StrideTo<Int64> {
                    stage.at(.milliseconds(time)) { _ in pair.client.connection?.requestKeyUpdate() }
                    stage.at(.milliseconds(time + 30)) { _ in pair.server.connection?.requestKeyUpdate() }
                }
                stage.completes(within: .milliseconds(450))
                for (name, node) in [("client", pair.client), ("server", pair.server)] {
                    stage.expect("the \(name) has seen an update") { node.connection?.statistics.keyUpdates ?? 0 >= 2 }
                    stage.expect(
                        "packets dropped by the \(name)", { node.connection?.statistics.packetsDropped }, equals: 0)
                }
            })
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func isRepeatedAsOftenAsTheConfigurationSays(seed: UInt64) {
        play(
            Scenario("keys for 50 packets", seed: seed) { stage in
                let receiver = BulkReceiver(400_000)
                let link = LinkConditions.wifi.with {
                    $0.loss = .random(0.02)
                    $0.reordering = Reordering(0.05, by: .milliseconds(5))
                }
                let pair = try stage.quic(over: link, client: [receiver], server: { [BulkSender(400_000)] }) {
                    $0.both { $0.packetsPerKeyPhase = 50 }
                }
                stage.completes(within: .seconds(3))
                // RFC 9001 §6.5: updates are three probe timeouts apart.
                stage.expect("an update") { pair.client.connection?.statistics.keyUpdates ?? 0 >= 1 }
            })
    }
}
