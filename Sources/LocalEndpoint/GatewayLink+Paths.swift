import Configuration
import EventLoop
import Logging
import Primitives
import QUIC
import Tunnel

/// The network changes: paths of the connection, and a fresh connection where no path answers.
extension GatewayLink: PathContextOwner {
    /// Asks the gateway for a sign of life, and tries a fresh connection beside one that gives none.
    func question() {
        guard let session else { return }
        session.ping()
        if session.isSilent || refused != nil { raceWanted(by: session, .silence) }
    }

    /// Replaces the local socket by a new one and moves the connection there.
    func rebind() throws {
        guard let paths = session?.paths else { throw PathRequestError.notConnected }
        try paths.rebind()
    }

    /// A gateway that could not be reached may be reachable now.
    func networkAppeared() {
        outage.lastHope = loop.now
        switch state {
        case .waiting: retryAtOnce()
        case .dialling(let dial):
            // Its handshakes may have begun on a network that is gone.
            dial.cancel()
            self.dial()
        case .idle, .ready, .stopped: break
        }
    }

    // MARK: - The race of a fresh connection with one that does not answer

    /// No path of the connection answers: it may be over without this end's knowing.
    func raceWanted(by session: LinkSession, _ reason: Handover.Reason) {
        guard session === self.session else {
            // What a draining gateway has can go on with another connection to it.
            if case .waiting = state, leaving.contains(where: { $0 === session }) { retryAtOnce() }
            return
        }
        guard racing == nil else { return }
        log.info("trying a fresh connection as well", metadata: ["why": "\(reason.sentence)"])
        let dial = GatewayDial(invite, link: self)
        racing = Race(dial: dial, began: loop.now)
        dial.start(resolver)
    }

    /// The gateway did not answer the fresh connection either.
    func raceFailed(_ failure: LinkFailure) {
        guard racing != nil else { return }
        racing = nil
        log.info("no fresh connection: \(failure.sentence)")
        owner.link(self, failed: failure)
    }

    /// Whether any path of the connection answers has changed.
    func silenceChanged(of session: LinkSession, _ since: Instant?) {
        if session === self.session { owner.link(self, silentSince: since) }
    }

    /// The network says that nobody listens where the connection leads. It may have been made up: what is heard later says more.
    func refusalReported(of session: LinkSession) {
        guard session === self.session else { return }
        refused = loop.now
        owner.linkRefusalReported(self)
    }

    /// The old connection was heard of again: it keeps its tunnels.
    func heard(from session: LinkSession, at received: Instant?) {
        guard session === self.session, let received else { return }
        if let refused, received > refused {
            self.refused = nil
            if !session.isSilent { owner.link(self, silentSince: nil) }
        }
        if let racing, received > racing.began { cancelRace() }
    }

    func cancelRace() {
        let dial = racing?.dial
        racing = nil
        dial?.cancel()
    }

    /// The fresh connection is up first: what can go on there does.
    func raceWon(by session: LinkSession) {
        racing = nil
        guard let old = self.session else { return connected(session) }
        log.notice("a fresh connection has taken over", metadata: ["gateway": "\(session.attempt.address)"])
        old.detachTunnels()
        leave(old)
        connected(session)
    }
}
