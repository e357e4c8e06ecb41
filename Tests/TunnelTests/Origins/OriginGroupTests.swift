import Primitives
import Testing

@testable import Tunnel

/// A group of three replicas, and what it asked for.
private struct Bench {
    let a = HostPort(.name("a.test"), port: 80)
    let b = HostPort(.name("b.test"), port: 80)
    let c = HostPort(.name("c.test"), port: 80)
    var group: OriginGroup
    var now = Instant.origin

    init(_ timings: OriginTimings = OriginTimings()) {
        group = OriginGroup([a, b, c], timings: timings, at: now)
    }

    mutating func actions() -> [OriginGroup.Action] {
        var actions: [OriginGroup.Action] = []
        while let action = group.nextAction() { actions.append(action) }
        return actions
    }

    /// Lets time pass up to then, deadline by deadline, and answers every check: only those of `failing` fail.
    mutating func run(until end: Instant, failing: Set<HostPort> = []) -> [OriginGroup.Action] {
        var seen: [OriginGroup.Action] = []
        while let deadline = group.nextDeadline, deadline <= end {
            now = max(now, deadline)
            group.deadlineReached(at: now)
            for action in actions() {
                seen.append(action)
                guard case .check(let replica) = action else { continue }
                if failing.contains(replica) {
                    group.checkFailed(replica, at: now)
                } else {
                    group.checkPassed(replica, at: now)
                }
            }
            seen += actions()
        }
        now = end
        return seen
    }

    func health(_ replica: HostPort) -> OriginGroup.Statistics.Health? {
        group.statistics.first { $0.replica == replica }?.health
    }
}

@Suite("Replicas of an origin")
struct OriginGroupTests {
    @Test("connections go to the replica that has the fewest, the first of equals")
    func leastConnections() {
        var bench = Bench()
        let (a, b, c) = (bench.a, bench.b, bench.c)
        let chosen = (0..<4).map { _ in bench.group.choose(at: bench.now) }
        #expect(chosen == [a, b, c, a])
        bench.group.connectionEnded(b)
        #expect(bench.group.choose(at: bench.now) == b)
        bench.group.connectionEnded(c)
        bench.group.connectionEnded(c)
        #expect(bench.group.statistics.map(\.connections) == [2, 1, 0])
        #expect(bench.group.choose(besides: [c], at: bench.now) == b)
        #expect(bench.group.choose(besides: [a, b, c], at: bench.now) == nil)
    }

