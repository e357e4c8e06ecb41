import Primitives
import Simulator
import Testing

/// A node whose deadline never moves on.
private final class Insomniac: VirtualNode {
    var isFinished: Bool { false }
    var nextDeadline: Instant? { VirtualNetwork.start }
    func receive(_ datagram: Datagram, at now: Instant) {}
    func deadlineReached(at now: Instant) {}
    func nextTransmission(at now: Instant) -> Datagram? { nil }
}

/// A node that notes when its deadlines fire, one a second.
private final class Clockwork: VirtualNode {
    var fired: [Interval] = []
    var nextDeadline: Instant? = VirtualNetwork.start + .seconds(1)
    var isFinished: Bool { fired.count == 5 }
    func receive(_ datagram: Datagram, at now: Instant) {}
    func deadlineReached(at now: Instant) {
        fired.append(now - VirtualNetwork.start)
        nextDeadline = isFinished ? nil : now + .seconds(1)
    }
    func nextTransmission(at now: Instant) -> Datagram? { nil }
}

@Suite("A virtual host")
struct HostTests {
    @Test func picksTheLinkByTheSourceAddress() {
        let network = VirtualNetwork(seed: 1)
        let second = NetworkAddress(.v4(10, 1, 0, 2), port: 5_000)
        let viaFirst = Source(from: Addresses.client, to: Addresses.server, count: 1)
        let viaSecond = Source(from: second, to: Addresses.server, count: 1)
        let sink = Sink()
        for node in [viaFirst, viaSecond] {
            let host = network.addHost("client", running: node)
            network.attach(host, at: Addresses.client.ip, LinkConditions(delay: .milliseconds(10)))
            network.attach(host, at: second.ip, LinkConditions(delay: .milliseconds(60)))
        }
        network.attach(network.addHost("server", running: sink), at: Addresses.server.ip, .ideal)
        _ = network.run(until: network.now + .seconds(1))
        #expect(sink.arrivals.map { $0.at - VirtualNetwork.start } == [.milliseconds(10), .milliseconds(60)])
        #expect(sink.arrivals.map(\.datagram.source) == [Addresses.client, second])
    }

    @Test func cannotSendFromAnAddressItDoesNotHave() {
        let network = VirtualNetwork(seed: 1)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 4, every: .milliseconds(10))
        let sink = Sink()
        let client = network.addHost("client", running: source)
        network.attach(client, at: Addresses.client.ip, .ideal)
        network.attach(network.addHost("server", running: sink), at: Addresses.server.ip, .ideal)
        network.schedule(at: VirtualNetwork.start + .milliseconds(15)) {
            $0.removeAddress(Addresses.client.ip, from: client)
        }
        _ = network.run(until: network.now + .seconds(1))
        #expect(sink.numbers == [0, 1])
        #expect(source.refusals == [.addressNotAvailable, .addressNotAvailable])
        #expect(source.changes == [.available(Addresses.client.ip), .removed(Addresses.client.ip)])
    }

    @Test func talksToItsNeighbourOverAWire() {
        let network = VirtualNetwork(seed: 1)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 2)
        let echo = Sink(.echoing)
        let client = network.addHost("client", running: source)
        let server = network.addHost("server", running: echo)
        network.join(
            client, at: Addresses.client.ip, with: server, at: Addresses.server.ip,
            outbound: LinkConditions(delay: .milliseconds(3)), inbound: LinkConditions(delay: .milliseconds(4)))
        _ = network.run(until: network.now + .seconds(1)) { _ in source.received.count == 2 }
        #expect(network.elapsed == .milliseconds(7))
    }

    @Test func firesDeadlinesOnTime() {
        let network = VirtualNetwork(seed: 1)
        let clockwork = Clockwork()
        _ = network.addHost("clock", running: clockwork)
        #expect(network.run(until: network.now + .seconds(60)) == .quiet)
        #expect(clockwork.fired == (1...5).map { .seconds($0) })
    }

    @Test func sleepsThroughDeadlinesAndDatagrams() {
        let network = VirtualNetwork(seed: 1)
        let clockwork = Clockwork()
        let host = network.addHost("laptop", running: clockwork)
        network.schedule(at: VirtualNetwork.start + .milliseconds(2_500)) { $0.suspend(host) }
        network.schedule(at: VirtualNetwork.start + .seconds(100)) { $0.wake(host) }
        _ = network.run(until: network.now + .seconds(200))
        #expect(clockwork.fired == [1, 2, 100, 101, 102].map { .seconds($0) })
    }

    @Test func losesWhatArrivesWhileItSleeps() {
        let network = VirtualNetwork(seed: 1)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 4, every: .milliseconds(10))
        let sink = Sink()
        network.attach(network.addHost("client", running: source), at: Addresses.client.ip, .ideal)
        let server = network.addHost("server", running: sink)
        network.attach(server, at: Addresses.server.ip, .ideal)
        network.schedule(at: VirtualNetwork.start + .milliseconds(5)) { $0.suspend(server) }
        network.schedule(at: VirtualNetwork.start + .milliseconds(25)) { $0.wake(server) }
        _ = network.run(until: network.now + .seconds(1))
        #expect(sink.numbers == [0, 3])
    }

    @Test func restartsWithAnotherNode() {
        let network = VirtualNetwork(seed: 1)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 4, every: .milliseconds(10))
        let before = Sink()
        let after = Sink()
        network.attach(network.addHost("client", running: source), at: Addresses.client.ip, .ideal)
        let server = network.addHost("server", running: before)
        network.attach(server, at: Addresses.server.ip, .ideal)
        network.schedule(at: VirtualNetwork.start + .milliseconds(15)) { $0.restart(server, running: after) }
        _ = network.run(until: network.now + .seconds(1))
        #expect(before.numbers == [0, 1])
        #expect(after.numbers == [2, 3])
    }

    @Test func isGivenUpWhenItDoesNotComeToRest() {
        let network = VirtualNetwork(seed: 1)
        _ = network.addHost("insomniac", running: Insomniac())
        #expect(network.run(until: network.now + .seconds(1)) == .restless(host: "insomniac"))
    }

    @Test func isGivenUpWhenDatagramsCircleWithoutTimePassing() {
        let network = VirtualNetwork(seed: 1)
        let nodes = [Sink(.echoing), Sink(.echoing)]
        network.attach(network.addHost("a", running: nodes[0]), at: Addresses.client.ip, .ideal)
        network.attach(network.addHost("b", running: nodes[1]), at: Addresses.server.ip, .ideal)
        network.inject(Datagram(from: Addresses.client, to: Addresses.server, bytes: [1]))
        guard case .restless = network.run(until: network.now + .seconds(1)) else {
            Issue.record("two echoes on ideal links answer each other for ever")
            return
        }
    }

    @Test func whatIsSentToNobodyIsDropped() {
        let network = VirtualNetwork(seed: 1)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 1)
        network.attach(network.addHost("client", running: source), at: Addresses.client.ip, .ideal)
        _ = network.run(until: network.now + .seconds(1))
        #expect(network.trace.records.last?.kind == .dropped(.noRoute))
    }
}
