import HTTP3
import Primitives
import QUIC

// How tunnels end abnormally, and what events of the connection mean for them.
extension TunnelRelay {
    /// Ends a tunnel abnormally in both directions, by this end's decision.
    func abandon(_ session: TunnelSession, _ code: HTTP3ErrorCode) {
        if let stream = session.stream { http.abort(stream, code) }
        rememberReset(session)
        lose(session, .requestAborted)
    }

    /// The stream of a tunnel is gone: tells the driver what follows for TCP.
    func lose(_ session: TunnelSession, _ failure: TunnelFailure, _ loss: TunnelLoss = .streamReset) {
        if session.durability.outcome(of: loss) == .hold, hold(session) { return }
        forget(session)
        // It is not known what the gateway did: it may be asked again.
        if loss != .connectionClosed { heldTunnels[session.id] = session.resuming }
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
            http.abort(stream, session.phase == .requested ? .requestCancelled : .connectError)
            let loss = TunnelLoss(code)
            lose(session, loss == .requestUnprocessed ? .gatewayGoingAway : .requestAborted, loss)
        case .streamStopped(let stream, let code):
            guard let session = byStream[stream] else { return }
            let loss = TunnelLoss(code)
            guard loss == .takenByPeer else { return stopped(session) }
            http.abort(stream, .connectError)
            lose(session, .requestAborted, loss)
        case .streamAborted(let stream, _):
            guard let session = byStream[stream] else { return }
            lose(session, .requestAborted)
        case .contentAcknowledged(let stream):
            guard let session = byStream[stream] else { return }
            acknowledged(session, stream)
        case .contentDrained(let stream):
            guard let session = byStream[stream], session.reading == .awaitingDrain else { return }
            readOn(session)
        case .contentSent(let stream):
            guard let session = byStream[stream] else { return }
            acknowledged(session, stream)
            session.outgoing = .acknowledged
            forgetIfOver(session)
        case .failed(let error):
            end(.protocolViolation(reason: error.reason), .connectionLost)
        case .closed(let end):
            self.end(.transport, TunnelLoss(end))
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

    func end(_ reason: ConnectionLoss, _ loss: TunnelLoss) {
        for session in all { lose(session, .connectionLost, loss) }
        if loss == .connectionLost { holdResets() }
        actions.append(.ended(reason))
    }
}
