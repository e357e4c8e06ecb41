import HTTP3
import Primitives
import QUIC

// Reports of the peer stand behind its payload in the stream. When TCP does not take the payload while this end's own ring
// is full, the reports that would empty the ring are out of reach; and an application that writes without reading
// would wait for itself. So then payload is put aside until the reports behind it have been read.
extension TunnelRelay {
    /// Most payload, in bytes, that a sender holds of a resumable tunnel, and that a receiver puts aside: no report can stand
    /// behind more than the first, so the second is enough. Both ends rely on it; it is part of the specification.
    static let replayLimit = 16 << 20

    /// Bytes that a tunnel's ring may hold at most.
    func maximumRing(of session: TunnelSession) -> Int {
        session.attachment == nil ? limits.maximumRing : min(limits.maximumRing, Self.replayLimit)
    }

    /// Looks for reports behind payload that TCP does not take, when only they can empty the ring.
    func lookForReports(_ session: TunnelSession) {
        guard session.delivery == .stalled || session.delivery == .refused, session.isWaitingForReports else { return }
        read(session) { _, _ in 0 }
    }

    /// Shows TCP the payload that was put aside; tells whether it took all of it.
    func deliverAside(_ session: TunnelSession, _ write: PayloadWriter) -> Bool {
        guard let aside = session.aside else { return true }
        let taken = aside.withReadableRegions(aside.start..<aside.end) { first, second in
            let head = max(0, min(first.count, write(first, .more)))
            guard head == first.count, !second.isEmpty else { return head }
            return head + max(0, min(second.count, write(second, .more)))
        }
        session.delivered += UInt64(taken)
        aside.release(upTo: aside.start + UInt64(taken))
        guard aside.isEmpty else {
            session.delivery = .stalled
            return false
        }
        session.aside = nil
        if session.incoming == .endedAside { incomingEnded(session) }
        return true
    }
}

extension TunnelSession {
    /// Whether nothing goes on before the peer reports something.
    var isWaitingForReports: Bool { attachment != nil && (reading == .awaitingRoom || delivery == .refused) }

    /// Puts payload aside as far as that is of use; tells how many bytes.
    func putAside(_ payload: Span<UInt8>) -> Int {
        guard isWaitingForReports else { return 0 }
        let ring = aside ?? ByteRing(limit: TunnelRelay.replayLimit)
        aside = ring
        return ring.append(payload)
    }
}
