import Primitives
import Simulator
import Testing

/// How soon a download is as fast as the link that it goes on over, with windows that leave the rate to the network.
@Suite("The rate after a change of the network")
struct RateScenarios {
    private static let window = ByteCount.mebibytes(8)
    /// The rate is taken from a second after the event, for so long.
    private static let measured = Interval.seconds(2)

    private static func unsteady(_ conditions: inout LinkConditions) {
        conditions.interruptions = Interruptions(every: .milliseconds(100), upTo: .milliseconds(30))
    }

    private func expectRate(_ rate: BitRate, since event: Interval, in scene: HandoverScene) {
        scene.stage.expect("80 % of the link's rate a second later") {
            let start = VirtualNetwork.start + event + .seconds(1)
            let bytes = scene.receiver.arrivals.bytes(after: start, through: start + Self.measured)
            let share = Double(bytes) * 8 / Self.measured.seconds / Double(rate.bitsPerSecond)
            scene.stage.network.note("\(share) of the rate; \(scene.moves)")
            return share >= 0.8
        }
    }

    @Test(
        "a link that nothing arrives over for up to 30 ms, ten times a second, is used as well",
        arguments: 1...4 as ClosedRange<UInt64>)
    func unsteadyLink(seed: UInt64) {
        play(
            Scenario("Wi-Fi goes down beside an unsteady cellular link", seed: seed) { stage in
                let scene = try HandoverScene(
                    stage, .download, lasting: .milliseconds(4_200), wifi: .wifi,
                    cellular: LinkConditions.cellular.with(Self.unsteady), window: Self.window)
                scene.at(.milliseconds(1_003)) { $0.set(.down, of: scene.wifiLink) }
                expectRate(.megabits(40), since: .milliseconds(1_003), in: scene)
            })
    }

    @Test("when both links were silent, the one in use is as fast as before", arguments: [1, 5] as [Int64])
    func outage(seconds: Int64) {
        play(
            Scenario("both links silent for \(seconds) s", seed: 1) { stage in
                let end = Interval.milliseconds(1_503) + .seconds(seconds)
                let scene = try HandoverScene(
                    stage, .download, lasting: end + .milliseconds(3_200), window: Self.window)
                for link in [scene.wifiLink, scene.cellularLink] {
                    scene.at(.milliseconds(1_503)) { $0.set(.blackhole, of: link) }
                    scene.at(end) { $0.set(.up, of: link) }
                }
                expectRate(.megabits(100), since: end, in: scene)
            })
    }
}
