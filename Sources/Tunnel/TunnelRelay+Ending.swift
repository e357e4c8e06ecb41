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
            announceDelivery(session)
        case .streamReset(let stream, let code):
            // Once TCP is closed in both directions, only what was sent matters any more.
            guard let session = byStream[stream], session.phase != .closing else { return }
            http.abort(stream, session.phase == .requested ? .requestCancelled : .connectError)
            // RFC 9114 §4.1.1: a rejected request was not looked at.
            lose(session, code == .requestRejected ? .gatewayGoingAway : .requestAborted)
        case .streamStopped(let stream, _):
            guard let session = byStream[stream] else { return }
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
            if session.phase == .closing { forget(session) }
        case .failed(let error):
            end(.protocolViolation(reason: error.reason))
        case .closed:
            end(.transport)
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

    func end(_ loss: ConnectionLoss) {
        for session in all { lose(session, .connectionLost) }
        actions.append(.ended(loss))
    }
}
