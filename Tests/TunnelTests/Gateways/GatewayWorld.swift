import Primitives
import Testing

@testable import Tunnel

/// Three gateways that die, come back, drain, get slow and fail, and links to them, in virtual time; what the group has to do is said in
/// plain words by `check`.
struct GatewayWorld {
    /// How long after its death a gateway's silence is noticed.
    static let silence = Interval.milliseconds(250)
    /// How long an attempt takes that nobody answers.
    static let handshakeLimit = Interval.seconds(4)
    /// The pause of a link after an attempt in vain.
    static let pause = Interval.seconds(5)
    /// A handshake with a gateway that is well.
    static let handshake = Interval.milliseconds(50)
    /// A gateway that is well again was found so long after that: an attempt in vain, a pause, and a handshake.
    static let discovery = Interval.seconds(10)
    /// The longest that a new tunnel waits for a dead gateway while another one is well.
    static let longestWait = Interval.seconds(1)

    enum Life: Hashable {
        case up
        case silent
        case refusing
        case draining
    }

    enum Link: Hashable {
        case idle
        case dialling(until: Instant)
        case waiting(until: Instant)
        case ready
    }

    struct Site {
        let name: HostPort
        var life = Life.up
        var handshake = GatewayWorld.handshake
        /// Of ten handshakes so many fail.
        var failing = 0
        /// Since when it lives as it does.
        var since: Instant
        var link = Link.idle
        var connectedSince: Instant?
        /// When the link notices what has become of the gateway.
        var noticeAt: Instant?
        /// The last handshakes.
        var handshakes: [Interval] = []

        var isWell: Bool { life == .up && failing == 0 && handshake == GatewayWorld.handshake }
        var best: Interval? { handshakes.suffix(3).min() }

        var next: Instant? {
            let linkEvent: Instant? =
                switch link {
                case .dialling(let instant), .waiting(let instant): instant
                case .idle, .ready: nil
                }
            return [linkEvent, noticeAt].compactMap { $0 }.min()
        }
    }

