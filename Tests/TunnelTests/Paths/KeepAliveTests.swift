import Primitives
import Testing

@testable import QUIC
@testable import Tunnel

/// A NAT that forgets a mapping, and a connection that only keeps alive.
private struct Sleeper {
    var schedule = KeepAliveSchedule()
    var now = Instant.origin + .seconds(1_000)
    /// Keep-alives sent.
    var packets = 0
    /// Mappings that were lost.
    var losses = 0
    private var mapped: Instant

    init() { mapped = now }

    /// Lets an hour pass behind a NAT.
    mutating func hour(idle: Interval? = nil, absolute: Interval? = nil) {
        packets = 0
        losses = 0
        let end = now + .seconds(3_600)
        while now < end {
            let silence = schedule.interval
            now += silence
            packets += 1
            let isLost = idle.map { silence > $0 } ?? false || absolute.map { now - mapped > $0 } ?? false
            schedule.arrived(after: silence, at: now)
            guard isLost else { continue }
            losses += 1
            mapped = now
            schedule.challenged(at: now + .milliseconds(5))
        }
    }
}

@Suite("Keep-alives")
struct KeepAliveTests {
    @Test("get rarer as long as no mapping is lost, up to a bound")
    func grow() {
        var sleeper = Sleeper()
        sleeper.hour()
        #expect(sleeper.packets < 60)
        #expect(sleeper.schedule.interval == KeepAliveSchedule.longest)
        sleeper.hour()
        #expect(sleeper.packets <= 33)
    }

    @Test("stay below the lifetime of a NAT, and below 150 an hour", arguments: [30, 40, 60, 90, 120, 300] as [Int64])
    func learn(lifetime: Int64) {
        var sleeper = Sleeper()
        for _ in 0..<5 {
            sleeper.hour(idle: .seconds(lifetime))
            #expect(sleeper.packets <= 150)
            #expect(sleeper.losses <= 1)
        }
        #expect(sleeper.schedule.interval <= .seconds(lifetime))
    }

    @Test("are tried longer less and less often where that lost the mapping")
    func trials() {
        var sleeper = Sleeper()
        var losses: [Int] = []
        for _ in 0..<16 {
            sleeper.hour(idle: .seconds(30))
            losses.append(sleeper.losses)
        }
        #expect(losses.prefix(2) == [1, 1])
        #expect(losses.reduce(0, +) <= 5)
    }

    @Test("get shorter where a NAT forgets sooner than expected")
    func impatient() {
        var sleeper = Sleeper()
        sleeper.hour(idle: .seconds(20))
        #expect(sleeper.schedule.interval == .milliseconds(17_500))
        sleeper.hour(idle: .seconds(20))
        #expect(sleeper.losses <= 2)
    }

    /// iroh#4424: a carrier's NAT that ends mappings after 50–75 s, however often they are used.
    @Test("do not chase a NAT that ends mappings whatever is sent", arguments: [50, 60, 75] as [Int64])
    func absolute(lifetime: Int64) {
        var sleeper = Sleeper()
        for _ in 0..<3 {
            sleeper.hour(absolute: .seconds(lifetime))
            #expect(sleeper.packets <= 150)
        }
    }

    @Test("are learned for each network")
    func networks() {
        var schedule = KeepAliveSchedule()
        schedule.networkChanged(to: "wlan0")
        var now = Instant.origin + .seconds(1_000)
        for _ in 0..<40 {
            now += schedule.interval
            schedule.arrived(after: schedule.interval, at: now)
        }
        schedule.networkChanged(to: "wwan0")
        #expect(schedule.interval == KeepAliveSchedule.first)
        schedule.networkChanged(to: "wlan0")
        #expect(schedule.interval == KeepAliveSchedule.longest)
        for index in 0..<100 { schedule.networkChanged(to: "tun\(index)") }
        schedule.networkChanged(to: "wlan0")
        #expect(schedule.interval == KeepAliveSchedule.first, "few networks are remembered")
    }

    @Test("a challenge amid traffic teaches nothing")
    func traffic() {
        var schedule = KeepAliveSchedule()
        var now = Instant.origin + .seconds(1_000)
        for _ in 0..<100 {
            now += .seconds(1)
            schedule.arrived(after: .seconds(1), at: now)
            schedule.challenged(at: now)
        }
        #expect(schedule.interval == KeepAliveSchedule.first)
    }

    @Test("are wanted while tunnels are open, and only then")
    func demand() {
        var bench = PolicyBench.connected([PolicyBench.wifi])
        bench.policy.demandChanged(tunnels: 0, at: bench.now)
        bench.policy.demandChanged(tunnels: 0, at: bench.now)
        bench.policy.demandChanged(tunnels: 2, at: bench.now)
        bench.policy.demandChanged(tunnels: 1, at: bench.now)
        bench.drain()
        #expect(bench.take() == [.keepAlive(.off), .keepAlive(.every(.seconds(25)))])
    }

    @Test("the connection is told each new interval")
    func told() {
        var bench = PolicyBench.connected([PolicyBench.wifi])
        for _ in 0..<4 {
            bench.pass(.seconds(25))
            bench.hear(bytes: 40)
        }
        #expect(bench.take() == [.keepAlive(.every(.milliseconds(31_250)))])
        bench.pass(.milliseconds(31_250))
        bench.peerChallenges += 1
        bench.hear(bytes: 1_200)
        #expect(bench.take() == [.keepAlive(.every(.seconds(25)))])
    }
}
