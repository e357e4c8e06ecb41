import Configuration
import Driver
import EventLoop
import Primitives
import QUIC
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

@Suite("What a gateway allows its users")
struct GatewayLimitTests {
    @Test("more tunnels than a user may have are refused, and each that ends makes room for another one")
    func tunnels() throws {
        let bench = try Bench()
        var policy = bench.state.policy
        policy.limits.tunnelsPerUser = 1
        bench.state.replace(policy)
        bench.links.start()
        let control = try LocalControl(path: "\(bench.folder)/control", links: bench.links)
        defer { control.close() }
        let echo = try bench.echo()
        let first = try LocalControlTests.tunnel(to: echo.port, bench)
        let (_, refusal) = try LocalControlTests.open(echo.port, bench)
        #expect(refusal.contains("no room for another tunnel"))
        #expect(bench.run { echo.streams.count == 1 })
        try first.stream?.shutdownWrite()
        #expect(bench.run { first.hasEnded })
        _ = try LocalControlTests.tunnel(to: echo.port, bench)
    }

    @Test("more connections than a user may have get no tunnels, and each that ends makes room for another one")
    func connections() throws {
        let bench = try Bench()
        var policy = bench.state.policy
        policy.limits.connectionsPerUser = 1
        bench.state.replace(policy)
        let echo = try bench.echo()
        let first = Asker(echo.destination)
        bench.links.open(first)
        bench.links.start()
        #expect(bench.run { first.isOpened })
        let other = try bench.makeLinks([bench.invite])
        let second = Asker(echo.destination)
        other.open(second)
        other.start()
        #expect(bench.run { second.failure != nil })
        #expect(second.failure == .connectionLimitReached)
        bench.links.stop()
        #expect(bench.run { bench.gateway.counters.connectionsClosed == 1 })
        let third = Asker(echo.destination)
        other.open(third)
        #expect(bench.run { third.isOpened })
        other.stop()
    }

    @Test("clients that do not answer make room for another one, and keep what can be resumed; one that answers stays")
    func deadConnections() throws {
        let bench = try Bench()
        bench.gateway.patience = .milliseconds(300)
        var policy = bench.state.policy
        policy.limits.connectionsPerUser = 2
        bench.state.replace(policy)
        let echo = try bench.echo()
        let living = try bench.makeLinks([bench.invite])
        let first = Asker(echo.destination)
        living.open(first)
        living.start()
        #expect(bench.run { first.isOpened })
        bench.links.start()
        let control = try LocalControl(path: "\(bench.folder)/control", links: bench.links)
        defer { control.close() }
        let program = try LocalControlTests.tunnel(to: echo.port, bench)
        // As a process is killed: nobody says anything, and nobody listens any more.
        bench.links.sessions.first?.driver.shutDown()
        let next = try bench.makeLinks([bench.invite])
        next.start()
        let refused = Asker(echo.destination)
        next.open(refused)
        #expect(bench.run { refused.failure == .connectionLimitReached })
        #expect(bench.run { bench.gateway.held.count == 1 })
        for links in [next, living] {
            let welcome = Asker(echo.destination)
            links.open(welcome)
            #expect(bench.run { welcome.isOpened })
        }
        #expect(bench.gateway.counters.connectionsOpened == 3 && bench.gateway.counters.connectionsClosed == 1)
        for links in [living, next] { links.stop() }
        program.stream?.abort()
    }

    @Test("connections are asked to make room once in a while, however often one more is wanted")
    func askedForRoom() throws {
        let state = try Bench().state
        let (start, pause) = (Instant.origin + .seconds(1), Interval.seconds(5))
        #expect(state.takeConnection(of: "me"))
        #expect(state.mayAskForRoom(of: "me", every: pause, at: start))
        #expect(!state.mayAskForRoom(of: "me", every: pause, at: start + pause - .nanoseconds(1)))
        #expect(state.mayAskForRoom(of: "me", every: pause, at: start + pause))
    }

    @Test("a connection that was left by some of its tunnels ends when its client does not answer")
    func leftConnection() throws {
        let bench = try Bench()
        bench.gateway.patience = .milliseconds(300)
        let echo = try bench.echo()
        bench.links.start()
        let control = try LocalControl(path: "\(bench.folder)/control", links: bench.links)
        defer { control.close() }
        let programs = try (0..<2).map { _ in try LocalControlTests.tunnel(to: echo.port, bench) }
        #expect(bench.run { echo.streams.count == 2 })
        let old = try #require(bench.link.session)
        old.driver.shutDown()
        old.detachTunnels()
        // The next process has only one of them.
        let lost = try #require(bench.link.held.all.first)
        bench.link.held.abort(lost.tunnel.id)
        bench.link.abandonSessions()
        #expect(bench.run { bench.gateway.counters.tunnelsResumed == 1 && bench.gateway.held.count == 1 })
        #expect(bench.gateway.counters.connectionsClosed == 1)
        #expect(bench.link.session?.tunnelCount == 1)
        for program in programs { program.stream?.abort() }
    }

