import Primitives

/// What the peer lets this end send on a stream or on the connection, in bytes (RFC 9000 §4.1), and the report when that is used up.
struct SendCredit: Equatable {
    /// The peer's limit: the first offset, or sum of offsets, that may not be sent.
    private(set) var limit: UInt64 = 0
    /// What was sent.
    private(set) var used: UInt64 = 0
    /// Whether DATA_BLOCKED or STREAM_DATA_BLOCKED is to be sent.
    private(set) var blockedReport: Delivery = .none

    /// Bytes that may still be sent.
    var available: UInt64 { limit - used }

    /// Takes the peer's word for a limit; tells whether it is higher than the one before.
    mutating func raise(to newLimit: UInt64) -> Bool {
        // RFC 9000 §4.1: limits that do not increase are ignored, so reordered frames do no harm.
        guard newLimit > limit else { return false }
        limit = newLimit
        blockedReport = .none
        return true
    }

    /// Counts bytes that are sent for the first time.
    mutating func use(_ count: UInt64) {
        precondition(count <= available, "sent beyond the peer's limit")
        used += count
    }

    /// There is more to send than the limit allows. One report is sent per limit (RFC 9000 §4.1).
    mutating func noteBlocked() {
        if blockedReport == .none { blockedReport = .due }
    }

    /// The report went into a packet.
    mutating func blockedReportSent() { blockedReport = .inFlight }

    /// The packet with the report was lost; it is repeated while it is still true.
    mutating func blockedReportLost() {
        if available == 0 { blockedReport.lost() }
    }

    /// Nothing more will be sent: no report is due.
    mutating func retire() { blockedReport = .none }
}

/// What this end lets the peer send on a stream or on the connection, in bytes (RFC 9000 §4.1).
///
/// The window is the distance between what the application has consumed and what the peer may send. It grows with use: when a part of
/// the window is consumed at a pace that would use all of it within `roundTripsPerWindow` round trips, the window itself
/// is what limits the peer, and it doubles.
struct ReceiveWindow {
    /// A window that is used up in fewer round trips than this is doubled: credit takes half a round trip to arrive, a lost
    /// packet holds delivery back for another one, and a full queue on the way doubles the round trip that a receiver knows.
    static let roundTripsPerWindow: Int64 = 4
    /// The part of the window whose use is worth an update. So much of it lies idle while an update is under way: with a half, a
    /// window would carry no more than half of itself in a round trip.
    static let updateDivisor: UInt64 = 4

    /// The window, in bytes.
    private(set) var size: UInt64
    /// The size beyond which it does not grow.
    let maximumSize: UInt64
    /// The limit that the peer knows or will know with the next update.
    private(set) var limit: UInt64
    /// Bytes that the application is done with.
    private(set) var consumed: UInt64 = 0
    /// Bytes that have arrived and that the application does not take yet, as far as they are not held against the peer.
    private var excused: UInt64 = 0
    /// The limit must be told to the peer again.
    private var isAnnouncementLost = false
    /// What was consumed, and when, at the last update or when the first byte arrived.
    private var epoch: (start: Instant, consumed: UInt64)?

    init(initial: ByteCount, maximum: ByteCount) {
        size = UInt64(clamping: initial.bytes)
        maximumSize = max(size, UInt64(clamping: maximum.bytes))
        limit = size
    }

    /// Whether MAX_DATA or MAX_STREAM_DATA is to be sent: a part of the window is consumed, or the last update was lost.
    @inline(__always)
    var isUpdateDue: Bool {
        isAnnouncementLost || target > limit && target - limit >= size / Self.updateDivisor
    }

    /// The limit as it would be if it were announced now.
    @inline(__always)
    private var target: UInt64 {
        min(max(consumed.addingSaturating(excused).addingSaturating(size), limit), Varint.max)
    }

    /// Bytes arrived: the clock of the first window starts.
    mutating func dataArrived(at now: Instant) {
        if epoch == nil { epoch = (now, consumed) }
    }

    /// The application is done with `count` bytes.
    mutating func consume(_ count: UInt64) { consumed = consumed.addingSaturating(count) }

    /// Does not hold bytes that wait for the application against the peer: one stalled stream, which its own window bounds,
    /// must not use up what the others share.
    mutating func excuse(_ waiting: UInt64) { excused = waiting }

    /// Grows the window if it is what limits the peer, and returns the limit to announce.
    mutating func announce(at now: Instant, roundTripTime: Interval) -> UInt64 {
        if let epoch, consumed > epoch.consumed {
            let pace = (now - epoch.start).nanoseconds.multiplyingSaturating(Int64(clamping: size))
            let used = Int64(clamping: consumed - epoch.consumed)
            let allowed = (roundTripTime * Self.roundTripsPerWindow).nanoseconds.multiplyingSaturating(used)
            if pace < allowed { size = min(size.multiplyingSaturating(2), maximumSize) }
        }
        limit = target
        epoch = (now, consumed)
        isAnnouncementLost = false
        return limit
    }

    /// The packet with the update was lost.
    mutating func announcementLost() { isAnnouncementLost = true }
}
