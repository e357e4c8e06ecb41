import Primitives
import QUIC
import Simulator
import Testing

@Suite("The end of a connection")
struct ClosingScenarios {
    /// RFC 9000 §10.2: one frame tells the peer; then both forget after three probe timeouts.
    @Test func isToldToThePeer() {
        play(
            Scenario("close") { stage in
                let pair = try stage.quic(over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] })
                stage.at(.milliseconds(500)) { pair.client.connection?.close(errorCode: 7, reason: "done", at: $0.now) }
                pair.client.goal = .end
                pair.server.goal = .end
                stage.completes(within: .milliseconds(900))
                stage.expect("the server learns it at once") {
                    let end = ConnectionEvent.closed(.closedByPeer(errorCode: 7, reason: "done"))
                    return pair.server.time(of: end).map { $0 < VirtualNetwork.start + .milliseconds(511) } ?? false
                }
            })
    }

    /// RFC 9000 §10.2.1: what the peer goes on sending is answered, less and less often.
    @Test func isRepeatedWhenItWasLost() {
        play(
            Scenario("the close is lost during a download") { stage in
                let receiver = BulkReceiver(5_000_000)
                let pair = try stage.quic(over: .wifi, client: [receiver], server: { [BulkSender(5_000_000)] })
                stage.at(.milliseconds(200)) { network in
                    network.change(pair.link, .outbound) { $0.loss = .random(1) }
                    pair.client.connection?.close(errorCode: 1, reason: "enough", at: network.now)
                }
                stage.at(.milliseconds(205)) { $0.change(pair.link, .outbound) { $0.loss = .none } }
                pair.client.goal = .end
                pair.server.goal = .end
                stage.completes(within: .milliseconds(600))
                stage.expect("the server learns it") {
                    pair.server.events.contains(.closed(.closedByPeer(errorCode: 1, reason: "enough")))
                }
                stage.expect("few datagrams after the close") {
                    stage.network.trace.records.count {
                        $0.place == "client" && $0.kind == .sent
                            && $0.time > VirtualNetwork.start + .milliseconds(201)
                    } <= 12
                }
            })
    }

    /// RFC 9000 §10.1: the smaller of both values counts for both.
    @Test(arguments: [(10, 30), (30, 10)])
    func comesWithTheShorterIdleTimeout(client: Int, server: Int) {
        play(
            Scenario("idle for \(min(client, server)) s") { stage in
                let pair = try stage.quic(over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] }) {
                    $0.client.idleTimeout = .seconds(Int64(client))
                    $0.server.idleTimeout = .seconds(Int64(server))
                }
                stage.when(
                    {
                        [pair.client, pair.server].allSatisfy { $0.events.contains(.closed(.idleTimeout)) }
                    }, { _ in })
                stage.completes(within: .milliseconds(10_600))
                stage.expect("not before its time") { stage.network.elapsed >= .seconds(10) }
                // Handshake and three probes for jumbo frames.
                stage.sends(atMost: 25_000, from: pair.clientPlace)
            })
    }

    /// RFC 9000 §10.1: at least three probe timeouts, so that a lost packet can be repeated.
    @Test func leavesTimeForProbes() {
        play(
            Scenario("an idle timeout shorter than the round trip") { stage in
                let link = LinkConditions(delay: .milliseconds(400), mtu: 1_500)
                let pair = try stage.quic(over: link, client: [IdleApplication()], server: { [IdleApplication()] }) {
                    $0.both { $0.idleTimeout = .milliseconds(100) }
                }
                stage.when({ pair.client.events.contains(.closed(.idleTimeout)) }, { _ in })
                stage.completes(within: .seconds(30))
                stage.expect("after three probe timeouts of 800 ms and more") {
                    guard let confirmed = pair.client.time(of: .handshakeConfirmed),
                        let closed = pair.client.time(of: .closed(.idleTimeout))
                    else { return false }
                    return closed - confirmed >= .milliseconds(2_400)
                }
            })
    }
}

@Suite("A connection with nothing to do")
struct IdleScenarios {
    /// A home router that forgets after 30 s; PINGs keep its mapping and the connection.
    @Test func keepsItsPlaceInARouter() {
        play(
            Scenario("ten minutes behind a translator that forgets after 30 s") { stage in
                let scene = try NATScene(
                    stage, over: .wifi, behaviour: TranslatorBehaviour(idleLifetime: .seconds(30)),
                    client: [IdleApplication()], server: { [IdleApplication()] }
                ) { $0.both { $0.keepAliveInterval = .seconds(25) } }
                stage.when({ scene.pair.client.events.contains(.handshakeConfirmed) }) { _ in
                    scene.pair.client.connection?.setKeepAlive(.on)
                }
                stage.continues(for: .seconds(600))
                stage.expect("still open") { scene.pair.client.connection.map { !$0.isClosed } ?? false }
                stage.expect(
                    "its peer has not moved", { scene.pair.server.connection?.statistics.peerMoves }, equals: 0)
                // Every 15 s, half of the idle timeout: a PING of 30-odd bytes.
                stage.sends(atMost: 25_000 + 45 * 60, from: scene.pair.clientPlace)
            })
    }

