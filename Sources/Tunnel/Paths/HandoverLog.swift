import Primitives

/// The handovers of late, and the one whose stall is not known yet.
struct HandoverLog: Equatable {
    private struct Pending: Equatable {
        var handover: Handover
        var silentSince: Instant
    }

    private(set) var handovers: [Handover] = []
    private var pending: Pending?

    /// The connection moves; returns a handover that this one overtakes, without a stall of its own.
    mutating func began(_ handover: Handover, silentSince: Instant) -> Handover? {
        let overtaken = pending
        // The application has waited since the first of them.
        let start = min(overtaken?.silentSince ?? silentSince, silentSince)
        pending = Pending(handover: handover, silentSince: start)
        return overtaken.map { keep($0.handover) }
    }

    /// Something arrived on the new path.
    mutating func heard(at now: Instant) -> Handover? {
        guard let waiting = pending, now >= waiting.handover.at else { return nil }
        pending = nil
        var handover = waiting.handover
        handover.stall = now - waiting.silentSince
        return keep(handover)
    }

    /// The connection is over.
    mutating func abandoned() -> Handover? {
        defer { pending = nil }
        return pending.map { keep($0.handover) }
    }

    private mutating func keep(_ handover: Handover) -> Handover {
        if handovers.count == PathTimings.handoversKept { handovers.removeFirst() }
        handovers.append(handover)
        return handover
    }
}
