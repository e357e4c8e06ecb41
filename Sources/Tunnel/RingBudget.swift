import Primitives

/// Room for the buffers of many tunnels: what one of them takes the others cannot have.
///
/// Every tunnel has its first buffer (`TunnelRelay.Limits.initialRing`) without asking, and asks for the larger one that a long and
/// fast path needs. A tunnel that gets none goes on with what it has: its TCP is read more slowly, and nothing is lost.
public protocol RingBudget: AnyObject {
    /// Takes room for so many more bytes; false when there is not so much.
    func take(_ bytes: Int) -> Bool
    /// Gives room back.
    func giveBack(_ bytes: Int)
}

/// Room of one thread.
public final class LocalRingBudget: RingBudget {
    private let limit: Int
    /// Bytes that are taken.
    public private(set) var taken = 0

    /// Room for so many bytes.
    public init(limit: Int) { self.limit = limit }

    /// For a relay.
    public func take(_ bytes: Int) -> Bool {
        guard bytes <= limit - taken else { return false }
        taken += bytes
        return true
    }

    /// For a relay.
    public func giveBack(_ bytes: Int) { taken -= bytes }
}

@available(*, unavailable)
extension LocalRingBudget: Sendable {}

extension TunnelRelay {
    /// Raises the bound of a ring as far as there is room for it.
    func raise(_ session: TunnelSession, to limit: Int) {
        let growth = limit - session.ring.limit
        guard growth > 0, budget?.take(growth) ?? true else { return }
        session.taken += growth
        session.ring.limit = limit
    }

    /// Lowers the bound of a ring, and gives back what was taken for it.
    func lower(_ session: TunnelSession, to limit: Int) {
        let loss = min(max(session.ring.limit - limit, 0), session.taken)
        session.ring.limit = limit
        session.taken -= loss
        budget?.giveBack(loss)
    }

    /// Takes room for a ring that was filled elsewhere; without room it takes no more bytes than it has now.
    func takeRoom(for session: TunnelSession) {
        let ring = session.ring
        let growth = ring.limit - min(limits.initialRing, ring.limit)
        guard growth > 0 else { return }
        if budget?.take(growth) ?? true {
            session.taken = growth
        } else {
            ring.limit = max(ring.count, limits.initialRing)
        }
    }

    /// Gives back everything that was taken for a tunnel.
    func giveRoomBack(of session: TunnelSession) {
        budget?.giveBack(session.taken)
        session.taken = 0
    }
}
