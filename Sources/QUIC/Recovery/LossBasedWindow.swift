import Primitives

/// The congestion window of one network path that answers losses and marks (RFC 9002 §7), with HyStart++ in the first slow start (RFC 9406).
///
/// ```
///                        loss or CE                    acknowledged: a packet sent after its beginning
///  slow start ───────────────────────────► recovery ◄─────────────────────────────► congestion avoidance
///   ▲    ▲  │                                  │                 loss or CE                       ▲  │
///   │    │  │  persistent congestion           │                                                  │  │
///   │    └──┼──────────────────────────────────┘                                                  │  │
///   │       └───────── HyStart++: the round-trip time rose ───────────────────────────────────────┘  │
///   └────────── no sign of congestion ever, and a window that was widened leaves no queue ───────────┘
/// ```
/// Of an ACK, first every packet goes in through `packetAcknowledged`, then `acknowledgementsProcessed` moves the window.
struct LossBasedWindow: Equatable, Sendable {
    /// A path whose rate grows by this part in a round of conservative slow start, in which the window grows by twice as
    /// much, is not full: its round-trip time rose for another reason.
    static let growthOfUnfilledPath = 8
    /// How far conservative slow start goes beyond the window that fits the path, as a fraction: it has to see the round-trip
    /// time stay risen, and the queue has to hold the rest.
    static let conservativeLimit = (over: 8, under: 5)

    /// The window in bytes.
    private(set) var window: Int
    /// Below it the window doubles each round trip.
    private(set) var slowStartThreshold = Int.max
    /// Congestion events so far, undone ones included.
    private(set) var congestionEventCount: UInt64 = 0
    /// Congestion events that turned out to be reordering.
    private(set) var undoneEventCount: UInt64 = 0

    private var datagramSize: Int
    private var avoidance: Avoidance
    private var hyStart = HyStart()
    /// The fitting window at the beginning of this round of conservative slow start.
    private var fittingBefore: Int?
    /// When the recovery period began; packets sent until then do not reduce the window again.
    private var recoveryStart: Instant?
    private var undo: Undo?
    /// When the packets in flight last filled the window.
    private var filledAt: Instant?
    /// When they last filled half of it.
    private var halfFilledAt: Instant?
    private var acknowledgedNow = Acknowledged()
    private var trial: Trial?
    /// The window before HyStart++ had it widened to see whether the path is full.
    private var unwidened: Int?

    /// How it grows in congestion avoidance.
    enum Avoidance: Equatable, Sendable {
        case newReno(NewReno)
        case cubic(Cubic)
    }

    /// How the network tells of congestion.
    private enum Signal {
        case loss
        case mark
    }

    /// A restored window that is not confirmed yet.
    private struct Trial: Equatable, Sendable {
        /// Bytes whose acknowledgement confirms it.
        var goal: Int
        /// Bytes acknowledged since.
        var acknowledged = 0
    }

    /// What one ACK settled on this path.
    private struct Acknowledged: Equatable, Sendable {
        /// Bytes of packets that were sent after the recovery period began.
        var bytes = 0
        var packets = 0
        var newestSent: Instant?
    }

    /// What a congestion event changed, and how many of the packets that caused it have not arrived after all.
    private struct Undo: Equatable, Sendable {
        var window: Int
        var slowStartThreshold: Int
        var avoidance: Avoidance
        var hyStart: HyStart
        var missing: Int
    }

    /// Starts with the initial window for datagrams of `datagramSize` bytes.
    init(_ avoidance: Avoidance, datagramSize: Int) {
        self.datagramSize = datagramSize
        self.avoidance = avoidance
        window = CongestionController.initialWindow(datagramSize: datagramSize)
    }

    private var minimumWindow: Int {
        CongestionController.minimumWindowDatagrams.multiplyingSaturating(datagramSize)
    }

    var algorithm: CongestionAlgorithm {
        switch avoidance {
        case .newReno: .newReno
        case .cubic: .cubic
        }
    }

    /// Whether the window still grows by what is acknowledged.
    var isInSlowStart: Bool { window < slowStartThreshold }

    /// Whether a packet sent at `time` belongs to the recovery period or to the time before it.
    private func isInRecovery(sentAt time: Instant) -> Bool {
        guard let recoveryStart else { return false }
        return time <= recoveryStart
    }

    // MARK: Inputs

    /// Notes a packet that counts against the window; `bytesInFlight` includes it.
    mutating func packetSent(size: Int, bytesInFlight: Int, at now: Instant) {
        if bytesInFlight <= size { pauseGrowth() }
        if bytesInFlight >= window - CongestionController.filledSlackDatagrams * datagramSize { filledAt = now }
        if bytesInFlight >= window / 2 { halfFilledAt = now }
    }

