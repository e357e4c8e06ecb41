import Primitives
import Testing

@testable import QUIC

extension BBR.State {
    /// The state without what it carries.
    var name: String {
        switch self {
        case .startup: "startup"
        case .drain: "drain"
        case .down: "down"
        case .cruise: "cruise"
        case .refill: "refill"
        case .up: "up"
        case .probeRTT: "probeRTT"
        }
    }
}

extension Flow {
    /// The model, of a flow that has one.
    var model: BBR {
        get throws { try #require(path.congestion.model) }
    }

    /// The states that the model goes through until a time, looked at each millisecond.
    mutating func states(until end: Double) throws -> [String] {
        var names = [try model.state.name]
        while clock < end {
            try run(until: min(clock + 1, end))
            let name = try model.state.name
            if name != names.last { names.append(name) }
        }
        return names
    }
}

@Suite("BBRv3 (draft-ietf-ccwg-bbr-06)")
struct BBRTests {
    /// 20 Mb/s, 40 ms round trip (100,000 bytes in flight), a queue of two such products.
    private static let link = Flow.Link(bytesPerMillisecond: 2_500, oneWayMs: 20, queueBytes: 200_000)

    /// The table of §5.6.1: state, pacing gain, window gain, in the cycle, probing.
    private static let table: [(BBR.State, Double, Double, Bool, Bool)] = [
        (.startup, 2.77, 2, false, true), (.drain(since: 3), 0.5, 2, false, false), (.down, 0.9, 2, true, false),
        (.cruise, 1, 2, true, false), (.refill, 1, 2, true, true), (.up, 1.25, 2.25, true, true),
        (.probeRTT(.draining), 1, 0.5, false, false),
        (.probeRTT(.holding(until: at(1), hasRoundPassed: false)), 1, 0.5, false, false),
    ]

    @Test("each state has its gains")
    func gains() {
        var model = BBR(datagramSize: 1_200, initialWindow: 12_000)
        for (state, pacing, window, isInCycle, isProbing) in Self.table {
            model.state = state
            #expect(model.pacingGain == pacing && model.windowGain == window, "\(state)")
            #expect(state.isInCycle == isInCycle && state.isProbing == isProbing, "\(state)")
        }
    }

    @Test("startup finds the bandwidth, drain empties the queue, and the cycle begins")
    func startup() throws {
        var flow = Flow(.bbr, Self.link)
        // §5.2.3: the ACK that ends drain because no more than a product is in flight (CheckDrainDone) goes on to
        // UpdateProbeBWCyclePhase, where down ends for the same reason.
        let states = try flow.states(until: 1_500)
        #expect(states.prefix(3) == ["startup", "drain", "cruise"], "\(states)")
        let model = try flow.model
        #expect(model.wasEverFull)
        // Bytes per second: within 2 % of the bottleneck's.
        #expect((2_450_000...2_550_000).contains(model.maximumBandwidth.value), "\(model.maximumBandwidth.value)")
        #expect(try #require(model.minimumRTT) < ms(41))
        #expect(flow.dropped == 0)
    }

    @Test("the rate doubles each round of startup")
    func doubling() throws {
        let link = Flow.Link(bytesPerMillisecond: 250_000, oneWayMs: 50, queueBytes: 50_000_000)
        var flow = Flow(.bbr, link)
        try flow.run(until: 350)
        let earlier = try flow.model.maximumBandwidth.value
        try flow.run(until: 650)
        #expect(try flow.model.maximumBandwidth.value >= 6 * earlier)
        #expect(try flow.model.state == .startup)
    }

