import Primitives
import QUIC
import Simulator
import Testing
import Tunnel

/// What users of other programs have met when their network changed, and how this one behaves.
@Suite("A client that roams by its policy")
struct RoamingScenarios {
    @Test("comes back to Wi-Fi when that has proven itself, without a stall")
    func returnsToWiFi() {
        play(
            Scenario("Wi-Fi goes for a second") { stage in
                let scene = try HandoverScene(stage, .download, lasting: .seconds(8))
                scene.at(.milliseconds(1_503)) { $0.set(.down, of: scene.wifiLink) }
                scene.at(.milliseconds(2_500)) { $0.set(.up, of: scene.wifiLink) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(7_500), atMost: .milliseconds(90))
                scene.expectMoves(["wwan0 (linkDown)", "wlan0 (returned)"])
                stage.expect("three seconds of proof, and not many more") {
                    guard let back = scene.paths.handovers.last?.at else { return false }
                    return (Interval.milliseconds(5_500)...(.milliseconds(5_700)))
                        .contains(back - VirtualNetwork.start)
                }
            })
    }

    @Test("does not follow a link that flaps")
    func flapping() {
        play(
            Scenario("Wi-Fi is there for five seconds and gone for one, again and again") { stage in
                let scene = try HandoverScene(stage, .echo, lasting: .seconds(62))
                for start in stride(from: 2, to: 60, by: 6) {
                    scene.at(.seconds(Int64(start))) { $0.set(.down, of: scene.wifiLink) }
                    scene.at(.seconds(Int64(start + 1))) { $0.set(.up, of: scene.wifiLink) }
                }
                scene.expectStall(from: .seconds(1), to: .seconds(61), atMost: .milliseconds(100))
                scene.expectMoves(["wwan0 (linkDown)", "wlan0 (returned)", "wwan0 (linkDown)"])
            })
    }

    @Test("spares a link that costs money")
    func metered() {
        play(
            Scenario("a minute of messages beside a metered link") { stage in
                let scene = try HandoverScene(
                    stage, .echo, lasting: .seconds(60), configuration: .init(metered: ["ww*"]))
                scene.expectMoves([])
                stage.expect("at most four datagrams on it each way") {
                    Direction.allCases.allSatisfy {
                        stage.network.statistics(of: scene.cellularLink, $0).offered <= 4
                    }
                }
            })
    }

    @Test("uses a metered link when the other one dies")
    func meteredInNeed() {
        play(
            Scenario("Wi-Fi dies beside a metered link") { stage in
                let scene = try HandoverScene(
                    stage, .download, lasting: .seconds(3), configuration: .init(metered: ["ww*"]))
                scene.at(.milliseconds(1_503)) { $0.set(.blackhole, of: scene.wifiLink) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(250))
                scene.expectMoves(["wwan0 (silence)"])
            })
    }

