import HTTP3
import Primitives
import QUIC

// How tunnels end abnormally, and what events of the connection mean for them.
extension TunnelRelay {
    /// Ends a tunnel abnormally in both directions, by this end's decision.
    func abandon(_ session: TunnelSession, _ code: HTTP3ErrorCode) {
        if let stream = session.stream { http.abort(stream, code) }
        lose(session, .requestAborted)
    }

    /// The stream of a tunnel is gone: tells the driver what follows for TCP.
    func lose(_ session: TunnelSession, _ failure: TunnelFailure) {
        // The gateway did not look at the request, or its answer is not known: it may be asked again.
        if session.resuming != nil, failure.isSafeToRetry, detachIfResumable(session) { return }
        forget(session)
        switch session.phase.onStreamLost {
        case .fail:
            actions.append(.failed(session.id, failure, session.ring.end > 0 ? .taken : .untouched))
        case .reset:
            actions.append(.reset(session.id))
        case .forget:
            break
        }
    }

    /// Follows an event that concerns both roles alike.
    func handle(_ event: HTTP3Event) {
        switch event {
        case .contentReadable(let stream):
            guard let session = byStream[stream] else { return }
            contentReadable(session)
        case .streamReset(let stream, let code):
            // Once TCP is closed in both directions, only what was sent matters any more.
            guard let session = byStream[stream], session.phase != .closing || session.attachment != nil else { return }
            if code == .tunnelDetached, session.attachment != nil { return detachByPeer(session, stream) }
            http.abort(stream, session.phase == .requested ? .requestCancelled : .connectError)
            // RFC 9114 §4.1.1: a rejected request was not looked at.
            lose(session, code == .requestRejected ? .gatewayGoingAway : .requestAborted)
        case .streamStopped(let stream, let code):
            guard let session = byStream[stream] else { return }
            if code == .tunnelDetached, session.attachment != nil { return detachByPeer(session, stream) }
            stopped(session)
        case .streamAborted(let stream, _):
            guard let session = byStream[stream] else { return }
            lose(session, .requestAborted)
        case .contentAcknowledged(let stream):
            guard let session = byStream[stream] else { return }
            acknowledged(session, stream)
        case .contentSent(let stream):
            guard let session = byStream[stream] else { return }
            acknowledged(session, stream)
            session.outgoing = .acknowledged
            forgetIfOver(session)
        case .failed(let error):
            end(.protocolViolation(reason: error.reason), .detachesTunnels)
        case .closed(let end):
            self.end(.transport, ConnectionFate(end))
        case .settingsReceived, .request, .response, .requestsAvailable, .goingAway:
            break
        }
    }

    func stopped(_ session: TunnelSession) {
        switch session.phase.onStopped {
        case .awaitAnswer:
            session.outgoing = .stopped
            session.reading = .forbidden
        case .reset:
            abandon(session, .connectError)
        case .forget:
            forget(session)
        }
    }

    /// The other end has taken the tunnel elsewhere, or will.
    func detachByPeer(_ session: TunnelSession, _ stream: StreamID) {
        http.abort(stream, .tunnelDetached)
        if !detachIfResumable(session) { lose(session, .requestAborted) }
    }

    func end(_ loss: ConnectionLoss, _ fate: ConnectionFate) {
        for session in all {
            switch fate {
            case .detachesTunnels where detachIfResumable(session): break
            case .detachesTunnels, .endsTunnels: lose(session, .connectionLost)
            }
        }
        actions.append(.ended(loss))
    }
}
