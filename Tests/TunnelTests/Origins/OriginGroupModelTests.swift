import Primitives
import Testing

@testable import Tunnel

/// A group that anything happens to, beside what is known of it from outside.
private struct Model {
    typealias Statistics = OriginGroup.Statistics

    private static let names = (0..<4).map { HostPort(.name("replica\($0).test"), port: 80) }

    let names: [HostPort]
    private(set) var group: OriginGroup
    private(set) var now = Instant.origin
    private var generator: SeededGenerator
    /// Of ten checks, how many pass.
    private let passing: Int
    /// A connection that was chosen, and has not ended, stands here.
    private var connections: [HostPort] = []
    private var checks: Set<HostPort> = []
    /// Those of which the group has said so.
    private var dead: Set<HostPort> = []

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        passing = seed.isMultiple(of: 2) ? 9 : 3
        var timings = OriginTimings()
        timings.failedConnections = 1 + Int(seed / 2 % 2)
        names = Array(Self.names.prefix(1 + Int(seed / 4 % 4)))
        group = OriginGroup(names, timings: timings, at: now)
    }

    /// One event, and what must be so whatever it was.
    mutating func step() {
        switch Int.random(in: 0..<12, using: &generator) {
        case 0, 1, 2: choose()
        case 3: work()
        case 4, 5, 6: fail()
        case 7: if let name = takeConnection() { group.connectionEnded(name) }
        case 8, 9, 10: answerCheck()
        default: pass(.milliseconds(Int64.random(in: 0...600, using: &generator)))
        }
        carryOut()
        #expect(group.statistics.map(\.replica) == names)
        #expect(group.statistics.map(\.connections) == names.map { name in connections.count { $0 == name } })
        for statistics in group.statistics {
            #expect((statistics.health == .dead) == dead.contains(statistics.replica))
        }
    }

    /// Every check passes from now on.
    mutating func recover() {
        for _ in 0..<100 {
            for name in checks { group.checkPassed(name, at: now) }
            checks = []
            pass(.milliseconds(500))
        }
        #expect(group.statistics.allSatisfy { $0.health == .usable })
        #expect(dead.isEmpty)
    }

    // MARK: - Events

    private mutating func choose() {
        let tried = Set(names.filter { _ in Bool.random(using: &generator) })
        let chosen = group.choose(besides: tried, at: now)
        #expect((chosen != nil) == group.hasReplica(besides: tried))
        // Its connection counts already.
        let left = group.statistics.filter { !tried.contains($0.replica) }.map { statistics in
            var before = statistics
            if statistics.replica == chosen { before.connections -= 1 }
            return before
        }
        let health = [Statistics.Health.usable, .ejected, .dead].first { health in left.contains { $0.health == health }
        }
        let best = left.filter { $0.health == health }
        #expect(chosen == best.first { $0.connections == best.map(\.connections).min() }?.replica)
        if let chosen { connections.append(chosen) }
    }

    private mutating func work() {
        guard let name = connections.randomElement(using: &generator) else { return }
        group.connectionWorked(name, at: now)
        let expected = dead.contains(name) ? Statistics.Health.dead : .usable
        #expect(group.statistics.first { $0.replica == name }?.health == expected)
    }

    private mutating func fail() {
        guard let name = takeConnection() else { return }
        // Ejections that are over count for nothing.
        group.deadlineReached(at: now)
        let wasAnyUsable = group.statistics.contains { $0.health == .usable }
        group.connectionFailed(name, at: now)
        #expect(group.statistics.contains { $0.health == .usable } == wasAnyUsable)
    }

    private mutating func takeConnection() -> HostPort? {
        guard let index = connections.indices.randomElement(using: &generator) else { return nil }
        return connections.remove(at: index)
    }

    /// A check that runs, or one that was given up long ago.
    private mutating func answerCheck() {
        guard let name = names.randomElement(using: &generator) else { return }
        let before = group.statistics
        let isRunning = checks.remove(name) != nil
        if Int.random(in: 0..<10, using: &generator) < passing {
            group.checkPassed(name, at: now)
        } else {
            group.checkFailed(name, at: now)
        }
        if !isRunning { #expect(group.statistics == before) }
    }

    private mutating func pass(_ interval: Interval) {
        let end = now + interval
        while let deadline = group.nextDeadline, deadline <= end {
            let isLater = deadline > now
            now = max(now, deadline)
            group.deadlineReached(at: now)
            let actions = carryOut()
            // Time that does not pass makes sense only where something is done.
            #expect(isLater || !actions.isEmpty)
            guard isLater || !actions.isEmpty else { break }
        }
        now = end
    }

    @discardableResult
    private mutating func carryOut() -> [OriginGroup.Action] {
        var actions: [OriginGroup.Action] = []
        while let action = group.nextAction() {
            actions.append(action)
            switch action {
            case .check(let name): #expect(checks.insert(name).inserted)
            case .cancelCheck(let name): #expect(checks.remove(name) != nil)
            case .dead(let name): #expect(dead.insert(name).inserted)
            case .usable(let name): dead.remove(name)
            }
        }
        return actions
    }
}

@Suite("Replicas of an origin that anything happens to")
struct OriginGroupModelTests {
    @Test(
        "connections are counted, the best that is left is chosen, deaths and checks are told once, and checks that pass heal everything",
        arguments: UInt64(1)...60)
    func anything(seed: UInt64) {
        var model = Model(seed: seed)
        for _ in 0..<1_000 { model.step() }
        model.recover()
    }
}
