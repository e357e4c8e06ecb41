import Primitives
import Simulator
import Testing

/// A source behind a translator, and an echo on the internet.
private struct Home {
    static let outside = IPAddress.v4(198, 51, 100, 1)
    static let secondOutside = IPAddress.v4(198, 51, 100, 2)

    let network = VirtualNetwork(seed: 1)
    let source: Source
    let echo = Sink(.echoing)
    let translator: VirtualNetwork.TranslatorID

    init(count: Int, every interval: Interval, behaviour: TranslatorBehaviour = TranslatorBehaviour()) {
        source = Source(from: Addresses.client, to: Addresses.server, count: count, every: interval)
        translator = network.addTranslator(
            "router", outside: [Self.outside, Self.secondOutside], behaviour: behaviour)
        let client = network.addHost("client", running: source)
        network.attach(client, at: Addresses.client.ip, to: .translator(translator), .ideal)
        network.attach(network.addHost("server", running: echo), at: Addresses.server.ip, .ideal)
    }

    func run() { _ = network.run(until: network.now + .seconds(600)) }

    var sourcesSeen: [NetworkAddress] { echo.arrivals.map(\.datagram.source) }
}

@Suite("An address translator")
struct TranslatorTests {
    @Test func hidesTheInsideAndLetsAnswersBack() {
        let home = Home(count: 3, every: .milliseconds(10))
        home.run()
        #expect(home.sourcesSeen == Array(repeating: NetworkAddress(Home.outside, port: 40_000), count: 3))
        #expect(home.source.received.count == 3)
        #expect(home.source.received.allSatisfy { $0.destination == Addresses.client })
        let outside = home.network.outsideAddress(of: Addresses.client, at: home.translator)
        #expect(outside == NetworkAddress(Home.outside, port: 40_000))
    }

    @Test func letsTheOtherFamilyPass() throws {
        let (inside, outside) = (NetworkAddress(.v6(0x7), port: 5_000), NetworkAddress(.v6(0x77), port: 443))
        var translator = AddressTranslator(outside: [Home.outside], behaviour: TranslatorBehaviour())
        let packet = Datagram(from: inside, to: outside, bytes: [1])
        #expect(translator.translateOutbound(packet, at: VirtualNetwork.start).source == inside)
        let answer = Datagram(from: outside, to: inside, bytes: [2])
        #expect(try translator.translateInbound(answer, at: VirtualNetwork.start).destination == inside)
    }

    @Test func mapsTowardEveryDestinationAlike() {
        // RFC 4787 REQ-1.
        let home = Home(count: 1, every: .zero)
        let other = NetworkAddress(.v4(192, 0, 2, 77), port: 53)
        let second = Source(from: Addresses.client, to: other, count: 1)
        let sink = Sink()
        home.network.attach(home.network.addHost("other", running: sink), at: other.ip, .ideal)
        let host = home.network.addHost("same-client", running: second)
        home.network.attach(host, at: Addresses.client.ip, to: .translator(home.translator), .ideal)
        home.run()
        #expect(sink.arrivals.map(\.datagram.source) == home.sourcesSeen)
    }

    @Test func rebindsToAnotherPort() {
        let home = Home(count: 4, every: .milliseconds(10))
        home.network.schedule(at: VirtualNetwork.start + .milliseconds(15)) { $0.rebind(home.translator, .port) }
        home.run()
        #expect(home.sourcesSeen.map(\.port) == [40_000, 40_000, 40_001, 40_001])
        #expect(home.sourcesSeen.allSatisfy { $0.ip == Home.outside })
        #expect(home.source.received.count == 4)
    }

    @Test func rebindsToAnotherAddressAndPort() {
        let home = Home(count: 4, every: .milliseconds(10))
        home.network.schedule(at: VirtualNetwork.start + .milliseconds(15)) {
            $0.rebind(home.translator, .addressAndPort)
        }
        home.run()
        #expect(home.sourcesSeen.map(\.ip) == [Home.outside, Home.outside, Home.secondOutside, Home.secondOutside])
        #expect(home.source.received.count == 4)
    }

    @Test func whatIsSentToAForgottenMappingIsDropped() {
        let home = Home(count: 1, every: .zero)
        home.network.schedule(at: VirtualNetwork.start + .milliseconds(10)) { network in
            network.rebind(home.translator, .port)
            network.inject(
                Datagram(from: Addresses.server, to: NetworkAddress(Home.outside, port: 40_000), bytes: [1]))
        }
        home.run()
        #expect(home.source.received.count == 1)
        #expect(home.network.trace.records.last?.kind == .dropped(.noMapping))
    }

