import Primitives
import Testing

@testable import QUIC

@Suite("Path MTU discovery (RFC 8899, RFC 9000 §14.3)")
struct RecoveryMTUTests {
    /// Probes a path that carries `limit` until nothing is left to try; tells how many probes it took.
    private func search(_ mtu: inout MTUDiscovery, limit: Int, at now: Instant = at(0)) -> Int {
        var probes = 0
        while let size = mtu.nextProbeSize(at: now), probes < 1_000 {
            probes += 1
            mtu.probeSent(size)
            if size <= limit { mtu.probeAcknowledged(size) } else { mtu.probeLost(size) }
        }
        return probes
    }

    @Test(arguments: [
        (1_200, 1_200), (1_472, 1_472), (1_472, 1_452), (1_472, 1_400), (1_472, 1_280), (1_452, 1_452), (8_972, 8_972),
        (16_384, 16_384), (16_384, 9_000), (65_507, 65_507), (65_507, 1_472), (65_507, 1_500), (9_000, 2_000),
        (1_472, 1_200),
    ])
    func findsWhatThePathCarries(ceiling: Int, limit: Int) {
        var mtu = MTUDiscovery(ceiling: ceiling)
        #expect(mtu.currentSize == 1_200)
        let probes = search(&mtu, limit: limit)
        #expect(mtu.currentSize <= limit)
        // Above Ethernet only the usual sizes are tried, and the ceiling.
        let rung = MTUDiscovery.ladder.last { $0 <= limit } ?? MTUDiscovery.base
        let isSearched = limit <= MTUDiscovery.largestSearched || limit == ceiling
        #expect(mtu.currentSize >= (isSearched ? limit - MTUDiscovery.resolution : rung))
        #expect(probes <= 30, "took \(probes) probes")
    }

    @Test func usualSizesTakeOneProbeEach() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        #expect(search(&mtu, limit: 1_472) == 3)
    }

    @Test func oneProbeIsOnItsWayAtATime() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        let size = mtu.nextProbeSize(at: at(0))
        #expect(size == 1_372)
        mtu.probeSent(1_372)
        #expect(mtu.nextProbeSize(at: at(0)) == nil)
        mtu.probeGivenUp()
        #expect(mtu.nextProbeSize(at: at(0)) == 1_372)
    }

    @Test func threeLossesMakeASizeTooLarge() {
        var mtu = MTUDiscovery(ceiling: 1_372)
        for _ in 0..<2 {
            mtu.probeSent(1_372)
            mtu.probeLost(1_372)
            #expect(mtu.nextProbeSize(at: at(0)) == 1_372)
        }
        mtu.probeSent(1_372)
        mtu.probeLost(1_372)
        #expect(mtu.nextProbeSize(at: at(0)) == 1_286)
    }

    @Test func triesAgainAfterTheRaiseTimer() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        _ = search(&mtu, limit: 1_372)
        #expect(mtu.currentSize == 1_372)
        #expect(mtu.nextProbeSize(at: at(599_999)) == nil)
        _ = search(&mtu, limit: 1_472, at: at(600_001))
        #expect(mtu.currentSize == 1_472)
    }

    @Test func ceilingIsFollowedBothWays() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        _ = search(&mtu, limit: 9_000)
        mtu.ceilingChanged(to: 1_300)
        #expect(mtu.currentSize == 1_300)
        #expect(mtu.nextProbeSize(at: at(0)) == nil)
        mtu.ceilingChanged(to: 8_972)
        _ = search(&mtu, limit: 9_000)
        #expect(mtu.currentSize == 8_972)
        mtu.ceilingChanged(to: 100)
        #expect(mtu.currentSize == 1_200)
        mtu.ceilingChanged(to: .max)
        #expect(mtu.ceiling == 65_507)
    }

    @Test func blackHoleFallsBackToTheBaseAndIsProbedLater() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        _ = search(&mtu, limit: 1_472)
        for burst in 1...3 {
            for _ in 0..<5 { mtu.packetLost(1_472) }
            mtu.packetAcknowledged(60)
            mtu.lossesProcessed(at: at(1_000))
            #expect(mtu.currentSize == (burst < 3 ? 1_472 : 1_200))
        }
        #expect(mtu.blackHoleCount == 1)
        #expect(mtu.nextProbeSize(at: at(60_999)) == nil)
        _ = search(&mtu, limit: 1_400, at: at(61_000))
        #expect(mtu.currentSize >= 1_380 && mtu.currentSize <= 1_400)
    }

    @Test func congestionIsNoBlackHole() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        _ = search(&mtu, limit: 1_472)
        for _ in 0..<100 {
            for _ in 0..<20 { mtu.packetLost(1_472) }
            mtu.lossesProcessed(at: at(0))
            mtu.packetAcknowledged(1_472)
        }
        for _ in 0..<100 {
            mtu.packetLost(1_200)
            mtu.lossesProcessed(at: at(0))
        }
        #expect(mtu.currentSize == 1_472)
        #expect(mtu.blackHoleCount == 0)
    }

    @Test func smallerPacketsAboveTheBaseDoNotHideABlackHole() {
        var mtu = MTUDiscovery(ceiling: 1_472)
        _ = search(&mtu, limit: 1_472)
        for _ in 0..<3 {
            mtu.packetLost(1_472)
            mtu.lossesProcessed(at: at(0))
            mtu.packetAcknowledged(1_300)
        }
        #expect(mtu.currentSize == 1_200)
    }

    @Test func detectorDrivesProbesAndBlackHoles() throws {
        var bench = DetectorBench()
        bench.send(at(0), size: 1_372, kind: .probe(mtu: 1_372))
        #expect(bench.path.mtu.nextProbeSize(at: at(0)) == nil)
        try bench.receive([0...0], at: at(20))
        #expect(bench.path.datagramSize == 1_372)
        #expect(bench.path.congestion.minimumWindow == 2_744)
        var clock = 100.0
        for _ in 0..<3 {
            for _ in 0..<3 { bench.send(at(clock), size: 1_372) }
            let small = bench.send(at(clock + 1), size: 60)
            clock += 100
            try bench.receive([small...small], at: at(clock))
            bench.detectLost(at: at(clock + 100))
            clock += 200
        }
        #expect(bench.path.datagramSize == 1_200)
    }

    @Test func lateArrivalOfAProbeCounts() throws {
        var bench = DetectorBench()
        bench.send(at(0), size: 1_372, kind: .probe(mtu: 1_372))
        for _ in 0..<3 { bench.send(at(0)) }
        try bench.receive([1...3], at: at(20))
        #expect(bench.lost == [0])
        try bench.receive([0...3], at: at(21))
        #expect(bench.path.datagramSize == 1_372)
    }
}
