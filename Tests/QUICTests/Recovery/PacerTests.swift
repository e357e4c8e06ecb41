import Primitives
import Testing

@testable import QUIC

@Suite("Pacing (RFC 9002 §7.7)")
struct RecoveryPacerTests {
    /// 100,000 bytes over 100 ms: 1.25 bytes a microsecond in congestion avoidance.
    private func pacer(window: Int = 100_000, rtt: Interval = ms(100), phase: Pacer.Phase = .congestionAvoidance)
        -> Pacer
    {
        Pacer(window: window, smoothedRTT: rtt, datagramSize: 1_000, phase: phase)
    }

    @Test func rateIsWindowOverRoundTripAndAQuarterMore() {
        #expect(pacer().rate == BitRate(bitsPerSecond: 10_000_000))
        #expect(pacer(phase: .slowStart).rate == BitRate(bitsPerSecond: 16_000_000))
    }

    @Test func aBurstOfTenLeavesAtOnceAndThenOneByOne() {
        var pacer = pacer()
        for _ in 0..<10 {
            #expect(pacer.nextSendTime(for: 1_000, at: at(0)) == nil)
            pacer.sent(1_000, at: at(0))
        }
        #expect(pacer.budget(at: at(0)) == 0)
        #expect(pacer.nextSendTime(for: 1_000, at: at(0)) == at(1), "0.8 ms, rounded up to the quantum")
        #expect(pacer.nextSendTime(for: 2_000, at: at(0)) == at(1.6))
        #expect(pacer.nextSendTime(for: 1_000, at: at(0.8)) == nil)
        #expect(pacer.budget(at: at(1.6)) == 2_000)
    }

    @Test func sendsAtItsRateOverALongTime() {
        var pacer = pacer()
        var clock = at(0)
        var sent = 0
        while clock < at(1_000) {
            if let next = pacer.nextSendTime(for: 1_000, at: clock) {
                #expect(next > clock)
                clock = next
            } else {
                pacer.sent(1_000, at: clock)
                sent += 1_000
            }
        }
        #expect(sent >= 1_240_000 && sent <= 1_270_000)
    }

    @Test func burstGrowsWithTheRateWithinBounds() {
        var fast = pacer(window: 10_000_000, rtt: ms(20))
        #expect(fast.budget(at: at(0)) == 1_048_576, "625 bytes a microsecond for 2 ms would be more")
        var medium = pacer(window: 1_000_000, rtt: ms(20))
        #expect(medium.budget(at: at(0)) == 125_000)
        var slow = pacer(window: 2_000, rtt: ms(500))
        #expect(slow.budget(at: at(0)) == 10_000)
    }

    @Test func overdraftIsPaidBackButBounded() {
        var pacer = pacer()
        pacer.sent(11_000, at: at(0))
        #expect(pacer.nextSendTime(for: 1_000, at: at(0)) == at(1.6))
        pacer.sent(1_000_000, at: at(0))
        #expect(pacer.nextSendTime(for: 1_000, at: at(0)) == at(8.8))
    }

    @Test func idlenessSavesNoMoreThanABurst() {
        var pacer = pacer()
        pacer.sent(10_000, at: at(0))
        #expect(pacer.budget(at: at(3_600_000)) == 10_000)
    }

    @Test func datagramLargerThanTheBurstStillLeaves() {
        var pacer = pacer()
        #expect(pacer.nextSendTime(for: 60_000, at: at(0)) == nil)
    }

    @Test func adjustingKeepsWhatWasSaved() {
        var pacer = pacer()
        pacer.sent(10_000, at: at(0))
        pacer.adjust(window: 400_000, smoothedRTT: ms(100), datagramSize: 1_000, phase: .congestionAvoidance, at: at(4))
        #expect(pacer.budget(at: at(4)) == 5_000)
        #expect(pacer.budget(at: at(5)) == 10_000)
    }

    @Test func absurdTimesAndWindowsDoNotTrap() {
        for window in [0, 1, Int.max] {
            for rtt in [Interval.zero, .max, Interval(nanoseconds: .min)] {
                var pacer = pacer(window: window, rtt: rtt)
                for time in [Instant(nanoseconds: .min), at(0), Instant(nanoseconds: .max), at(5)] {
                    pacer.adjust(
                        window: window, smoothedRTT: rtt, datagramSize: .max, phase: .slowStart, at: time)
                    pacer.sent(.max, at: time)
                    _ = pacer.nextSendTime(for: .max, at: time)
                    #expect(pacer.budget(at: time) >= 0)
                }
                #expect(pacer.rate.bitsPerSecond >= 0)
            }
        }
    }
}
