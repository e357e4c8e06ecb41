import HTTP3
import Primitives

// TCP that breaks after it has sent its FIN.
//
// A destination that closes its socket is gone for good a minute later, and the next packet to it is answered with a reset. What it
// has sent may be on its way to the client still, or wait for a client that is asleep.

/// How far the TCP connection of a tunnel was when it broke, though the tunnel goes on for a while.
public struct BrokenTCP: Hashable, Sendable {
    /// Bytes that were read from it; its FIN came after them.
    public var readEnd: UInt64
    /// Bytes of the peer that were written to it.
    public var written: UInt64
}

extension TunnelRelay {
    /// Keeps a tunnel whose TCP has sent everything until the peer has reported it; nil for one that has no reason to wait.
    func refuse(_ session: TunnelSession) -> BrokenTCP? {
        guard session.attachment != nil, session.phase == .relaying, session.outgoing == .ended, !session.isAllReported
        else { return nil }
        session.delivery = .refused
        let broken = BrokenTCP(readEnd: session.ring.end, written: session.delivered)
        lookForReports(session)
        return broken
    }

    /// The peer has everything of a tunnel whose TCP is broken: now it may hear of it. Tells whether the tunnel is over.
    func endIfRefused(_ session: TunnelSession) -> Bool {
        guard session.delivery == .refused, session.phase == .relaying, session.incoming != .ended,
            session.isAllReported
        else { return false }
        abandon(session, .connectError)
        return true
    }
}
