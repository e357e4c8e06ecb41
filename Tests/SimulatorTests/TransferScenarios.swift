import Primitives
import QUIC
import Simulator
import Testing

/// A transfer from the server to the client, on one stream unless told otherwise.
func download(
    _ name: String, _ bytes: Int, streams: Int = 1, seed: UInt64 = 1, over link: LinkConditions,
    within limit: Interval, _ tell: @escaping @Sendable (QUICPair, BulkReceiver) -> Void = { _, _ in },
    with change: @escaping @Sendable (inout QUICOptions) -> Void = { _ in }
) -> Scenario {
    Scenario(name, seed: seed) { stage in
        let receiver = BulkReceiver(bytes, streams: streams)
        let pair = try stage.quic(
            over: link, client: [receiver], server: { [BulkSender(bytes, streams: streams)] }, change)
        stage.completes(within: limit)
        stage.expect("streams with wrong bytes", { receiver.corrupted }, equals: 0)
        tell(pair, receiver)
    }
}

extension QUICPair {
    /// The server's view of the path in use.
    var serverPath: PathStatus? { server.connection?.networkPaths.first }
}

@Suite("A transfer over a good link")
struct CleanTransferScenarios {
    /// 10 MB take 0.84 s at 100 Mbit/s with all headers; handshake and slow start come before.
    @Test func fillsWiFi() {
        play(
            download("10 MB over Wi-Fi", 10_000_000, over: .wifi, within: .milliseconds(1_020)) { pair, _ in
                pair.stage.sends(atMost: 10_800_000, from: pair.serverPlace)
                pair.stage.sends(atMost: 300_000, from: pair.clientPlace)
            })
    }

    @Test func fillsCellular() {
        play(
            download("4 MB over cellular", 4_000_000, over: .cellular, within: .milliseconds(1_350)) { pair, _ in
                pair.stage.sends(atMost: 4_500_000, from: pair.serverPlace)
            })
    }

    /// 100 Mbit of data fit on the way: the window doubles for ten round trips.
    @Test func fillsALongFatLink() {
        let link = LinkConditions(delay: .milliseconds(50), rate: .megabits(1_000), queue: .time(.milliseconds(20)))
        play(download("8 MB at 1 Gbit/s and 100 ms", 8_000_000, over: link, within: .milliseconds(1_260)))
    }

    /// A queue of two seconds: leaving slow start in time keeps it short.
    @Test func keepsABloatedQueueShort() {
        let link = LinkConditions(
            delay: .milliseconds(10), rate: .megabits(20), queue: .time(.seconds(2)), mtu: 1_500)
        play(
            download("3 MB into a bloated queue", 3_000_000, over: link, within: .milliseconds(1_450)) { pair, _ in
                pair.stage.sends(atMost: 3_200_000, from: pair.serverPlace)
                pair.stage.expect("the round trip stays far below what the queue could make it") {
                    pair.serverPath.map { $0.smoothedRTT < .milliseconds(260) } ?? false
                }
            })
    }

    /// RFC 9002 §7.7: at once leaves what two milliseconds may hold at twice the rate, not the 200 datagrams of a window.
    @Test func isSpreadOverTheRoundTrip() {
        let report = play(
            download("pacing", 2_000_000, over: .wifi, within: .milliseconds(400), with: QUICOptions.steady))
        let sent = report.trace.records.filter { $0.place == "server" && $0.kind == .sent }
        var perMillisecond: [Int64: Int] = [:]
        for record in sent { perMillisecond[(record.time - VirtualNetwork.start).milliseconds, default: 0] += 1 }
        #expect(perMillisecond.values.max() ?? .max <= 110)
    }

    @Test func givesTheSameTraceForTheSameSeed() {
        let scenario = download(
            "the same again", 200_000, seed: 3, over: .wifi.with { $0.loss = .random(0.03) }, within: .seconds(5))
        #expect(play(scenario).trace.hash == play(scenario).trace.hash)
    }

    @Test func answersARequestInOneRoundTrip() {
        play(
            Scenario("requests") { stage in
                let requester = Requester(20, answeredBy: 5_000)
                _ = try stage.quic(over: .wifi, client: [requester], server: { [Responder(5_000)] })
                stage.completes(within: .milliseconds(470))
                stage.expect("no answer takes more than a round trip") {
                    requester.durations.allSatisfy { $0 <= .milliseconds(22) }
                }
            })
    }
}

