import HTTP3
public import Primitives
import QUIC

// From the stream to TCP.
extension TunnelRelay {
    /// Shows `write` the payload that has come, piece by piece; it tells how many bytes of each piece TCP took. When it takes
    /// less than a whole piece the call ends; the driver calls again when TCP takes bytes again.
    public func deliver(_ id: TunnelID, at now: Instant, _ write: (Span<UInt8>) -> Int) {
        guard let session = sessions[id], session.phase == .relaying, let stream = session.stream else { return }
        session.delivery = .idle
        var fault: CapsuleError?
        let state = http.readContent(of: stream, at: now) { span in
            guard case .connectTCP = session.form else {
                let taken = write(span)
                session.delivered += UInt64(max(0, min(taken, span.count)))
                return taken
            }
            do throws(CapsuleError) {
                return try deliverCapsules(session, span, write)
            } catch {
                fault = error
                return 0
            }
        }
        guard fault == nil else {
            // RFC 9297 §3.3: a malformed capsule makes the message malformed.
            abandon(session, .messageError)
            return
        }
        guard state == .ended else {
            closeIfEnded(session)
            return
        }
        incomingStreamEnded(session)
    }

    /// Takes payload out of capsules; tells how many bytes of `span` are done with.
    func deliverCapsules(
        _ session: TunnelSession, _ span: Span<UInt8>, _ write: (Span<UInt8>) -> Int
    ) throws(CapsuleError) -> Int {
        var position = 0
        while let part = try session.capsules.next(span, at: &position) {
            switch part {
            case .payload(let range):
                let taken = max(0, min(range.count, write(span.extracting(range))))
                session.delivered += UInt64(taken)
                guard taken == range.count else {
                    session.capsules.putBack(range.count - taken)
                    return position - (range.count - taken)
                }
            case .end:
                incomingEnded(session)
            }
        }
        return position
    }

    /// All payload was delivered: TCP gets its FIN.
    func incomingEnded(_ session: TunnelSession) {
        guard session.incoming == .open else { return }
        session.incoming = .ended
        actions.append(.closeWrite(session.id))
    }

    func incomingStreamEnded(_ session: TunnelSession) {
        switch session.form {
        case .classic:
            // RFC 9114 §4.4: the stream's end is the TCP FIN.
            incomingEnded(session)
            closeIfEnded(session)
        case .connectTCP:
            // draft-ietf-httpbis-connect-tcp, "Closing Connections": an end without FINAL_DATA is abnormal.
            guard session.incoming == .ended else {
                abandon(session, .connectError)
                return
            }
            closeIfEnded(session)
        }
    }

    /// TCP has ended in both directions: the stream is finished, and the tunnel lives on only until all is acknowledged.
    func closeIfEnded(_ session: TunnelSession) {
        guard session.phase == .relaying, session.outgoing != .open, session.incoming == .ended,
            let stream = session.stream
        else { return }
        session.phase = .closing
        http.finish(stream)
        // Only the stream's end matters now, and it may come later than the tunnel lives.
        http.discardContent(of: stream)
        actions.append(.close(session.id))
        if session.outgoing == .acknowledged { forget(session) }
    }

    /// Announces content once, until the driver has looked.
    func announceDelivery(_ session: TunnelSession) {
        guard session.phase == .relaying, session.delivery == .idle else { return }
        session.delivery = .announced
        actions.append(.deliver(session.id))
    }
}
