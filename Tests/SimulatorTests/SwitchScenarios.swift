import Primitives
import QUIC
import Simulator
import Testing

@Suite("What the transport makes of a switch")
struct SwitchScenarios {
    /// Slow enough to be simulated for seconds: 20 Mbit/s and 8 Mbit/s, with the delays of Wi-Fi and cellular.
    private static let home = LinkConditions.wifi.with { $0.rate = .megabits(20) }
    private static let away = LinkConditions.cellular.with { $0.rate = .megabits(8) }

    /// quiche#1496, s2n-quic#1972: after an outage nobody waits for a timer that doubled meanwhile.
    @Test(arguments: [1, 5, 20] as [Int64])
    func aSenderThatHearsItsPeerAfterAnOutageSendsAgainAtOnce(seconds: Int64) {
        play(
            Scenario("the network swallows everything for \(seconds) s, then the receiver speaks") { stage in
                let receiver = BulkReceiver(1_000_000)
                let (client, server) = Flow.download.applications(1_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server) {
                    QUICOptions.steady(&$0)
                    $0.both { $0.idleTimeout = .seconds(60) }
                }
                let end = Interval.milliseconds(100) + .seconds(seconds)
                stage.at(.milliseconds(100)) { $0.set(.blackhole, of: scene.wifiLink) }
                stage.at(end) { $0.set(.up, of: scene.wifiLink) }
                scene.at(end + .milliseconds(1)) { $0.ping(at: $1) }
                stage.completes(within: end + .milliseconds(400))
                // The ping takes 10 ms, what it brings about another 10.
                stage.expectStall(
                    of: receiver, from: .milliseconds(100), to: end + .milliseconds(400),
                    atMost: .seconds(seconds) + .milliseconds(35))
            })
    }

