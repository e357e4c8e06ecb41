import HTTP3
public import Primitives
public import QUIC

// From the stream to TCP.
extension TunnelRelay {
    /// Takes a piece of payload to TCP and tells how many bytes TCP took. With `.end` it is the last one: `.closeWrite` follows
    /// as soon as all of it is taken.
    public typealias PayloadWriter = (Span<UInt8>, Fin) -> Int

    /// Shows `write` the payload that has come, piece by piece. When it takes less than a whole piece the call ends; the driver
    /// calls again when TCP takes bytes again.
    public func deliver(_ id: TunnelID, at now: Instant, _ write: PayloadWriter) {
        guard let session = sessions[id], session.phase == .relaying, session.delivery != .refused else { return }
        latest = now
        session.delivery = .idle
        read(session, deliverAside(session, write) ? write : { _, _ in 0 })
    }

    /// Reads what the stream has.
    func read(_ session: TunnelSession, _ write: PayloadWriter) {
        guard let stream = session.stream else { return }
        var fault: CapsuleError?
        let state = http.readContent(of: stream, at: latest) { span in
            guard case .connectTCP = session.form else {
                let taken = write(span, .more)
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
        payloadDelivered(session)
        guard state == .ended else {
            closeIfEnded(session)
            return
        }
        incomingStreamEnded(session)
    }

    /// Something has come on a tunnel's stream.
    func contentReadable(_ session: TunnelSession) {
        switch session.phase {
        case .relaying:
            lookForReports(session)
            if self.session(session.id) != nil { announceDelivery(session) }
        case .closing:
            // TCP is closed: nothing but reports can come.
            read(session) { _, _ in 0 }
        case .authenticating, .dialling:
            // A client that resumes does not know yet from where on to send.
            guard case .claimed = session.durability else { return }
            abandon(session, .messageError)
        case .waiting, .requested:
            break
        }
    }

    /// Takes payload out of capsules; tells how many bytes of `span` are done with.
    func deliverCapsules(
        _ session: TunnelSession, _ span: Span<UInt8>, _ write: PayloadWriter
    ) throws(CapsuleError) -> Int {
        var position = 0
        while let part = try session.capsules.next(span, at: &position) {
            switch part {
            case .payload(let range):
                guard session.incoming == .open else { throw CapsuleError(reason: "payload after the end") }
                let fin = session.capsules.isEnding ? Fin.end : .more
                let left = range.count - deliver(session, span.extracting(range), fin, write)
                guard left == 0 else {
                    session.capsules.putBack(left)
                    return position - left
                }
            case .end:
                guard session.incoming == .open else { throw CapsuleError(reason: "a second end") }
                if session.aside == nil { incomingEnded(session) } else { session.incoming = .endedAside }
            case .delivered(let position):
                try deliveredReported(session, position)
            }
        }
        return position
    }

    /// Hands payload to TCP, and puts aside what it does not take if need be; tells how many bytes are done with.
    private func deliver(
        _ session: TunnelSession, _ payload: Span<UInt8>, _ fin: Fin, _ write: PayloadWriter
    ) -> Int {
        var taken = 0
        if session.aside == nil {
            taken = max(0, min(payload.count, write(payload, fin)))
            session.delivered += UInt64(taken)
            guard taken < payload.count else { return taken }
        }
        if session.delivery == .idle { session.delivery = .stalled }
        return taken + session.putAside(payload.extracting(taken..<payload.count))
    }

    /// All payload was delivered: TCP gets its FIN.
    func incomingEnded(_ session: TunnelSession) {
        guard session.incoming != .ended else { return }
        session.incoming = .ended
        actions.append(.closeWrite(session.id))
    }

    func incomingStreamEnded(_ session: TunnelSession) {
        switch session.form {
        case .classic:
            // RFC 9114 §4.4: the stream's end is the TCP FIN.
            incomingEnded(session)
            closeIfEnded(session)
        case .connectTCP where session.attachment != nil && !session.isAllReported:
            // A resumable tunnel's stream ends when both directions have ended and were reported.
            abandon(session, .messageError)
        case .connectTCP:
            // draft-ietf-httpbis-connect-tcp, "Closing Connections": an end without FINAL_DATA is abnormal.
            guard session.incoming != .open else {
                abandon(session, .connectError)
                return
            }
            closeIfEnded(session)
        }
    }

    /// TCP has ended in both directions: the stream is finished, and the tunnel lives on only until all is acknowledged.
    func closeIfEnded(_ session: TunnelSession) {
        forgetIfOver(session)
        guard !endIfRefused(session) else { return }
        guard session.phase == .relaying, session.outgoing != .open, session.incoming == .ended,
            let stream = session.stream
        else { return }
        session.phase = .closing
        http.finish(stream)
        actions.append(.close(session.id))
        switch session.durability {
        // Only the stream's end matters now, and it may come later than the tunnel lives.
        case .connection, .asked, .claimed, .resuming: http.discardContent(of: stream)
        case .resumable: read(session) { _, _ in 0 }
        }
        forgetIfOver(session)
    }

    /// A tunnel that is closing lives until everything was acknowledged, and reported where it can be resumed.
    func forgetIfOver(_ session: TunnelSession) {
        guard session.phase == .closing, session.outgoing == .acknowledged else { return }
        guard session.attachment != nil else { return forget(session) }
        guard session.isAllReported else { return }
        forget(session)
        if let stream = session.stream { http.discardContent(of: stream) }
    }

    /// Announces content once, until the driver has looked.
    func announceDelivery(_ session: TunnelSession) {
        guard session.phase == .relaying, session.delivery != .announced, session.delivery != .refused else { return }
        session.delivery = .announced
        actions.append(.deliver(session.id))
    }
}
