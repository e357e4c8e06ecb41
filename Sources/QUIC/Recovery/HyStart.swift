import Primitives

/// HyStart++: leaves slow start when round-trip times rise, before the queue overflows (RFC 9406).
///
/// Rounds are told apart by time: a round ends when a packet that was sent after its beginning is acknowledged.
/// Because sending is paced, the increase per ACK is not limited (RFC 9406 §4.3: L is infinite).
struct HyStart: Equatable, Sendable {
    /// The smallest rise of the round-trip time that ends slow start (RFC 9406 §4.3: MIN_RTT_THRESH).
    static let minimumThreshold = Interval.milliseconds(4)
    /// The rise that always ends it (MAX_RTT_THRESH).
    static let maximumThreshold = Interval.milliseconds(16)
    /// The part of the last round's minimum that is the threshold between the two (MIN_RTT_DIVISOR).
    static let thresholdDivisor: Int64 = 8
    /// Samples needed in a round before it is judged (N_RTT_SAMPLE).
    static let samplesPerRound = 8
    /// How much slower than slow start the window grows in conservative slow start (CSS_GROWTH_DIVISOR).
    static let conservativeGrowthDivisor = 4
    /// Rounds of conservative slow start before congestion avoidance (CSS_ROUNDS).
    static let conservativeRounds = 5
    /// Packets that one acknowledgement usually covers; an ACK of more counts as several samples.
    static let packetsPerSample = 2

    /// ```
    ///            RTT rose                  five rounds passed
    ///  standard ──────────► conservative ────────────────────► finished
    ///     ▲                      │
    ///     └──────────────────────┘ RTT fell below the baseline
    /// ```
    enum Phase: Equatable, Sendable {
        /// Slow start.
        case standard
        /// Conservative slow start, entered at `baseline`.
        case conservative(baseline: Interval, roundsLeft: Int)
        /// Slow start is over for good; later ones are not watched (RFC 9406 §4.3: initial slow start only).
        case finished
    }

    private(set) var phase: Phase = .standard
    private var roundStart: Instant?
    private var lastRoundMinimum: Interval?
    private var roundMinimum: Interval?
    private var sampleCount = 0

    /// Ends the watch: the first congestion event came before the rise was seen.
    mutating func finish() {
        phase = .finished
    }

    /// By how many bytes slow start widens the window for `acknowledged` bytes.
    func growth(for acknowledged: Int) -> Int {
        switch phase {
        case .conservative: acknowledged / Self.conservativeGrowthDivisor
        case .standard, .finished: acknowledged
        }
    }

    /// Takes one ACK of slow start: its round-trip time, its newest packet's send time and how many packets it settled.
    mutating func acknowledged(rtt: Interval, newestSent: Instant, packets: Int, at now: Instant) {
        if phase == .finished { return }
        if roundStart.map({ newestSent >= $0 }) ?? true {
            endConservativeRound()
            beginRound(at: now)
        }
        take(rtt, packets: packets)
        judge()
    }

    private mutating func beginRound(at now: Instant) {
        roundStart = now
        lastRoundMinimum = roundMinimum
        roundMinimum = nil
        sampleCount = 0
    }

    private mutating func take(_ rtt: Interval, packets: Int) {
        roundMinimum = roundMinimum.map { min($0, rtt) } ?? rtt
        sampleCount = sampleCount.addingSaturating(max(1, packets / Self.packetsPerSample))
    }

    private mutating func judge() {
        guard sampleCount >= Self.samplesPerRound, let roundMinimum else { return }
        switch phase {
        case .standard:
            guard let lastRoundMinimum else { return }
            let threshold = max(
                Self.minimumThreshold, min(lastRoundMinimum / Self.thresholdDivisor, Self.maximumThreshold))
            if roundMinimum >= lastRoundMinimum + threshold {
                phase = .conservative(baseline: roundMinimum, roundsLeft: Self.conservativeRounds)
            }
        case .conservative(let baseline, _):
            // RFC 9406 §4.2: the rise was a jitter, slow start goes on.
            if roundMinimum < baseline { phase = .standard }
        case .finished:
            break
        }
    }

    private mutating func endConservativeRound() {
        guard case .conservative(let baseline, let roundsLeft) = phase else { return }
        phase = roundsLeft <= 1 ? .finished : .conservative(baseline: baseline, roundsLeft: roundsLeft - 1)
    }
}
