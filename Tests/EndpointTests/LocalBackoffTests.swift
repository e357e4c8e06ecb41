import Primitives
import Testing

@testable import LocalEndpoint

@Suite("Back-off")
struct LocalBackoffTests {
    @Test("the first attempt after a loss comes at once, the next ones later and later up to a limit", arguments: 1...5)
    func growth(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var backoff = Backoff()
        #expect(backoff.next(using: &generator) == .zero)
        for full in [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] as [Int64] {
            let wait = backoff.next(using: &generator)
            #expect(wait >= .milliseconds(full / 2) && wait <= .milliseconds(full))
        }
    }

    @Test("two clients do not wait equally long")
    func jitter() {
        func waits(_ seed: UInt64) -> [Interval] {
            var generator = SeededGenerator(seed: seed)
            var backoff = Backoff()
            return (0..<8).map { _ in backoff.next(using: &generator) }
        }
        #expect(waits(1) == waits(1))
        #expect(waits(1) != waits(2))
    }

    @Test("only the loss of a connection that was up for a while is followed by an attempt at once")
    func stability() {
        var generator = SeededGenerator(seed: 1)
        var backoff = Backoff()
        for _ in 0..<4 { _ = backoff.next(using: &generator) }
        backoff.lost(after: Backoff.stability - .milliseconds(1))
        #expect(backoff.next(using: &generator) >= .milliseconds(400))
        backoff.lost(after: Backoff.stability)
        #expect(backoff.next(using: &generator) == .zero)
    }

    @Test("years without a gateway do not overflow")
    func patience() {
        var generator = SeededGenerator(seed: 1)
        var backoff = Backoff()
        for _ in 0..<100_000 { #expect(backoff.next(using: &generator) <= Backoff.longest) }
    }

    @Test(
        "the datagrams of a connection fit the interface",
        arguments: [
            (1500, IPAddress.Family.ipv4, 1472), (1500, .ipv6, 1452), (1280, .ipv6, 1232), (576, .ipv4, 1200),
            (65_536, .ipv4, 65_508),
        ])
    func interface(mtu: Int, family: IPAddress.Family, largest: Int) {
        #expect(GatewayAttempt.largestPayload(mtu, family) == largest)
    }
}
