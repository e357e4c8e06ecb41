import Primitives
import QUIC

/// The share of the peer's packets that does not arrive, as the gaps in their numbers tell.
///
/// A receiver learns of loss by itself, where a sender needs a round trip for it: on a radio that fades, that is the time in
/// which to go.
struct ReceiptLoss: Equatable {
    /// The share is that of the last two to three of these.
    private static let stretch = Interval.milliseconds(100)
    private static let stretches = 3
    /// What is missing at first was lost on the path of before, or is still on its way there.
    private static let warmUp = Interval.milliseconds(300)
    /// Fewer packets say nothing: a second of messages is no flow.
    private static let fewestPackets: UInt64 = 60
    /// Fewer missing ones may be probes of the MTU, or numbers that the peer left out on purpose.
    private static let fewestMissing: UInt64 = 5

    private struct Count: Equatable {
        var numbered: UInt64
        var received: UInt64

        /// What was numbered and what was missing since an earlier count; nil when a path before this one is in it.
        func since(_ earlier: Count) -> (numbered: UInt64, missing: UInt64)? {
            guard numbered >= earlier.numbered, received >= earlier.received else { return nil }
            let (numbered, received) = (numbered - earlier.numbered, received - earlier.received)
            return received < numbered ? (numbered, numbered - received) : (numbered, 0)
        }
    }

    /// The counts at the beginning of each stretch, the oldest first.
    private var beginnings: [Count] = []
    private var newestBegan: Instant?
    private var firstObserved: Instant?
    private var latest = Count(numbered: 0, received: 0)

    mutating func observed(_ liveness: PathLiveness, at now: Instant) {
        let first = firstObserved ?? now
        firstObserved = first
        guard now - first >= Self.warmUp else { return }
        latest = Count(numbered: liveness.packetsNumbered, received: liveness.packetsReceived)
        guard newestBegan.map({ now - $0 >= Self.stretch }) ?? true else { return }
        newestBegan = now
        if beginnings.count == Self.stretches { beginnings.removeFirst() }
        beginnings.append(latest)
    }

    /// Whether at least this share of late did not arrive, in thousandths.
    func isAtLeast(_ thousandths: UInt64) -> Bool {
        guard let late = beginnings.first.flatMap({ latest.since($0) }), late.numbered >= Self.fewestPackets,
            late.missing >= Self.fewestMissing
        else { return false }
        return late.missing.multiplyingSaturating(1_000) >= late.numbered.multiplyingSaturating(thousandths)
    }

    /// Whether at least half of this share was lost in each stretch of late, and all of it in all of them: a queue that
    /// overflows loses in one go, and then nothing until it is full again.
    func lasts(at thousandths: UInt64) -> Bool {
        guard isAtLeast(thousandths), beginnings.count == Self.stretches else { return false }
        return zip(beginnings, beginnings.dropFirst()).allSatisfy { earlier, later in
            guard let stretch = later.since(earlier) else { return false }
            return stretch.missing.multiplyingSaturating(2_000) >= stretch.numbered.multiplyingSaturating(thousandths)
                && stretch.missing > 0
        }
    }
}
