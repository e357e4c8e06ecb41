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
        guard let first = beginnings.first, latest.numbered >= first.numbered, latest.received >= first.received else {
            return false
        }
        let numbered = latest.numbered - first.numbered
        let received = latest.received - first.received
        guard numbered >= Self.fewestPackets, received < numbered, numbered - received >= Self.fewestMissing else {
            return false
        }
        return (numbered - received).multiplyingSaturating(1_000) >= numbered.multiplyingSaturating(thousandths)
    }
}
