import Primitives
import QUIC
import Simulator
import Testing

extension Trace {
    /// Bytes of UDP payload that hosts with this name sent to an address.
    func bytesSent(by host: String, to address: IPAddress) -> Int {
        records.filter { $0.place == host && $0.kind == .sent && $0.datagram?.destination.ip == address }
            .reduce(0) { $0 + ($1.datagram?.size ?? 0) }
    }

    /// Bytes of UDP payload that arrived at the host with this name from an address.
    func bytesReceived(by host: String, from address: IPAddress) -> Int {
        records.filter { $0.place == host && $0.kind == .delivered && $0.datagram?.source.ip == address }
            .reduce(0) { $0 + ($1.datagram?.size ?? 0) }
    }
}

extension ConnectionEvent {
    fileprivate func isFailure(of local: NetworkAddress) -> Bool {
        if case .path(.failed(let path)) = self { path.local == local } else { false }
    }

    fileprivate func isValidation(of local: NetworkAddress) -> Bool {
        if case .path(.validated(let path)) = self { path.local == local } else { false }
    }
}

@Suite("A path that does not work")
struct FailingPathScenarios {
    /// RFC 9000 §8.2.4: given up after three times the probe timeout of a path of unknown length, and not before.
    @Test func isGivenUpInTime() {
        play(
            Scenario("a standby path that leads nowhere") { stage in
                let echo = EchoSource(250)
                let scene = try RoamingScene(
                    stage, cellular: .cellular.with { $0.loss = .random(1) }, client: [echo],
                    server: { [EchoResponder()] })
                scene.add(RoamingScene.cellular, at: .milliseconds(100))
                stage.completes(within: .milliseconds(5_100))
                stage.expect("the path fails after three seconds and a little") {
                    let failure = scene.pair.client.sessions.first?.events.first {
                        $0.event.isFailure(of: RoamingScene.cellular)
                    }
                    guard let failure else { return false }
                    let age = failure.at - (VirtualNetwork.start + .milliseconds(100))
                    return (Interval.milliseconds(2_990)...(.milliseconds(3_200))).contains(age)
                }
                stage.expect("at most three challenges") {
                    stage.network.statistics(of: scene.cellularLink, .outbound).offered <= 3
                }
                stage.expect("the connection takes no notice") { echo.longestRoundTrip() <= .milliseconds(21) }
            })
    }

    /// RFC 9000 §8.2.2: the answer is not repeated, the challenge is.
    @Test(arguments: Direction.allCases)
    func isTriedAgainWhenAChallengeOrItsAnswerIsLost(direction: Direction) {
        play(
            Scenario("the first \(direction) datagram of a new path is lost") { stage in
                let losing = LinkConditions.cellular.with { $0.lostOrdinals = [0] }
                let scene = try RoamingScene(stage, client: [EchoSource(100)], server: { [EchoResponder()] })
                stage.network.change(scene.cellularLink, direction) { $0 = losing }
                scene.add(RoamingScene.cellular, at: .milliseconds(100))
                stage.completes(within: .milliseconds(2_100))
                stage.expect("validated with the second challenge") {
                    scene.pair.client.sessions.first?.events.contains {
                        $0.event.isValidation(of: RoamingScene.cellular)
                            && $0.at < VirtualNetwork.start + .milliseconds(1_250)
                    } ?? false
                }
            })
    }

    /// RFC 9000 §9.3.2, §8.2.4: back to the path that worked, when nothing is heard on the new one.
    @Test(arguments: Flow.allCases, [[Direction.inbound], [.outbound], [.inbound, .outbound]])
    func isLeftAgain(flow: Flow, dead: [Direction]) {
        let report = play(
            Scenario("\(flow), switched to a network that is dead \(dead)") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                for direction in dead { stage.network.set(.blackhole, of: scene.cellularLink, direction) }
                scene.at(.milliseconds(150)) { connection, now in
                    try connection.addLocalAddress(RoamingScene.cellular, at: now)
                    try connection.activate(RoamingScene.cellular, at: now)
                }
                stage.completes(within: .milliseconds(3_700))
                stage.expect("the client is back") {
                    scene.pair.client.connection?.networkPaths.first?.path.local == RoamingScene.wifi
                }
            })
        // RFC 9000 §9.3.1: the new address never answered.
        let server = report.trace.bytesSent(by: "server", to: RoamingScene.cellular.ip)
        #expect(server <= 3 * report.trace.bytesReceived(by: "server", from: RoamingScene.cellular.ip))
    }

    /// RFC 9000 §9.3.2: the server could not prove the path and goes back; a client that went on answering over it would
    /// draw the server there again and again.
    @Test(arguments: Flow.allCases)
    func isLeftAgainWhenOnlyTheClientHadProvenIt(flow: Flow) {
        play(
            Scenario("\(flow), to a network that has gone deaf since it was validated") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                // The answer to the server's challenge is lost, and what the server sends from then on.
                let scene = try RoamingScene(stage, client: client, server: server, QUICOptions.steady)
                stage.network.change(scene.cellularLink, .outbound) { $0.lostOrdinals = [1] }
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                stage.at(.milliseconds(140)) { [link = scene.cellularLink] in $0.set(.blackhole, of: link, .inbound) }
                scene.activate(RoamingScene.cellular, at: .milliseconds(150))
                stage.completes(within: .milliseconds(8_000))
                stage.expect("the client is back") {
                    scene.pair.client.connection?.networkPaths.first?.path.local == RoamingScene.wifi
                }
            })
    }

    /// RFC 9000 §14: what one path carries says nothing of another.
    @Test(arguments: Flow.allCases)
    func carriesSmallerDatagramsThanTheOneBefore(flow: Flow) {
        let report = play(
            Scenario("\(flow), from an MTU of 1,500 to one of 1,280") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let scene = try RoamingScene(
                    stage, cellular: .cellular.with { $0.mtu = 1_280 }, client: client, server: server,
                    QUICOptions.steady)
                scene.at(.milliseconds(150)) { connection, now in
                    try connection.addLocalAddress(RoamingScene.cellular, at: now)
                    try connection.activate(RoamingScene.cellular, at: now)
                }
                stage.completes(within: .milliseconds(1_000))
                stage.expectStall(
                    of: receiver, from: .milliseconds(150), to: .milliseconds(700), atMost: .milliseconds(200))
            })
        // Discovery sends three probes of a size; nothing else may be too large.
        var tooLarge: [Trace.Summary: Int] = [:]
        for record in report.trace.records where record.kind == .dropped(.aboveMTU) {
            if var datagram = record.datagram {
                datagram.ecn = .notCapable
                tooLarge[datagram, default: 0] += 1
            }
        }
        #expect(tooLarge.values.allSatisfy { $0 <= 3 })
    }

    @Test(arguments: [ECNTreatment.dropsCapable, .cleared], Flow.allCases)
    func spoilsECN(treatment: ECNTreatment, flow: Flow) {
        play(
            Scenario("\(flow) to a network with ECN bits \(treatment)") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let scene = try RoamingScene(
                    stage, cellular: .cellular.with { $0.ecn = treatment }, client: client, server: server,
                    QUICOptions.steady)
                scene.add(RoamingScene.cellular, at: .milliseconds(50))
                scene.activate(RoamingScene.cellular, at: .milliseconds(150))
                stage.completes(within: .milliseconds(4_300))
                stage.expect("still on the new network") {
                    scene.pair.client.connection?.networkPaths.first?.path.local == RoamingScene.cellular
                }
            })
    }
}

