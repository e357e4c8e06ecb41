import Primitives
import Testing

@testable import Tunnel

@Suite("Several gateways")
struct GatewayGroupTests {
    @Test("the first gateway of the list that is connected is used; the next is tried when it is slow or fails")
    func preference() {
        var bench = GatewayBench()
        bench.group.begin(at: bench.now)
        #expect(bench.actions() == [.seek(bench.a)])
        #expect(bench.group.choice == bench.a)
        #expect(bench.pass(.milliseconds(500)) == [.seek(bench.b)])
        bench.group.attemptFailed(bench.b, .refusal, at: bench.now)
        #expect(bench.actions() == [.seek(bench.c)])
        bench.group.connected(bench.c, after: .milliseconds(30), at: bench.now)
        #expect(bench.actions() == [.use(bench.c)])
        #expect(bench.group.choice == bench.c && bench.condition(bench.c) == .active)
        #expect(bench.condition(bench.b) == .connecting)
    }

    @Test("a group of one never leaves it and never gives it up, whatever happens")
    func alone() {
        var bench = GatewayBench()
        bench.group = GatewayGroup([bench.a, bench.a], at: bench.now)
        bench.begin()
        bench.group.fellSilent(bench.a, since: bench.now, at: bench.now)
        for _ in 0..<5 { bench.group.attemptFailed(bench.a, .refusal, at: bench.now) }
        #expect(bench.pass(.seconds(10_000)).decisions.isEmpty)
        bench.group.connectionLost(bench.a, at: bench.now)
        bench.group.draining(bench.a, at: bench.now)
        bench.group.notAuthenticated(bench.a, at: bench.now)
        #expect(bench.pass(.seconds(10_000)).decisions.isEmpty)
        #expect(bench.group.choice == bench.a)
        bench.group.connected(bench.a, after: .zero, at: bench.now)
        #expect(bench.actions().isEmpty && bench.condition(bench.a) == .active)
    }

    @Test("an empty group does nothing")
    func empty() {
        var group = GatewayGroup([], at: .origin)
        group.begin(at: .origin)
        group.deadlineReached(at: .origin + .seconds(9))
        #expect(group.nextAction() == nil && group.nextDeadline == nil && group.choice == nil)
    }

