import Primitives
import Testing

@testable import QUIC
@testable import Tunnel

private let wifi = PolicyBench.wifi
private let cellular = PolicyBench.cellular

extension PolicyBench {
    /// On cellular, because Wi-Fi went down; and now it is up again.
    fileprivate static func returning(
        _ change: (inout PathPolicy.Configuration) -> Void = { _ in }
    ) -> PolicyBench {
        var bench = PolicyBench.connected([wifi, cellular], change)
        bench.links([wifi.down, cellular])
        bench.pass(60)
        bench.hear(bytes: 100)
        bench.links([wifi, cellular])
        bench.answer(wifi, roundTrip: .milliseconds(20))
        _ = bench.take()
        return bench
    }

    /// Lets time pass in which every challenge on a link is answered after 20 ms.
    fileprivate mutating func passAnswering(
        _ link: LinkAddress, _ interval: Interval, roundTrip: Interval = .milliseconds(20)
    ) {
        let end = now + interval
        while now < end {
            pass(20)
            answer(link, roundTrip: roundTrip)
        }
    }

    /// Wi-Fi goes and comes, and has to prove itself; returns how long that takes.
    fileprivate mutating func flap() -> Int64? {
        links([PolicyBench.wifi.down, PolicyBench.cellular])
        pass(60)
        hear(bytes: 100)
        links([PolicyBench.wifi, PolicyBench.cellular])
        answer(PolicyBench.wifi, roundTrip: .milliseconds(20))
        _ = take()
        let start = now
        while place != "wlan0", now - start < .seconds(90) { passAnswering(PolicyBench.wifi, .milliseconds(20)) }
        let back = takeTimes(of: \.isActivation, since: start).first
        hear(bytes: 100)
        return back
    }
}

@Suite("The path policy and a better path that is bad")
struct PathReturnQualityTests {
    @Test("a path of a better rank that answers far slower is not returned to before it answers well again")
    func slow() {
        var bench = PolicyBench.returning()
        bench.passAnswering(wifi, .seconds(20), roundTrip: .milliseconds(300))
        #expect(bench.takeMoves() == [])
        bench.passAnswering(wifi, .seconds(5))
        #expect(bench.takeMoves() == [Move("wlan0", .returned)])
    }
}

@Suite("The path policy and a connection that began on the lesser link")
struct PathFirstChoiceTests {
    /// Made over cellular, while Wi-Fi is there, too.
    private func begun() -> PolicyBench {
        var bench = PolicyBench.connected([cellular], validating: [wifi])
        bench.begin(on: cellular)
        _ = bench.take()
        return bench
    }

    @Test("the better one is used as soon as it answers")
    func atOnce() {
        var bench = begun()
        bench.pass(30)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        #expect(bench.takeMoves() == [Move("wlan0", .returned)])
    }

    @Test("one that answers later has to prove itself")
    func late() {
        var bench = begun()
        bench.pass(1_000)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        #expect(bench.takeMoves() == [])
        bench.passAnswering(wifi, .milliseconds(3_100))
        #expect(bench.takeMoves() == [Move("wlan0", .returned)])
    }

    @Test("one that answers far slower is not used")
    func slow() {
        var bench = begun()
        bench.pass(300)
        bench.answer(wifi, roundTrip: .milliseconds(300))
        #expect(bench.takeMoves() == [])
    }

    @Test("one that was left has to prove itself, however young the connection is")
    func left() {
        var bench = PolicyBench.connected([wifi, cellular])
        bench.links([wifi.down, cellular])
        bench.pass(60)
        bench.hear(bytes: 100)
        bench.links([wifi, cellular])
        _ = bench.take()
        bench.answer(wifi, roundTrip: .milliseconds(20))
        #expect(bench.takeMoves() == [])
    }

    @Test("one that comes and goes has to prove itself")
    func flapping() {
        var bench = begun()
        bench.pass(30)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        bench.hear(bytes: 100)
        _ = bench.flap()
        bench.links([wifi.down, cellular])
        bench.pass(60)
        bench.hear(bytes: 100)
        bench.begin(on: cellular)
        bench.links([wifi, cellular])
        _ = bench.take()
        bench.answer(wifi, roundTrip: .milliseconds(20))
        #expect(bench.takeMoves() == [])
    }
}

@Suite("The path policy returns to a better path")
struct PathReturnTests {
    @Test("after it has answered every challenge for three seconds")
    func proven() throws {
        var bench = PolicyBench.returning()
        let start = bench.now
        bench.passAnswering(wifi, .milliseconds(2_980))
        var copy = bench
        #expect(copy.takeTimes(of: \.isProbe, since: start) == [1_000, 2_000], "the first one left at once")
        #expect(bench.place == "wwan0")
        bench.passAnswering(wifi, .milliseconds(100))
        #expect(bench.takeMoves() == [Move("wlan0", .returned)])
    }

