import Primitives
import Testing

@testable import Tunnel

/// A group of three gateways, and what it asked for.
struct GatewayBench {
    let a = HostPort(.name("a.test"), port: 443)
    let b = HostPort(.name("b.test"), port: 443)
    let c = HostPort(.name("c.test"), port: 443)
    var group: GatewayGroup
    var now = Instant.origin + .seconds(100)

    init(_ change: (inout GatewayTimings) -> Void = { _ in }) {
        var timings = GatewayTimings()
        change(&timings)
        group = GatewayGroup([a, b, c], timings: timings, at: now)
    }

    mutating func actions() -> [GatewayGroup.Action] {
        var actions: [GatewayGroup.Action] = []
        while let action = group.nextAction() { actions.append(action) }
        return actions
    }

    /// Begins, and has the first one connected.
    mutating func begin() {
        group.begin(at: now)
        now += .milliseconds(50)
        group.connected(a, after: .milliseconds(50), at: now)
        #expect(actions().prefix(2) == [.seek(a), .use(a)])
    }

    /// Lets so much time pass, deadline by deadline.
    mutating func pass(_ interval: Interval) -> [GatewayGroup.Action] {
        let end = now + interval
        var seen = actions()
        while let deadline = group.nextDeadline, deadline <= end {
            #expect(deadline > now || seen.count < 1_000)
            now = max(now, deadline)
            group.deadlineReached(at: now)
            seen += actions()
        }
        now = end
        return seen
    }

    func ailment(_ name: HostPort) -> GatewayAilment? {
        group.statistics.first { $0.name == name }?.ailment
    }

    func condition(_ name: HostPort) -> GatewayGroup.Statistics.Condition? {
        group.statistics.first { $0.name == name }?.condition
    }
}

extension [GatewayGroup.Action] {
    /// Those that change what tunnels do.
    var decisions: [GatewayGroup.Action] {
        filter {
            switch $0 {
            case .seek, .release, .question, .judged: false
            case .use, .failover, .giveUp: true
            }
        }
    }

    var failovers: [GatewayFailover] {
        compactMap { if case .failover(let failover) = $0 { failover } else { nil } }
    }

    /// Verdicts on the health of gateways.
    var verdicts: [GatewayGroup.Action] {
        filter { if case .judged = $0 { true } else { false } }
    }
}
