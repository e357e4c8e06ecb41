import Primitives
import QUIC
import Simulator
import Testing

@Suite("Streams that share a connection")
struct StreamScenarios {
    @Test func takeTurns() {
        play(
            download("60 streams", 40_000, streams: 60, over: .wifi, within: .milliseconds(400)) { pair, receiver in
                pair.stage.expect("the first is done when the others are nearly done") {
                    guard let first = receiver.completions.first, let last = receiver.completions.last else {
                        return false
                    }
                    return last - first <= (last - VirtualNetwork.start) / 2
                }
            } with: {
                $0.client.streams.peerUnidirectionalStreams = 60
            })
    }

    /// RFC 9000 §4.6: the peer grants new streams as old ones end.
    @Test func comeOneAfterTheOtherWhenFewAreAllowed() {
        play(
            download(
                "200 streams, 4 at a time", 1_000, streams: 200, over: .wifi, within: .milliseconds(2_200),
                with: {
                    $0.client.streams.peerUnidirectionalStreams = 4
                }))
    }

    /// A reader that stands still costs its window and nothing else.
    @Test func doNotWaitForOneThatNobodyReads() {
        play(
            Scenario("one of four streams is never read") { stage in
                let receiver = BulkReceiver(1_500_000, streams: 4, leavingUnread: 1)
                let pair = try stage.quic(
                    over: .wifi, client: [receiver], server: { [BulkSender(1_500_000, streams: 4, neverRead: 1)] }
                ) { $0.client.streams.maximumStreamWindow = .mebibytes(1) }
                stage.completes(within: .milliseconds(700))
                stage.sends(atMost: 4_500_000 + 1_048_576 + 600_000, from: pair.serverPlace)
            })
    }

    /// RFC 9000 §4.1: window after window, each granted when half of the one before is read.
    @Test func moveThroughANarrowWindow() {
        play(
            download(
                "a window of 16 KiB", 200_000, over: .wifi, within: .milliseconds(700),
                with: {
                    $0.client.streams.initialStreamWindow = .kibibytes(16)
                    $0.client.streams.maximumStreamWindow = .kibibytes(16)
                    $0.client.streams.initialConnectionWindow = .kibibytes(24)
                    $0.client.streams.maximumConnectionWindow = .kibibytes(24)
                }))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func moveThroughANarrowWindowThatLosesItsUpdates(seed: UInt64) {
        play(
            download(
                "a window of 16 KiB, 10 % loss", 60_000, streams: 3, seed: seed,
                over: .wifi.with { $0.loss = .random(0.1) }, within: .seconds(6),
                with: {
                    $0.client.streams.initialStreamWindow = .kibibytes(16)
                    $0.client.streams.maximumStreamWindow = .kibibytes(16)
                    $0.client.streams.initialConnectionWindow = .kibibytes(24)
                    $0.client.streams.maximumConnectionWindow = .kibibytes(24)
                }))
    }

    /// A keystroke does not queue behind a download of the same connection.
    @Test func letATerminalBeQuickBesideADownload() {
        play(
            Scenario("echo beside a download") { stage in
                let (echo, receiver) = (EchoSource(20), BulkReceiver(2_000_000))
                _ = try stage.quic(
                    over: .wifi, client: [echo, receiver], server: { [EchoResponder(), BulkSender(2_000_000)] },
                    QUICOptions.steady)
                stage.completes(within: .milliseconds(600))
                stage.expect("no keystroke takes more than the queue and two round trips") {
                    echo.longestRoundTrip() <= .milliseconds(65)
                }
            })
    }

    /// Where the network is faster than its ends no loss closes the window; an exchange shall not stand behind all of it.
    @Test func letAnExchangeBeQuickBesideADownloadOnALocalNetwork() {
        play(
            Scenario("echo beside a download, 2 Gbit/s and 0.4 ms") { stage in
                let (echo, receiver) = (EchoSource(40, every: .milliseconds(4)), BulkReceiver(40_000_000))
                let link = LinkConditions(delay: .microseconds(200), rate: .megabits(2_000), mtu: 9_000)
                _ = try stage.quic(
                    over: link, client: [echo, receiver], server: { [EchoResponder(), BulkSender(40_000_000)] },
                    { $0.client.streams.initialStreamWindow = .mebibytes(8) })
                stage.completes(within: .milliseconds(600))
                stage.expect("no message waits for more than what may be under way beside it") {
                    // The first ones are not known for an exchange yet, and wait for what was under way then.
                    let longest = echo.roundTrips.dropFirst(4).max() ?? .zero
                    stage.network.note("longest \(longest.microseconds) us")
                    return longest <= .milliseconds(3)
                }
            })
    }
}