    @Test("not while it leaves challenges unanswered")
    func unproven() {
        var bench = PolicyBench.returning()
        bench.passAnswering(wifi, .milliseconds(1_500))
        bench.pass(.seconds(2))
        bench.passAnswering(wifi, .milliseconds(2_000))
        #expect(bench.takeMoves() == [])
        bench.passAnswering(wifi, .milliseconds(2_500))
        #expect(bench.takeMoves() == [Move("wlan0", .returned)])
    }

    @Test("not for nobody: without tunnels nothing is asked")
    func unwanted() {
        var bench = PolicyBench.returning()
        bench.policy.demandChanged(tunnels: 0, at: bench.now)
        bench.drain()
        #expect(bench.take() == [.keepAlive(.off)])
        bench.pass(.seconds(60))
        #expect(bench.take() == [])
    }

    @Test("not to a path of the same rank")
    func equal() {
        let other = PolicyBench.link("wlan1", 12)
        var bench = PolicyBench.connected([wifi, other])
        bench.links([other])
        bench.pass(20)
        bench.hear(bytes: 100)
        bench.links([wifi, other])
        bench.answer(wifi)
        bench.passAnswering(wifi, .seconds(20))
        #expect(bench.takeMoves() == [Move("wlan1", .linkDown)])
    }

    @Test("a link that comes and goes has to prove itself twice as long each time")
    func flapping() {
        var bench = PolicyBench.returning()
        bench.passAnswering(wifi, .milliseconds(3_100))
        bench.hear(bytes: 100)
        #expect(bench.place == "wlan0")
        let proofs = (0..<4).compactMap { _ in bench.flap() }
        #expect(proofs.count == 4)
        for (proof, wanted) in zip(proofs, [6_000, 12_000, 24_000, 48_000] as [Int64]) {
            #expect((wanted...(wanted + 100)).contains(proof))
        }
    }

    @Test("only so often within a minute")
    func bounded() {
        var damping = ReturnDamping()
        var now = PolicyBench.start
        var switches: [Int64] = []
        while now < PolicyBench.start + .seconds(130) {
            now = max(now + .seconds(3), damping.nextAllowed(2, at: now))
            damping.switched(.returned, at: now)
            switches.append((now - PolicyBench.start).milliseconds / 1_000)
        }
        #expect(switches == [3, 6, 63, 66, 123, 126, 183])
        #expect(damping.nextAllowed(0, at: now) == .never)
    }

    @Test("what the system forces is never bounded")
    func forced() {
        var bench = PolicyBench.connected { $0.switchesPerMinute = 0 }
        for _ in 0..<20 {
            bench.links([wifi.down, cellular])
            bench.pass(60)
            bench.hear(bytes: 100)
            #expect(bench.takeMoves() == [Move("wwan0", .linkDown)])
            bench.links([wifi, cellular])
            bench.answer(wifi)
            bench.links([wifi, cellular.down])
            bench.pass(20)
            bench.hear(bytes: 100)
            #expect(bench.takeMoves() == [Move("wlan0", .linkDown)])
            bench.links([wifi, cellular])
            bench.answer(cellular)
        }
    }
}