    @Test("a token that was right on the same connection is refused when its user is gone")
    func removedUser() throws {
        let bench = try Bench()
        let echo = try bench.echo()
        let first = Asker(echo.destination)
        bench.links.open(first)
        bench.links.start()
        #expect(bench.run { first.isOpened })
        var policy = bench.state.policy
        for user in policy.users.users { try policy.users.remove(user.name) }
        bench.state.replace(policy)
        let second = Asker(echo.destination)
        bench.links.open(second)
        #expect(bench.run { second.failure != nil || second.isOpened })
        #expect(second.failure == .unauthorized)
        #expect(bench.gateway.counters.authenticationFailures == 1)
    }

    @Test("buffers grow as far as their user's share goes, and that of all")
    func memory() throws {
        let bench = try Bench()
        var policy = bench.state.policy
        policy.limits.memory = .mebibytes(32)
        policy.limits.memoryPerUser = .mebibytes(16)
        bench.state.replace(policy)
        let budgets = ["ada", "ben", "cyn"].map { UserRingBudget(bench.state, of: $0) }
        #expect(budgets[0].take(8 << 20) && !budgets[0].take(1))
        #expect(budgets[1].take(7 << 20) && budgets[2].take(1 << 20))
        #expect(!budgets[1].take(1) && !budgets[2].take(1))
        budgets[0].giveBack(1)
        #expect(!budgets[0].take(2) && budgets[2].take(1))
        // Without a word each has a half.
        policy.limits.memoryPerUser = nil
        bench.state.replace(policy)
        #expect(policy.limits.ringMemoryPerUser == 8 << 20 && policy.limits.holdMemoryPerUser == 8 << 20)
    }

    @Test("tunnels without a connection that take more than their user's share end, those that wait longest first")
    func heldMemory() throws {
        let bench = try Bench()
        let owner = HoldOwner()
        let hold = TunnelHold<GatewayNote>(
            .init(count: 100, memory: 1 << 20, memoryPerHolder: 100_000, ring: 1 << 20), on: bench.loop)
        hold.setOwner(owner)
        var generator = SeededGenerator(seed: 5)
        for number in 0..<8 {
            let ring = ByteRing(limit: 1 << 20)
            _ = ring.append([UInt8](repeating: 1, count: 30_000).span)
            let record = HeldTunnel.Record(
                id: ResumptionID(drawing: &generator), role: .server, destination: nil, linger: .seconds(60),
                generation: UInt64(number), outgoing: .open, peerDelivered: 0, delivered: 0, hasDeliveredEnd: false)
            let tunnel = try #require(HeldTunnel(restoring: record, ring))
            hold.hold(
                tunnel, nil, for: .seconds(60), GatewayNote(user: number < 6 ? "ada" : "ben", counting: .counted))
            // The loop's clock goes on with its turns.
            var turns = 0
            #expect(
                bench.run {
                    turns += 1
                    return turns > 2
                })
        }
        #expect(bench.run { !owner.ended.isEmpty })
        #expect(hold.all.filter { $0.note.user == "ben" }.count == 2)
        let left = hold.all.filter { $0.note.user == "ada" }
        #expect(left.reduce(0) { $0 + $1.tunnel.memory } <= 100_000 && left.count == 3)
        #expect(owner.ended.sorted() == [0, 1, 2])
        hold.close()
    }

    private final class HoldOwner: TunnelHoldOwner {
        var ended: [UInt64] = []
        func holdEnded(_ entry: HeldEntry<GatewayNote>, _ end: HoldEnd) { ended.append(entry.tunnel.generation) }
        func heldStreamBroken(_ entry: HeldEntry<GatewayNote>) {}
    }

    @Test("a name leads to no address that the rules close, whatever they say of the name")
    func resolvedAddress() throws {
        let bench = try Bench()
        let echo = try bench.echo()
        let destination = Destination(try #require(Host("localhost")), port: echo.port)
        bench.links.start()
        for allow in [["*:*"], ["localhost:*"], ["*:*", "10.0.0.0/8:*"]] {
            var policy = bench.state.policy
            policy.rules = try AccessRules(allow: allow)
            bench.state.replace(policy)
            let asker = Asker(destination)
            bench.links.open(asker)
            #expect(bench.run { asker.failure != nil }, "\(allow)")
            #expect(asker.failure == .destinationProhibited, "\(allow)")
        }
        #expect(echo.streams.isEmpty)
        var policy = bench.state.policy
        policy.rules = try AccessRules(allow: ["localhost:*", "127.0.0.0/8:*"])
        bench.state.replace(policy)
        let asker = Asker(destination)
        bench.links.open(asker)
        #expect(bench.run { asker.isOpened })
    }

    @Test("while a source has to wait after wrong tokens, not even a right one is looked at")
    func blockedSource() throws {
        let bench = try Bench()
        let echo = try bench.echo()
        let failure = bench.loop.now + .seconds(3_600)
        for _ in 0...FailureLimiter.freeFailures { bench.gateway.limiter.failed(.loopback(.ipv4), at: failure) }
        let refused = Asker(echo.destination)
        bench.links.open(refused)
        bench.links.start()
        #expect(bench.run { refused.failure != nil })
        #expect(refused.failure == .unauthorized)
        #expect(echo.streams.isEmpty)
        #expect(bench.gateway.counters.authenticationFailures == 1)
        // Asking meanwhile does not make the wait longer, or a program that goes on asking would wait for ever.
        let end = failure + FailureLimiter.firstWait
        #expect(!bench.gateway.limiter.mayTry(.loopback(.ipv4), at: end - .nanoseconds(1)))
        #expect(bench.gateway.limiter.mayTry(.loopback(.ipv4), at: end))
        bench.gateway.limiter.succeeded(.loopback(.ipv4))
        let welcome = Asker(echo.destination)
        bench.links.open(welcome)
        #expect(bench.run { welcome.isOpened })
    }

    @Test("a wrong token is counted against its source")
    func counted() throws {
        let bench = try Bench(invites: { [LocalLinkTests.withWrongToken($0)] })
        bench.links.start()
        for _ in 0...FailureLimiter.freeFailures {
            let asker = Asker(Destination(.address(.loopback(.ipv4)), port: 9))
            bench.links.open(asker)
            #expect(bench.run { asker.failure != nil })
        }
        #expect(!bench.gateway.limiter.mayTry(.loopback(.ipv4), at: bench.loop.now))
    }
}

