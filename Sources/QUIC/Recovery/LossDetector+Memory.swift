import Primitives

// What a burst has grown stays for the next one: between two windows of a transfer all may be settled for a moment.
extension LossDetector {
    /// How long a large ledger is kept after its last packet was settled.
    static let idleLedgerLifetime = Interval.seconds(1)

    /// Forgets what is settled at the ledger's old end.
    mutating func advanceLedger(at now: Instant, paths: NetworkPathTable) {
        ledger.advance(lostBefore: forgettingHorizon(at: now, paths: paths))
        if ledger.hasUnusedMemory { memoryDeadline = now + Self.idleLedgerLifetime }
    }

    /// `memoryDeadline` may have come.
    mutating func memoryDeadlineReached(at now: Instant) {
        guard let deadline = memoryDeadline, now >= deadline else { return }
        memoryDeadline = nil
        ledger.releaseUnusedMemory()
    }
}
