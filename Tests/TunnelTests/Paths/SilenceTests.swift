import Primitives
import Testing

@testable import QUIC
@testable import Tunnel

private let wifi = PolicyBench.wifi
private let cellular = PolicyBench.cellular

@Suite("The path policy notices silence")
struct PathSilenceTests {
    @Test("a flow that pauses for longer than is usual in it is asked about; an answer is enough")
    func question() throws {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 200)
        let local = try bench.local(wifi)
        bench.pass(4)
        #expect(bench.take() == [])
        bench.pass(1)
        #expect(bench.take() == [.ping, .probe(local)])
        bench.pass(20)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        bench.hear(bytes: 1_200)
        bench.pass(.seconds(30))
        #expect(bench.take() == [], "the flow has ended: nothing more is asked")
    }

    @Test("a flow whose question is not answered moves to a standby that is known to work")
    func deadFlow() {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 200)
        let start = bench.now
        bench.pass(29)
        #expect(bench.takeMoves() == [])
        bench.pass(100)
        #expect(bench.takeTimes(of: \.isActivation, since: start) == [30])
        #expect(bench.place == "wwan0")
    }

    @Test("an unsteady flow may pause for longer")
    func unsteadyFlow() {
        var bench = PolicyBench.connected()
        for _ in 0..<40 {
            bench.flow(milliseconds: 12)
            bench.pass(20)
            bench.hear(bytes: 3_000)
        }
        _ = bench.take()
        let start = bench.now
        bench.pass(70)
        let questions = bench.takeTimes(of: { $0 == .ping }, since: start)
        #expect(questions.count == 1)
        #expect(questions.allSatisfy { (25...60).contains($0) })
    }

    @Test("where bytes cost money the standby has to answer first")
    func metered() throws {
        var bench = PolicyBench.connected { $0.metered = ["ww*"] }
        bench.flow(milliseconds: 200)
        bench.pass(90)
        #expect(bench.take().filter(\.isActivation) == [])
        bench.answer(cellular)
        #expect(bench.place == "wlan0")
        bench.pass(20)
        #expect(bench.takeMoves() == [Move("wwan0", .silence)])
    }

    @Test("what is not answered for two probe timeouts makes every path suspect, and the first that answers wins")
    func echo() throws {
        var bench = PolicyBench.connected()
        let locals = [try bench.local(wifi), try bench.local(cellular)]
        let start = bench.now
        bench.send()
        bench.pass(48)
        #expect(bench.take() == [])
        bench.pass(1)
        #expect(bench.take() == [.ping, .probe(locals[0])])
        bench.pass(48)
        #expect(bench.take() == [])
        bench.pass(1)
        #expect(bench.take().suffix(2) == locals.map { .probe($0) })
        bench.pass(60)
        bench.answer(cellular)
        #expect(bench.takeTimes(of: \.isActivation, since: start) == [158])
        #expect(bench.place == "wwan0")
    }

    @Test("an answer on a standby does not take over before the active path had its time")
    func race() throws {
        var bench = PolicyBench.connected()
        bench.roundTrip = .milliseconds(5)
        let start = bench.now
        bench.send()
        bench.pass(69)
        bench.answer(cellular)
        bench.pass(60)
        #expect(bench.takeTimes(of: \.isActivation, since: start) == [100])
    }

    @Test("a standby that is known to work takes over unasked in the end")
    func unconditional() {
        var bench = PolicyBench.connected()
        let start = bench.now
        bench.send()
        bench.pass(.seconds(1))
        #expect(bench.takeTimes(of: \.isActivation, since: start).first == 200)
    }

    @Test("an exchange of messages whose answers are late is asked about early, and moves if that is not answered")
    func exchange() throws {
        var bench = PolicyBench.connected()
        for _ in 0..<20 {
            bench.send()
            bench.pass(20)
            bench.hear(bytes: 80)
        }
        #expect(bench.take() == [])
        let start = bench.now
        bench.send()
        bench.pass(60)
        #expect(bench.takeTimes(of: \.isActivation, since: start) == [55])
    }

    @Test("a path on which things arrive but nothing leaves is found out by challenges that stay unanswered")
    func deaf() throws {
        var bench = PolicyBench.connected()
        let start = bench.now
        for _ in 0..<60 {
            bench.send()
            bench.pass(60)
            bench.hear(bytes: 1_300)
            bench.awaitingSince = bench.now
            if bench.now - start > .milliseconds(160) { bench.answer(cellular) }
        }
        let moves = bench.takeTimes(of: \.isActivation, since: start)
        #expect(moves.first.map { $0 <= 300 } ?? false)
    }

    @Test("a challenge that is lost once makes nobody deaf")
    func notDeaf() {
        var bench = PolicyBench.connected()
        bench.send()
        bench.pass(60)
        bench.hear(bytes: 80)
        bench.pass(45)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        bench.answer(cellular)
        bench.pass(.seconds(5))
        #expect(bench.takeMoves() == [])
    }

    @Test("anything that arrives ends the suspicion", arguments: [60, 110, 190] as [Int64])
    func cleared(after milliseconds: Int64) {
        var bench = PolicyBench.connected()
        bench.send()
        bench.pass(milliseconds)
        bench.hear(bytes: 50)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        bench.answer(cellular)
        bench.pass(.seconds(1))
        #expect(bench.takeMoves() == [])
    }

    @Test("a connection that waits for nothing is left alone")
    func idle() {
        var bench = PolicyBench.connected()
        bench.pass(.seconds(3_600))
        #expect(bench.take() == [])
    }

    @Test("when the new path does not answer and the old one does, the connection goes back")
    func back() {
        var bench = PolicyBench.connected { $0.returnAfter = .seconds(1_000) }
        bench.flow(milliseconds: 200)
        bench.pass(40)
        #expect(bench.takeMoves() == [Move("wwan0", .silence)])
        bench.pass(500)
        bench.answer(wifi, roundTrip: .milliseconds(20))
        bench.pass(200)
        #expect(bench.takeMoves() == [Move("wlan0", .silence)])
    }

    @Test("a path that was just left for its silence is not taken back unasked")
    func noPingPong() {
        var bench = PolicyBench.connected()
        bench.flow(milliseconds: 200)
        bench.pass(.seconds(20))
        #expect(bench.takeMoves() == [Move("wwan0", .silence)])
    }
}

