import Primitives
import QUIC

/// Whether the active path got far worse than it was, although it still answers.
struct PathSteadiness: Equatable {
    /// The shortest round-trip time of this stretch of time, and of the one before.
    private var shortest: Interval?
    private var formerShortest: Interval?
    private var stretchEnds: Instant?
    private var slowSince: Instant?
    private var suspicions: [Instant] = []
    private var rate = TrafficRate()
    private var loss = ReceiptLoss()
    /// Whether it loses so many packets, with a rate that falls or without a pause, that its round-trip time need not be bad
    /// as well.
    private(set) var isLossy = false

    /// The path was suspected, and answered after all.
    mutating func suspicionCleared(at now: Instant) {
        suspicions.removeAll { now - $0 > PathTimings.suspicionMemory }
        suspicions.append(now)
    }

    /// Something arrived on the path.
    mutating func observed(_ liveness: PathLiveness, at now: Instant) {
        rate.observed(liveness, at: now)
        loss.observed(liveness, at: now)
        isLossy =
            loss.isAtLeast(PathTimings.degradedLoss) && !rate.mayFillQueues || loss.lasts(at: PathTimings.lastingLoss)
        if let end = stretchEnds, now < end {
            shortest = min(shortest ?? liveness.smoothedRTT, liveness.smoothedRTT)
        } else {
            formerShortest = shortest
            shortest = liveness.smoothedRTT
            stretchEnds = now + PathTimings.minimumRTTMemory / 2
        }
        let best = min(shortest ?? .max, formerShortest ?? .max)
        let isSlow =
            liveness.smoothedRTT >= PathTimings.degradedRTT
            && liveness.smoothedRTT >= best * PathTimings.degradedRTTs && !rate.mayFillQueues
        slowSince = isSlow ? slowSince ?? now : nil
    }

    /// From when on the path counts as degraded; nil: it does not.
    func degradedFrom(at now: Instant) -> Instant? {
        if isLossy { return now }
        let recent = suspicions.filter { now - $0 <= PathTimings.suspicionMemory }
        if recent.count >= PathTimings.suspicionsOfLoss { return recent.last }
        return slowSince.map { $0 + PathTimings.degradedTime }
    }
}

/// Bytes a second over the active path, and whether that may be what its queues are full of.
struct TrafficRate: Equatable {
    private static let stretch = Interval.milliseconds(200)

    private var start: Instant?
    private var counted: UInt64 = 0
    private var current = 0
    private var best = 0

    mutating func observed(_ liveness: PathLiveness, at now: Instant) {
        let total = liveness.bytesReceived &+ liveness.bytesSent
        guard let begun = start else {
            start = now
            counted = total
            return
        }
        let age = now - begun
        guard age >= Self.stretch else { return }
        let bytes = Int64(clamping: total &- counted)
        current = Int(clamping: bytes.multiplyingSaturating(1_000) / max(1, age.milliseconds))
        // The best rate fades, so that another network of the same name does not have to equal it for ever.
        best = max(current, best - best / 64)
        start = now
        counted = total
    }

    /// The connection sends about as much as it ever could here: a long round trip is the queue that it fills itself, and
    /// would fill on any other path too.
    var mayFillQueues: Bool { current >= PathTimings.selfInducedRate && current >= best / 2 }
}