    @Test(arguments: [
        (TranslatorBehaviour.Filtering.addressAndPortDependent, 1), (.endpointIndependent, 2),
    ])
    func filtersStrangersAsItIsTold(filtering: TranslatorBehaviour.Filtering, received: Int) {
        let home = Home(count: 1, every: .zero, behaviour: TranslatorBehaviour(filtering: filtering))
        let stranger = NetworkAddress(.v4(203, 0, 113, 9), port: 9)
        home.network.schedule(at: VirtualNetwork.start + .milliseconds(10)) { network in
            network.inject(Datagram(from: stranger, to: NetworkAddress(Home.outside, port: 40_000), bytes: [1]))
        }
        home.run()
        #expect(home.source.received.count == received)
    }

    @Test func idleMappingExpiresAndTheNextDatagramGetsAnother() {
        let idle = TranslatorBehaviour(idleLifetime: .seconds(30))
        let busy = Home(count: 3, every: .seconds(29), behaviour: idle)
        busy.run()
        #expect(busy.sourcesSeen.map(\.port) == [40_000, 40_000, 40_000])
        let slow = Home(count: 3, every: .seconds(30), behaviour: idle)
        slow.run()
        #expect(slow.sourcesSeen.map(\.port) == [40_000, 40_001, 40_002])
    }

    @Test func inboundAloneDoesNotKeepAMappingAlive() {
        // RFC 4787 REQ-6: refresh by outbound traffic is what can be relied on.
        let home = Home(count: 1, every: .zero, behaviour: TranslatorBehaviour(idleLifetime: .seconds(30)))
        for second in stride(from: 10, through: 50, by: 10) {
            home.network.schedule(at: VirtualNetwork.start + .seconds(Int64(second))) { network in
                network.inject(
                    Datagram(from: Addresses.server, to: NetworkAddress(Home.outside, port: 40_000), bytes: [1]))
            }
        }
        home.run()
        // The echo at 0 s, and what came at 10 and 20 s.
        #expect(home.source.received.count == 3)
    }

    @Test func absoluteLifetimeEndsABusyMapping() {
        let carrier = TranslatorBehaviour(absoluteLifetime: .seconds(50))
        let home = Home(count: 15, every: .seconds(10), behaviour: carrier)
        home.run()
        let ports: [UInt16] = [40_000, 40_001, 40_002].flatMap { Array(repeating: $0, count: 5) }
        #expect(home.sourcesSeen.map(\.port) == ports)
    }

    @Test func translatorsMayStandBehindTranslators() {
        let network = VirtualNetwork(seed: 1)
        let carrier = network.addTranslator("carrier", outside: [Home.outside])
        let router = network.addTranslator("router", outside: [.v4(100, 64, 0, 9)], to: .translator(carrier))
        let source = Source(from: Addresses.client, to: Addresses.server, count: 2, every: .milliseconds(1))
        let echo = Sink(.echoing)
        network.attach(
            network.addHost("client", running: source), at: Addresses.client.ip, to: .translator(router), .ideal)
        network.attach(network.addHost("server", running: echo), at: Addresses.server.ip, .ideal)
        #expect(network.run(until: network.now + .seconds(1)) == .quiet)
        #expect(echo.arrivals.allSatisfy { $0.datagram.source.ip == Home.outside })
        #expect(source.received.count == 2)
    }

    @Test func twoHomesMayUseTheSamePrivateAddress() {
        let network = VirtualNetwork(seed: 1)
        let echo = Sink(.echoing)
        network.attach(network.addHost("server", running: echo), at: Addresses.server.ip, .ideal)
        let sources = [IPAddress.v4(198, 51, 100, 1), .v4(203, 0, 113, 1)].map { outside in
            let router = network.addTranslator("router", outside: [outside])
            let source = Source(from: Addresses.client, to: Addresses.server, count: 1)
            network.attach(
                network.addHost("client", running: source), at: Addresses.client.ip, to: .translator(router), .ideal)
            return source
        }
        #expect(network.run(until: network.now + .seconds(1)) == .quiet)
        #expect(sources.map(\.received.count) == [1, 1])
    }
}