    /// Mechanism of last resort: no link monitor, only what the system answers to a write.
    @Test("needs no link monitor where writing fails", arguments: [HandoverScene.Load.echo, .upload])
    func writeErrors(load: HandoverScene.Load) {
        play(
            Scenario("\(load), the address goes without a word") { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { network in
                    scene.paths.monitoring = .off
                    network.removeAddress(HandoverScene.wifi.ip, from: scene.host)
                }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(120))
                scene.expectMoves(["wwan0 (writeError)"])
            })
    }

    /// hysteria#830.
    @Test("has no socket bound to an address that is gone, with one link only")
    func vanishedAddress() {
        play(
            Scenario("DHCP gives another address after 50 ms without any") { stage in
                let scene = try HandoverScene(stage, .download, lasting: .seconds(4))
                scene.at(.zero) { $0.set(.down, of: scene.cellularLink) }
                scene.at(.milliseconds(2_000)) { $0.removeAddress(HandoverScene.wifi.ip, from: scene.host) }
                scene.at(.milliseconds(2_050)) {
                    $0.attach(scene.host, at: .v4(192, 168, 1, 77), named: "wifi-2", .wifi)
                }
                scene.expectStall(from: .seconds(1), to: .milliseconds(3_500), atMost: .milliseconds(110))
                stage.expect("nothing leaves from the old address") {
                    !scene.pair.client.sendFailures.contains(.addressNotAvailable)
                }
            })
    }

    @Test("goes on at once after an hour of sleep, whether the link of before is dead or not")
    func sleep() {
        for (meanwhile, moves) in [(LinkState.blackhole, ["wwan0 (wake)"]), (.up, [])] {
            suspend(meanwhile, moves)
        }
    }

    private func suspend(_ meanwhile: LinkState, _ moves: [String]) {
        play(
            Scenario("the machine sleeps for an hour, and Wi-Fi is then \(meanwhile)") { stage in
                let wake = Interval.milliseconds(1_503) + .seconds(3_600)
                let scene = try HandoverScene(stage, .download, lasting: wake + .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.suspend(scene.host) }
                scene.at(.seconds(1_800)) { $0.set(meanwhile, of: scene.wifiLink) }
                scene.at(wake) { $0.wake(scene.host) }
                scene.expectStall(
                    from: .seconds(1), to: wake + .seconds(2), atMost: .seconds(3_600) + .milliseconds(400))
                stage.expect("a fresh connection is tried beside it") {
                    scene.paths.actions.contains { $0.action == .raceConnection(.wake) }
                }
                scene.expectMoves(moves)
            })
    }

    @Test("records the stall that the application saw")
    func record() {
        play(
            Scenario("Wi-Fi goes down") { stage in
                let scene = try HandoverScene(stage, .download, lasting: .seconds(3))
                scene.at(.milliseconds(1_503)) { $0.set(.down, of: scene.wifiLink) }
                stage.expect("within ten milliseconds") {
                    guard let told = scene.paths.handovers.first?.stall else { return false }
                    let seen = scene.stall(from: .milliseconds(1_400), to: .milliseconds(1_700))
                    return (told - seen).magnitude <= .milliseconds(10)
                }
            })
    }

    /// mosh#855.
    @Test("goes from an IPv4 network to one that has IPv6 only", arguments: [HandoverScene.Load.download, .echo])
    func otherFamily(load: HandoverScene.Load) {
        let six = NetworkAddress(.v6(0x77), port: 8_443)
        play(
            Scenario("\(load), from IPv4 to IPv6") { stage in
                let scene = try HandoverScene(stage, load, lasting: .seconds(3)) {
                    $0.client.preferredAddresses = .any
                    $0.changeServer = { $0.preferredIPv6 = six }
                }
                scene.paths.alternatives = [six]
                _ = stage.link("server-6", of: scene.pair.serverPlace, at: six.ip, .ideal)
                _ = stage.link("wifi-6", of: scene.pair.clientPlace, at: .v6(0x10), .wifi)
                scene.at(.zero) { $0.set(.down, of: scene.cellularLink) }
                scene.at(.milliseconds(1_503)) { $0.removeAddress(HandoverScene.wifi.ip, from: scene.host) }
                scene.expectStall(from: .seconds(1), to: .milliseconds(2_800), atMost: .milliseconds(90))
                scene.expectMoves(["wlan0 (addressChanged)"])
            })
    }

    @Test("is found again within 35 ms when its NAT rebinds during a download", arguments: RebindingScenarios.kinds)
    func rebinding(kind: Rebinding) {
        play(
            Scenario("download, new \(kind)") { stage in
                let receiver = BulkReceiver(HandoverScene.endless)
                let scene = try NATScene(
                    stage, over: .wifi, client: [receiver], server: { [BulkSender(HandoverScene.endless)] },
                    QUICOptions.steady)
                scene.pair.client.paths = RoamingPaths { _ in .init("wlan0") }
                scene.pair.client.paths?.open(tunnels: 1, at: VirtualNetwork.start)
                for node in [scene.pair.client, scene.pair.server] { node.goal = .nothing }
                stage.at(.milliseconds(1_000)) { $0.rebind(scene.nat, kind) }
                stage.at(.milliseconds(1_300)) { _ in }
                stage.when({ stage.network.elapsed >= .milliseconds(1_300) }, { _ in })
                stage.completes(within: .seconds(2))
                stage.expectStall(
                    of: receiver, from: .milliseconds(900), to: .milliseconds(1_250), atMost: .milliseconds(35))
            })
    }
}