    /// A standby path is probed once, not for ever.
    @Test func isSilentOnAStandbyPath() {
        play(
            Scenario("an idle connection with a second network") { stage in
                let scene = try RoamingScene(
                    stage, client: [IdleApplication()], server: { [IdleApplication()] }
                ) { $0.both { $0.idleTimeout = .seconds(100) } }
                scene.add(RoamingScene.cellular, at: .milliseconds(100))
                stage.continues(for: .seconds(60))
                stage.expect("at most four datagrams each way on the second network") {
                    Direction.allCases.allSatisfy { stage.network.statistics(of: scene.cellularLink, $0).offered <= 4 }
                }
                stage.expect("they are of 1,200 bytes") {
                    let count = stage.network.statistics(of: scene.cellularLink, .outbound)
                    return count.deliveredBytes.bytes >= 2 * 1_228
                }
            })
    }
}

@Suite("A server without memory, a link without service")
struct OutageScenarios {
    /// RFC 9000 §10.3: the new process answers what it does not know with the token that the old one promised.
    @Test func aRestartedServerResetsTheConnectionAtOnce() {
        play(
            Scenario("the server restarts") { stage in
                let echo = EchoSource(100)
                let pair = try stage.quic(over: .wifi, client: [echo], server: { [EchoResponder()] })
                stage.at(.milliseconds(500)) { $0.restart(pair.serverPlace.host, running: pair.freshServer()) }
                pair.client.goal = .end
                // It is told at once; the connection itself drains for three PTOs more (RFC 9000 §10.3.1).
                stage.completes(within: .milliseconds(800))
                stage.expect("a stateless reset, at once") {
                    pair.client.time(of: .closed(.statelessReset)).map {
                        $0 <= VirtualNetwork.start + .milliseconds(540)
                    } ?? false
                }
            })
    }

    /// A client that waits for data hears of the restart by its own probe.
    @Test func aRestartedServerResetsASilentClientWithItsNextPacket() {
        play(
            Scenario("the server restarts, the client only keeps alive") { stage in
                let pair = try stage.quic(over: .wifi, client: [IdleApplication()], server: { [IdleApplication()] }) {
                    $0.client.keepAliveInterval = .seconds(5)
                }
                stage.when({ pair.client.events.contains(.handshakeConfirmed) }) { _ in
                    pair.client.connection?.setKeepAlive(.on)
                }
                stage.at(.milliseconds(500)) { $0.restart(pair.serverPlace.host, running: pair.freshServer()) }
                stage.when({ pair.client.events.contains(.closed(.statelessReset)) }, { _ in })
                stage.completes(within: .milliseconds(5_600))
            })
    }

    /// After five seconds without service the transfer goes on within a second of its return.
    @Test(arguments: Flow.allCases)
    func anOutageOfFiveSecondsIsSurvived(flow: Flow) {
        play(
            Scenario("\(flow) with an outage of 5 s") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let pair = try stage.quic(over: .wifi, client: client, server: server, QUICOptions.steady)
                stage.at(.milliseconds(150)) { $0.set(.blackhole, of: pair.link) }
                stage.at(.milliseconds(5_150)) { $0.set(.up, of: pair.link) }
                stage.completes(within: .milliseconds(6_700))
                stage.expect("payload arrives again within a second") {
                    let back = VirtualNetwork.start + .milliseconds(5_150)
                    guard let first = receiver.arrivals.first(after: back) else { return false }
                    return first - back <= .milliseconds(1_030)
                }
                stage.sends(atMost: 2_600_000, from: flow == .upload ? pair.clientPlace : pair.serverPlace)
            })
    }

    /// Asleep for twenty seconds, the client goes on by itself when it wakes, if the server still waits.
    @Test func aSuspendedClientGoesOnWhenItWakes() {
        play(
            Scenario("the client sleeps for 20 s") { stage in
                let receiver = BulkReceiver(1_000_000)
                let pair = try stage.quic(
                    over: .wifi, client: [receiver], server: { [BulkSender(1_000_000)] }, QUICOptions.steady)
                stage.at(.milliseconds(100)) { $0.suspend(pair.clientPlace.host) }
                stage.at(.milliseconds(20_100)) { $0.wake(pair.clientPlace.host) }
                stage.completes(within: .milliseconds(21_500))
            })
    }
}