    var now = Instant.origin + .seconds(100)
    var sites: [Site]
    var group: GatewayGroup
    var generator: SeededGenerator
    /// Since when new tunnels have gone to a gateway that does not answer.
    var waitingSince: Instant?
    /// What was seen: so that a schedule in which nothing happens is noticed.
    var failovers: [GatewayFailover] = []
    var faults: [String] = []

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        let now = now
        sites = ["a", "b", "c"].map { Site(name: HostPort(.name("\($0).test"), port: 443), since: now) }
        var timings = GatewayTimings()
        timings.standby = seed.isMultiple(of: 2) ? .ticket : .connected
        group = GatewayGroup(sites.map(\.name), timings: timings, at: now)
        group.begin(at: now)
        obey()
    }

    /// Lets so much time pass, event by event.
    mutating func pass(_ interval: Interval) {
        let end = now + interval
        while let next = (sites.map(\.next) + [group.nextDeadline]).compactMap({ $0 }).min(), next <= end {
            now = max(now, next)
            if let deadline = group.nextDeadline, deadline <= now { group.deadlineReached(at: now) }
            obey()
            for index in sites.indices {
                proceed(index)
                obey()
            }
            check()
        }
        now = end
        check()
    }

    // MARK: - What happens to gateways

    mutating func disturb() {
        if group.isAsleep {
            group.wanted(at: now)
            return obey()
        }
        let index = Int.random(in: sites.indices, using: &generator)
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: live(index, .silent)
        case 1: live(index, .refusing)
        case 2: live(index, .draining)
        case 3: sites[index].handshake = .milliseconds(Int64.random(in: 600...3_000, using: &generator))
        case 4: sites[index].failing = Int.random(in: 4...9, using: &generator)
        case 11:
            // Nothing was said for so long that the connection has ended, which takes two healthy ends.
            guard sites[index].isWell, sites[index].link == .ready, sites[index].noticeAt == nil else { return }
            part(index, pause: .seconds(86_400))
            group.fellAsleep(sites[index].name, at: now)
            return obey()
        case 5, 6:
            // The process is started again: the connection is lost, and nothing else has changed.
            if sites[index].life == .up, sites[index].link == .ready { sites[index].noticeAt = now + .milliseconds(20) }
            return
        default:
            live(index, .up)
            sites[index].handshake = Self.handshake
            sites[index].failing = 0
        }
        sites[index].since = now
    }

    private mutating func live(_ index: Int, _ life: Life) {
        guard sites[index].life != life else { return }
        sites[index].life = life
        guard sites[index].link == .ready else { return }
        // Another process does not know the connection; what is drained says so at once.
        sites[index].noticeAt = now + (life == .silent ? Self.silence : .milliseconds(20))
    }

    // MARK: - What links do

    private mutating func proceed(_ index: Int) {
        if let due = sites[index].noticeAt, due <= now { notice(index) }
        switch sites[index].link {
        case .dialling(let until) where until <= now: answered(index)
        case .waiting(let until) where until <= now: dial(index)
        case .idle, .dialling, .waiting, .ready: break
        }
    }

    private mutating func notice(_ index: Int) {
        sites[index].noticeAt = nil
        guard sites[index].link == .ready else { return }
        let name = sites[index].name
        switch sites[index].life {
        case .silent: group.fellSilent(name, since: sites[index].since, at: now)
        case .refusing: group.refusalReported(name, at: now)
        case .draining:
            part(index, pause: .seconds(1))
            group.draining(name, at: now)
        case .up:
            part(index, pause: .zero)
            group.connectionLost(name, at: now)
        }
    }

    private mutating func part(_ index: Int, pause: Interval) {
        sites[index].link = .waiting(until: now + pause)
        sites[index].connectedSince = nil
        sites[index].noticeAt = nil
    }

    private mutating func dial(_ index: Int) {
        let site = sites[index]
        let time: Interval =
            switch site.life {
            case .up, .draining: site.handshake
            case .silent: Self.handshakeLimit
            case .refusing: .milliseconds(20)
            }
        sites[index].link = .dialling(until: now + time)
    }

    private mutating func answered(_ index: Int) {
        let site = sites[index]
        let fails = Int.random(in: 0..<10, using: &generator) < site.failing
        switch site.life {
        case .up where !fails:
            sites[index].link = .ready
            sites[index].connectedSince = now
            sites[index].handshakes.append(site.handshake)
            group.connected(site.name, after: site.handshake, at: now)
        case .draining:
            part(index, pause: Self.pause)
            group.draining(site.name, at: now)
        case .up, .silent, .refusing:
            part(index, pause: Self.pause)
            group.attemptFailed(site.name, site.life == .refusing ? .refusal : .unreachable, at: now)
        }
    }

    // MARK: - What the group wants

    private mutating func obey() {
        while let action = group.nextAction() {
            switch action {
            case .seek(let name): if let index = index(name), sites[index].link == .idle { dial(index) }
            case .release(let name):
                guard let index = index(name) else { continue }
                part(index, pause: .zero)
                sites[index].link = .idle
            case .question(let name):
                guard let index = index(name), sites[index].life == .refusing, sites[index].link == .ready else {
                    continue
                }
                sites[index].noticeAt = now + .milliseconds(20)
            case .giveUp(let name, _): if let index = index(name) { part(index, pause: .zero) }
            case .failover(let failover): checkReturn(failover)
            case .use, .judged: break
            }
        }
    }

    private func index(_ name: HostPort) -> Int? { sites.firstIndex { $0.name == name } }

    // MARK: - What has to be

    private mutating func check() {
        guard let index = group.choice.flatMap({ index($0) }) else { return faults.append("\(now): no choice") }
        // Nobody waits for anything.
        if group.isAsleep { return waitingSince = nil }
        let answers = sites[index].link == .ready && sites[index].life == .up
        if answers { waitingSince = nil } else if waitingSince == nil { waitingSince = now }
        if let waitingSince, let well = sites.filter(\.isWell).map(\.since).min() {
            let wait = now - max(waitingSince, well + Self.discovery)
            if wait > Self.longestWait { faults.append("\(now): waits for \(sites[index].name)") }
        }
        let statistics = group.statistics
        guard statistics[index].ailment != nil else { return }
        let better = statistics.first { $0.ailment == nil && ($0.condition == .connected || $0.condition == .active) }
        if let better { faults.append("\(now): \(sites[index].name) is ill, and \(better.name) is there") }
    }

    /// A return needs a gateway that has been there for a while, and whose handshakes are not slow beside those of the former one.
    private mutating func checkReturn(_ failover: GatewayFailover) {
        failovers.append(failover)
        guard failover.cause == .returned, let to = index(failover.to), let from = failover.from.flatMap({ index($0) })
        else { return }
        let since = sites[to].connectedSince.map { now - $0 } ?? .zero
        if since < group.timings.returnAfter { faults.append("\(now): \(failover.to) after \(since)") }
        guard let new = sites[to].best, let old = sites[from].best else { return }
        if new > .milliseconds(500), new > old * 4, since < .seconds(600) {
            faults.append("\(now): \(failover.to) is slow: \(new), \(old)")
        }
    }
}

@Suite("Schedules of several gateways")
struct GatewayScheduleTests {
    @Test("whatever gateways do: no tunnel waits for a dead one, none goes to an ill one, and returns are not hasty")
    func schedules() {
        var causes: Set<GatewayFailover.Cause> = []
        for seed in UInt64(1)...40 {
            var world = GatewayWorld(seed: seed)
            world.pass(.seconds(5))
            for _ in 0..<60 {
                world.disturb()
                world.pass(.milliseconds(Int64.random(in: 10...40_000, using: &world.generator)))
            }
            causes.formUnion(world.failovers.map(\.cause))
            #expect(world.faults.isEmpty, "seed \(seed): \(world.faults.prefix(3))")
        }
        let wanted: [GatewayFailover.Cause] = [
            .returned, .ailing(.slowness), .ailing(.failures), .trouble(.silence), .trouble(.draining),
            .trouble(.refusal), .trouble(.loss),
        ]
        // A schedule in which something never happens would show nothing of it.
        #expect(wanted.filter { !causes.contains($0) }.isEmpty)
    }
}