    /// Takes a packet that counted against the window and is now acknowledged for the first time.
    mutating func packetAcknowledged(size: Int, sentAt: Instant) {
        acknowledgedNow.packets &+= 1
        if !isInRecovery(sentAt: sentAt) {
            acknowledgedNow.bytes = acknowledgedNow.bytes.addingSaturating(size)
        }
        acknowledgedNow.newestSent = max(acknowledgedNow.newestSent ?? sentAt, sentAt)
    }

    /// Moves the window for the packets taken since the last call. `sample` is the round-trip time the ACK gave, if any;
    /// `fitting` the window that fills the path and leaves its queue nearly empty, as far as that is known.
    mutating func acknowledgementsProcessed(
        rtt: RTTEstimator, sample: Interval?, fitting: Int? = nil, at now: Instant
    ) {
        let acknowledged = acknowledgedNow
        acknowledgedNow = Acknowledged()
        guard let newestSent = acknowledged.newestSent, acknowledged.bytes > 0 else { return }
        if var trial {
            trial.acknowledged = trial.acknowledged.addingSaturating(acknowledged.bytes)
            self.trial = trial.acknowledged >= trial.goal ? nil : trial
        }
        if isInSlowStart {
            growInSlowStart(acknowledged, newestSent: newestSent, sample: sample, fitting: fitting, at: now)
        } else {
            growInAvoidance(acknowledged, newestSent: newestSent, rtt: rtt, sample: sample, at: now)
        }
    }

    /// Takes a packet that was declared lost and whose loss means congestion: not a probe for MTU or path.
    mutating func packetLost(sentAt: Instant, at now: Instant) {
        congestionSignalled(.loss, sentAt: sentAt, at: now)
        if undo != nil { undo?.missing += 1 }
    }

    /// Takes a rise of the CE count in an ACK whose largest packet was sent at `sentAt` (RFC 9002 §7.1).
    mutating func congestionExperienced(sentAt: Instant, at now: Instant) {
        congestionSignalled(.mark, sentAt: sentAt, at: now)
        // The network said so itself: that lost packets arrive late does not make it untrue.
        undo = nil
    }

    /// Takes the late arrival of a packet that had been declared lost at `lostAt`. When every loss of the recovery period
    /// proves wrong, the window comes back (RFC 9438 §4.9 in spirit).
    mutating func lossWasSpurious(lostAt: Instant) {
        guard let recoveryStart, lostAt >= recoveryStart, var state = undo else { return }
        state.missing -= 1
        guard state.missing <= 0 else {
            undo = state
            return
        }
        undo = nil
        undoneEventCount &+= 1
        window = max(window, state.window)
        slowStartThreshold = state.slowStartThreshold
        avoidance = state.avoidance
        hyStart = state.hyStart
        pauseGrowth()
    }

    /// Takes the end of all hope for packets in flight, which says nothing of congestion: their late arrival undoes nothing.
    mutating func flightGivenUp() {
        undo = nil
    }

    /// Falls back to the minimum window (RFC 9002 §7.6.2).
    mutating func persistentCongestionEstablished() {
        window = minimumWindow
        unwidened = nil
        recoveryStart = nil
        undo = nil
        if case .cubic(var cubic) = avoidance {
            cubic.restart()
            avoidance = .cubic(cubic)
        }
    }

    /// Goes on with half of a window that this network has carried before, and by slow start on to all of it. Until as much
    /// has been acknowledged a sign of congestion means that the network is not what it was: what was acknowledged since
    /// then is all that is known (careful resume: reconnaissance, then unvalidated, then validated or safe retreat).
    mutating func restore(_ remembered: Int) {
        // One that was restored and not confirmed since is as cautious as can be.
        if trial != nil { return }
        let start = max(CongestionController.initialWindow(datagramSize: datagramSize), remembered / 2)
        // A window that slow start is still opening is no limit of the network: a standby that only answered challenges
        // begins its first use at full speed.
        let isLimitUnknown = slowStartThreshold == .max && remembered <= window
        if !isLimitUnknown { slowStartThreshold = max(remembered, start) }
        window = start
        unwidened = nil
        recoveryStart = nil
        undo = nil
        trial = Trial(goal: start)
        pauseGrowth()
    }

    /// Follows the path's datagram size; a window that is too narrow for two datagrams widens.
    mutating func datagramSizeChanged(to size: Int) {
        datagramSize = size
        window = max(window, minimumWindow)
    }

    // MARK: The window

