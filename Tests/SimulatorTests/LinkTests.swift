import Primitives
import Simulator
import Testing

/// A source, one link under test toward the internet, and a sink on an ideal link.
private struct Wire {
    let network: VirtualNetwork
    let source: Source
    let sink: Sink
    let client: VirtualNetwork.HostID
    let link: VirtualNetwork.LinkID

    init(
        _ conditions: LinkConditions, count: Int, size: Int = 1_200, every interval: Interval = .zero,
        ecn: ECN = .notCapable, seed: UInt64 = 1, interfaceMTU: Int? = nil
    ) {
        network = VirtualNetwork(seed: seed)
        source = Source(
            from: Addresses.client, to: Addresses.server, count: count, size: size, every: interval, ecn: ecn)
        sink = Sink()
        client = network.addHost("client", running: source)
        let server = network.addHost("server", running: sink)
        link = network.attach(
            client, at: Addresses.client.ip, outbound: conditions, inbound: .ideal, interfaceMTU: interfaceMTU)
        network.attach(server, at: Addresses.server.ip, .ideal)
    }

    @discardableResult
    func run(for interval: Interval = .seconds(600)) -> RunOutcome { network.run(until: network.now + interval) }

    var statistics: LinkStatistics { network.statistics(of: link, .outbound) }
    var arrivalTimes: [Interval] { sink.arrivals.map { $0.at - VirtualNetwork.start } }
}

@Suite("A link")
struct LinkTests {
    @Test func deliversAfterItsDelay() {
        let wire = Wire(LinkConditions(delay: .milliseconds(30)), count: 1)
        #expect(wire.run() == .quiet)
        #expect(wire.arrivalTimes == [.milliseconds(30)])
        #expect(wire.sink.arrivals.first?.datagram.source == Addresses.client)
    }

    @Test func serialisesAtItsRateCountingIPHeaders() {
        // 972 + 28 bytes at 1 Mbit/s take 8 ms each.
        let wire = Wire(LinkConditions(delay: .milliseconds(5), rate: .megabits(1)), count: 3, size: 972)
        wire.run()
        #expect(wire.arrivalTimes == [.milliseconds(13), .milliseconds(21), .milliseconds(29)])
    }

    @Test func dropsAtTheTailWhenItsQueueOfBytesIsFull() {
        let wire = Wire(LinkConditions(rate: .megabits(1), queue: .bytes(5_000)), count: 8, size: 972)
        wire.run()
        #expect(wire.sink.numbers == [0, 1, 2, 3, 4])
        #expect(wire.statistics.dropped(.queueFull) == 3)
        #expect(wire.statistics.longestQueue == 5_000)
    }

    @Test func dropsAtTheTailWhenItsQueueOfTimeIsFull() {
        // A datagram may find at most 20 ms of queue: 0, 8 and 16 ms do, 24 ms does not.
        let wire = Wire(LinkConditions(rate: .megabits(1), queue: .time(.milliseconds(20))), count: 8, size: 972)
        wire.run()
        #expect(wire.sink.numbers == [0, 1, 2])
    }

