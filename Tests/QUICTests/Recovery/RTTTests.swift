import Primitives
import Testing

@testable import QUIC

@Suite("Round-trip time (RFC 9002 §5)")
struct RecoveryRTTTests {
    @Test func assumesAThirdOfASecondBeforeTheFirstSample() {
        let rtt = RTTEstimator()
        #expect(rtt.smoothed == ms(333))
        #expect(rtt.variation == ms(166.5))
        #expect(rtt.minimum == nil)
        #expect(rtt.probeTimeout(maxAckDelay: .zero) == ms(999))
    }

    @Test func firstSampleReplacesTheAssumptionWithoutAckDelay() {
        var rtt = RTTEstimator()
        rtt.sampled(ms(100), ackDelay: ms(20), maxAckDelay: ms(25), at: at(500))
        #expect(rtt.smoothed == ms(100))
        #expect(rtt.variation == ms(50))
        #expect(rtt.minimum == ms(100))
        #expect(rtt.latest == ms(100))
        #expect(rtt.firstSampleTime == at(500))
        #expect(rtt.probeTimeout(maxAckDelay: ms(25)) == ms(325))
    }

    @Test func laterSamplesAreWeightedByAnEighth() {
        var rtt = RTTEstimator()
        rtt.sampled(ms(100), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        rtt.sampled(ms(180), ackDelay: .zero, maxAckDelay: nil, at: at(200))
        #expect(rtt.smoothed == ms(110))
        #expect(rtt.variation == ms(57.5))
        #expect(rtt.minimum == ms(100))
        #expect(rtt.latest == ms(180))
    }

    struct DelayCase: Sendable {
        var name: String
        var sample: Double
        var ackDelay: Interval
        var maxAckDelay: Interval?
        var adjusted: Double
    }

    static let delayCases = [
        DelayCase(name: "believed", sample: 140, ackDelay: ms(20), maxAckDelay: ms(25), adjusted: 120),
        DelayCase(name: "capped by max_ack_delay", sample: 140, ackDelay: ms(39), maxAckDelay: ms(25), adjusted: 115),
        DelayCase(
            name: "not capped before confirmation", sample: 140, ackDelay: ms(39), maxAckDelay: nil, adjusted: 101),
        DelayCase(
            name: "not believed below min_rtt", sample: 110, ackDelay: ms(20), maxAckDelay: ms(25), adjusted: 110),
        DelayCase(name: "just down to min_rtt", sample: 120, ackDelay: ms(20), maxAckDelay: ms(25), adjusted: 100),
        DelayCase(name: "negative is none", sample: 140, ackDelay: ms(-20), maxAckDelay: ms(25), adjusted: 140),
        DelayCase(name: "absurd", sample: 140, ackDelay: .max, maxAckDelay: nil, adjusted: 140),
    ]

    @Test(arguments: delayCases)
    func ackDelayIsTakenOffWithinLimits(_ test: DelayCase) {
        var rtt = RTTEstimator()
        rtt.sampled(ms(100), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        rtt.sampled(ms(test.sample), ackDelay: test.ackDelay, maxAckDelay: test.maxAckDelay, at: at(200))
        #expect(rtt.smoothed == (ms(100) * 7 + ms(test.adjusted)) / 8, "\(test.name)")
        #expect(rtt.variation == (ms(50) * 3 + ms(test.adjusted - 100).magnitude) / 4, "\(test.name)")
    }

    @Test func minimumIgnoresAckDelayAndRestartsAtTheLatest() {
        var rtt = RTTEstimator()
        rtt.restartMinimum()
        #expect(rtt.minimum == nil)
        rtt.sampled(ms(100), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        rtt.sampled(ms(80), ackDelay: ms(70), maxAckDelay: nil, at: at(200))
        #expect(rtt.minimum == ms(80))
        rtt.sampled(ms(300), ackDelay: .zero, maxAckDelay: nil, at: at(500))
        rtt.restartMinimum()
        #expect(rtt.minimum == ms(300))
    }

    @Test func lossDelayIsNineEighthsOfTheLongerAndAtLeastTheGranularity() {
        var rtt = RTTEstimator()
        rtt.sampled(ms(80), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        #expect(rtt.lossDelay == ms(90))
        rtt.sampled(ms(160), ackDelay: .zero, maxAckDelay: nil, at: at(100))
        #expect(rtt.lossDelay == ms(180))
        var short = RTTEstimator()
        short.sampled(.microseconds(40), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        #expect(short.lossDelay == ms(1))
        #expect(short.probeTimeout(maxAckDelay: .zero) == .microseconds(1_040))
    }

    /// An acknowledgement that a sleeping machine held back for an hour is no round trip of an hour.
    @Test func whatComesAfterSecondsIsNoRoundTrip() {
        var rtt = RTTEstimator()
        rtt.sampled(ms(20), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        let before = rtt
        rtt.sampled(.seconds(3_600), ackDelay: .zero, maxAckDelay: nil, at: at(3_600_000))
        #expect(rtt == before)
        rtt.sampled(RTTEstimator.longestSample, ackDelay: .zero, maxAckDelay: nil, at: at(3_700_000))
        #expect(rtt.latest == RTTEstimator.longestSample)
    }

    @Test func absurdSamplesDoNotTrap() {
        for sample in [Interval.max, Interval(nanoseconds: .min), .zero, ms(-1)] {
            var rtt = RTTEstimator()
            for delay in [Interval.max, .zero, Interval(nanoseconds: .min)] {
                rtt.sampled(sample, ackDelay: delay, maxAckDelay: nil, at: at(0))
                rtt.sampled(ms(50), ackDelay: delay, maxAckDelay: .max, at: at(0))
            }
            #expect(rtt.smoothed > .zero)
            #expect(rtt.lossDelay >= RTTEstimator.granularity)
            #expect(rtt.persistentCongestionDuration(maxAckDelay: .max) == .max)
        }
    }
}
