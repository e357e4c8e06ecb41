import Primitives
import Testing

@testable import QUIC

/// A congestion controller with a window that is always full, driven one round trip at a time.
private struct Sender {
    var controller: CongestionController
    var rtt = RTTEstimator()
    var clock = 0.0

    init(_ algorithm: CongestionAlgorithm, datagramSize: Int = 1_000) {
        controller = CongestionController(algorithm, datagramSize: datagramSize)
        rtt.sampled(ms(100), ackDelay: .zero, maxAckDelay: nil, at: at(0))
    }

    /// Sends a window of packets, all acknowledged one round trip later.
    mutating func round(share: Double = 1) {
        let sent = at(clock)
        let bytes = Int(Double(controller.window) * share)
        var inFlight = 0
        while inFlight + 1_000 <= bytes {
            inFlight += 1_000
            controller.packetSent(size: 1_000, bytesInFlight: inFlight, at: sent)
        }
        clock += 100
        for _ in 0..<inFlight / 1_000 {
            controller.packetAcknowledged(size: 1_000, sentAt: sent)
            controller.acknowledgementsProcessed(rtt: rtt, sample: ms(100), at: at(clock))
        }
    }

    mutating func lose() {
        controller.packetLost(sentAt: at(clock - 50), at: at(clock))
    }
}

@Suite("Congestion window (RFC 9002 §7)")
struct RecoveryCongestionTests {
    @Test(arguments: [(1_200, 12_000), (1_472, 14_720), (1_500, 14_720), (8_952, 17_904), (65_507, 131_014)])
    func initialWindowFollowsTheDatagramSize(size: Int, window: Int) {
        #expect(CongestionController.initialWindow(datagramSize: size) == window)
        #expect(CongestionController(datagramSize: size).window == window)
        #expect(CongestionController(datagramSize: size).minimumWindow == 2 * size)
    }

    @Test func cubicIsTheDefault() {
        #expect(CongestionController(datagramSize: 1_200).algorithm == .cubic)
        #expect(CongestionController(.newReno, datagramSize: 1_200).algorithm == .newReno)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func slowStartDoublesEachRound(algorithm: CongestionAlgorithm) {
        var sender = Sender(algorithm)
        for expected in [10_000, 20_000, 40_000, 80_000] {
            #expect(sender.controller.window == expected)
            #expect(sender.controller.isInSlowStart)
            sender.round()
        }
    }

    @Test(arguments: [(CongestionAlgorithm.newReno, 40_000), (.cubic, 56_000)])
    func lossReducesOncePerRecoveryPeriod(algorithm: CongestionAlgorithm, reduced: Int) {
        var sender = Sender(algorithm)
        for _ in 0..<3 { sender.round() }
        sender.lose()
        sender.lose()
        #expect(sender.controller.window == reduced)
        #expect(!sender.controller.isInSlowStart)
        #expect(sender.controller.congestionEventCount == 1)
        sender.controller.congestionExperienced(sentAt: at(sender.clock), at: at(sender.clock + 1))
        #expect(sender.controller.window == reduced, "sent before the recovery period began")
        sender.controller.packetLost(sentAt: at(sender.clock + 1), at: at(sender.clock + 60))
        #expect(sender.controller.congestionEventCount == 2)
        #expect(sender.controller.window < reduced)
    }

    @Test func windowDoesNotGrowByPacketsSentBeforeRecovery() {
        var sender = Sender(.newReno)
        sender.lose()
        let window = sender.controller.window
        sender.controller.packetSent(size: 1_000, bytesInFlight: window, at: at(sender.clock))
        for _ in 0..<50 { sender.controller.packetAcknowledged(size: 1_000, sentAt: at(sender.clock - 10)) }
        sender.controller.acknowledgementsProcessed(rtt: sender.rtt, sample: nil, at: at(sender.clock + 10))
        #expect(sender.controller.window == window)
    }