    @Test func queueDrainsWithTime() {
        // 10 ms apart at 8 ms each: nothing ever waits.
        let wire = Wire(
            LinkConditions(rate: .megabits(1), queue: .bytes(1_000)), count: 50, size: 972, every: .milliseconds(10))
        wire.run()
        #expect(wire.sink.arrivals.count == 50)
        #expect(wire.statistics.longestQueue == 1_000)
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func losesAtRandomAtItsProbability(seed: UInt64) {
        let wire = Wire(LinkConditions(loss: .random(0.1)), count: 3_000, size: 40, seed: seed)
        wire.run()
        // Mean 300, standard deviation 16: five of them.
        #expect(abs(wire.statistics.dropped(.lost) - 300) < 82)
        #expect(wire.sink.arrivals.count == 3_000 - wire.statistics.dropped(.lost))
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func losesInBurstsOfTheModelsMeanLength(seed: UInt64) {
        let model = GilbertElliott(onset: 0.02, recovery: 0.25)
        let wire = Wire(LinkConditions(loss: .burst(model)), count: 4_000, size: 40, seed: seed)
        wire.run()
        let arrived = Set(wire.sink.numbers)
        var bursts = 0
        var lost = 0
        for number in 0..<UInt32(4_000) where !arrived.contains(number) {
            lost += 1
            if number == 0 || arrived.contains(number - 1) { bursts += 1 }
        }
        // Mean burst 1 / 0.25 = 4 datagrams; share lost 0.02 / 0.27 = 7.4 %.
        #expect((3.0...5.0).contains(Double(lost) / Double(bursts)))
        #expect((0.05...0.10).contains(Double(lost) / 4_000))
    }

    @Test func losesTheDatagramsThatTheScenarioNames() {
        let wire = Wire(LinkConditions(lostOrdinals: [0, 3]), count: 5)
        wire.run()
        #expect(wire.sink.numbers == [1, 2, 4])
    }

    @Test func jitterSpreadsArrivalsAndKeepsTheirOrder() {
        let wire = Wire(
            LinkConditions(delay: .milliseconds(10), jitter: .milliseconds(10)), count: 500, size: 40,
            every: .milliseconds(1))
        wire.run()
        #expect(wire.sink.numbers == Array(0..<500))
        let delays = zip(wire.arrivalTimes, 0...).map { $0 - .milliseconds($1) }
        #expect(delays.allSatisfy { $0 >= .milliseconds(10) && $0 <= .milliseconds(20) })
        #expect(Set(delays).count > 100)
    }

    @Test func heldBackDatagramsAreOvertaken() {
        let wire = Wire(
            LinkConditions(delay: .milliseconds(10), reordering: Reordering(0.1, by: .milliseconds(5))), count: 500,
            size: 40, every: .milliseconds(1))
        wire.run()
        #expect(wire.sink.arrivals.count == 500)
        #expect((20...90).contains(wire.statistics.heldBack))
        let overtaken = zip(wire.sink.numbers, wire.sink.numbers.dropFirst()).filter { $0 > $1 }
        #expect(overtaken.count > 10)
    }

    @Test func interruptionsHoldUpWhatIsDueAndKeepItsOrder() {
        let wire = Wire(
            LinkConditions(
                delay: .milliseconds(10),
                interruptions: Interruptions(every: .milliseconds(40), upTo: .milliseconds(20))),
            count: 2_000, size: 40, every: .milliseconds(1))
        wire.run()
        #expect(wire.sink.numbers == Array(0..<2_000))
        let delays = zip(wire.arrivalTimes, 0...).map { $0 - .milliseconds($1) }
        #expect(delays.allSatisfy { $0 >= .milliseconds(10) && $0 <= .milliseconds(31) })
        // A fifth of the time, on average, in about 40 interruptions that each let go everything at once.
        #expect((200...600).contains(delays.count { $0 > .milliseconds(10) }))
        #expect((20...80).contains(Set(wire.arrivalTimes.filter { $0.nanoseconds % 1_000_000 != 0 }).count))
    }

    @Test func duplicatesArriveTwiceUnchanged() {
        let wire = Wire(LinkConditions(duplication: 0.2), count: 500, size: 40)
        wire.run()
        #expect((50...150).contains(wire.statistics.duplicated))
        #expect(wire.sink.arrivals.count == 500 + wire.statistics.duplicated)
        #expect(Set(wire.sink.numbers).count == 500)
    }

    @Test func corruptionFlipsAFewBitsAndKeepsTheLength() {
        let wire = Wire(LinkConditions(corruption: 1), count: 50, size: 100)
        wire.run()
        for (index, arrival) in wire.sink.arrivals.enumerated() {
            var original = [UInt8](repeating: 0x5A, count: 100)
            original.replaceSubrange(0..<4, with: [0, 0, 0, UInt8(index)])
            let flipped = zip(original, arrival.datagram.bytes).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
            #expect(arrival.datagram.bytes.count == 100)
            #expect((0...4).contains(flipped))
        }
        #expect(wire.statistics.corrupted == 50)
    }

    @Test func swallowsWhatIsAboveItsMTU() {
        let conditions = LinkConditions(mtu: 1_300)
        let fits = Wire(conditions, count: 1, size: 1_272)
        fits.run()
        #expect(fits.sink.arrivals.count == 1)
        let tooLarge = Wire(conditions, count: 1, size: 1_273)
        tooLarge.run()
        #expect(tooLarge.sink.arrivals.isEmpty)
        #expect(tooLarge.statistics.dropped(.aboveMTU) == 1)
        #expect(tooLarge.source.refusals.isEmpty)
    }

    @Test func interfaceRefusesWhatIsAboveItsOwnMTU() {
        let wire = Wire(.ideal, count: 1, size: 1_473, interfaceMTU: 1_500)
        wire.run()
        #expect(wire.source.refusals == [.messageTooLong])
        #expect(wire.statistics.offered == 0)
        #expect(wire.network.datagramsSent(by: wire.client) == 0)
    }

    @Test func oneFaultDoesNotMoveAnother() {
        let plain = Wire(LinkConditions(loss: .random(0.2)), count: 300)
        let faulty = Wire(
            LinkConditions(
                jitter: .milliseconds(3), loss: .random(0.2), duplication: 0.3,
                reordering: Reordering(0.3, by: .milliseconds(9)), corruption: 0), count: 300)
        plain.run()
        faulty.run()
        #expect(Set(plain.sink.numbers) == Set(faulty.sink.numbers))
    }
}

@Suite("ECN on a link")
struct LinkECNTests {
    private static func codepoints(after treatment: ECNTreatment, sending ecn: ECN) -> [ECN] {
        let wire = Wire(LinkConditions(ecn: treatment), count: 1, ecn: ecn)
        wire.run()
        return wire.sink.arrivals.map(\.datagram.ecn)
    }

    @Test func isPreservedClearedRewrittenOrFatal() {
        #expect(Self.codepoints(after: .preserved, sending: .ect0) == [.ect0])
        #expect(Self.codepoints(after: .cleared, sending: .ect0) == [.notCapable])
        #expect(Self.codepoints(after: .rewritten(.ect1), sending: .ect0) == [.ect1])
        #expect(Self.codepoints(after: .rewritten(.ect1), sending: .notCapable) == [.notCapable])
        #expect(Self.codepoints(after: .dropsCapable, sending: .ect0) == [])
        #expect(Self.codepoints(after: .dropsCapable, sending: .notCapable) == [.notCapable])
    }

    @Test func queueMarksCapableDatagramsAboveItsThreshold() {
        let conditions = LinkConditions(rate: .megabits(1), markingThreshold: .bytes(1_500))
        let capable = Wire(conditions, count: 4, size: 972, ecn: .ect0)
        capable.run()
        #expect(
            capable.sink.arrivals.map(\.datagram.ecn)
                == [.ect0, .ect0, .congestionExperienced, .congestionExperienced])
        #expect(capable.statistics.marked == 2)
        let incapable = Wire(conditions, count: 4, size: 972)
        incapable.run()
        #expect(incapable.sink.arrivals.allSatisfy { $0.datagram.ecn == .notCapable })
    }
}

@Suite("A link's schedule")
struct LinkScheduleTests {
    private static func every10ms(_ conditions: LinkConditions = .ideal) -> Wire {
        Wire(conditions, count: 10, every: .milliseconds(10))
    }

