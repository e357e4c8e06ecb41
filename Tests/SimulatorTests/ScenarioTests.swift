import Primitives
import Simulator
import Testing

private func pingOverABadLink(seed: UInt64) -> Scenario {
    Scenario("pings over a bad link", seed: seed, detail: .contents) { stage in
        let source = Source(from: Addresses.client, to: Addresses.server, count: 200, every: .milliseconds(3))
        let bad = LinkConditions.cellular.with {
            $0.jitter = .milliseconds(5)
            $0.loss = .burst(GilbertElliott(onset: 0.05, recovery: 0.3))
            $0.duplication = 0.05
            $0.corruption = 0.05
            $0.reordering = Reordering(0.05, by: .milliseconds(20))
        }
        let client = stage.host("client", running: source, at: Addresses.client.ip, bad)
        _ = stage.host("server", running: Sink(.echoing), at: Addresses.server.ip, .ideal)
        stage.at(.milliseconds(300)) { $0.set(.blackhole, of: client.link) }
        stage.at(.milliseconds(350)) { $0.set(.up, of: client.link) }
        stage.completes(within: .seconds(1))
        stage.continues(for: .seconds(1))
    }
}

@Suite("A scenario")
struct ScenarioTests {
    @Test func givesTheSameTraceForTheSameSeed() {
        let first = pingOverABadLink(seed: 7).run()
        let second = pingOverABadLink(seed: 7).run()
        #expect(first.succeeded, "\(first)")
        #expect(first.trace.hash == second.trace.hash)
        #expect(first.trace.records == second.trace.records)
        #expect(first.trace.text(since: VirtualNetwork.start) == second.trace.text(since: VirtualNetwork.start))
    }

    @Test func givesAnotherTraceForAnotherSeed() {
        let scenario = pingOverABadLink(seed: 7)
        #expect(scenario.run().trace.hash != scenario.run(seed: 8).trace.hash)
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func neitherMakesNorForgetsDatagrams(seed: UInt64) {
        let records = pingOverABadLink(seed: seed).run().trace.records
        let network = VirtualNetwork(seed: seed)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 300, every: .milliseconds(1))
        let conditions = LinkConditions(
            delay: .milliseconds(5), jitter: .milliseconds(5), rate: .megabits(8), queue: .bytes(6_000),
            loss: .random(0.05), duplication: 0.1, reordering: Reordering(0.1, by: .milliseconds(30)), corruption: 0.1)
        let link = network.attach(
            network.addHost("client", running: source), at: Addresses.client.ip, conditions)
        network.attach(network.addHost("server", running: Sink()), at: Addresses.server.ip, .ideal)
        #expect(network.run(until: network.now + .seconds(10)) == .quiet)
        let statistics = network.statistics(of: link, .outbound)
        #expect(statistics.offered == 300)
        #expect(statistics.offered + statistics.duplicated == statistics.delivered + statistics.dropped)
        #expect(zip(records, records.dropFirst()).allSatisfy { $0.time <= $1.time })
    }

    @Test func failsWhenItDoesNotCompleteInTime() {
        let report = Scenario("too slow", seed: 42) { stage in
            let source = Source(from: Addresses.client, to: Addresses.server, count: 10, every: .seconds(1))
            _ = stage.host("client", running: source, at: Addresses.client.ip, .ideal)
            stage.completes(within: .seconds(5))
        }.run()
        #expect(report.failures == ["did not complete within 5000 ms"])
        #expect(report.description.contains("seed 42"))
        #expect(report.description.contains("dropped (noRoute) 10.0.0.2:5000 > 192.0.2.1:443 1200 bytes"))
    }

    @Test func failsWhenAHostSendsMoreThanItsBound() {
        let report = Scenario("too much") { stage in
            let source = Source(from: Addresses.client, to: Addresses.server, count: 10)
            let client = stage.host("client", running: source, at: Addresses.client.ip, .ideal)
            stage.sends(atMost: 11_999, from: client)
        }.run()
        #expect(report.failures == ["client sent 12000 bytes, the bound is 11999"])
    }

    @Test func failsWhenAnExpectationDoesNotHold() {
        let report = Scenario("not as hoped") { stage in
            let sink = Sink()
            _ = stage.host("server", running: sink, at: Addresses.server.ip, .ideal)
            stage.expect("something arrives") { !sink.arrivals.isEmpty }
            stage.expect("the number of arrivals", { sink.arrivals.count }, equals: 3)
        }.run()
        #expect(
            report.failures == [
                "expected: something arrives", "expected the number of arrivals to be 3, found 0",
            ])
    }

    @Test func failsWhenNothingIsLeftToHappen() {
        let report = Scenario("stuck") { stage in
            let source = Source(from: Addresses.client, to: Addresses.server, count: 1)
            _ = stage.host("client", running: source, at: Addresses.client.ip, .ideal)
            stage.when({ false }, { _ in })
        }.run()
        #expect(report.failures == ["nothing is left to happen, but not everybody has finished"])
    }

    @Test func failsWhenItCannotBeSetUp() {
        struct NoCertificate: Error {}
        let report = Scenario("no stage") { _ in throw NoCertificate() }.run()
        #expect(report.failures == ["could not be set up: NoCertificate()"])
    }

    @Test func actsWhenAConditionComesTrue() {
        let report = Scenario("half way") { stage in
            let source = Source(from: Addresses.client, to: Addresses.server, count: 10, every: .milliseconds(10))
            let sink = Sink()
            let client = stage.host("client", running: source, at: Addresses.client.ip, .ideal)
            _ = stage.host("server", running: sink, at: Addresses.server.ip, .ideal)
            stage.when({ sink.arrivals.count == 5 }, { $0.set(.blackhole, of: client.link) })
            stage.completes(within: .seconds(1))
            stage.expect("what arrived", { sink.numbers }, equals: [0, 1, 2, 3, 4])
        }.run()
        #expect(report.succeeded, "\(report)")
    }

    @Test func tellsItsTraceInAStableForm() {
        let report = Scenario("two lines") { stage in
            let source = Source(from: Addresses.client, to: Addresses.server, count: 1, ecn: .ect0)
            _ = stage.host(
                "client", running: source, at: Addresses.client.ip, LinkConditions(delay: .microseconds(1_500)))
            _ = stage.host("server", running: Sink(), at: Addresses.server.ip, .ideal)
            stage.continues(for: .seconds(1))
        }.run()
        #expect(
            report.trace.text(since: VirtualNetwork.start) == """
                0.000000 client: sent 10.0.0.2:5000 > 192.0.2.1:443 1200 bytes ect0
                0.001500 server: delivered 10.0.0.2:5000 > 192.0.2.1:443 1200 bytes ect0
                """)
    }
}
