import Primitives

/// The congestion control BBRv3 of one network path (draft-ietf-ccwg-bbr-06): a model of the path, the rate at which it
/// delivers and its shortest round-trip time, says how fast to send and how much may be in flight.
///
/// ```
///      ┌─────────► startup ─────────────┐
///      │              ▼                 │
///      │            drain ──────────────┤
///      │              ▼                 │
///      │    ┌──►    down ───────────────┤
///      │    │         ▼                 │   any of them
///      │    │      cruise ──────────────┤
///      │    │         ▼                 │
///      │    │      refill ──────────────┤
///      │    │         ▼                 │
///      │    └──────   up ───────────────┤
///      │                                ▼
///      └──────────── probeRTT ◄─────────┘  (back to cruise once the path was full)
/// ```
///
/// Not followed in one point: the draft takes any loss above 2 % for a sign of too much in flight. A link that loses packets at random
/// would be left nearly unused. Here loss counts when the round-trip time tells of a queue, or when it is higher than what
/// the path loses while its queue is empty.
///
/// Rates are bytes per second, volumes bytes.
struct BBR: Equatable, Sendable {
    // MARK: Constants of the draft

    /// Doubles the sending rate each round: 4 ln 2.
    static let startupPacingGain = 2.77
    /// Empties in one round what startup has queued.
    static let drainPacingGain = 0.5
    static let downPacingGain = 0.9
    static let upPacingGain = 1.25
    /// What may be in flight, in bandwidth-delay products.
    static let windowGain = 2.0
    static let upWindowGain = 2.25
    static let probeRTTWindowGain = 0.5
    /// Sending a little slower than the path delivers keeps its queue from growing.
    static let pacingMargin = 0.01
    /// The part of a round's packets whose loss is too much.
    static let lossThreshold = 0.02
    /// What is left after a round with loss, at least.
    static let beta = 0.7
    /// The part of what fits that is left to others.
    static let headroom = 0.15
    /// Datagrams that may always be in flight: acknowledgements of every second one keep them flowing.
    static let minimumWindowDatagrams = 4
    /// The growth of a round below which the path may be full, and how many such rounds show it.
    static let growthOfUnfilledPath = 1.25
    static let roundsOfFullPath = 3
    /// Separate losses in a round that end startup.
    static let lossesEndingStartup = 6
    /// Rounds after which drain gives up on emptying the queue.
    static let longestDrain: UInt64 = 3
    /// Rounds over which the largest burst of acknowledgements is remembered.
    static let aggregationRounds: UInt64 = 10
    static let minimumRTTLifetime = Interval.seconds(10)
    static let probeRTTInterval = Interval.seconds(5)
    static let probeRTTDuration = Interval.milliseconds(200)
    /// Rounds between two probes for bandwidth at most: about as many as Reno needs on a path of this size.
    static let longestProbeWaitRounds = 63
    /// The time between two probes at most is this and up to a second more.
    static let probeWait = Interval.seconds(2)
    static let probeWaitSpread = Interval.seconds(1)
    /// Doublings of the growth of `inflightLongTerm` within one probe.
    static let mostProbeDoublings = 30

    // MARK: Constants of this implementation

    /// The rise of the round-trip time that tells of a queue: this part of the shortest, and a timer's granularity at least.
    static let queueShare: Int64 = 8
    /// How many times what the path loses with an empty queue is no sign of too much in flight.
    static let ambientFactor = 2.0
    /// The most loss that is laid to the path itself. A policer or a tiny queue can lose more without a word.
    static let mostAmbientLoss = 0.1
    /// The weight of older rounds in the loss of the path itself.
    static let ambientMemory = 0.9

    // MARK: State

    /// What the sender does at present.
    enum State: Equatable, Sendable {
        /// Doubles its rate each round until the path is full.
        case startup
        /// Empties the queue that startup made; since that round.
        case drain(since: UInt64)
        /// Sends less than the path delivers, until its queue is empty.
        case down
        /// Sends what the path delivers.
        case cruise
        /// Fills the path for a round, before more is tried.
        case refill
        /// Sends more than the path delivered so far.
        case up
        /// Sends so little that every queue runs empty, to see the path's own round-trip time.
        case probeRTT(ProbeRTT)

        /// Whether this is a part of the cycle that looks for more bandwidth now and then.
        var isInCycle: Bool {
            switch self {
            case .down, .cruise, .refill, .up: true
            case .startup, .drain, .probeRTT: false
            }
        }

        /// Whether more is sent than is known to fit.
        var isProbing: Bool {
            switch self {
            case .startup, .refill, .up: true
            case .drain, .down, .cruise, .probeRTT: false
            }
        }
    }

    /// How far the search for the shortest round-trip time is.
    enum ProbeRTT: Equatable, Sendable {
        /// More is in flight than should be.
        case draining
        /// Waits until then, and for a whole round.
        case holding(until: Instant, hasRoundPassed: Bool)
    }

    /// What acknowledgements that arrive now tell of a probe for bandwidth.
    enum Feedback: Equatable, Sendable {
        case none
        case refilling
        case starting
        case arriving
        case stopping
    }

    /// What is needed to take back the response to losses that were none.
    struct Undo: Equatable, Sendable {
        var since: Instant
        var missing = 0
        var window: Int
        var bandwidthShortTerm: Double
        var inflightShortTerm: Double
        var inflightLongTerm: Double
        /// The state that the losses ended.
        var left: State?
    }

    var state = State.startup
    /// The congestion window.
    var window: Int
    /// The rate at which packets leave; zero before the first round-trip time.
    var pacingRate = 0.0
    var datagramSize: Int