    /// A pure receiver that loses its link speaks on the next one: the sender cannot know. Nothing else is needed.
    @Test func aReceiverThatMovesIsSentToWithinARoundTrip() {
        play(
            Scenario("download, the interface goes down") { stage in
                let receiver = BulkReceiver(3_000_000)
                let (client, server) = Flow.download.applications(3_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                stage.at(.milliseconds(200)) { $0.set(.down, of: scene.wifiLink) }
                scene.activate(RoamingScene.cellular, at: .milliseconds(201))
                scene.remove(RoamingScene.wifi, at: .milliseconds(201))
                stage.completes(within: .milliseconds(1_400))
                stage.expectStall(
                    of: receiver, from: .milliseconds(200), to: .milliseconds(1_400), atMost: .milliseconds(75))
            })
    }

    /// Careful resume: a network that the connection was in before does not begin with a first window.
    @Test(arguments: Flow.allCases)
    func returnsToANetworkAtTheRateThatItHadThere(flow: Flow) {
        play(
            Scenario("\(flow), Wi-Fi, cellular, Wi-Fi") { stage in
                let receiver = BulkReceiver(12_000_000)
                let (client, server) = flow.applications(12_000_000, receiver)
                let scene = try RoamingScene(
                    stage, wifi: Self.home, cellular: Self.away, client: client, server: server)
                scene.add(RoamingScene.cellular, at: .milliseconds(1_500))
                scene.activate(RoamingScene.cellular, at: .milliseconds(2_000))
                scene.remove(RoamingScene.wifi, at: .milliseconds(2_100))
                scene.add(RoamingScene.wifi, at: .milliseconds(3_500))
                scene.activate(RoamingScene.wifi, at: .milliseconds(4_000))
                stage.completes(within: .seconds(8))
                stage.expectRate(of: receiver, from: .milliseconds(2_500), atLeast: 0.8, of: 8_000_000)
                stage.expectRate(of: receiver, from: .milliseconds(4_000), atLeast: 0.8, of: 20_000_000)
            })
    }

    /// The client comes back by another socket, before the server has forgotten its path of the last time.
    @Test func remembersANetworkFromWhenItWasLeft() {
        let again = NetworkAddress(RoamingScene.cellular.ip, port: 5_001)
        play(
            Scenario("cellular, Wi-Fi, cellular by another socket") { stage in
                let receiver = BulkReceiver(6_000_000)
                let (client, server) = Flow.download.applications(6_000_000, receiver)
                let scene = try RoamingScene(
                    stage, wifi: Self.home, cellular: Self.away, client: client, server: server)
                scene.add(RoamingScene.cellular, at: .milliseconds(200))
                scene.activate(RoamingScene.cellular, at: .milliseconds(400))
                scene.activate(RoamingScene.wifi, at: .milliseconds(1_600))
                scene.add(again, at: .milliseconds(1_700))
                scene.activate(again, at: .milliseconds(2_000))
                var window: Int64 = 0
                stage.at(.milliseconds(2_050)) { _ in window = scene.pair.serverPath?.congestionWindow.bytes ?? 0 }
                stage.completes(within: .seconds(8))
                // Half of what 8 Mbit/s and 75 ms hold.
                stage.expect("the window of a network that is known") {
                    stage.network.note("window \(window)")
                    return window >= 30_000
                }
            })
    }

    /// Beside a transfer an exchange of messages has little in flight, and nobody waits for it but a person: it must not
    /// wait until everything is settled that the transfer had in flight before it.
    @Test(arguments: [true, false])
    func messagesBesideADownloadGoOnWithinARoundTrip(isLinkGone: Bool) {
        play(
            Scenario("download and messages, a switch") { stage in
                let receiver = BulkReceiver(HandoverScene.endless)
                let echo = EchoSource(150)
                let scene = try RoamingScene(
                    stage, wifi: Self.home, cellular: Self.away, client: [receiver, echo],
                    server: { [BulkSender(HandoverScene.endless), EchoResponder()] })
                scene.pair.client.goal = .nothing
                scene.pair.server.goal = .nothing
                scene.add(RoamingScene.cellular, at: .milliseconds(1_000))
                if isLinkGone { stage.at(.milliseconds(1_505)) { $0.set(.down, of: scene.wifiLink) } }
                scene.activate(RoamingScene.cellular, at: .milliseconds(1_506))
                stage.continues(for: .milliseconds(2_500))
                // A pace of messages, the round trip of the next path, and what its first window takes to send.
                stage.expectStall(
                    of: receiver, from: .milliseconds(1_400), to: .milliseconds(2_400), atMost: .milliseconds(90))
                stage.expect("a message at least every 95 ms") {
                    let gap = echo.arrivals.longestGap(
                        since: VirtualNetwork.start + .milliseconds(1_400),
                        until: VirtualNetwork.start + .milliseconds(2_400))
                    stage.network.note("no message for \(gap.microseconds) us")
                    return gap <= .milliseconds(95)
                }
            })
    }

    /// mosh#855: the next network has addresses of the other family only.
    @Test(arguments: Flow.allCases)
    func goesOnOverIPv6AtThePreferredAddress(flow: Flow) {
        let elsewhere = NetworkAddress(.v6(0x77), port: 8_443)
        let local = NetworkAddress(.v6(0x2), port: 5_000)
        play(
            Scenario("\(flow), from an IPv4 network to an IPv6 network and back") { stage in
                let receiver = BulkReceiver(3_000_000)
                let (client, server) = flow.applications(3_000_000, receiver)
                let pair = try stage.quic(over: .wifi, client: client, server: server) {
                    QUICOptions.steady(&$0)
                    $0.client.preferredAddresses = .any
                    $0.changeServer = { $0.preferredIPv6 = elsewhere }
                }
                _ = stage.link("server over IPv6", of: pair.serverPlace, at: elsewhere.ip, .ideal)
                _ = stage.link("cellular over IPv6", of: pair.clientPlace, at: local.ip, .cellular)
                stage.at(.milliseconds(100)) { network in
                    #expect(throws: Never.self) {
                        try pair.client.connection?.addLocalAddress(local, at: network.now)
                    }
                }
                stage.at(.milliseconds(200)) { network in
                    #expect(throws: Never.self) { try pair.client.connection?.activate(local, at: network.now) }
                    #expect(pair.client.connection?.networkPaths.first?.path.remote == elsewhere)
                }
                stage.at(.milliseconds(400)) { network in
                    #expect(throws: Never.self) {
                        try pair.client.connection?.activate(QUICPair.clientAddress, at: network.now)
                    }
                }
                stage.completes(within: .milliseconds(1_300))
            })
    }

    @Test func refusesAnAddressOfAFamilyThatTheServerDoesNotHave() {
        play(
            Scenario("an IPv6 network and a server without IPv6") { stage in
                let pair = try stage.quic(
                    over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] })
                stage.at(.milliseconds(100)) { network in
                    #expect(throws: Connection.PathRefusal.noServerAddress) {
                        try pair.client.connection?.addLocalAddress(
                            NetworkAddress(.v6(0x2), port: 5_000), at: network.now)
                    }
                }
                stage.continues(for: .milliseconds(200))
            })
    }
}

extension Stage {
    /// Expects that in the second from `start` on a share of what a link carries in bit/s arrived.
    func expectRate(of receiver: BulkReceiver, from start: Interval, atLeast share: Double, of rate: Int) {
        expect("\(Int(share * 100)) % of \(rate / 1_000_000) Mbit/s after \(start.milliseconds) ms") {
            let begin = VirtualNetwork.start + start
            let bytes = receiver.arrivals.bytes(after: begin, through: begin + .seconds(1))
            self.network.note("\(bytes) bytes arrived")
            return Double(bytes * 8) >= share * Double(rate)
        }
    }
}