@Suite("The path policy and bad paths")
struct PathDegradationTests {
    @Test("a path whose round trip grows fourfold is left for a clearly better one, before it dies")
    func slow() {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 500, bytes: 20)
        bench.roundTrip = .milliseconds(300)
        bench.flow(milliseconds: 990, bytes: 20)
        #expect(bench.takeMoves() == [])
        bench.flow(milliseconds: 100, bytes: 20)
        #expect(bench.takeMoves() == [Move("wwan0", .degraded)])
    }

    @Test("a long round trip alone is no reason, nor is one that the connection's own queue explains")
    func tolerable() {
        for (before, after, bytes) in [(100, 300, 20), (20, 140, 20), (20, 300, 1_200)] as [(Int64, Int64, UInt64)] {
            var bench = PolicyBench.connected()
            bench.roundTrip = .milliseconds(before)
            bench.flow(milliseconds: 1_500, bytes: bytes)
            bench.roundTrip = .milliseconds(after)
            bench.flow(milliseconds: 3_000, bytes: bytes)
            #expect(bench.takeMoves() == [])
        }
    }

    @Test("nor is it left for one that is no better")
    func noBetter() {
        var bench = PolicyBench.connected()
        bench.answer(cellular, roundTrip: .milliseconds(200))
        bench.flow(milliseconds: 500, bytes: 20)
        bench.roundTrip = .milliseconds(300)
        bench.flow(milliseconds: 3_000, bytes: 20)
        #expect(bench.takeMoves() == [])
    }

    @Test("a path that is suspected again and again loses packets, and is left")
    func lossy() {
        var bench = PolicyBench.connected()
        bench.roundTrip = .milliseconds(130)
        for _ in 0..<3 {
            bench.send()
            bench.pass(330)
            bench.hear(bytes: 50)
            bench.answer(wifi, roundTrip: .milliseconds(130))
        }
        bench.pass(10)
        #expect(bench.takeMoves() == [Move("wwan0", .degraded)])
    }

    @Test("a path that loses packets while its rate falls is left at once, for one that is not much longer")
    func fading() {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 1_000, bytes: 1_200)
        bench.roundTrip = .milliseconds(40)
        bench.flow(milliseconds: 500, bytes: 400, losingOneIn: 15)
        #expect(bench.takeMoves() == [Move("wwan0", .degraded)])
    }

    @Test("what the path of before lost does not count against the new one") func lossBefore() {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 1_000, bytes: 1_200)
        bench.roundTrip = .milliseconds(40)
        bench.flow(milliseconds: 500, bytes: 400, losingOneIn: 15)
        #expect(bench.takeMoves() == [Move("wwan0", .degraded)])
        // The gateway went on for a while on the old path.
        bench.loseOnTheWay(200)
        bench.answer(PolicyBench.wifi, roundTrip: .milliseconds(20))
        bench.flow(milliseconds: 2_000, bytes: 400)
        #expect(bench.takeMoves() == [])
    }

    @Test("a path that loses packets all the time is left before its rate has fallen")
    func fadingAtFullRate() {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 1_000, bytes: 1_200)
        bench.roundTrip = .milliseconds(40)
        bench.flow(milliseconds: 350, bytes: 1_200, losingOneIn: 25)
        #expect(bench.takeMoves() == [Move("wwan0", .degraded)])
    }

    @Test("loss in one go at a path's best rate is a full queue, and a little loss is usual")
    func losingALittle() {
        for (bytes, losingOneIn, loss) in [(1_200, .max, 60), (400, 40, 0), (1_200, 40, 0)]
            as [(UInt64, Int64, UInt64)]
        {
            var bench = PolicyBench.connected()
            bench.flow(milliseconds: 1_000, bytes: 1_200)
            bench.roundTrip = .milliseconds(40)
            for _ in 0..<2 {
                bench.loseOnTheWay(loss)
                bench.flow(milliseconds: 1_000, bytes: bytes, losingOneIn: losingOneIn)
            }
            #expect(bench.takeMoves() == [])
        }
    }

    @Test("the user's choice is kept as long as it works")
    func pinned() throws {
        var bench = PolicyBench.connected()
        try bench.command { try $0.use(cellular.address, at: $1) }
        bench.pass(60)
        bench.hear(bytes: 100)
        #expect(bench.takeMoves() == [Move("wwan0", .manual)])
        bench.passAnswering(wifi, .seconds(30))
        #expect(bench.takeMoves() == [])
        bench.links([wifi, cellular.down])
        bench.pass(20)
        bench.hear(bytes: 100)
        #expect(bench.takeMoves() == [Move("wlan0", .linkDown)])
    }
}

@Suite("Standby paths")
struct StandbyTests {
    @Test("are challenged now and then while traffic flows")
    func busy() throws {
        var bench = PolicyBench.connected()
        let start = bench.now
        for _ in 0..<60 {
            bench.pass(.seconds(1))
            bench.hear(bytes: 5_000)
            bench.answer(cellular)
        }
        let probes = bench.takeTimes(of: \.isProbe, since: start)
        // Each answer counts as a proof; the bench answers each second, so nothing has to be asked.
        #expect(probes == [])
        for _ in 0..<61 {
            bench.pass(.seconds(1))
            bench.hear(bytes: 5_000)
        }
        let asked = bench.takeTimes(of: \.isProbe, since: start).count
        #expect(asked == 3)
    }

    @Test("rarely where bytes cost money")
    func metered() {
        var bench = PolicyBench.connected { $0.metered = ["ww*"] }
        for _ in 0..<600 {
            bench.pass(.seconds(1))
            bench.hear(bytes: 5_000)
        }
        #expect(bench.take().filter(\.isProbe).count <= 2)
    }

    @Test("never while the connection is idle, keep-alives or not")
    func idle() {
        var bench = PolicyBench.connected()
        for _ in 0..<144 {
            bench.pass(.seconds(25))
            bench.hear(bytes: 40)
        }
        #expect(bench.take().filter(\.isProbe) == [])
    }
}
