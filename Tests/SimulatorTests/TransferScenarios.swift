import Primitives
import QUIC
import Simulator
import Testing

/// A transfer of `bytes` on one stream from the server to the client.
private func download(
    _ bytes: Int, streams: Int = 1, _ name: String, seed: UInt64 = 1, over link: LinkConditions,
    within limit: Interval, _ change: @escaping @Sendable (inout QUICOptions) -> Void = { _ in },
    _ tell: @escaping @Sendable (QUICPair) -> Void = { _ in }
) -> Scenario {
    Scenario(name, seed: seed) { stage in
        let receiver = BulkReceiver(bytes, streams: streams)
        let pair = try stage.quic(
            over: link, client: [receiver], server: { [BulkSender(bytes, streams: streams)] }, change)
        stage.completes(within: limit)
        stage.expect("what was corrupted", { receiver.corrupted }, equals: 0)
        tell(pair)
    }
}

@Suite("A transfer")
struct TransferScenarios {
    /// 10 MB at 100 Mbit/s take 0.8 s of payload alone.
    @Test func fillsAWiFiLink() {
        play(
            download(10_000_000, "10 MB over Wi-Fi", over: .wifi, within: .milliseconds(1_000)) { _ in
            } _: { pair in
                pair.stage.sends(atMost: 10_800_000, from: pair.serverPlace)
            })
    }

    @Test func fillsACellularLink() {
        play(
            download(5_000_000, "5 MB over cellular", over: .cellular, within: .milliseconds(1_600)) { _ in
            } _: { pair in
                pair.stage.sends(atMost: 5_500_000, from: pair.serverPlace)
            })
    }
}
