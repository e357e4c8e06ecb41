import Primitives

/// HyStart++: leaves slow start when round-trip times rise, before the queue overflows (RFC 9406).
///
/// Rounds are told apart by time: a round ends when a packet that was sent after its beginning is acknowledged.
/// Because sending is paced, the increase per ACK is not limited (RFC 9406 §4.3: L is infinite).
///
/// RFC 9406 §4.2 compares the minimum of a whole round. A paced sender fills the queue evenly over a round, whose first
/// packets find it as the last round left it: the minimum would rise a round late, when the window has doubled once more.
/// So as many samples as RFC 9406 asks for are enough when they follow each other, wherever in the round they are.
struct HyStart: Equatable, Sendable {
    /// The smallest rise of the round-trip time that ends slow start (RFC 9406 §4.3: MIN_RTT_THRESH).
    static let minimumThreshold = Interval.milliseconds(4)
    /// The rise that always ends it (MAX_RTT_THRESH).
    static let maximumThreshold = Interval.milliseconds(16)
    /// The part of the last round's minimum that is the threshold between the two (MIN_RTT_DIVISOR).
    static let thresholdDivisor: Int64 = 8
    /// Samples in a row that make a rise (N_RTT_SAMPLE).
    static let samplesOfRise = 8
    /// ACKs that these come in at least: one alone may have been held up.
    static let acknowledgementsOfRise = 3
    /// How much slower than slow start the window grows in conservative slow start (CSS_GROWTH_DIVISOR).
    static let conservativeGrowthDivisor = 4
    /// Rounds of conservative slow start before congestion avoidance (CSS_ROUNDS).
    static let conservativeRounds = 5
    /// Rounds without a queue after which a wider window is tried, when round-trip times have ended slow start. The first ones may see the
    /// queue of its end drain, and one more may pass until the pacer has filled the path again.
    static let quietRounds = 3
    /// The same after many trials in vain: each doubles it.
    static let mostQuietRounds = 96
    /// Rounds with a wider window: in the first one it grows as in conservative slow start, in the last one the path shows what it makes
    /// of that. A window that just fills it leaves no queue, and one that is wider by a quarter does.
    static let widenedRounds = 2
    /// Packets that one acknowledgement usually covers; an ACK of more counts as several samples.
    static let packetsPerSample = 2

    /// ```
    ///            RTT rose                  five rounds passed, or `end`
    ///  standard ──────────► conservative ──────────────────────────────► ended ──┐
    ///     ▲                      │                                         │     │ congestion
    ///     └──────────────────────┴─────────────────────────────────────────┘     ▼
    ///                 RTT fell below the baseline   some rounds without a queue,   finished
    ///                                               the last with a wider window
    /// ```
    enum Phase: Equatable, Sendable {
        /// Slow start.
        case standard
        /// Conservative slow start, entered at `baseline`.
        case conservative(baseline: Interval, roundsLeft: Int)
        /// Slow start is over, and nothing but round-trip times said that it had to be. They may have risen because a radio or
        /// a host paused, and a window that is too small by far would stay so for many seconds: after some rounds in which it was
        /// filled and no queue stood, a wider one is tried.
        case ended(roundsLeft: Int)
        /// The window is wider by a part. Slow start goes on if that leaves no queue either.
        case widened(roundsLeft: Int)
        /// Slow start is over for good; later ones are not watched (RFC 9406 §4.3: initial slow start only).
        case finished
    }

    private(set) var phase: Phase = .standard
    private var roundStart: Instant?
    private var lastRoundMinimum: Interval?
    private var roundMinimum: Interval?
    /// The smallest sample of all.
    private var smallest: Interval?
    private var sampleCount = 0
    private var rise: Rise?
    /// Rounds without a queue that the next trial takes.
    private var patience = HyStart.quietRounds

    /// Samples in a row above the minimum of the last round.
    private struct Rise: Equatable, Sendable {
        var minimum: Interval
        var samples = 0
        var acknowledgements = 0
    }

    /// Whether slow start is over, for all that round-trip times say.
    var hasEnded: Bool {
        if case .ended = phase { true } else { false }
    }

    /// Rounds of conservative slow start that are still to come; nil while slow start is none.
    var conservativeRoundsLeft: Int? {
        if case .conservative(_, let roundsLeft) = phase { roundsLeft } else { nil }
    }