    @Test(
        "the last resort is a replica that is ejected, then one that is dead, each once; connections count among equals only"
    )
    func lastResort() {
        var bench = Bench()
        let (a, b, c) = (bench.a, bench.b, bench.c)
        _ = bench.run(until: .origin + .seconds(4), failing: [a])
        bench.group.connectionFailed(b, at: bench.now)
        #expect(bench.group.statistics.map(\.health) == [.dead, .ejected, .usable])
        for _ in 0..<3 { #expect(bench.group.choose(at: bench.now) == c) }
        var tried: Set<HostPort> = []
        for replica in [c, b, a] {
            #expect(bench.group.hasReplica(besides: tried))
            #expect(bench.group.choose(besides: tried, at: bench.now) == replica)
            tried.insert(replica)
        }
        #expect(!bench.group.hasReplica(besides: tried))
        #expect(bench.group.choose(besides: tried, at: bench.now) == nil)
        #expect(bench.group.statistics.map(\.connections) == [1, 1, 4])
        // A connection that works does not make up for checks that fail.
        bench.group.connectionWorked(a, at: bench.now)
        #expect(bench.group.choose(besides: [c], at: bench.now) == b)
    }

    @Test("a replica is there once, and a group may be empty")
    func odd() {
        let bench = Bench()
        let twice = OriginGroup([bench.a, bench.a], at: bench.now)
        #expect(twice.statistics.map(\.replica) == [bench.a])
        var empty = OriginGroup([], at: bench.now)
        #expect(empty.choose(at: bench.now) == nil && !empty.hasReplica(besides: []) && empty.nextDeadline == nil)
        empty.checkPassed(bench.a, at: bench.now)
        empty.connectionFailed(bench.a, at: bench.now)
        #expect(empty.nextAction() == nil)
    }

    @Test("checks are spread over the interval, and repeated")
    func schedule() {
        var timings = OriginTimings()
        timings.checkInterval = .seconds(3)
        var bench = Bench(timings)
        let (a, b, c) = (bench.a, bench.b, bench.c)
        #expect(bench.group.nextDeadline == .origin)
        #expect(bench.run(until: .origin + .seconds(2)) == [.check(a), .check(b), .check(c)])
        #expect(bench.group.nextDeadline == .origin + .seconds(3))
        #expect(bench.run(until: .origin + .seconds(5)) == [.check(a), .check(b), .check(c)])
    }

    @Test("a check that takes too long has failed, and what it says later counts for nothing")
    func lateCheck() {
        var timings = OriginTimings()
        timings.failedChecks = 1
        var bench = Bench(timings)
        bench.group.deadlineReached(at: bench.now)
        #expect(bench.actions() == [.check(bench.a)])
        let late = bench.now + timings.checkPatience
        bench.group.deadlineReached(at: late)
        let actions = bench.actions()
        #expect(actions.contains(.cancelCheck(bench.a)) && actions.contains(.dead(bench.a)))
        for _ in 0..<5 { bench.group.checkPassed(bench.a, at: late) }
        #expect(bench.health(bench.a) == .dead)
    }

    @Test("a replica is dead after two checks that fail, and usable after two that pass")
    func death() {
        var bench = Bench()
        let a = bench.a
        #expect(!bench.run(until: .origin + .seconds(1), failing: [a]).contains(.dead(a)))
        #expect(bench.run(until: .origin + .seconds(3), failing: [a]).contains(.dead(a)))
        #expect(bench.group.choose(at: bench.now) == bench.b)
        // A connection from before that still works does not bring it back.
        bench.group.connectionWorked(a, at: bench.now)
        #expect(bench.health(a) == .dead)
        #expect(!bench.run(until: .origin + .seconds(5)).contains(.usable(a)))
        #expect(bench.run(until: .origin + .seconds(7)).contains(.usable(a)))
        #expect(bench.group.choose(at: bench.now) == a)
    }

    @Test("a replica whose connections fail is left alone, for twice as long each time, up to a bound")
    func ejection() throws {
        var timings = OriginTimings()
        timings.checkInterval = .seconds(1_000)
        timings.longestEjection = .seconds(4)
        var bench = Bench(timings)
        _ = bench.run(until: .origin + .seconds(700))
        for seconds in [1, 2, 4, 4] as [Int64] {
            #expect(bench.group.choose(besides: [bench.b, bench.c], at: bench.now) == bench.a)
            bench.group.connectionFailed(bench.a, at: bench.now)
            #expect(bench.health(bench.a) == .ejected)
            let end = bench.now + .seconds(seconds)
            #expect(bench.group.choose(besides: [bench.c], at: end - .nanoseconds(1)) == bench.b)
            #expect(bench.group.nextDeadline == end)
            bench.now = end
            bench.group.deadlineReached(at: end)
            #expect(bench.actions() == [.usable(bench.a)])
        }
        // One that works makes up for all of them.
        bench.group.connectionWorked(bench.a, at: bench.now)
        bench.group.connectionFailed(bench.a, at: bench.now)
        #expect(bench.group.nextDeadline == bench.now + .seconds(1))
    }

    @Test("the last usable replica gets connections though they fail, until checks say that it is dead")
    func lastOne() {
        var bench = Bench()
        let (a, b, c) = (bench.a, bench.b, bench.c)
        for replica in [a, b, c, c, c] { bench.group.connectionFailed(replica, at: bench.now) }
        #expect(bench.group.statistics.map(\.health) == [.ejected, .ejected, .usable])
        #expect(bench.group.choose(at: bench.now) == c)
        _ = bench.run(until: .origin + .seconds(6), failing: [a, b, c])
        #expect(bench.group.statistics.map(\.health) == [.dead, .dead, .dead])
        // Dead as it is.
        #expect(bench.group.choose(at: bench.now) == a)
    }

    @Test("checks bring a replica back before its time")
    func earlyReturn() {
        var timings = OriginTimings()
        timings.firstEjection = .seconds(30)
        var bench = Bench(timings)
        bench.group.connectionFailed(bench.a, at: bench.now)
        #expect(bench.run(until: .origin + .seconds(3)).contains(.usable(bench.a)))
    }
}

@Suite("The health of a replica")
struct OriginHealthTests {
    /// What happens to a replica.
    enum Event: CaseIterable {
        case connectionWorked
        case connectionFailed
        case lastConnectionFailed
        case checkPassed
        case checkFailed
        case time
    }

    private static let end = Instant.origin + .seconds(1)

    private static func health(_ state: String) -> OriginHealth {
        let timings = OriginTimings()
        var health = OriginHealth()
        switch state {
        case "ejected": health.connectionFailed(at: .origin, timings, others: .usable)
        case "dead": for _ in 0..<timings.failedChecks { health.checkFailed(timings) }
        default: break
        }
        return health
    }

    /// Every state and every event, twice in a row.
    static let transitions: [(String, [Event: String])] = [
        (
            "usable",
            [
                .connectionWorked: "usable", .connectionFailed: "ejected", .lastConnectionFailed: "usable",
                .checkPassed: "usable", .checkFailed: "dead", .time: "usable",
            ]
        ),
        (
            "ejected",
            [
                .connectionWorked: "usable", .connectionFailed: "ejected", .lastConnectionFailed: "ejected",
                .checkPassed: "usable", .checkFailed: "dead", .time: "usable",
            ]
        ),
        (
            "dead",
            [
                .connectionWorked: "dead", .connectionFailed: "dead", .lastConnectionFailed: "dead",
                .checkPassed: "usable", .checkFailed: "dead", .time: "dead",
            ]
        ),
    ]

    @Test("every state and every event", arguments: transitions)
    func table(state: String, outcomes: [Event: String]) {
        for event in Event.allCases {
            var health = Self.health(state)
            for _ in 0..<2 { apply(event, to: &health) }
            let after =
                switch health.state {
                case .usable: "usable"
                case .ejected(let until): until == Self.end ? "ejected" : "ejected until \(until)"
                case .dead: "dead"
                }
            #expect(after == outcomes[event], "\(event)")
        }
    }

    private func apply(_ event: Event, to health: inout OriginHealth) {
        let timings = OriginTimings()
        switch event {
        case .connectionWorked: health.connectionWorked()
        case .connectionFailed: health.connectionFailed(at: .origin, timings, others: .usable)
        case .lastConnectionFailed: health.connectionFailed(at: .origin, timings, others: .none)
        case .checkPassed: health.checkPassed(timings)
        case .checkFailed: health.checkFailed(timings)
        case .time: health.passTime(Self.end)
        }
    }
}