    @Test("bandwidth is probed again and again: cruise, refill, up, down")
    func cycle() throws {
        var flow = Flow(.bbr, Self.link)
        try flow.run(until: 1_000)
        let states = try flow.states(until: 4_900)
        let probes = states.indices.filter { states[$0] == "up" }
        #expect(probes.count >= 1)
        for index in probes where index > 0 {
            #expect(states[index - 1] == "refill")
            if index + 1 < states.count { #expect(states[index + 1] == "down") }
        }
        #expect(try flow.utilisation(from: 4_900, to: 6_900) > 0.85)
    }

    @Test("after five seconds without a shorter round trip half a product is in flight for 200 ms")
    func probeRTT() throws {
        var flow = Flow(.bbr, Self.link)
        var began: Double?
        var ended: Double?
        var smallest = Int.max
        while flow.clock < 9_000 {
            try flow.run(until: flow.clock + 1)
            if try flow.model.isInProbeRTT {
                began = began ?? flow.clock
                smallest = min(smallest, flow.window)
            } else if began != nil, ended == nil {
                ended = flow.clock
                #expect(try flow.model.state == .cruise)
            }
        }
        let start = try #require(began)
        let end = try #require(ended)
        #expect((4_900...7_000).contains(start))
        #expect((200...400).contains(end - start))
        #expect(smallest < 60_000)
        #expect(flow.window > 100_000)
    }

    @Test("a bottleneck that becomes ten times as fast is found, and one as slow")
    func change() throws {
        var flow = Flow(.bbr, Self.link)
        try flow.run(until: 2_000)
        flow.link.bytesPerMillisecond = 250
        try flow.run(until: 12_000)
        let slow = try flow.model
        #expect(slow.bandwidth < 350_000, "\(slow)")
        flow.link.bytesPerMillisecond = 2_500
        try flow.run(until: 24_000)
        let fast = try flow.model
        #expect(fast.bandwidth > 2_000_000, "\(fast)")
    }

    @Test("random loss of 1 % leaves the rate nearly as it was", arguments: [1, 2, 3] as [UInt64])
    func randomLoss(seed: UInt64) throws {
        var link = Self.link
        link.lossEvery = 100
        var flow = Flow(.bbr, link)
        flow.generator = SeededGenerator(seed: seed)
        #expect(try flow.utilisation(from: 1_000, to: 8_000) > 0.85)
    }

    @Test("a queue of a tenth of a product is not overrun for long")
    func shallowQueue() throws {
        var link = Self.link
        link.queueBytes = 10_000
        var flow = Flow(.bbr, link)
        #expect(try flow.utilisation(from: 2_000, to: 10_000) > 0.7)
        #expect(flow.dropped * 20 < flow.sent)
    }

    @Test("losses in startup that come with a queue end it")
    func lossInStartup() throws {
        var link = Self.link
        link.queueBytes = 40_000
        var flow = Flow(.bbr, link)
        try flow.run(until: 1_000)
        #expect(try flow.model.wasEverFull)
        #expect(try flow.model.inflightLongTerm < 400_000)
    }

    @Test("congestion marks are answered though nothing is lost")
    func marks() throws {
        var link = Self.link
        link.markAbove = 20_000
        var flow = Flow(.bbr, link)
        let plain = try flow.utilisation(from: 2_000, to: 6_000)
        #expect(plain > 0.7)
        #expect(flow.dropped == 0)
        #expect(flow.path.congestion.congestionEventCount > 0)
        #expect(try flow.model.inflightLongTerm < .infinity)
    }

    @Test("packets that are only late take nothing away")
    func reordering() throws {
        var link = Self.link
        var flow = Flow(.bbr, link)
        try flow.run(until: 2_000)
        let next = flow.bench.detector.nextPacketNumber
        link.delayed = next + 50..<next + 60
        link.extraMs = 15
        flow.link = link
        try flow.run(until: 2_400)
        #expect(flow.path.congestion.undoneEventCount >= 1)
        #expect(try flow.model.bandwidthShortTerm == .infinity)
    }

    @Test("a path that rested goes on at its rate, and rest counts for an empty queue")
    func rest() throws {
        var flow = Flow(.bbr, Self.link)
        try flow.run(until: 2_000)
        let bandwidth = try flow.model.bandwidth
        flow.applicationBytesPerMs = 0
        try flow.run(until: 9_000)
        flow.applicationBytesPerMs = .infinity
        let states = try flow.states(until: 9_300)
        #expect(!states.contains("probeRTT"))
        #expect(try flow.model.bandwidth > bandwidth * 0.9)
    }

    @Test("a little for the application to send never ends startup")
    func applicationLimited() throws {
        var flow = Flow(.bbr, Self.link)
        flow.applicationBytesPerMs = 100
        #expect(try flow.states(until: 3_000) == ["startup"])
    }

    @Test("an outage leaves the fewest packets, and the flow recovers")
    func outage() throws {
        var link = Self.link
        link.outage = 2_000..<4_000
        var flow = Flow(.bbr, link)
        #expect(try flow.utilisation(from: 6_000, to: 9_000) > 0.7)
    }

    @Test("the window never falls below four datagrams (§5.6.4.3)")
    func minimumWindow() {
        var controller = CongestionController(.bbr, datagramSize: 1_000)
        for _ in 0..<5 { controller.persistentCongestionEstablished() }
        #expect(controller.window == 4_000)
        controller.datagramSizeChanged(to: 1_400)
        #expect(controller.window == 5_600)
    }

    @Test("a network that is known is entered with half of what it carried, and left to search from there")
    func restoring() throws {
        var flow = Flow(.bbr, Self.link)
        try flow.run(until: 2_000)
        flow.path.books.congestion.restore(flow.path.books.carriedWindow)
        #expect((40_000...70_000).contains(flow.window))
        #expect(flow.path.congestion.isInSlowStart)
        #expect(try flow.utilisation(from: 2_400, to: 4_000) > 0.85)
    }

    @Test("a restored window that does not fit any more is given up at the first losses")
    func retreat() throws {
        var flow = Flow(.bbr, Self.link)
        try flow.run(until: 2_000)
        flow.applicationBytesPerMs = 0
        try flow.run(until: 4_000)
        flow.path.books.congestion.restore(2_000_000)
        flow.link.queueBytes = 20_000
        flow.applicationBytesPerMs = .infinity
        try flow.run(until: 4_300)
        #expect(flow.window < 300_000)
    }
}
