import Primitives
import Testing

@testable import Tunnel

@Suite("The health of gateways")
struct GatewayHealthTests {
    /// A bench on which the second gateway is used while the first one's handshake goes on.
    private static func slowStart(_ handshake: Interval) -> GatewayBench {
        var bench = GatewayBench()
        bench.group.begin(at: bench.now)
        _ = bench.pass(.milliseconds(450))
        bench.group.connected(bench.b, after: .milliseconds(50), at: bench.now)
        bench.now += handshake - .milliseconds(450)
        bench.group.connected(bench.a, after: handshake, at: bench.now)
        return bench
    }

    /// The gateway has another handshake, as long as it is sought.
    private static func reconnect(_ name: HostPort, after handshake: Interval, _ bench: inout GatewayBench) {
        bench.group.connectionLost(name, at: bench.now)
        bench.now += .milliseconds(1)
        bench.group.connected(name, after: handshake, at: bench.now)
    }

    /// The gateway is absent once, with so many attempts in vain.
    private static func fail(_ name: HostPort, times count: Int, _ bench: inout GatewayBench) {
        bench.group.connectionLost(name, at: bench.now)
        for _ in 0..<count {
            bench.now += .milliseconds(20)
            bench.group.attemptFailed(name, .unreachable, at: bench.now)
        }
        bench.group.connected(name, after: .milliseconds(50), at: bench.now)
    }

    @Test("a preferred gateway whose handshake takes far longer than another one's is not returned to")
    func slow() {
        var bench = Self.slowStart(.milliseconds(900))
        let seen = bench.pass(.seconds(55))
        #expect(seen.verdicts == [.judged(bench.a, .slowness)])
        #expect(seen.failovers.isEmpty && bench.group.choice == bench.b)
        #expect(seen.contains(.release(bench.a)))
        #expect(bench.ailment(bench.a) == .slowness)
    }

    @Test(
        "a handshake is slow that is long and far longer than another one's, not either alone",
        arguments: [(Interval.milliseconds(490), false), (.milliseconds(510), true)])
    func absoluteBound(handshake: Interval, isSlow: Bool) {
        var bench = Self.slowStart(handshake)
        #expect(bench.pass(.seconds(20)).failovers.map(\.cause) == (isSlow ? [] : [.returned]))
    }

    @Test(
        "what all gateways need is not slow",
        arguments: [(Interval.milliseconds(390), false), (.milliseconds(410), true)])
    func ratio(threshold: Interval, isSlow: Bool) {
        var bench = GatewayBench()
        bench.group.begin(at: bench.now)
        _ = bench.pass(.milliseconds(450))
        bench.group.connected(bench.b, after: .milliseconds(400), at: bench.now)
        bench.group.connected(bench.a, after: threshold * 4, at: bench.now)
        _ = bench.actions()
        #expect(bench.ailment(bench.a) == (isSlow ? .slowness : nil))
    }

    @Test("a slow gateway has a handshake now and then, and is returned to when it has been fast again for a while")
    func recovery() {
        var bench = Self.slowStart(.milliseconds(900))
        #expect(bench.pass(.milliseconds(59_900)).contains(.release(bench.a)))
        #expect(bench.pass(.milliseconds(200)).contains(.seek(bench.a)))
        // Not well yet: faster than what makes a gateway slow is not enough.
        bench.group.connected(bench.a, after: .milliseconds(400), at: bench.now)
        #expect(bench.pass(.milliseconds(59_900)).contains(.release(bench.a)))
        #expect(bench.pass(.milliseconds(200)).contains(.seek(bench.a)))
        bench.group.connected(bench.a, after: .milliseconds(60), at: bench.now)
        #expect(bench.actions().verdicts == [.judged(bench.a, nil)])
        #expect(bench.pass(.milliseconds(9_900)).decisions.isEmpty)
        #expect(bench.pass(.milliseconds(200)).failovers.map(\.cause) == [.returned])
    }

    @Test("a slow gateway that does not answer when it is asked again is asked again later, and is not waited for")
    func recheck() {
        var bench = Self.slowStart(.milliseconds(900))
        let seen = bench.pass(.seconds(200))
        #expect(seen.count { $0 == .seek(bench.a) } == 3)
        #expect(seen.count { $0 == .release(bench.a) } == 4)
        #expect(bench.group.choice == bench.b)
    }