    @Test("a silent gateway is left when another one has answered for a while, and new tunnels go there before")
    func silence() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.fellSilent(bench.a, since: bench.now - .milliseconds(200), at: bench.now)
        #expect(bench.actions() == [.seek(bench.b), .question(bench.a)])
        #expect(bench.group.choice == bench.a)
        bench.now += .milliseconds(40)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.actions() == [.question(bench.b)])
        #expect(bench.group.choice == bench.b)
        let seen = bench.pass(.milliseconds(600))
        #expect(seen.failovers.map(\.to) == [bench.b])
        #expect(seen.failovers.first?.gap == .milliseconds(740))
        #expect(seen.failovers.first?.cause == .trouble(.silence))
        #expect(bench.condition(bench.a) == .silent)
    }

    @Test("a gateway that is heard again in time is not left")
    func blip() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.fellSilent(bench.a, since: bench.now, at: bench.now)
        bench.now += .milliseconds(40)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.pass(.milliseconds(400)).decisions.isEmpty)
        bench.group.heard(bench.a, at: bench.now)
        #expect(bench.group.choice == bench.a)
        let later = bench.pass(.seconds(60))
        #expect(later.decisions.isEmpty && later.contains(.release(bench.b)))
    }

    @Test("a connection that no tunnel needs sleeps until one does, and that is no failure")
    func asleep() {
        var bench = GatewayBench()
        bench.begin()
        _ = bench.pass(.seconds(29))
        bench.group.fellAsleep(bench.a, at: bench.now)
        #expect(bench.pass(.seconds(36_000)) == [.release(bench.a)])
        #expect(bench.group.isAsleep && bench.group.choice == bench.a)
        #expect(bench.condition(bench.a) == .asleep && bench.condition(bench.b) == .standby)
        bench.group.wanted(at: bench.now)
        #expect(bench.actions() == [.seek(bench.a)])
        #expect(!bench.group.isAsleep && bench.group.choice == bench.a)
        bench.now += .milliseconds(40)
        bench.group.connected(bench.a, after: .milliseconds(40), at: bench.now)
        #expect(bench.pass(.milliseconds(100)).decisions.isEmpty)
        #expect(bench.condition(bench.a) == .active)
        #expect(bench.group.statistics.first?.errorPercentage == 0)
    }

    @Test("a gateway that is dead when it is woken keeps nobody waiting")
    func deadWhenWoken() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.fellAsleep(bench.a, at: bench.now)
        _ = bench.pass(.seconds(600))
        bench.group.wanted(at: bench.now)
        #expect(bench.pass(.milliseconds(990)).contains(.seek(bench.b)))
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.actions().failovers.map(\.to) == [bench.b])
        #expect(bench.group.choice == bench.b)
    }

    @Test("a network that is gone kills no gateway: silence counts from when another one answers")
    func networkGone() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.fellSilent(bench.a, since: bench.now, at: bench.now)
        #expect(bench.pass(.seconds(3_600)).decisions.isEmpty)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.pass(.milliseconds(450)).decisions.isEmpty)
        bench.group.heard(bench.a, at: bench.now)
        #expect(bench.pass(.seconds(60)).decisions.isEmpty)
        #expect(bench.group.choice == bench.a)
    }

    @Test("a gateway that stays silent while another one answers is given up after the configured time, once")
    func givenUp() {
        var bench = GatewayBench { $0.giveUpAfter = .seconds(4) }
        bench.begin()
        bench.group.fellSilent(bench.a, since: bench.now, at: bench.now)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(!bench.pass(.milliseconds(3_990)).contains(.giveUp(bench.a, .silence)))
        #expect(bench.pass(.milliseconds(20)).decisions == [.giveUp(bench.a, .silence)])
        #expect(bench.condition(bench.a) == .dead)
        #expect(!bench.pass(.seconds(60)).contains(.giveUp(bench.a, .silence)))
    }

    @Test("that nothing listens is believed the second time; new tunnels move at the first")
    func refusals() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.fellSilent(bench.a, since: bench.now - .milliseconds(200), at: bench.now)
        bench.now += .milliseconds(20)
        bench.group.attemptFailed(bench.a, .refusal, at: bench.now)
        bench.now += .milliseconds(20)
        #expect(bench.actions().decisions.isEmpty)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        let failovers = bench.actions().failovers
        #expect(failovers.map(\.cause) == [.trouble(.refusal)])
        #expect(failovers.first?.gap == .milliseconds(240))
        #expect(bench.pass(.milliseconds(35)).contains(.question(bench.a)))
        bench.group.attemptFailed(bench.a, .refusal, at: bench.now)
        #expect(bench.actions().decisions == [.giveUp(bench.a, .refusal)])
    }

    @Test("what the network says of an established connection counts now and then, until something is heard")
    func reportedRefusals() {
        var bench = GatewayBench { $0.standby = .connected }
        bench.begin()
        #expect(bench.pass(.seconds(1)) == [])
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        _ = bench.actions()
        bench.group.refusalReported(bench.a, at: bench.now)
        #expect(bench.actions().failovers.map(\.cause) == [.trouble(.refusal)])
        // One burst of messages is one.
        for _ in 0..<5 { bench.group.refusalReported(bench.a, at: bench.now) }
        #expect(bench.actions().decisions.isEmpty)
        bench.group.heard(bench.a, at: bench.now)
        #expect(bench.pass(.milliseconds(60)).decisions.isEmpty && bench.condition(bench.a) == .connected)
        bench.group.refusalReported(bench.a, at: bench.now)
        #expect(bench.pass(.milliseconds(60)).contains(.question(bench.a)))
        bench.group.refusalReported(bench.a, at: bench.now)
        #expect(bench.actions().decisions == [.giveUp(bench.a, .refusal)])
    }

    @Test("a lost connection is waited for a little: the process may be there again at once")
    func restarted() {
        var bench = GatewayBench { $0.standby = .connected }
        bench.begin()
        #expect(bench.pass(.seconds(1)) == [])
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        bench.group.connectionLost(bench.a, at: bench.now)
        #expect(bench.group.choice == bench.b)
        #expect(bench.pass(.milliseconds(300)).decisions.isEmpty)
        bench.group.connected(bench.a, after: .milliseconds(40), at: bench.now)
        #expect(bench.group.choice == bench.a)
        #expect(bench.pass(.seconds(60)).decisions.isEmpty)
        bench.group.connectionLost(bench.a, at: bench.now)
        #expect(bench.pass(.milliseconds(510)).failovers.map(\.cause) == [.trouble(.loss)])
    }

    @Test("a gateway that goes away is left as soon as another one is connected, and never given up for it")
    func draining() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.draining(bench.a, at: bench.now)
        #expect(bench.actions() == [.seek(bench.b)])
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.actions().failovers.map(\.cause) == [.trouble(.draining)])
        bench.group.attemptFailed(bench.a, .refusal, at: bench.now)
        #expect(bench.pass(.seconds(600)).decisions.isEmpty)
        #expect(bench.condition(bench.a) == .draining)
    }

    @Test("a gateway that refuses the token is left, and its tunnels are its own")
    func notAuthenticated() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.notAuthenticated(bench.a, at: bench.now)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.actions().decisions.count == 2)
        #expect(bench.group.choice == bench.b)
        #expect(bench.pass(.seconds(600)).decisions.isEmpty)
    }
}

@Suite("Which of several gateways are connected")
struct GatewayKeepingTests {
    /// A bench on which the second gateway is used, and the first one is dead.
    private static func failedOver(_ change: (inout GatewayTimings) -> Void = { _ in }) -> GatewayBench {
        var bench = GatewayBench(change)
        bench.begin()
        bench.group.connectionLost(bench.a, at: bench.now)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        for _ in 0..<2 { bench.group.attemptFailed(bench.a, .refusal, at: bench.now) }
        #expect(bench.actions().decisions.contains(.giveUp(bench.a, .refusal)))
        return bench
    }