    /// Ends the watch: the first congestion event came before the rise was seen.
    mutating func finish() {
        phase = .finished
    }

    /// Ends slow start until a path without a queue resumes it: the window has reached what seems to fit.
    mutating func end(at now: Instant) {
        switch phase {
        case .standard, .conservative:
            phase = .ended(roundsLeft: patience)
            // What was measured before was measured with other windows.
            beginRound(at: now)
        case .ended, .widened, .finished:
            break
        }
    }

    /// By how many bytes slow start widens the window for `acknowledged` bytes.
    func growth(for acknowledged: Int) -> Int {
        switch phase {
        case .conservative, .widened: acknowledged / Self.conservativeGrowthDivisor
        case .standard, .ended, .finished: acknowledged
        }
    }

    /// Takes one ACK of slow start: its round-trip time, its newest packet's send time and how many packets it settled.
    mutating func acknowledged(rtt: Interval, newestSent: Instant, packets: Int, at now: Instant) {
        if phase == .finished { return }
        if roundStart.map({ newestSent >= $0 }) ?? true {
            endRound()
            beginRound(at: now)
        }
        let samples = max(1, packets / Self.packetsPerSample)
        roundMinimum = roundMinimum.map { min($0, rtt) } ?? rtt
        smallest = smallest.map { min($0, rtt) } ?? rtt
        sampleCount = sampleCount.addingSaturating(samples)
        judge(rtt, samples: samples, at: now)
    }

    private mutating func beginRound(at now: Instant) {
        roundStart = now
        lastRoundMinimum = roundMinimum
        roundMinimum = nil
        sampleCount = 0
        rise = nil
    }

    private mutating func judge(_ rtt: Interval, samples: Int, at now: Instant) {
        switch phase {
        case .standard:
            note(rtt, samples: samples)
            guard let rise, rise.samples >= Self.samplesOfRise,
                rise.acknowledgements >= Self.acknowledgementsOfRise
            else { return }
            // The rounds to come count from here: a whole one shows whether the rise lasts.
            beginRound(at: now)
            phase = .conservative(baseline: rise.minimum, roundsLeft: Self.conservativeRounds)
        case .conservative(let baseline, _):
            // RFC 9406 §4.2: the rise was a jitter, slow start goes on.
            guard sampleCount >= Self.samplesOfRise, let roundMinimum, roundMinimum < baseline else { return }
            phase = .standard
        case .ended, .widened, .finished:
            break
        }
    }

    private mutating func note(_ rtt: Interval, samples: Int) {
        guard let lastRoundMinimum else { return }
        guard rtt >= lastRoundMinimum + Self.threshold(above: lastRoundMinimum) else {
            rise = nil
            return
        }
        var rise = rise ?? Rise(minimum: rtt)
        rise.minimum = min(rise.minimum, rtt)
        rise.samples = rise.samples.addingSaturating(samples)
        rise.acknowledgements += 1
        self.rise = rise
    }

    private static func threshold(above minimum: Interval) -> Interval {
        max(minimumThreshold, min(minimum / thresholdDivisor, maximumThreshold))
    }

    private mutating func endRound() {
        switch phase {
        case .conservative(let baseline, let roundsLeft):
            phase =
                roundsLeft <= 1
                ? .ended(roundsLeft: patience) : .conservative(baseline: baseline, roundsLeft: roundsLeft - 1)
        case .ended(let roundsLeft):
            let left = isWithoutQueue ? roundsLeft - 1 : patience
            phase = left == 0 ? .widened(roundsLeft: Self.widenedRounds) : .ended(roundsLeft: left)
        case .widened(let roundsLeft):
            if !isWithoutQueue {
                patience = min(patience * 2, Self.mostQuietRounds)
                phase = .ended(roundsLeft: patience)
            } else {
                phase = roundsLeft <= 1 ? .standard : .widened(roundsLeft: roundsLeft - 1)
            }
        case .standard, .finished:
            break
        }
    }

    /// Whether round-trip times of this round came down to what the path needs by itself.
    private var isWithoutQueue: Bool {
        guard sampleCount >= Self.samplesOfRise, let roundMinimum, let smallest else { return false }
        return roundMinimum < smallest + Self.threshold(above: smallest) / 2
    }
}