    @Test("a gateway that is used is left for its slowness only when its last handshakes were all slow")
    func slowInUse() {
        var bench = GatewayBench { $0.standby = .connected }
        bench.begin()
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        for handshake in [900, 50, 900, 900] as [Int64] {
            Self.reconnect(bench.a, after: .milliseconds(handshake), &bench)
            #expect(bench.pass(.seconds(1)).decisions.isEmpty)
        }
        Self.reconnect(bench.a, after: .milliseconds(900), &bench)
        #expect(bench.actions().failovers.map(\.cause) == [.ailing(.slowness)])
        #expect(bench.group.choice == bench.b)
    }

    @Test("a gateway of whose handshakes half fail while another one answers is left, and not returned to")
    func failures() {
        var bench = GatewayBench { $0.standby = .connected }
        bench.begin()
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        Self.fail(bench.a, times: 1, &bench)
        #expect(bench.actions().decisions.isEmpty && bench.ailment(bench.a) == nil)
        Self.fail(bench.a, times: 2, &bench)
        #expect(bench.actions().failovers.map(\.cause) == [.ailing(.failures)])
        #expect(bench.pass(.seconds(590)).failovers.isEmpty)
        // What is old enough is forgotten.
        #expect(bench.pass(.seconds(20)).verdicts == [.judged(bench.a, nil)])
        bench.group.connected(bench.a, after: .milliseconds(50), at: bench.now)
        #expect(bench.pass(.seconds(11)).failovers.map(\.cause) == [.returned])
    }

    @Test("one long absence is no ill health, however often the gateway was tried")
    func longAbsence() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.connectionLost(bench.a, at: bench.now)
        bench.group.connected(bench.b, after: .milliseconds(40), at: bench.now)
        for _ in 0..<20 {
            bench.group.attemptFailed(bench.a, .refusal, at: bench.now)
            _ = bench.pass(.seconds(1))
        }
        bench.group.connected(bench.a, after: .milliseconds(40), at: bench.now)
        #expect(bench.ailment(bench.a) == nil)
        #expect(bench.pass(.seconds(11)).failovers.map(\.cause) == [.returned])
    }

    @Test("attempts that fail while nothing else answers say nothing of a gateway")
    func networkGone() {
        var bench = GatewayBench()
        bench.begin()
        for _ in 0..<10 { Self.fail(bench.a, times: 3, &bench) }
        #expect(bench.ailment(bench.a) == nil)
        #expect(bench.group.statistics[0].errorPercentage > 50)
    }

    @Test("an ill gateway is used while no other one answers, and left as soon as a healthy one does")
    func lastResort() {
        var bench = Self.slowStart(.milliseconds(900))
        _ = bench.pass(.milliseconds(500))
        bench.group.connectionLost(bench.b, at: bench.now)
        #expect(bench.actions().contains(.seek(bench.c)))
        #expect(bench.pass(.milliseconds(400)).contains(.seek(bench.a)))
        bench.group.connected(bench.a, after: .milliseconds(900), at: bench.now)
        #expect(bench.group.choice == bench.a)
        _ = bench.pass(.seconds(2))
        #expect(bench.condition(bench.a) == .active)
        bench.group.connected(bench.c, after: .milliseconds(30), at: bench.now)
        #expect(bench.actions().failovers.map(\.to) == [bench.c])
    }

    @Test("a released gateway that has kept its connection for its tunnels is there at once")
    func found() {
        var bench = GatewayBench()
        bench.begin()
        bench.group.connectionLost(bench.a, at: bench.now)
        #expect(bench.actions().contains(.seek(bench.b)))
        bench.group.found(bench.b, at: bench.now)
        #expect(bench.group.choice == bench.b)
        bench.group.notAuthenticated(bench.b, at: bench.now)
        bench.group.found(bench.b, at: bench.now)
        #expect(bench.condition(bench.b) == .dead)
    }

    @Test("handshakes that go up and down around a bound change the order at most once in each direction's own bounds")
    func doesNotFlap() {
        for seed in UInt64(1)...20 {
            var generator = SeededGenerator(seed: seed)
            var bench = Self.slowStart(.milliseconds(900))
            var verdicts = bench.actions().verdicts.count
            for _ in 0..<50 {
                verdicts += bench.pass(.seconds(62)).verdicts.count
                // Between what makes a gateway well and far above what makes it slow.
                bench.group.connected(
                    bench.a, after: .milliseconds(Int64.random(in: 260...1_000, using: &generator)), at: bench.now)
            }
            #expect(verdicts == 1, "seed \(seed)")
            #expect(bench.group.choice == bench.b, "seed \(seed)")
        }
    }
}