/// Packets cost battery, and bytes on a cellular link money.
@Suite("An idle client that roams by its policy")
struct IdleRoamingScenarios {
    /// A client behind a NAT with so many tunnels, and what it sends in each hour.
    private func datagramsPerHour(
        tunnels: Int, _ behaviour: TranslatorBehaviour, hours: Int, atMost most: [ClosedRange<Int>]
    ) {
        play(
            Scenario("\(hours) hours with \(tunnels) tunnels") { stage in
                let scene = try NATScene(
                    stage, over: .wifi, behaviour: behaviour, client: [IdleApplication()],
                    server: { [IdleApplication()] }
                ) {
                    $0.both {
                        $0.idleTimeout = .seconds(7_200)
                        // What the MTU of an interface leaves: nothing larger is searched for.
                        $0.largestDatagram = 1_452
                    }
                }
                let paths = RoamingPaths(.init(metered: [])) {
                    .init($0 == HandoverScene.cellular.ip ? "wwan0" : "wlan0")
                }
                scene.pair.client.paths = paths
                paths.open(tunnels: tunnels, at: VirtualNetwork.start)
                _ = stage.link("cellular", of: scene.pair.clientPlace, at: HandoverScene.cellular.ip, .cellular)
                var counts: [(sent: Int, received: Int)] = []
                for hour in 0...hours {
                    // The handshake, the search for the MTU and the validation of the standby belong to no hour.
                    stage.at(.seconds(Int64(hour) * 3_600 + 20)) { network in
                        counts.append(
                            (
                                network.datagramsSent(by: scene.pair.clientPlace.host),
                                network.datagramsSent(by: scene.pair.serverPlace.host)
                            ))
                    }
                }
                stage.when({ counts.count > hours }, { _ in })
                stage.completes(within: .seconds(Int64(hours) * 3_600 + 30))
                stage.expect("the connection is open") { scene.pair.client.connection.map { !$0.isClosed } ?? false }
                stage.expect("few packets") {
                    let sent = zip(counts, counts.dropFirst()).map { $1.sent - $0.sent }
                    let received = zip(counts, counts.dropFirst()).map { $1.received - $0.received }
                    stage.network.note("sent \(sent), received \(received)")
                    return zip(most, sent).allSatisfy { $0.contains($1) }
                        && zip(most, received).allSatisfy { $0.contains($1) }
                }
            })
    }

    /// tsshd#13: one or two packets a second.
    @Test("sends at most 150 packets an hour, and far fewer when it knows the NAT")
    func patientNAT() {
        datagramsPerHour(
            tunnels: 1, TranslatorBehaviour(idleLifetime: .seconds(300)), hours: 3,
            atMost: [30...150, 30...40, 30...40])
    }

    @Test("stays within 150 packets an hour behind a NAT that forgets soon, once it knows that")
    func impatientNAT() {
        datagramsPerHour(
            tunnels: 1, TranslatorBehaviour(idleLifetime: .seconds(30)), hours: 3,
            atMost: [100...165, 100...165, 100...150])
    }

    /// iroh#4424.
    @Test("sends a few packets a minute behind a NAT that ends mappings whatever is sent")
    func absoluteNAT() {
        datagramsPerHour(
            tunnels: 1, TranslatorBehaviour(absoluteLifetime: .seconds(60)), hours: 3,
            atMost: [100...900, 100...900, 100...900])
    }

    @Test("sends nothing without tunnels")
    func nobodyWaits() {
        datagramsPerHour(tunnels: 0, TranslatorBehaviour(), hours: 1, atMost: [0...0])
    }
}
