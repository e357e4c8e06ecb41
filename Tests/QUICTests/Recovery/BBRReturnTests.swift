import Primitives
import Testing

@testable import QUIC

@Suite("BBR on networks that come and go")
struct BBRReturnTests {
    /// 20 Mb/s, 40 ms round trip (100,000 bytes in flight), a queue of two such products.
    private static let link = Flow.Link(bytesPerMillisecond: 2_500, oneWayMs: 20, queueBytes: 200_000)

    /// A flow that has found what its link carries.
    private func settled() throws -> Flow {
        var flow = Flow(.bbr, Self.link)
        try flow.run(until: 2_000)
        return flow
    }

    @Test("the first round trip in a known network restores half of its window, and the rest by startup")
    func restored() {
        let path = DetectorBench.path(0, .bbr)
        path.books.remembered = NetworkMemory.Entry(window: 300_000, minimumRTT: ms(20), leftAt: at(0))
        path.books.probed(roundTrip: ms(22), at: at(100))
        #expect(path.congestion.window == 150_000)
        #expect(path.congestion.isInSlowStart)
    }

    @Test("what is remembered is what the path carries, also while little is sent to see its round-trip time")
    func remembered() throws {
        var flow = try settled()
        let before = flow.path.books.carriedWindow
        while try !flow.model.isInProbeRTT, flow.clock < 9_000 { try flow.run(until: flow.clock + 10) }
        try flow.run(until: flow.clock + 100)
        #expect(try flow.model.isInProbeRTT)
        #expect(flow.window < 60_000)
        #expect(flow.path.books.carriedWindow * 10 > before * 9)
    }

    @Test("a restored window that is acknowledged is confirmed, and the rate of before found again within a second")
    func confirmed() throws {
        var flow = try settled()
        flow.path.books.silenceEnded(at: at(flow.clock))
        #expect(try flow.model.trialGoal != nil)
        try flow.run(until: 2_300)
        #expect(try flow.model.trialGoal == nil)
        #expect(try flow.utilisation(from: 2_300, to: 3_300) > 0.85)
        #expect(flow.path.persistentCongestionCount == 0)
    }

    @Test("a path that rested is used again with half of its window, one used a moment ago with all of it")
    func returned() throws {
        let flow = try settled()
        let before = flow.window
        let carried = flow.path.books.carriedWindow
        let last = try #require(flow.path.books.lastSent)
        flow.path.books.returned(at: last + ms(500))
        #expect(flow.window == before)
        flow.path.books.returned(at: last + ms(2_000))
        #expect(flow.window == carried / 2)
    }

    @Test("another address forgets the model and keeps what is in flight (RFC 9000 §9.4)")
    func reset() throws {
        let flow = try settled()
        let inFlight = flow.path.bytesInFlight
        flow.path.resetBooks()
        #expect(flow.path.congestion.algorithm == .bbr)
        #expect(flow.path.bytesInFlight == inFlight)
        let model = try flow.model
        #expect(model.state == .startup && model.maximumBandwidth.value == 0 && model.minimumRTT == nil)
        #expect(flow.window == CongestionController.initialWindow(datagramSize: MTUDiscovery.base))
    }

    @Test("a port that changed alone keeps the model (RFC 9000 §9.4)")
    func adopted() throws {
        let flow = try settled()
        let next = DetectorBench.path(1, .bbr)
        next.adoptBooks(of: flow.path)
        #expect(next.congestion == flow.path.congestion)
        #expect(next.bytesInFlight == 0)
    }

    @Test("losses of a path that was left say nothing of it")
    func lossAfterLeaving() throws {
        var flow = try settled()
        let before = flow.path.congestion
        flow.path.books.left()
        flow.bench.detectLost(at: at(flow.clock + 5_000))
        #expect(flow.path.congestion.window == before.window)
        #expect(flow.path.congestion.congestionEventCount == before.congestionEventCount)
    }
}