    @Test func blackholeSwallowsUnnoticed() {
        let wire = Self.every10ms()
        wire.network.schedule(at: VirtualNetwork.start + .milliseconds(25)) { $0.set(.blackhole, of: wire.link) }
        wire.network.schedule(at: VirtualNetwork.start + .milliseconds(55)) { $0.set(.up, of: wire.link) }
        wire.run()
        #expect(wire.sink.numbers == [0, 1, 2, 6, 7, 8, 9])
        #expect(wire.statistics.dropped(.blackholed) == 3)
        #expect(wire.source.refusals.isEmpty)
        #expect(wire.source.changes == [.available(Addresses.client.ip)])
    }

    @Test func downLinkRefusesAndIsReported() {
        let wire = Self.every10ms()
        wire.network.schedule(at: VirtualNetwork.start + .milliseconds(25)) { $0.set(.down, of: wire.link) }
        wire.network.schedule(at: VirtualNetwork.start + .milliseconds(55)) { $0.set(.up, of: wire.link) }
        wire.run()
        #expect(wire.sink.numbers == [0, 1, 2, 6, 7, 8, 9])
        #expect(wire.source.refusals == [.networkUnreachable, .networkUnreachable, .networkUnreachable])
        let address = Addresses.client.ip
        #expect(wire.source.changes == [.available(address), .linkDown(address), .available(address)])
    }

    @Test func datagramsUnderWayAreLostWithTheLink() {
        let wire = Self.every10ms(LinkConditions(delay: .milliseconds(15)))
        wire.network.schedule(at: VirtualNetwork.start + .milliseconds(30)) { $0.set(.blackhole, of: wire.link) }
        wire.run()
        // 0 and 1 arrived at 15 and 25 ms; 2 would have at 35 ms.
        #expect(wire.sink.numbers == [0, 1])
    }

    @Test func oneDirectionMayDieAlone() {
        let network = VirtualNetwork(seed: 1)
        let source = Source(from: Addresses.client, to: Addresses.server, count: 4, every: .milliseconds(10))
        let sink = Sink(.echoing)
        let client = network.addHost("client", running: source)
        let link = network.attach(client, at: Addresses.client.ip, .ideal)
        network.attach(network.addHost("server", running: sink), at: Addresses.server.ip, .ideal)
        network.schedule(at: VirtualNetwork.start + .milliseconds(15)) { $0.set(.blackhole, of: link, .inbound) }
        _ = network.run(until: network.now + .seconds(1))
        #expect(sink.arrivals.count == 4)
        #expect(source.received.count == 2)
    }

    @Test func newConditionsHoldForWhatEntersLater() {
        let wire = Self.every10ms(LinkConditions(delay: .milliseconds(1)))
        wire.network.schedule(at: VirtualNetwork.start + .milliseconds(45)) { network in
            network.change(wire.link, .outbound) { $0.delay = .milliseconds(100) }
        }
        wire.run()
        #expect(wire.arrivalTimes.prefix(5).last == .milliseconds(41))
        #expect(wire.arrivalTimes.last == .milliseconds(190))
    }

    @Test func interceptorTakesAndForges() {
        let wire = Self.every10ms()
        let forged = NetworkAddress(.v4(203, 0, 113, 9), port: 9)
        wire.network.intercept(wire.link, .outbound) { datagram, ordinal, _ in
            switch ordinal {
            case 0: return .drop
            case 1:
                var copy = datagram
                copy.source = forged
                return .replace([datagram, copy])
            default: return .pass
            }
        }
        wire.run()
        #expect(wire.sink.numbers == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        #expect(wire.sink.arrivals.prefix(2).map(\.datagram.source) == [Addresses.client, forged])
        #expect(wire.statistics.dropped(.intercepted) == 1)
    }
}