    @Test func newRenoGrowsByOneDatagramEachRound() {
        var sender = Sender(.newReno)
        for _ in 0..<3 { sender.round() }
        sender.lose()
        sender.clock += 1
        for step in 1...5 {
            sender.round()
            #expect(sender.controller.window == 40_000 + 1_000 * step)
        }
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func windowNeverFallsBelowTwoDatagrams(algorithm: CongestionAlgorithm) {
        var sender = Sender(algorithm)
        for _ in 0..<40 {
            sender.clock += 100
            sender.lose()
        }
        #expect(sender.controller.window == 2_000)
        sender.controller.datagramSizeChanged(to: 9_000)
        #expect(sender.controller.window == 18_000)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func unusedWindowDoesNotGrow(algorithm: CongestionAlgorithm) {
        var sender = Sender(algorithm)
        for _ in 0..<10 { sender.round(share: 0.4) }
        #expect(sender.controller.window == 10_000)
        for _ in 0..<3 { sender.round() }
        sender.lose()
        sender.clock += 1
        let window = sender.controller.window
        for _ in 0..<100 { sender.round(share: 0.8) }
        #expect(sender.controller.window == window)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func spuriousLossesGiveTheWindowBack(algorithm: CongestionAlgorithm) {
        var sender = Sender(algorithm)
        for _ in 0..<3 { sender.round() }
        let lostAt = at(sender.clock)
        for _ in 0..<3 { sender.lose() }
        let reduced = sender.controller.window
        sender.controller.lossWasSpurious(lostAt: lostAt)
        sender.controller.lossWasSpurious(lostAt: lostAt)
        #expect(sender.controller.window == reduced)
        sender.controller.lossWasSpurious(lostAt: lostAt)
        #expect(sender.controller.window == 80_000)
        #expect(sender.controller.isInSlowStart)
        #expect(sender.controller.undoneEventCount == 1)
        sender.controller.lossWasSpurious(lostAt: lostAt)
        #expect(sender.controller.undoneEventCount == 1)
    }

    @Test func spuriousLossesOfAnEarlierPeriodUndoNothing() {
        var sender = Sender(.cubic)
        for _ in 0..<3 { sender.round() }
        let first = at(sender.clock)
        sender.lose()
        sender.clock += 100
        sender.lose()
        let reduced = sender.controller.window
        sender.controller.lossWasSpurious(lostAt: first)
        #expect(sender.controller.window == reduced)
    }

    @Test func marksCannotBeUndone() {
        var sender = Sender(.cubic)
        for _ in 0..<3 { sender.round() }
        let lostAt = at(sender.clock)
        sender.lose()
        sender.controller.congestionExperienced(sentAt: at(sender.clock - 50), at: at(sender.clock + 1))
        sender.controller.lossWasSpurious(lostAt: lostAt)
        #expect(sender.controller.window == 56_000)
        #expect(sender.controller.undoneEventCount == 0)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func persistentCongestionFallsToTheMinimumAndStartsSlowly(algorithm: CongestionAlgorithm) {
        var sender = Sender(algorithm)
        for _ in 0..<3 { sender.round() }
        sender.lose()
        let threshold = sender.controller.slowStartThreshold
        sender.controller.persistentCongestionEstablished()
        #expect(sender.controller.window == 2_000)
        #expect(sender.controller.isInSlowStart)
        sender.clock += 1
        sender.round()
        #expect(sender.controller.window == 4_000)
        for _ in 0..<4 { sender.round() }
        #expect(sender.controller.window >= threshold && sender.controller.window < threshold + 5_000)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func growthEndsAtTheLimit(algorithm: CongestionAlgorithm) {
        var controller = CongestionController(algorithm, datagramSize: 1_000)
        var rtt = RTTEstimator()
        rtt.sampled(.max, ackDelay: .zero, maxAckDelay: nil, at: at(0))
        for step in 0..<200 {
            controller.packetSent(size: .max, bytesInFlight: .max, at: at(Double(step)))
            controller.packetAcknowledged(size: .max, sentAt: at(Double(step)))
            controller.acknowledgementsProcessed(rtt: rtt, sample: .max, at: Instant(nanoseconds: .max))
            if step == 100 { controller.packetLost(sentAt: at(100), at: at(100)) }
        }
        #expect(controller.window <= CongestionController.maximumWindow)
        #expect(controller.window >= controller.minimumWindow)
    }
}

@Suite("CUBIC (RFC 9438)")
struct RecoveryCubicTests {
    @Test func cubeRootIsExactEnough() {
        for value in [1e-9, 0.001, 0.3, 1, 2, 8, 27, 64, 1_000, 12_345.678, 1e12, 1e300] as [Double] {
            let root = cubeRoot(value)
            #expect(abs(root * root * root - value) <= value * 1e-12)
        }
        #expect(cubeRoot(0) == 0)
        #expect(cubeRoot(-8) == 0)
        #expect(cubeRoot(.infinity) == 0)
        #expect(cubeRoot(.nan) == 0)
    }