    @Test("a preferred gateway is returned to when it has been connected for long enough")
    func returns() {
        var bench = Self.failedOver()
        bench.now += .seconds(30)
        bench.group.connected(bench.a, after: .milliseconds(40), at: bench.now)
        #expect(bench.pass(.milliseconds(9_900)).decisions.isEmpty)
        #expect(bench.group.choice == bench.b)
        #expect(bench.pass(.milliseconds(200)).failovers.map(\.cause) == [.returned])
        #expect(bench.group.choice == bench.a)
        #expect(bench.pass(.seconds(1)).contains(.release(bench.b)) || bench.condition(bench.b) == .standby)
    }

    @Test("a preferred gateway that comes and goes has to prove itself for longer each time")
    func flapping() {
        var bench = Self.failedOver()
        var proofs: [Int64] = []
        for _ in 0..<4 {
            bench.group.connected(bench.a, after: .milliseconds(40), at: bench.now)
            let began = bench.now
            while bench.group.choice == bench.b, bench.now - began < .seconds(600) { _ = bench.pass(.seconds(1)) }
            proofs.append((bench.now - began).milliseconds / 1000)
            bench.group.connectionLost(bench.a, at: bench.now)
            bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
            _ = bench.pass(.seconds(1))
            #expect(bench.group.choice == bench.b)
        }
        #expect(proofs == [10, 20, 40, 80])
    }

    @Test("the standby's ticket is fetched, and fetched again, and its connection does not stay")
    func ticket() {
        var bench = GatewayBench()
        bench.begin()
        #expect(bench.pass(.milliseconds(1_100)) == [.seek(bench.b)])
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        #expect(bench.pass(.seconds(1)) == [.release(bench.b)])
        #expect(bench.condition(bench.b) == .standby)
        #expect(bench.pass(.seconds(1_190)) == [])
        #expect(bench.pass(.seconds(20)) == [.seek(bench.b), .release(bench.b)])
        #expect(bench.pass(.seconds(60)) == [.seek(bench.b), .release(bench.b)])
        #expect(bench.group.choice == bench.a)
    }

    @Test("a connected standby stays connected")
    func connectedStandby() {
        var bench = GatewayBench { $0.standby = .connected }
        bench.group.begin(at: bench.now)
        bench.group.connected(bench.a, after: .milliseconds(50), at: bench.now)
        #expect(bench.actions() == [.seek(bench.a), .use(bench.a), .seek(bench.b)])
        bench.group.connected(bench.b, after: .milliseconds(50), at: bench.now)
        #expect(bench.pass(.seconds(3_600)) == [])
        #expect(bench.condition(bench.b) == .connected)
    }

    @Test("another list: what stays is what it was, and new tunnels go to what is left")
    func replaced() {
        var bench = GatewayBench { $0.standby = .connected }
        bench.begin()
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        _ = bench.actions()
        bench.group.replace([bench.b, bench.c], at: bench.now)
        #expect(bench.actions().contains(.use(bench.b)))
        #expect(bench.group.choice == bench.b)
        bench.group.replace([bench.c], at: bench.now)
        #expect(bench.group.choice == bench.c && bench.condition(bench.c) == .connecting)
        bench.group.attemptFailed(bench.b, .refusal, at: bench.now)
        bench.group.connectionLost(bench.b, at: bench.now)
        bench.group.replace([], at: bench.now)
        #expect(bench.group.choice == nil)
    }

    @Test("whatever happens: deadlines move on, choices are members, and a death is told once an absence")
    func anything() {
        for seed in UInt64(1)...40 {
            var generator = SeededGenerator(seed: seed)
            var bench = GatewayBench { $0.standby = seed.isMultiple(of: 2) ? .ticket : .connected }
            bench.group.begin(at: bench.now)
            let names = [bench.a, bench.b, bench.c]
            var dead: Set<HostPort> = []
            for _ in 0..<400 {
                let name = names[Int.random(in: 0..<3, using: &generator)]
                switch Int.random(in: 0..<10, using: &generator) {
                case 0, 1:
                    bench.group.connected(name, after: .milliseconds(20), at: bench.now)
                    dead.remove(name)
                case 2: bench.group.attemptFailed(name, .refusal, at: bench.now)
                case 3: bench.group.attemptFailed(name, .unreachable, at: bench.now)
                case 4: bench.group.connectionLost(name, at: bench.now)
                case 5: bench.group.fellSilent(name, since: bench.now, at: bench.now)
                case 6: bench.group.heard(name, at: bench.now)
                case 7: bench.group.draining(name, at: bench.now)
                case 8: bench.group.refusalReported(name, at: bench.now)
                default: bench.group.notAuthenticated(name, at: bench.now)
                }
                for action in bench.pass(.milliseconds(Int64.random(in: 0...8_000, using: &generator))) {
                    if case .giveUp(let name, _) = action { #expect(dead.insert(name).inserted, "seed \(seed)") }
                    if case .failover(let failover) = action { #expect(failover.from != failover.to) }
                }
                #expect(bench.group.choice.map(names.contains) == true)
                if let deadline = bench.group.nextDeadline { #expect(deadline > bench.now, "seed \(seed)") }
            }
        }
    }
}