    // The model.
    var maximumBandwidth = WindowedMaximum()
    /// When the last cycle began to count for it.
    var maximumAdvanced = Instant.origin
    var bandwidthShortTerm = Double.infinity
    var bandwidth = 0.0
    var minimumRTT: Interval?
    var minimumRTTStamp = Instant.origin
    var probeRTTDelay: Interval?
    var probeRTTStamp = Instant.origin
    var isProbeRTTDue = false
    var inflightShortTerm = Double.infinity
    var inflightLongTerm = Double.infinity
    var aggregation = Aggregation()

    // Rounds.
    var roundCount: UInt64 = 0
    var isRoundStart = false
    var nextRoundDelivered: UInt64 = 0
    var filledRound: UInt64 = 0
    var delivered: UInt64 = 0
    var inFlight = 0

    // Whether the path is full.
    var fullBandwidth = 0.0
    var fullBandwidthRounds = 0
    var isFullNow = false
    var wasEverFull = false

    // The cycle.
    var feedback = Feedback.none
    var isProbeSample = false
    var cycleStart = Instant.origin
    var probeWait = BBR.probeWait
    var roundsSinceProbe: UInt64 = 0
    var probeDoublings = 0
    var probeAcknowledged = 0
    var probeAcknowledgedPerStep = Int.max
    var wasProbeTooHigh = false
    var wasProbePrecautionary = false

    // Loss.
    var lossRoundDelivered: UInt64 = 0
    var isLossRoundStart = false
    var isLossInRound = false
    var isMarkedInRound = false
    var separateLosses = 0
    var lastLost: UInt64?
    var bandwidthLatest = 0.0
    var inflightLatest = 0.0
    var queue = QueueWatch()
    var undo: Undo?
    var episodes: UInt64 = 0
    var undoneEpisodes: UInt64 = 0

    // Rest and return.
    var priorWindow = 0
    var isIdleRestart = false
    /// Bytes whose delivery confirms a restored window; nil when none is on trial.
    var trialGoal: UInt64?

    init(datagramSize: Int, initialWindow: Int) {
        self.datagramSize = datagramSize
        window = initialWindow
    }

    var minimumWindow: Int { Self.minimumWindowDatagrams.multiplyingSaturating(datagramSize) }

    // MARK: Inputs

    /// Notes a packet that counts against the window; `bytesInFlight` includes it.
    mutating func packetSent(size: Int, bytesInFlight: Int, mark: RateSampler.Mark, at now: Instant) {
        if bytesInFlight >= window - CongestionController.filledSlackDatagrams * datagramSize {
            filledRound = roundCount
        }
        guard bytesInFlight <= size, mark.isApplicationLimited else { return }
        // §5.4.1: a path that rested is paced at what it delivered.
        isIdleRestart = true
        aggregation.restart(at: now)
        if state.isInCycle {
            setPacingRate(gain: 1)
        } else if case .probeRTT = state {
            endProbeRTTIfDone(at: now)
        }
    }

    /// Takes what one ACK settled. `rtt` is the round-trip time that it gave, if any.
    mutating func acknowledged(
        _ sample: RateSampler.Sample, rtt: Interval?, smoothedRTT: Interval, inFlight: Int, initialWindow: Int,
        at now: Instant
    ) {
        self.inFlight = inFlight
        delivered = sample.totalDelivered
        if pacingRate == 0 {
            // What is on trial is spread over a round; otherwise §5.6.2: as in startup, by the initial window.
            let gain = trialGoal == nil ? Self.startupPacingGain : 1
            pacingRate = gain * Double(window) / max(smoothedRTT.seconds, RTTEstimator.granularity.seconds / 1_000)
        }
        if let trialGoal, delivered >= trialGoal { self.trialGoal = nil }
        updateLatestSignals(sample)
        updateBandwidth(sample, rtt: rtt)
        adaptToLoss(sample)
        aggregation.acknowledged(
            sample.acknowledged, bandwidth: bandwidth, window: window, round: roundCount,
            length: wasEverFull ? Self.aggregationRounds : 1, at: now)
        checkFullPath(sample)
        checkStartupDone(sample)
        checkDrainDone(at: now)
        advanceCycle(sample, at: now)
        updateMinimumRTT(rtt, at: now)
        checkProbeRTT(sample, at: now)
        if isLossRoundStart {
            bandwidthLatest = sample.rate ?? 0
            inflightLatest = Double(sample.delivered)
        }
        bandwidth = min(maximumBandwidth.value, bandwidthShortTerm)
        setPacingRate(gain: pacingGain)
        setWindow(sample, initialWindow: initialWindow)
    }

    /// Goes on with half of a window that this network has carried, and searches from there. What the model knew of rates is
    /// given up: others may use the network now.
    mutating func restore(_ remembered: Int, initialWindow: Int) {
        if trialGoal != nil { return }
        let start = max(initialWindow, remembered / 2)
        var fresh = BBR(datagramSize: datagramSize, initialWindow: start)
        fresh.minimumRTT = minimumRTT
        fresh.minimumRTTStamp = minimumRTTStamp
        fresh.probeRTTDelay = probeRTTDelay
        fresh.probeRTTStamp = probeRTTStamp
        fresh.delivered = delivered
        fresh.nextRoundDelivered = delivered
        fresh.lossRoundDelivered = delivered
        fresh.episodes = episodes
        fresh.undoneEpisodes = undoneEpisodes
        fresh.trialGoal = delivered &+ UInt64(start)
        self = fresh
    }

    /// RFC 9002 §7.6.2: nothing arrived for so long that the path may be another one.
    mutating func persistentCongestionEstablished() {
        saveWindow()
        window = minimumWindow
        undo = nil
    }

    mutating func datagramSizeChanged(to size: Int) {
        datagramSize = size
        window = max(window, minimumWindow)
    }
}