@Suite("Who guesses tokens")
struct FailureLimiterTests {
    private let source = IPAddress(ipv4: 0xc000_0201)
    private let start = Instant.origin + .seconds(1_000)

    @Test("waits after the free failures: a second, then twice as long with each, up to five minutes")
    func waits() {
        var limiter = FailureLimiter()
        var now = start
        for _ in 0..<FailureLimiter.freeFailures {
            limiter.failed(source, at: now)
            #expect(limiter.mayTry(source, at: now))
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] as [Int64] {
            limiter.failed(source, at: now)
            #expect(!limiter.mayTry(source, at: now + .seconds(seconds) - .nanoseconds(1)), "\(seconds) s")
            now += .seconds(seconds)
            #expect(limiter.mayTry(source, at: now), "\(seconds) s")
        }
    }

    @Test("is forgiven with a right token, and forgotten after five minutes without another failure")
    func forgiven() {
        var limiter = FailureLimiter()
        for _ in 0...FailureLimiter.freeFailures { limiter.failed(source, at: start) }
        limiter.succeeded(source)
        #expect(limiter.mayTry(source, at: start))
        for _ in 0..<FailureLimiter.freeFailures { limiter.failed(source, at: start) }
        limiter.failed(source, at: start + FailureLimiter.longestWait + .nanoseconds(1))
        #expect(limiter.mayTry(source, at: start + FailureLimiter.longestWait + .nanoseconds(1)))
    }

    @Test("is one IPv4 address, however it is written, or one IPv6 network")
    func sources() {
        var limiter = FailureLimiter()
        func blocks(_ failing: IPAddress, _ other: IPAddress) -> Bool {
            limiter = FailureLimiter()
            for _ in 0...FailureLimiter.freeFailures { limiter.failed(failing, at: start) }
            return !limiter.mayTry(other, at: start)
        }
        #expect(!blocks(source, IPAddress(ipv4: 0xc000_0202)))
        #expect(blocks(source, IPAddress(ipv6High: 0, low: 0xffff_c000_0201)))
        #expect(blocks(IPAddress(ipv6High: 1 << 61, low: 1), IPAddress(ipv6High: 1 << 61, low: 2)))
        #expect(!blocks(IPAddress(ipv6High: 1 << 61, low: 1), IPAddress(ipv6High: 1 << 61 + 1, low: 1)))
    }

    @Test("crowds out, in a full table, who failed longest ago")
    func bound() {
        var limiter = FailureLimiter()
        for _ in 0...FailureLimiter.freeFailures { limiter.failed(source, at: start) }
        let second = IPAddress(ipv4: 1)
        for _ in 0...FailureLimiter.freeFailures { limiter.failed(second, at: start + .nanoseconds(1)) }
        for index in 2...UInt32(FailureLimiter.maximumSources) {
            limiter.failed(IPAddress(ipv4: index), at: start + .nanoseconds(2))
        }
        #expect(limiter.mayTry(source, at: start))
        #expect(!limiter.mayTry(second, at: start))
    }
}
