import Primitives
import Testing

@testable import QUIC

@Suite("Delivery rate")
struct RecoveryRateSamplerTests {
    /// Sends a packet every millisecond; each is acknowledged `rtt` milliseconds later at the rate of the bottleneck.
    private func run(packets: Int, everyMs: Double, bottleneckMs: Double, limited: Bool = false) -> RateSampler {
        var sampler = RateSampler()
        var events: [(time: Double, sent: Int?, acknowledged: Int?)] = []
        var free = 0.0
        for index in 0..<packets {
            let sent = Double(index) * everyMs
            free = max(free, sent + 10) + bottleneckMs
            events.append((sent, index, nil))
            events.append((free + 10, nil, index))
        }
        events.sort { $0.time < $1.time }
        var marks: [Int: (RateSampler.Mark, Instant)] = [:]
        var inFlight = 0
        for event in events {
            if let index = event.sent {
                if limited { sampler.applicationLimited(bytesInFlight: inFlight) }
                marks[index] = (sampler.packetSent(bytesInFlight: inFlight, at: at(event.time)), at(event.time))
                inFlight += 1_000
            }
            if let index = event.acknowledged, let (mark, sent) = marks[index] {
                sampler.packetAcknowledged(mark, size: 1_000, timeSent: sent, at: at(event.time))
                sampler.acknowledgementsProcessed(minimumRTT: ms(20), at: at(event.time))
                inFlight -= 1_000
            }
        }
        return sampler
    }

    @Test func measuresTheBottleneck() throws {
        let sampler = run(packets: 500, everyMs: 0.5, bottleneckMs: 1)
        let rate = try #require(sampler.latest)
        #expect(abs(rate.bitsPerSecond - 8_000_000) < 200_000)
        #expect(!sampler.isLatestApplicationLimited)
        #expect(sampler.delivered == 500_000)
        #expect(abs((sampler.estimate?.bitsPerSecond ?? 0) - 8_000_000) < 500_000)
    }

    @Test func slowApplicationIsMarkedAsSuch() throws {
        let sampler = run(packets: 200, everyMs: 4, bottleneckMs: 1, limited: true)
        let rate = try #require(sampler.latest)
        #expect(abs(rate.bitsPerSecond - 2_000_000) < 200_000)
        #expect(sampler.isLatestApplicationLimited)
    }

    @Test func limitedSamplesDoNotLowerTheEstimateUntilItIsOld() throws {
        var sampler = RateSampler()
        func deliver(_ bytes: Int, from sent: Double, to time: Double, _ sampler: inout RateSampler) {
            let mark = sampler.packetSent(bytesInFlight: 0, at: at(sent))
            sampler.packetAcknowledged(mark, size: bytes, timeSent: at(sent), at: at(time))
            sampler.acknowledgementsProcessed(minimumRTT: ms(20), at: at(time))
        }
        deliver(100_000, from: 0, to: 100, &sampler)
        #expect(sampler.estimate == BitRate(bitsPerSecond: 8_000_000))
        sampler.applicationLimited(bytesInFlight: 0)
        deliver(1_000, from: 200, to: 300, &sampler)
        #expect(sampler.latest == BitRate(bitsPerSecond: 80_000))
        #expect(sampler.estimate == BitRate(bitsPerSecond: 8_000_000))
        deliver(10_000, from: 6_000, to: 6_100, &sampler)
        #expect(sampler.estimate == BitRate(bitsPerSecond: 8_000_000))
        deliver(10_000, from: 12_000, to: 12_100, &sampler)
        #expect(sampler.estimate == BitRate(bitsPerSecond: 800_000))
    }

    @Test func aFullWindowIsNotTheApplicationsLimit() throws {
        var bench = DetectorBench()
        while bench.path.windowAvailable > 0 { bench.send(at(0)) }
        bench.path.applicationLimited()
        try bench.receive([0...3], at: at(20))
        bench.send(at(20))
        try bench.receive([0...10], at: at(40))
        #expect(!bench.path.deliveryRate.isLatestApplicationLimited)
    }

    @Test func samplesOverLessThanARoundTripAreNoise() {
        var sampler = RateSampler()
        let mark = sampler.packetSent(bytesInFlight: 0, at: at(0))
        sampler.packetAcknowledged(mark, size: 1_000, timeSent: at(0), at: at(5))
        sampler.acknowledgementsProcessed(minimumRTT: ms(20), at: at(5))
        #expect(sampler.latest == nil)
        sampler.acknowledgementsProcessed(minimumRTT: nil, at: at(6))
        #expect(sampler.latest == nil)
    }
}