    private mutating func growInSlowStart(
        _ acknowledged: Acknowledged, newestSent: Instant, sample: Interval?, fitting: Int?, at now: Instant
    ) {
        if let sample {
            let roundsLeft = hyStart.conservativeRoundsLeft
            hyStart.acknowledged(rtt: sample, newestSent: newestSent, packets: acknowledged.packets, at: now)
            if hyStart.hasEnded, slowStartThreshold == .max {
                slowStartThreshold = window
                return
            }
            if hyStart.conservativeRoundsLeft != roundsLeft {
                if let fitting, isFull(fitting) { return endSlowStart(fitting, at: now) }
                fittingBefore = hyStart.conservativeRoundsLeft == nil ? nil : fitting
            }
        }
        // RFC 9002 §7.8: an underused window does not grow. Doubling needs half of it in use.
        guard let halfFilledAt, halfFilledAt >= newestSent else { return }
        let grown = window.addingSaturating(hyStart.growth(for: acknowledged.bytes))
        var limit = slowStartThreshold
        if let fitting, hyStart.conservativeRoundsLeft != nil {
            limit = min(
                limit, fitting.multiplyingSaturating(Self.conservativeLimit.over) / Self.conservativeLimit.under)
        }
        window = min(min(grown, max(limit, window)), CongestionController.maximumWindow)
    }

    /// Whether the path delivered hardly more in the last round than before it, though more was under way.
    private func isFull(_ fitting: Int) -> Bool {
        guard let fittingBefore, fitting < window else { return false }
        return fitting - fittingBefore < fittingBefore / Self.growthOfUnfilledPath
    }

    /// The round-trip time has risen and stays risen: the path is full, and what is more in flight stands in its queue. To
    /// go on from here would end in a loss of as much as the queue lacks, and an application that waits for it.
    private mutating func endSlowStart(_ fitting: Int, at now: Instant) {
        window = max(fitting, CongestionController.initialWindow(datagramSize: datagramSize))
        slowStartThreshold = window
        hyStart.end(at: now)
    }

    private mutating func growInAvoidance(
        _ acknowledged: Acknowledged, newestSent: Instant, rtt: RTTEstimator, sample: Interval?, at now: Instant
    ) {
        guard let filledAt, filledAt >= newestSent else {
            pauseGrowth()
            return
        }
        hyStart.end(at: now)
        if let sample {
            hyStart.acknowledged(rtt: sample, newestSent: newestSent, packets: acknowledged.packets, at: now)
        }
        if triesWiderWindow(acknowledged) { return }
        switch avoidance {
        case .newReno(var newReno):
            window = newReno.grown(window, acknowledged: acknowledged.bytes, datagramSize: datagramSize)
            avoidance = .newReno(newReno)
        case .cubic(var cubic):
            window = cubic.grown(
                window, acknowledged: acknowledged.bytes, datagramSize: datagramSize, rtt: rtt.smoothed, at: now)
            avoidance = .cubic(cubic)
        }
        window = min(window, CongestionController.maximumWindow)
    }

    /// Widens the window while HyStart++ tries whether the path is full, and goes back to what it was if it is, or to slow start if
    /// it is not. False when the window is to grow as in congestion avoidance.
    private mutating func triesWiderWindow(_ acknowledged: Acknowledged) -> Bool {
        switch hyStart.phase {
        case .widened(let roundsLeft):
            let before = unwidened ?? window
            unwidened = before
            guard roundsLeft == HyStart.widenedRounds else { return true }
            let most = before.addingSaturating(before / HyStart.conservativeGrowthDivisor)
            window = min(window.addingSaturating(hyStart.growth(for: acknowledged.bytes)), most)
            return true
        case .standard:
            slowStartThreshold = .max
        case .conservative, .ended, .finished:
            guard let before = unwidened else { return false }
            window = min(window, before)
        }
        unwidened = nil
        pauseGrowth()
        return hyStart.phase == .standard
    }

    private mutating func pauseGrowth() {
        guard case .cubic(var cubic) = avoidance else { return }
        cubic.pause()
        avoidance = .cubic(cubic)
    }

    private mutating func congestionSignalled(_ signal: Signal, sentAt: Instant, at now: Instant) {
        // RFC 9002 §7.3.2: one reduction per recovery period.
        if isInRecovery(sentAt: sentAt) { return }
        congestionEventCount &+= 1
        recoveryStart = now
        // What this ACK acknowledged was sent before the recovery period.
        acknowledgedNow.bytes = 0
        undo =
            switch signal {
            case .loss:
                Undo(
                    window: window, slowStartThreshold: slowStartThreshold, avoidance: avoidance, hyStart: hyStart,
                    missing: 0)
            case .mark: nil
            }
        let reduced: Int
        switch avoidance {
        case .newReno(var newReno):
            reduced = newReno.reduced(window)
            avoidance = .newReno(newReno)
        case .cubic(var cubic):
            reduced = cubic.reduced(window)
            avoidance = .cubic(cubic)
        }
        window = max(reduced, minimumWindow)
        if let trial {
            window = max(
                min(window, trial.acknowledged / 2), CongestionController.initialWindow(datagramSize: datagramSize))
            self.trial = nil
            undo = nil
        }
        slowStartThreshold = window
        unwidened = nil
        hyStart.finish()
    }
}
