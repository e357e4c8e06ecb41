import Primitives
import QUIC

/// How steadily datagrams arrive on the active path: whether a flow runs, and how long a pause in it is usual.
///
/// A sender that has data and a window does not pause for long. So when a flow stops, that is worth a question long before
/// a probe timeout: a receiver has none, it waits for nothing.
struct ReceiptRhythm: Equatable {
    /// The time that a flow is judged by.
    static let window = Interval.milliseconds(100)
    /// The window is counted in so many parts.
    private static let parts = 10
    /// Bytes within the window that make a flow: about a megabit a second.
    static let bytesOfFlow: UInt64 = 10_000
    /// Parts of the window with arrivals that make a flow of few bytes: acknowledgements of an upload.
    static let busyPartsOfFlow = 8
    /// The largest gap fades to nothing in this time.
    static let gapMemory = Interval.seconds(5)
    /// Bytes up to which an arrival is a mere answer to a question, not the flow going on: one padded PATH_RESPONSE, and what
    /// acknowledges the PING.
    static let bytesOfAnswer: UInt64 = 1_400

    private var buckets: [UInt64] = Array(repeating: 0, count: ReceiptRhythm.parts)
    /// Which part of time the newest bucket stands for.
    private var newest: Int64 = 0
    private var bytesReceived: UInt64 = 0
    private var gap = Interval.zero
    private var gapSeen: Instant?
    /// When something last arrived on the path.
    private(set) var lastReceived: Instant?

    init() {}

    /// Begins with what was received before.
    init(_ liveness: PathLiveness) {
        bytesReceived = liveness.bytesReceived
        lastReceived = liveness.lastReceived
    }

    /// What an observation says.
    enum Observation: Equatable {
        case nothing
        /// Something arrived, this long after what came before it.
        case arrival(bytes: UInt64, gap: Interval?)
    }

    /// Takes note of what arrived; `question` says whether an answer was awaited.
    mutating func observed(_ liveness: PathLiveness, _ question: Question) -> Observation {
        guard let received = liveness.lastReceived, lastReceived.map({ received > $0 }) ?? true else { return .nothing }
        let bytes = liveness.bytesReceived &- bytesReceived
        bytesReceived = liveness.bytesReceived
        let pause = lastReceived.map { received - $0 }
        if let pause, isFlowing, question == .none || bytes > Self.bytesOfAnswer { note(pause, at: received) }
        count(bytes, at: received)
        lastReceived = received
        return .arrival(bytes: bytes, gap: pause)
    }

    /// Whether the policy has asked the path for a sign of life.
    enum Question { case none, open }

    private mutating func note(_ pause: Interval, at now: Instant) {
        let faded = largestGap(at: now)
        guard pause >= faded else { return }
        gap = pause
        gapSeen = now
    }

    /// The largest pause in the flow of late.
    func largestGap(at now: Instant) -> Interval {
        guard let gapSeen else { return .zero }
        let age = min(max(now - gapSeen, .zero), Self.gapMemory)
        let left = (Self.gapMemory - age).milliseconds
        return gap * left / Self.gapMemory.milliseconds
    }

    private mutating func count(_ bytes: UInt64, at now: Instant) {
        advance(to: part(of: now))
        buckets[index(of: newest)] &+= max(bytes, 1)
    }

    private mutating func advance(to part: Int64) {
        guard part > newest else { return }
        for empty in max(newest + 1, part - Int64(Self.parts) + 1)...part { buckets[index(of: empty)] = 0 }
        newest = part
    }

    private func part(of instant: Instant) -> Int64 {
        max(0, instant.nanoseconds) / (Self.window.nanoseconds / Int64(Self.parts))
    }

    private func index(of part: Int64) -> Int { Int(part % Int64(Self.parts)) }

    /// Whether a flow ran when something last arrived.
    var isFlowing: Bool {
        buckets.reduce(0, &+) >= Self.bytesOfFlow || buckets.count { $0 > 0 } >= Self.busyPartsOfFlow
    }

    /// When the silence after the last arrival is long enough to be asked about; nil when no flow ran.
    func questionableFrom(_ liveness: PathLiveness) -> Instant? {
        guard isFlowing, let lastReceived else { return nil }
        let usual = max(
            largestGap(at: lastReceived) * 3 / 2,
            liveness.smoothedRTT / PathTimings.silenceDivisor, PathTimings.shortestQuestionableSilence)
        // However unsteady: what a probe timeout would ask anyway.
        return lastReceived + min(usual, max(liveness.probeTimeout, PathTimings.raceSilence))
    }

    /// The flow has ended, as an answer without data shows: its pause is no pause.
    mutating func flowEnded() {
        buckets = Array(repeating: 0, count: Self.parts)
    }
}