@Suite("An attacker beside the path")
struct SpoofingScenarios {
    static let attacker = NetworkAddress(.v4(198, 51, 100, 66), port: 6_666)

    private static func spoofed(_ datagram: Datagram) -> Datagram {
        var copy = datagram
        copy.source = attacker
        return copy
    }

    /// RFC 9000 §9.3.3: copies that are faster than the originals move nothing for long.
    @Test(arguments: Flow.allCases)
    func stealsNoTransfer(flow: Flow) {
        let report = play(
            Scenario("\(flow), twenty datagrams copied with another source") { stage in
                let receiver = BulkReceiver(2_000_000)
                let (client, server) = flow.applications(2_000_000, receiver)
                let pair = try stage.quic(over: .wifi, client: client, server: server, QUICOptions.steady)
                stage.network.intercept(pair.link, .outbound) { datagram, ordinal, _ in
                    (100..<200).contains(ordinal) && ordinal % 5 == 0
                        ? .replace([Self.spoofed(datagram), datagram]) : .pass
                }
                stage.completes(within: .milliseconds(550))
                stage.expect("the server talks to the client") {
                    pair.serverPath?.path.remote == QUICPair.clientAddress
                }
            })
        let sent = report.trace.bytesSent(by: "server", to: Self.attacker.ip)
        #expect(sent <= 3 * report.trace.bytesReceived(by: "server", from: Self.attacker.ip))
    }

    /// A terminal where nobody types: no packet of the client's own comes to correct the server, but its old path is asked.
    @Test func stealsNoQuietConnection() {
        let report = play(
            Scenario("one keystroke copied with another source") { stage in
                let echo = EchoSource(6, every: .milliseconds(400))
                let pair = try stage.quic(over: .wifi, client: [echo], server: { [EchoResponder()] })
                stage.at(.milliseconds(700)) { network in
                    var copied = false
                    network.intercept(pair.link, .outbound) { datagram, _, _ in
                        guard !copied, datagram.bytes.count > 90 else { return .pass }
                        copied = true
                        return .replace([Self.spoofed(datagram), datagram])
                    }
                }
                stage.completes(within: .milliseconds(2_200))
                stage.expect("no keystroke takes more than three round trips") {
                    echo.longestRoundTrip() <= .milliseconds(60)
                }
                stage.expect("the server talks to the client") {
                    pair.serverPath?.path.remote == QUICPair.clientAddress
                }
            })
        let sent = report.trace.bytesSent(by: "server", to: Self.attacker.ip)
        #expect(sent > 0)
        #expect(sent <= 3 * report.trace.bytesReceived(by: "server", from: Self.attacker.ip))
    }

    /// Old datagrams sent again from elsewhere open no path and cost nothing.
    @Test func gainsNothingWithOldDatagrams() {
        let report = play(
            Scenario("datagrams sent again from elsewhere") { stage in
                let echo = EchoSource(40)
                let pair = try stage.quic(over: .wifi, client: [echo], server: { [EchoResponder()] })
                var kept: [Datagram] = []
                stage.network.intercept(pair.link, .outbound) { datagram, ordinal, _ in
                    // A probe of the MTU that was too large has not arrived, and is nothing old.
                    if (5..<15).contains(ordinal), datagram.bytes.count < 1_400 { kept.append(Self.spoofed(datagram)) }
                    return .pass
                }
                stage.at(.milliseconds(600)) { network in for datagram in kept { network.inject(datagram) } }
                stage.completes(within: .milliseconds(900))
                stage.expect("no path but one", { pair.server.connection?.networkPaths.count }, equals: 1)
            })
        #expect(report.trace.bytesSent(by: "server", to: Self.attacker.ip) == 0)
    }
}
