import Primitives

/// What round-trip times and losses tell of the queue before the bottleneck.
struct QueueWatch: Equatable, Sendable {
    /// Whether the round-trip time was longer all through the last round, or this one so far, than the path itself takes.
    private(set) var isGrowing = false
    /// The part of packets that the path loses while its queue is empty.
    var ambientLoss: Double {
        let all = ambientLost + ambientDelivered
        return all > 0 ? min(ambientLost / all, BBR.mostAmbientLoss) : 0
    }

    private var wasRisen = false
    private var roundMinimum: Interval?
    private var minimum: Interval?
    private var lostBefore: UInt64 = 0
    private var deliveredBefore: UInt64 = 0
    private var ambientLost = 0.0
    private var ambientDelivered = 0.0

    private var isRisen: Bool {
        guard let minimum, let roundMinimum else { return false }
        return roundMinimum >= minimum + max(minimum / BBR.queueShare, RTTEstimator.granularity)
    }

    mutating func sampled(_ rtt: Interval, minimum: Interval?) {
        self.minimum = minimum ?? rtt
        roundMinimum = roundMinimum.map { min($0, rtt) } ?? rtt
        isGrowing = wasRisen || isRisen
    }

    /// A round is over; `isTelling`: its losses are none of a probe for bandwidth.
    mutating func roundEnded(delivered: UInt64, lost: UInt64, isTelling: Bool) {
        wasRisen = isRisen
        if isTelling, !wasRisen, lost >= lostBefore, delivered >= deliveredBefore {
            ambientLost = ambientLost * BBR.ambientMemory + Double(lost - lostBefore)
            ambientDelivered = ambientDelivered * BBR.ambientMemory + Double(delivered - deliveredBefore)
        }
        lostBefore = lost
        deliveredBefore = delivered
        roundMinimum = nil
        isGrowing = wasRisen
    }
}

/// The response to loss and to marks (draft-ietf-ccwg-bbr §5.5.10).
extension BBR {
    /// Whether so much of what was in flight got lost that less should be.
    func isTooMuch(_ lost: Int, of inFlight: Int) -> Bool {
        guard lost > 0 else { return false }
        let allowed = Self.lossThreshold + (queue.isGrowing ? 0 : Self.ambientFactor * queue.ambientLoss)
        return Double(lost) > Double(inFlight) * allowed
    }

    /// Takes a packet that is lost. `lost` counts what was declared lost since it left, itself included.
    mutating func packetLost(
        _ number: UInt64, size: Int, mark: RateSampler.Mark, lost: Int, at now: Instant
    ) {
        noteCongestion(at: now)
        undo?.missing += 1
        if lastLost.map({ number != $0 &+ 1 }) ?? true { separateLosses += 1 }
        lastLost = number
        if trialGoal != nil, state == .startup, isTooMuch(lost, of: mark.inFlight) {
            // A restored window that the network does not carry any more.
            trialGoal = nil
            endStartupAfterLoss()
            window = max(minimumWindow, min(window, Int(saturating: inflightLongTerm)))
            state = .drain(since: roundCount)
        }
        guard isProbeSample, isTooMuch(lost, of: mark.inFlight) else { return }
        probeWentTooHigh(
            at: inflightAtLoss(size: size, inFlight: mark.inFlight, lost: lost),
            isApplicationLimited: mark.isApplicationLimited, at: now)
    }

    /// Takes a congestion mark: the draft asks for a response and leaves open which. As to loss that is too much.
    mutating func congestionExperienced(at now: Instant) {
        noteCongestion(at: now)
        undo = nil
        isMarkedInRound = true
        if state == .startup {
            endStartupAfterLoss()
            state = .drain(since: roundCount)
        } else if isProbeSample {
            probeWentTooHigh(at: Double(inFlight), isApplicationLimited: false, at: now)
        }
    }

    private mutating func noteCongestion(at now: Instant) {
        if !isLossInRound {
            lossRoundDelivered = delivered
            episodes &+= 1
            saveWindow()
            undo = Undo(
                since: now, window: window, bandwidthShortTerm: bandwidthShortTerm,
                inflightShortTerm: inflightShortTerm, inflightLongTerm: inflightLongTerm)
        }
        isLossInRound = true
    }

    /// Where within the lost packet, which may stand for many, the losses became too much.
    private func inflightAtLoss(size: Int, inFlight: Int, lost: Int) -> Double {
        let before = Double(inFlight - size)
        let lostBefore = Double(lost - size)
        return before + max(0, (Self.lossThreshold * before - lostBefore) / (1 - Self.lossThreshold))
    }

    private mutating func probeWentTooHigh(at volume: Double, isApplicationLimited: Bool, at now: Instant) {
        wasProbeTooHigh = true
        isProbeSample = false
        if !isApplicationLimited {
            let target = min(bandwidthDelayProduct ?? 0, Double(window))
            inflightLongTerm = max(volume, target * Self.beta)
        }
        guard state == .up else { return }
        undo?.left = .up
        enterDown(at: now)
    }

    mutating func updateLatestSignals(_ sample: RateSampler.Sample) {
        bandwidthLatest = max(bandwidthLatest, sample.rate ?? 0)
        inflightLatest = max(inflightLatest, Double(sample.delivered))
        isLossRoundStart = sample.priorDelivered >= lossRoundDelivered
        if isLossRoundStart { lossRoundDelivered = delivered }
    }

    /// Once in a round with loss, a sender that does not probe goes down toward what was delivered.
    mutating func adaptToLoss(_ sample: RateSampler.Sample) {
        guard isLossRoundStart else { return }
        defer {
            isLossInRound = false
            isMarkedInRound = false
        }
        guard isLossInRound, !state.isProbing,
            isMarkedInRound || queue.isGrowing || isTooMuch(sample.lost, of: sample.inFlight)
        else { return }
        if bandwidthShortTerm == .infinity { bandwidthShortTerm = maximumBandwidth.value }
        if inflightShortTerm == .infinity { inflightShortTerm = Double(window) }
        bandwidthShortTerm = max(bandwidthLatest, Self.beta * bandwidthShortTerm)
        inflightShortTerm = max(inflightLatest, Self.beta * inflightShortTerm)
    }

    mutating func resetShortTermModel() {
        bandwidthShortTerm = .infinity
        inflightShortTerm = .infinity
    }

    /// §5.5.11: a packet that was declared lost at `lostAt` arrived after all. When all of an episode have, its response is
    /// taken back.
    mutating func lossWasSpurious(lostAt: Instant) {
        guard var episode = undo, lostAt >= episode.since else { return }
        episode.missing -= 1
        undo = episode
        guard episode.missing <= 0 else { return }
        undo = nil
        undoneEpisodes &+= 1
        window = max(window, episode.window)
        isLossInRound = false
        resetFullPath()
        bandwidthShortTerm = max(bandwidthShortTerm, episode.bandwidthShortTerm)
        inflightShortTerm = max(inflightShortTerm, episode.inflightShortTerm)
        inflightLongTerm = max(inflightLongTerm, episode.inflightLongTerm)
        switch episode.left {
        case .startup:
            wasEverFull = false
            if !isInProbeRTT { state = .startup }
        case .up: if !isInProbeRTT, state != .up { enterRefill() }
        default: break
        }
    }
}
