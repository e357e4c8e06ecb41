import Primitives

/// The largest of recent values, over this cycle of probing and the one before it (draft-ietf-ccwg-bbr §5.5.6: two cycles).
struct WindowedMaximum: Equatable, Sendable {
    private var current = 0.0
    private var previous = 0.0

    /// The largest value.
    var value: Double { max(current, previous) }

    /// Whether this cycle has told anything.
    var isCurrent: Bool { current > 0 }

    mutating func take(_ value: Double) { current = max(current, value) }

    /// A cycle is over: what came before it is forgotten.
    mutating func advance() {
        previous = current
        current = 0
    }
}

/// How much more is acknowledged at once than the path delivers meanwhile (draft-ietf-ccwg-bbr §5.5.9).
struct Aggregation: Equatable, Sendable {
    /// Bytes acknowledged beyond what was expected, the most of late.
    var extra: Int { max(current, previous) }
    private var current = 0
    private var previous = 0
    private var since: UInt64 = 0
    private var start: Instant?
    private var acknowledged = 0.0

    /// Nothing is expected until more is sent.
    mutating func restart(at now: Instant) {
        start = now
        acknowledged = 0
    }

    /// Takes what an ACK acknowledged; the largest excess is remembered for up to `length` rounds, and half of that at least.
    mutating func acknowledged(
        _ bytes: Int, bandwidth: Double, window: Int, round: UInt64, length: UInt64, at now: Instant
    ) {
        var expected = start.map { bandwidth * (now - $0).seconds } ?? 0
        if start == nil || acknowledged <= expected {
            restart(at: now)
            expected = 0
        }
        acknowledged += Double(bytes)
        if round - since >= max(1, length / 2) {
            previous = current
            current = 0
            since = round
        }
        current = max(current, min(max(0, Int(saturating: acknowledged - expected)), window))
    }
}

extension BBR {
    /// What fits on the path between sender and receiver; nil before the first round-trip time.
    var bandwidthDelayProduct: Double? { minimumRTT.map { bandwidth * $0.seconds } }

    /// §5.5.1, §5.5.5: rounds by packets, and the rate that the path delivers.
    mutating func updateBandwidth(_ sample: RateSampler.Sample, rtt: Interval?) {
        isRoundStart = sample.priorDelivered >= nextRoundDelivered
        if isRoundStart {
            nextRoundDelivered = delivered
            roundCount &+= 1
            roundsSinceProbe &+= 1
            queue.roundEnded(
                delivered: sample.totalDelivered, lost: sample.totalLost,
                isTelling: state != .up && !isProbeSample)
        }
        if let rtt { queue.sampled(rtt, minimum: minimumRTT) }
        if let rate = sample.rate, rate >= maximumBandwidth.value || !sample.isApplicationLimited {
            maximumBandwidth.take(rate)
        }
    }

    mutating func startRound() { nextRoundDelivered = delivered }

    // MARK: Whether the path is full (§5.3.1.2)

    mutating func resetFullPath(baseline: Double = 0) {
        fullBandwidth = baseline
        fullBandwidthRounds = 0
        isFullNow = false
    }

    mutating func checkFullPath(_ sample: RateSampler.Sample) {
        guard !isFullNow, isRoundStart, !sample.isApplicationLimited, let rate = sample.rate else { return }
        if rate >= fullBandwidth * Self.growthOfUnfilledPath {
            resetFullPath(baseline: rate)
            return
        }
        fullBandwidthRounds += 1
        guard fullBandwidthRounds >= Self.roundsOfFullPath else { return }
        isFullNow = true
        wasEverFull = true
    }

    mutating func checkStartupDone(_ sample: RateSampler.Sample) {
        defer { if isLossRoundStart { separateLosses = 0 } }
        guard state == .startup else { return }
        if isLossRoundStart, separateLosses >= Self.lossesEndingStartup, isTooMuch(sample.lost, of: sample.inFlight) {
            endStartupAfterLoss()
        }
        guard wasEverFull else { return }
        state = .drain(since: roundCount)
    }

    /// §5.3.1.3: what was delivered in the last round is what is safe.
    mutating func endStartupAfterLoss() {
        undo?.left = .startup
        wasEverFull = true
        inflightLongTerm = max(bandwidthDelayProduct ?? 0, inflightLatest)
    }

    mutating func checkDrainDone(at now: Instant) {
        guard case .drain(let since) = state else { return }
        guard inFlight <= targetInFlight(gain: 1) || roundCount > since + Self.longestDrain else { return }
        enterDown(at: now)
    }

    // MARK: The shortest round-trip time (§5.3.4)

    mutating func updateMinimumRTT(_ rtt: Interval?, at now: Instant) {
        isProbeRTTDue = probeRTTDelay != nil && now > probeRTTStamp + Self.probeRTTInterval
        if let rtt, isProbeRTTDue || probeRTTDelay.map({ rtt < $0 }) ?? true {
            probeRTTDelay = rtt
            probeRTTStamp = now
        }
        guard let candidate = probeRTTDelay else { return }
        if minimumRTT.map({ candidate < $0 }) ?? true || now > minimumRTTStamp + Self.minimumRTTLifetime {
            minimumRTT = candidate
            minimumRTTStamp = probeRTTStamp
        }
    }

    mutating func checkProbeRTT(_ sample: RateSampler.Sample, at now: Instant) {
        if isProbeRTTDue, !isIdleRestart, !isInProbeRTT {
            saveWindow()
            endStaleCycle(sample, at: now)
            state = .probeRTT(.draining)
            feedback = .stopping
            startRound()
        }
        if case .probeRTT(let progress) = state { handleProbeRTT(progress, at: now) }
        if sample.delivered > 0 { isIdleRestart = false }
    }

    /// Whether so little is sent on purpose that rates measured now say nothing.
    var isInProbeRTT: Bool { if case .probeRTT = state { true } else { false } }

    private mutating func handleProbeRTT(_ progress: ProbeRTT, at now: Instant) {
        switch progress {
        case .draining:
            guard inFlight <= probeRTTWindow else { return }
            state = .probeRTT(.holding(until: now + Self.probeRTTDuration, hasRoundPassed: false))
            startRound()
        case .holding(let until, let hasRoundPassed):
            guard isRoundStart || hasRoundPassed else { return }
            state = .probeRTT(.holding(until: until, hasRoundPassed: true))
            endProbeRTTIfDone(at: now)
        }
    }

    mutating func endProbeRTTIfDone(at now: Instant) {
        guard case .probeRTT(.holding(let until, _)) = state, now > until else { return }
        probeRTTStamp = now
        window = max(window, priorWindow)
        resetShortTermModel()
        if wasEverFull {
            enterDown(at: now)
            state = .cruise
        } else {
            state = .startup
        }
    }
}
