import Primitives

/// The streams of one direction that this end opens, within the peer's limit (RFC 9000 §4.6).
struct LocalStreams {
    let direction: StreamDirection
    /// How many were opened: the index of the next one.
    private(set) var opened: UInt64 = 0
    /// The peer's limit on their total number.
    private(set) var limit: UInt64 = 0
    /// Whether STREAMS_BLOCKED is to be sent.
    private(set) var blockedReport: Delivery = .none
    /// Whether the application was refused a stream and waits for the limit to rise.
    private var isAwaited = false

    init(direction: StreamDirection) { self.direction = direction }

    /// The index of a new stream; nil when the peer's limit is reached.
    mutating func open() -> UInt64? {
        guard opened < limit else {
            isAwaited = true
            if blockedReport == .none { blockedReport = .due }
            return nil
        }
        opened += 1
        return opened - 1
    }

    /// Takes the peer's word for a limit; tells whether the application waits for it.
    mutating func raiseLimit(to newLimit: UInt64) -> Bool {
        // RFC 9000 §4.6: a limit that does not increase is ignored.
        guard newLimit > limit else { return false }
        limit = newLimit
        blockedReport = .none
        defer { isAwaited = false }
        return isAwaited
    }

    mutating func blockedReportSent() { blockedReport = .inFlight }

    /// The packet with the report was lost; it is repeated while it is still true.
    mutating func blockedReportLost() {
        if opened == limit { blockedReport.lost() }
    }
}

/// The streams of one direction that the peer opens, and the credit it gets back when they end (RFC 9000 §4.6).
///
/// A stream that ends in good order gives its credit back at once. One that the peer breaks off gives it back only at
/// `breakOffBatch` per `breakOffInterval`, so opening and resetting streams costs the peer time instead of costing this end work.
struct PeerStreams {
    /// Streams broken off by the peer whose credit returns together.
    static let breakOffBatch: UInt64 = 32
    /// Time between two such batches.
    static let breakOffInterval = Interval.milliseconds(100)

    let direction: StreamDirection
    /// Streams that may be open at the same time.
    let window: UInt64
    /// The limit that the peer knows or will know with the next MAX_STREAMS.
    private(set) var limit: UInt64
    /// How many the peer has opened, the lower-numbered ones included.
    private(set) var opened: UInt64 = 0
    /// Streams that ended and gave their credit back.
    private var returned: UInt64 = 0
    /// Streams broken off that still hold theirs.
    private var held: UInt64 = 0
    private var nextRelease = Instant(nanoseconds: .min)
    private var isAnnouncementLost = false

    init(direction: StreamDirection, window: UInt64) {
        self.direction = direction
        self.window = min(window, StreamID.maximumCount)
        limit = self.window
    }

    /// Opens every stream up to `index`, which is below `limit`; returns the indices that are new.
    mutating func open(upTo index: UInt64) -> Range<UInt64> {
        precondition(index < limit, "a stream beyond the limit was opened")
        guard index >= opened else { return opened..<opened }
        defer { opened = index + 1 }
        return opened..<index + 1
    }

    /// A stream has ended.
    mutating func ended(_ ending: Stream.Ending, at now: Instant) {
        switch ending {
        case .orderly: returned += 1
        case .brokenOff:
            held += 1
            releaseHeld(at: now)
        }
    }

    /// When credit that is held back returns.
    var deadline: Instant? { held > 0 ? nextRelease : nil }

    /// Returns credit that was held back long enough.
    mutating func releaseHeld(at now: Instant) {
        guard held > 0, now >= nextRelease else { return }
        let batch = min(held, Self.breakOffBatch)
        held -= batch
        returned += batch
        nextRelease = now + Self.breakOffInterval
    }

    private var target: UInt64 { min(returned.addingSaturating(window), StreamID.maximumCount) }

    /// Whether MAX_STREAMS is due: much credit has returned, or some has and the peer runs low.
    var isUpdateDue: Bool {
        if isAnnouncementLost { return true }
        guard target > limit else { return false }
        return target - limit >= max(1, window / 8) || limit - opened <= window / 2
    }

    /// The limit to announce.
    mutating func announce() -> UInt64 {
        limit = target
        isAnnouncementLost = false
        return limit
    }

    mutating func announcementLost() { isAnnouncementLost = true }
}
