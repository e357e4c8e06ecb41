import Primitives
import Testing

@testable import QUIC

@Suite("Persistent congestion (RFC 9002 §7.6)")
struct RecoveryPersistentCongestionTests {
    /// RFC 9002 §7.6.3, with a probe timeout of 2 units made of a round trip of 0.6 (variation 0.3) and a delay of 0.2.
    private func example(maxAckDelay: Double = 200) throws -> DetectorBench {
        var bench = DetectorBench()
        bench.detector.maxAckDelay = ms(maxAckDelay)
        bench.send(at(-600))
        try bench.receive([0...0], at: at(0))
        #expect(bench.path.rtt.probeTimeout(maxAckDelay: ms(200)) == ms(2_000))
        return bench
    }

    @Test func isEstablishedByTheExampleOfTheRFC() throws {
        var bench = try example()
        for time in [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 12_000] as [Double] { bench.send(at(time)) }
        try bench.receive([8...8], at: at(12_600))
        #expect(bench.lost == [1, 2, 3, 4, 5, 6, 7])
        #expect(bench.outcome.persistentCongestion == NetworkPathID(rawValue: 0))
        #expect(bench.path.congestion.window == bench.path.congestion.minimumWindow)
        #expect(bench.path.persistentCongestionCount == 1)
    }

    struct Case: Sendable {
        var name: String
        var times: [Double]
        var acknowledged: [ClosedRange<UInt64>]
        var isPersistent: Bool
    }

    /// The acknowledgement gives a second sample of 600, so that the duration is 3 × (600 + 4 × 225 + 200) = 5,100.
    static let cases = [
        Case(name: "too short", times: [1_000, 3_000, 6_000, 12_000], acknowledged: [4...4], isPersistent: false),
        Case(name: "exactly the duration", times: [1_000, 6_100, 12_000], acknowledged: [3...3], isPersistent: false),
        Case(name: "just longer", times: [1_000, 6_101, 12_000], acknowledged: [3...3], isPersistent: true),
        Case(name: "two packets are enough", times: [1_000, 8_000, 12_000], acknowledged: [3...3], isPersistent: true),
        Case(
            name: "one between arrived", times: [1_000, 4_000, 8_000, 12_000], acknowledged: [4...4, 2...2],
            isPersistent: false),
        Case(
            name: "the longer part after an arrival counts", times: [1_000, 2_000, 3_000, 6_000, 10_000, 13_000],
            acknowledged: [6...6, 2...2], isPersistent: true),
        Case(name: "one loss", times: [1_000, 20_000], acknowledged: [2...2], isPersistent: false),
    ]

    @Test(arguments: cases)
    func needsALongRunWithoutArrivals(_ test: Case) throws {
        var bench = try example()
        for time in test.times { bench.send(at(time)) }
        try bench.receive(test.acknowledged, at: at((test.times.last ?? 0) + 600))
        #expect((bench.outcome.persistentCongestion != nil) == test.isPersistent, "\(test.name)")
        #expect((bench.path.congestion.window == bench.path.congestion.minimumWindow) == test.isPersistent)
    }

    @Test func needsASampleBeforeTheLosses() throws {
        var bench = DetectorBench()
        for time in [0, 5_000, 10_000, 20_000] as [Double] { bench.send(at(time)) }
        try bench.receive([3...3], at: at(20_100))
        #expect(bench.lost == [0, 1, 2])
        #expect(bench.outcome.persistentCongestion == nil)
    }

    @Test func onlyAckElicitingPacketsBoundTheRun() throws {
        var bench = try example()
        bench.send(at(1_000), kind: .padded)
        bench.send(at(4_000))
        bench.send(at(9_000))
        bench.send(at(12_000))
        try bench.receive([4...4], at: at(12_600))
        #expect(bench.lost == [1, 2, 3])
        #expect(bench.outcome.persistentCongestion == nil)
    }

    @Test func slowStartBeginsAgainAndTheMinimumRoundTripToo() throws {
        var bench = try example()
        for time in [1_000, 8_000, 12_000] as [Double] { bench.send(at(time)) }
        try bench.receive([3...3], at: at(12_900))
        #expect(bench.path.congestion.isInSlowStart)
        #expect(bench.path.rtt.minimum == ms(900))
    }

    @Test func lossesOfAnotherPathDoNotCount() throws {
        var bench = DetectorBench(pathCount: 2)
        bench.send(at(-600), path: 0)
        bench.send(at(-600), path: 1)
        try bench.receive([0...0], at: at(0))
        try bench.receive([1...1], at: at(0))
        bench.send(at(1_000), path: 0)
        bench.send(at(8_000), path: 1)
        bench.send(at(12_000), path: 0)
        bench.send(at(12_000), path: 1)
        try bench.receive([4...5], at: at(12_600))
        #expect(bench.lost == [2, 3])
        #expect(bench.outcome.persistentCongestion == nil)
    }
}