@Suite("A transfer over a bad link")
struct BadLinkScenarios {
    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func survivesALossOfOnePercent(seed: UInt64) {
        play(
            download(
                "1 % loss", 1_000_000, seed: seed, over: .wifi.with { $0.loss = .random(0.01) },
                within: .milliseconds(1_500)))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func survivesALossOfFivePercent(seed: UInt64) {
        play(
            download(
                "5 % loss", 400_000, seed: seed, over: .wifi.with { $0.loss = .random(0.05) },
                within: .milliseconds(2_500)))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func survivesBurstsOfLoss(seed: UInt64) {
        let loss = Loss.burst(GilbertElliott(onset: 0.003, recovery: 0.1))
        play(
            download(
                "bursts of ten", 600_000, seed: seed, over: .wifi.with { $0.loss = loss }, within: .milliseconds(2_500))
        )
    }

    /// Packets that are overtaken are not lost: the window must not stay small.
    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func survivesReordering(seed: UInt64) {
        let link = LinkConditions.wifi.with { $0.reordering = Reordering(0.02, by: .milliseconds(4)) }
        play(
            download("reordered", 1_500_000, seed: seed, over: link, within: .milliseconds(700)) { pair, _ in
                pair.stage.sends(atMost: 2_000_000, from: pair.serverPlace)
            })
    }

    @Test func survivesDuplication() {
        play(
            download(
                "every fifth twice", 1_000_000, over: .wifi.with { $0.duplication = 0.2 }, within: .milliseconds(350)))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func survivesCorruption(seed: UInt64) {
        play(
            download(
                "one in a thousand corrupted", 1_000_000, seed: seed, over: .wifi.with { $0.corruption = 0.001 },
                within: .milliseconds(900)))
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>)
    func survivesEverythingAtOnce(seed: UInt64) {
        let link = LinkConditions.cellular.with {
            $0.jitter = .milliseconds(10)
            $0.loss = .random(0.02)
            $0.duplication = 0.02
            $0.corruption = 0.01
            $0.reordering = Reordering(0.02, by: .milliseconds(20))
        }
        play(download("everything at once", 200_000, seed: seed, over: link, within: .seconds(5)))
    }
}

@Suite("Path MTU discovery")
struct MTUScenarios {
    @Test(arguments: [(1_280, 1_252), (1_400, 1_372), (1_500, 1_472), (9_000, 8_972)])
    func findsWhatThePathCarries(mtu: Int, datagram: Int) {
        play(
            download(
                "MTU \(mtu)", 600_000, over: .wifi.with { $0.mtu = mtu }, within: .milliseconds(600)
            ) { pair, _ in
                pair.stage.continues(for: .milliseconds(500))
                pair.stage.expect("a datagram size within 20 bytes of \(datagram)") {
                    pair.serverPath.map { (datagram - 20...datagram).contains($0.maximumDatagramSize) } ?? false
                }
            })
    }

    /// RFC 8899 §4.3: no message tells of it.
    @Test func noticesThatThePathCarriesLess() {
        play(
            download("the MTU drops", 2_000_000, over: .wifi, within: .milliseconds(1_500)) { pair, receiver in
                pair.stage.at(.milliseconds(200)) { $0.change(pair.link) { $0.mtu = 1_300 } }
                pair.stage.expectStall(
                    of: receiver, from: .milliseconds(200), to: .milliseconds(900), atMost: .milliseconds(400))
            })
    }
}

@Suite("Explicit congestion notification")
struct ECNScenarios {
    /// RFC 9002 §7.1: marks do what losses do, and nothing has to be sent again.
    @Test func keepsTheQueueShortWithoutLoss() {
        let link = LinkConditions.wifi.with { $0.markingThreshold = .time(.milliseconds(5)) }
        play(
            download("a marking queue", 4_000_000, over: link, within: .milliseconds(520)) { pair, _ in
                pair.stage.expect("packets lost", { pair.serverPath?.packetsLost }, equals: 0)
            })
    }

    /// RFC 9000 §13.4.2: the path is found out, and ECN given up.
    @Test(arguments: [ECNTreatment.cleared, .rewritten(.ect1), .rewritten(.congestionExperienced), .dropsCapable])
    func isGivenUpWhereThePathSpoilsIt(treatment: ECNTreatment) {
        let report = play(
            download(
                "ECN bits \(treatment)", 500_000, over: .wifi.with { $0.ecn = treatment },
                within: .milliseconds(treatment == .dropsCapable ? 2_700 : 700)))
        let last = report.trace.records.last { $0.kind == .sent && $0.place == "server" }
        #expect(last?.datagram?.ecn == .notCapable)
    }
}
