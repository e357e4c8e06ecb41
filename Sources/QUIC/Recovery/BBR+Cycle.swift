import Primitives

/// The search for more bandwidth (draft-ietf-ccwg-bbr §5.3.3).
extension BBR {
    mutating func enterDown(at now: Instant) {
        isLossInRound = false
        bandwidthLatest = 0
        inflightLatest = 0
        probeAcknowledgedPerStep = .max
        pickProbeWait(at: now)
        cycleStart = now
        feedback = .stopping
        startRound()
        state = .down
    }

    /// §5.5.6: a cycle is over.
    private mutating func advanceMaximum(at now: Instant) {
        maximumBandwidth.advance()
        maximumAdvanced = now
    }

    /// Where the queue is so long that the search for the shortest round-trip time cuts every cycle off, the maximum would
    /// never be forgotten, and the queue never emptied: what is taken for half of what fits would be more than all of it. So
    /// that search ends a cycle, too, unless one has just begun.
    mutating func endStaleCycle(_ sample: RateSampler.Sample, at now: Instant) {
        guard wasEverFull, !sample.isApplicationLimited, maximumBandwidth.isCurrent,
            now > maximumAdvanced + Self.probeWait + Self.probeWaitSpread
        else { return }
        advanceMaximum(at: now)
    }

    mutating func enterRefill() {
        resetShortTermModel()
        probeDoublings = 0
        probeAcknowledged = 0
        wasProbePrecautionary = false
        feedback = .refilling
        startRound()
        state = .refill
    }

    private mutating func enterUp(_ sample: RateSampler.Sample) {
        feedback = .starting
        startRound()
        resetFullPath(baseline: sample.rate ?? 0)
        state = .up
        raiseLongTermSlope()
    }

    /// §5.3.3.5.3: flows that share a bottleneck should not probe at once. The instant of the decision, to the nanosecond,
    /// is as good as a draw for that, and the same in every run of a simulation.
    private mutating func pickProbeWait(at now: Instant) {
        var draw = SeededGenerator(seed: UInt64(bitPattern: (now - .origin).nanoseconds) ^ delivered)
        roundsSinceProbe = draw.next() % 2
        let spread = Int64(draw.next() % UInt64(Self.probeWaitSpread.nanoseconds))
        probeWait = Self.probeWait + .nanoseconds(spread)
    }

    mutating func advanceCycle(_ sample: RateSampler.Sample, at now: Instant) {
        guard wasEverFull, !adaptLongTermModel(sample, at: now) else { return }
        switch state {
        case .startup, .drain, .probeRTT: return
        case .down:
            if isTimeToProbe(at: now) { return enterRefill() }
            if inFlight <= inflightWithHeadroom, inFlight <= targetInFlight(gain: 1, bandwidth: maximumBandwidth.value)
            {
                state = .cruise
            }
        case .cruise:
            if isTimeToProbe(at: now) { enterRefill() }
        case .refill:
            guard isRoundStart else { return }
            isProbeSample = true
            enterUp(sample)
        case .up:
            guard isTimeToGoDown(sample) else { return }
            wasProbeTooHigh = false
            enterDown(at: now)
        }
    }

    private func isTimeToProbe(at now: Instant) -> Bool {
        if now > cycleStart + probeWait { return true }
        let target = min(bandwidthDelayProduct ?? 0, Double(window)) / Double(max(datagramSize, 1))
        return roundsSinceProbe >= UInt64(min(max(Int(saturating: target), 1), Self.longestProbeWaitRounds))
    }

    private mutating func isTimeToGoDown(_ sample: RateSampler.Sample) -> Bool {
        if wasProbeTooHigh, Double(inFlight) >= inflightLongTerm {
            wasProbePrecautionary = true
            return true
        }
        if isWindowLimited, Double(window) >= inflightLongTerm {
            resetFullPath(baseline: sample.rate ?? 0)
            return false
        }
        return isFullNow
    }

    /// Whether the window was full in the last round.
    private var isWindowLimited: Bool { filledRound &+ 1 >= roundCount }

    /// What may be in flight while others are to find room.
    var inflightWithHeadroom: Int {
        guard inflightLongTerm < .infinity else { return .max }
        let headroom = max(Double(datagramSize), Self.headroom * inflightLongTerm)
        return max(Int(saturating: inflightLongTerm - headroom), minimumWindow)
    }

    private mutating func raiseLongTermSlope() {
        let growth = 1 << probeDoublings
        probeDoublings = min(probeDoublings + 1, Self.mostProbeDoublings)
        probeAcknowledgedPerStep = max(window / growth, datagramSize, 1)
    }

    private mutating func probeLongTermUpward(_ sample: RateSampler.Sample) {
        guard isWindowLimited, Double(window) >= inflightLongTerm else { return }
        probeAcknowledged = probeAcknowledged.addingSaturating(sample.acknowledged)
        if probeAcknowledged >= probeAcknowledgedPerStep {
            let steps = probeAcknowledged / probeAcknowledgedPerStep
            probeAcknowledged -= steps * probeAcknowledgedPerStep
            inflightLongTerm += Double(steps) * Double(datagramSize)
        }
        if isRoundStart { raiseLongTermSlope() }
    }

    /// Follows what acknowledgements tell of the last probe. Tells whether it has decided on the next state.
    private mutating func adaptLongTermModel(_ sample: RateSampler.Sample, at now: Instant) -> Bool {
        if feedback == .starting, isRoundStart { feedback = .arriving }
        if feedback == .stopping, isRoundStart {
            isProbeSample = false
            feedback = .none
            if state.isInCycle, !sample.isApplicationLimited { advanceMaximum(at: now) }
            if state.isInCycle, wasProbePrecautionary, !wasProbeTooHigh {
                enterRefill()
                return true
            }
        }
        if !isTooMuch(sample.lost, of: sample.inFlight), inflightLongTerm < .infinity {
            inflightLongTerm = max(inflightLongTerm, Double(sample.inFlight))
            if state == .up { probeLongTermUpward(sample) }
        }
        return false
    }
}