    /// The window over time after a loss at 1,000 segments: W(t) = 0.4 (t − K)³ + 1,000 with K = ∛(300 / 0.4) ≈ 9.086 s.
    @Test func followsTheCubicFunction() {
        var cubic = Cubic()
        var window = cubic.reduced(1_000_000)
        #expect(window == 700_000)
        let period = cubeRoot(750)
        for step in 0...240 {
            let time = Double(step) * 50
            window = cubic.grown(window, acknowledged: window / 2, datagramSize: 1_000, rtt: ms(100), at: at(time))
            let distance = time / 1_000 + 0.1 - period
            let expected = 1_000_000 + 400 * distance * distance * distance
            // Half of the way to the target with every call: behind the function, but not by more than a round trip or two.
            let before = distance - 0.3
            #expect(Double(window) <= expected + 2_000 || step < 2, "at \(time) ms")
            #expect(Double(window) >= 1_000_000 + 400 * before * before * before - 2_000, "at \(time) ms")
        }
        #expect(window > 1_000_000)
    }

    @Test func fastConvergenceGivesWayToNewFlows() {
        var cubic = Cubic()
        #expect(cubic.reduced(1_000_000) == 700_000)
        #expect(cubic.reduced(800_000) == 560_000)
        // W_max is 800,000 × (1 + 0.7) / 2 = 680,000: K = ∛(120 / 0.4) ≈ 6.69 s. At K the window stands there.
        var window = 560_000
        for step in 0...134 {
            window = cubic.grown(
                window, acknowledged: window, datagramSize: 1_000, rtt: ms(50), at: at(Double(step) * 50))
        }
        #expect(abs(window - 680_000) < 3_000)
    }

    @Test func growsAsRenoWouldWhereThatIsFaster() {
        // A short round trip and a small window: the cubic function takes seconds, Reno's line milliseconds.
        var cubic = Cubic()
        var window = cubic.reduced(20_000)
        #expect(window == 14_000)
        for step in 0..<20 {
            window = cubic.grown(window, acknowledged: window, datagramSize: 1_000, rtt: ms(1), at: at(Double(step)))
        }
        // α = 0.529 a round until 20,000 is reached after 12 rounds, then 1.
        #expect(window >= 26_000 && window <= 30_000)
    }

    @Test func timeWithoutUseDoesNotCount() {
        var used = Cubic()
        var paused = Cubic()
        var windows = (used.reduced(1_000_000), paused.reduced(1_000_000))
        for step in 0..<20 {
            windows.0 = used.grown(
                windows.0, acknowledged: windows.0, datagramSize: 1_000, rtt: ms(100), at: at(Double(step) * 100))
        }
        for step in 0..<20 {
            let pause = step >= 10 ? 60_000.0 : 0
            if step == 10 { paused.pause() }
            windows.1 = paused.grown(
                windows.1, acknowledged: windows.1, datagramSize: 1_000, rtt: ms(100),
                at: at(Double(step) * 100 + pause))
        }
        #expect(abs(windows.0 - windows.1) < 20_000)
        #expect(windows.1 < 1_000_000)
    }

    @Test func noStepIsMoreThanHalfTheWindow() {
        var cubic = Cubic()
        var window = cubic.reduced(10_000)
        window = cubic.grown(window, acknowledged: window, datagramSize: 1_000, rtt: ms(1), at: at(0))
        let before = window
        window = cubic.grown(window, acknowledged: window, datagramSize: 1_000, rtt: .max, at: at(1e9))
        #expect(window <= before * 3 / 2 + 1)
    }
}

@Suite("HyStart++ (RFC 9406)")
struct RecoveryHyStartTests {
    /// One round of `count` samples at the given round-trip time.
    private func round(_ hyStart: inout HyStart, _ clock: inout Double, rtt: Double, count: Int = 10) {
        let sent = at(clock)
        clock += rtt
        for index in 0..<count {
            // The first ACK of the round settles the first packet that was sent in it.
            hyStart.acknowledged(rtt: ms(rtt), newestSent: sent, packets: 1, at: at(clock + Double(index) * 0.01))
        }
        clock += 1
    }

    @Test func steadyRoundTripsKeepSlowStartGoing() {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<20 { round(&hyStart, &clock, rtt: 40) }
        #expect(hyStart.phase == .standard)
        #expect(hyStart.growth(for: 1_000) == 1_000)
    }