@Suite("The path policy endures an outage")
struct PathOutageTests {
    /// Both links silent, a minute after the beginning of the outage nothing has changed.
    private func outage() -> (bench: PolicyBench, start: Instant) {
        var bench = PolicyBench.connected([wifi], validating: [cellular])
        bench.fail(cellular)
        bench.send()
        bench.pass(200)
        _ = bench.take()
        return (bench, bench.now)
    }

    @Test(
        "every path is asked, often at first",
        arguments: [(1, 200), (9, 200), (11, 300), (115, 300), (125, 1_000), (590, 1_000), (700, 5_000)]
            as [(Int64, Int64)])
    func cadence(age: Int64, every: Int64) throws {
        var (bench, _) = outage()
        bench.pass(.seconds(age))
        _ = bench.take()
        let start = bench.now
        bench.pass(.milliseconds(every * 3))
        let locals = [try bench.local(wifi), try bench.local(cellular)]
        for local in locals {
            #expect(bench.policy.nextDeadline != nil)
            var copy = bench
            let times = copy.takeTimes(of: { $0 == .probe(local) }, since: start)
            #expect(times.count == 3)
            #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 == every })
        }
    }

    @Test("the first answer wins")
    func first() {
        var (bench, _) = outage()
        bench.pass(.seconds(5))
        bench.answer(cellular)
        #expect(bench.takeMoves() == [Move("wwan0", .silence)])
    }

    @Test("an answer on the active path ends the outage, and a PING tells the gateway to go on")
    func onActive() {
        var (bench, _) = outage()
        bench.pass(.seconds(5))
        _ = bench.take()
        bench.hear(bytes: 1_200)
        #expect(bench.take() == [.ping])
        bench.pass(.seconds(5))
        #expect(bench.take().filter { $0.isProbe || $0.isActivation } == [])
    }

    @Test("a link that comes meanwhile is used at once")
    func newLink() {
        var (bench, _) = outage()
        bench.pass(.seconds(5))
        bench.links([wifi, cellular, PolicyBench.wired])
        #expect(bench.takeMoves() == [Move("eth0", .silence)])
    }

    @Test("after some seconds a fresh connection is tried, less and less often")
    func races() {
        var (bench, start) = outage()
        bench.pass(.seconds(100))
        #expect(bench.takeTimes(of: \.isRace, since: start) == [3_000, 9_000, 21_000, 45_000, 93_000])
    }

    @Test("nobody is asked while no tunnel waits")
    func unwanted() {
        var (bench, _) = outage()
        bench.policy.demandChanged(tunnels: 0, at: bench.now)
        bench.drain()
        _ = bench.take()
        bench.pass(.seconds(60))
        #expect(bench.take() == [])
        bench.policy.demandChanged(tunnels: 1, at: bench.now)
        bench.drain()
        #expect(bench.take().filter(\.isProbe).count == 2)
    }

    @Test("after sleep every path is asked at once and a fresh connection is tried")
    func wake() throws {
        var bench = PolicyBench.connected()
        let locals = [try bench.local(wifi), try bench.local(cellular)]
        bench.policy.woke(after: .seconds(3_600), at: bench.now)
        bench.drain()
        #expect(bench.take() == [.raceConnection(.wake)] + locals.map { .probe($0) } + [.ping])
        bench.pass(60)
        bench.answer(cellular)
        bench.pass(60)
        #expect(bench.takeMoves() == [Move("wwan0", .wake)])
    }

    @Test("a path that answers after sleep stays")
    func wakeOnTheSamePath() {
        var bench = PolicyBench.connected()
        bench.policy.woke(after: .seconds(3_600), at: bench.now)
        bench.pass(20)
        bench.hear(bytes: 1_200)
        bench.pass(.seconds(2))
        #expect(bench.takeMoves() == [])
    }
}