    @Test func aRiseLeadsToConservativeSlowStartAndThenOut() {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 40) }
        // The threshold is 40 / 8 = 5 ms.
        round(&hyStart, &clock, rtt: 44.9)
        #expect(hyStart.phase == .standard)
        round(&hyStart, &clock, rtt: 40)
        round(&hyStart, &clock, rtt: 50)
        guard case .conservative(let baseline, _) = hyStart.phase else {
            Issue.record("expected conservative slow start, is \(hyStart.phase)")
            return
        }
        #expect(baseline == ms(50))
        #expect(hyStart.growth(for: 1_000) == 250)
        for _ in 0..<HyStart.conservativeRounds { round(&hyStart, &clock, rtt: 52) }
        #expect(hyStart.hasEnded)
        #expect(hyStart.growth(for: 1_000) == 1_000)
    }

    @Test(
        "three rounds without a queue widen the window, and two more with it resume slow start",
        arguments: [41.0, 43, 52], [41.0, 43])
    func resumption(rtt: Double, widened: Double) {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 40) }
        hyStart.end(at: at(clock))
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 52) }
        #expect(hyStart.hasEnded)
        // Half of the threshold, 2.5 ms, is the most that counts as none.
        for _ in 0..<HyStart.quietRounds { round(&hyStart, &clock, rtt: rtt) }
        #expect(hyStart.hasEnded)
        // A round ends with the first packet of the next.
        round(&hyStart, &clock, rtt: rtt)
        guard rtt < 42.5 else {
            #expect(hyStart.hasEnded)
            return
        }
        #expect(hyStart.phase == .widened(roundsLeft: HyStart.widenedRounds))
        #expect(hyStart.growth(for: 1_000) == 250)
        for _ in 0..<HyStart.widenedRounds { round(&hyStart, &clock, rtt: widened) }
        // In vain, it takes twice as long until the next time.
        #expect(
            hyStart.phase
                == (widened < 42.5 ? .standard : .ended(roundsLeft: HyStart.quietRounds * 2)))
    }

    @Test func aFullPathIsTriedMoreAndMoreSeldom() {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 40) }
        hyStart.end(at: at(clock))
        var trials = 0
        var isWidened = false
        for _ in 0..<600 {
            // A queue stands in the rounds with a wider window, and only then.
            round(&hyStart, &clock, rtt: isWidened ? 50 : 40)
            let wasWidened = isWidened
            if case .widened = hyStart.phase { isWidened = true } else { isWidened = false }
            if isWidened, !wasWidened { trials += 1 }
            #expect(hyStart.phase != .standard)
        }
        // 3 + 6 + 12 + 24 + 48 rounds between the first six, and 96 from then on.
        #expect((6...12).contains(trials))
    }

    @Test func congestionEndsItForGood() {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 40) }
        hyStart.finish()
        hyStart.end(at: at(clock))
        for _ in 0..<9 { round(&hyStart, &clock, rtt: 40) }
        #expect(hyStart.phase == .finished)
    }

    @Test func aFallBelowTheBaselineResumesSlowStart() {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 40) }
        for _ in 0..<2 { round(&hyStart, &clock, rtt: 60) }
        #expect(hyStart.phase != .standard)
        for _ in 0..<2 { round(&hyStart, &clock, rtt: 41) }
        #expect(hyStart.phase == .standard)
    }

    @Test(arguments: [(10.0, 3.9, false), (10, 4.1, true), (400, 15.9, false), (400, 16.1, true)])
    func thresholdLiesBetweenFourAndSixteenMilliseconds(rtt: Double, rise: Double, leaves: Bool) {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: rtt) }
        round(&hyStart, &clock, rtt: rtt + rise)
        #expect((hyStart.phase != .standard) == leaves)
    }

    @Test func fewSamplesJudgeNothingUnlessTheyCoverManyPackets() {
        var hyStart = HyStart()
        var clock = 0.0
        for _ in 0..<3 { round(&hyStart, &clock, rtt: 40, count: 3) }
        round(&hyStart, &clock, rtt: 60, count: 3)
        #expect(hyStart.phase == .standard)
        hyStart.acknowledged(rtt: ms(90), newestSent: at(clock - 30), packets: 40, at: at(clock))
        #expect(hyStart.phase != .standard)
    }
}
