import HTTP3
public import Primitives
import QUIC

// How tunnels leave a connection and join another one.
extension TunnelRelay {
    /// Longest time that a gateway keeps a tunnel whose id its client perhaps never learned: the answer was lost, or waits in the
    /// client's kernel until its machine wakes.
    public static let unconfirmedLinger = Interval.seconds(3600)

    /// What is agreed on a tunnel that outlives its connection: its name, how often it was resumed, and how long the gateway keeps
    /// it; nil for every other.
    public func resumption(of id: TunnelID) -> (id: ResumptionID, generation: UInt64, linger: Interval)? {
        guard let attachment = sessions[id]?.attachment else { return nil }
        return (attachment.id, attachment.generation, attachment.linger)
    }

    /// Where a tunnel leads; nil when the request could not be understood, or the tunnel is gone.
    public func destination(of id: TunnelID) -> Destination? { sessions[id]?.destination }

    /// Payload bytes of a tunnel that were handed to TCP; nil when it is gone.
    public func delivered(of id: TunnelID) -> UInt64? { sessions[id]?.delivered }

    /// Whether a tunnel that this connection carries would go on elsewhere as a client asks; changes nothing.
    public func verdict(
        on request: ResumptionRequest, to destination: Destination?, for id: TunnelID
    ) -> ResumptionVerdict {
        guard let session = sessions[id], let attachment = session.attachment, session.isAttached,
            request.id == attachment.id, request.generation > attachment.generation,
            destination == session.destination,
            attachment.peerDelivered <= request.delivered, request.delivered <= session.sentPosition
        else { return .conflict }
        return .resumed
    }

    /// Takes a resumable tunnel out of a connection that may live on; its stream is given up. Actions that wait for the driver
    /// are to be carried out first. nil when there is no such tunnel or it is not resumable.
    public func detach(_ id: TunnelID) -> HeldTunnel? {
        guard let session = sessions[id] else { return nil }
        if let held = session.resuming {
            if let stream = session.stream { http.abort(stream, .requestCancelled) }
            forget(session)
            return held
        }
        guard let held = held(session) else { return nil }
        if let stream = session.stream { http.abort(stream, .tunnelDetached) }
        forget(session)
        return held
    }

    /// The tunnel that an action `.detached` named, or `.failed` for one that was to be resumed and may be tried again; nil when
    /// it was taken already.
    public func takeHeld(_ id: TunnelID) -> HeldTunnel? { heldTunnels.removeValue(forKey: id) }

    /// Holds a tunnel that outlives its connection, or forgets it if it needs no other one; tells whether it is such a tunnel.
    func hold(_ session: TunnelSession) -> Bool {
        if session.phase == .closing, needsNoOtherConnection(session) {
            forget(session)
            return true
        }
        guard let held = session.resuming ?? held(session) else { return false }
        forget(session)
        heldTunnels[session.id] = held
        actions.append(.detached(session.id))
        return true
    }

    /// The gateway does not go on with a tunnel; it may be asked again unless it has said that it never will.
    func failToResume(_ session: TunnelSession, _ held: HeldTunnel, _ failure: TunnelFailure) {
        forget(session)
        switch failure {
        case .resumptionGone, .resumptionRefused: break
        default: heldTunnels[session.id] = held
        }
        actions.append(.failed(session.id, failure, .taken))
    }

    /// Whether a closing tunnel needs no other connection.
    ///
    /// A gateway may forget what the client got whole: at worst the client asks and hears 410. A client makes sure that its
    /// own last report arrived, for otherwise the gateway would keep the tunnel in vain.
    private func needsNoOtherConnection(_ session: TunnelSession) -> Bool {
        switch http.role {
        case .client: session.isAllReported && session.outgoing == .acknowledged
        case .server: session.isAllReported
        }
    }

    /// A client that has reset a tunnel makes sure that the gateway hears of it, though the connection may be dead already.
    func rememberReset(_ session: TunnelSession) {
        guard http.role == .client, let stream = session.stream, let held = held(session) else { return }
        held.giveUp()
        if resets.count >= resetsBeforePruning {
            forgetKnownResets()
            resetsBeforePruning = max(resetsBeforePruning, resets.count.multiplyingSaturating(2))
        }
        resets.append((stream, session.id, held))
    }

    /// A stream that is over in both directions was reset for the peer too.
    private func forgetKnownResets() { resets.removeAll { http.connection.isStreamOver($0.stream) } }

    /// The connection is lost, and with it perhaps the news of resets: tunnels resume only to reset.
    func holdResets() {
        forgetKnownResets()
        for reset in resets {
            heldTunnels[reset.id] = reset.held
            actions.append(.detached(reset.id))
        }
        resets = []
    }

    /// What is left of a resumable tunnel without its stream.
    private func held(_ session: TunnelSession) -> HeldTunnel? {
        guard let attachment = session.attachment, session.isAttached,
            max(session.sentPosition, session.deliveredPosition) < ResumptionField.largestInteger
        else { return nil }
        let isKnown = attachment.confirmation == .given
        return HeldTunnel(
            attachment.id, http.role, to: session.destination,
            linger: isKnown ? attachment.linger : min(attachment.linger, Self.unconfirmedLinger),
            grantedLinger: attachment.linger, generation: attachment.generation, ring: session.ring,
            outgoing: session.outgoing == .open ? .open : .ended, sentPosition: session.sentPosition,
            peerDelivered: attachment.peerDelivered, delivered: session.delivered,
            hasDeliveredEnd: session.incoming == .ended, isRefused: session.delivery == .refused)
    }

    /// Goes on with a tunnel on the stream of `session`; the peer's TCP was given everything before `position`.
    func adopt(_ held: HeldTunnel, into session: TunnelSession, from position: UInt64, linger: Interval) {
        let ring = held.ring
        session.ring = ring
        takeRoom(for: session)
        session.delivered = held.delivered
        session.incoming = held.hasDeliveredEnd ? .ended : .open
        session.delivery = held.isRefused ? .refused : .idle
        session.outgoing = .open
        session.durability = .resumable(
            TunnelAttachment(
                held.id, generation: held.generation, linger: linger, confirmation: .given,
                peerDelivered: position, reported: held.deliveredPosition))
        session.capsules.reports = .understood
        session.phase = .relaying
        session.sent = min(position, ring.end)
        ring.release(upTo: session.sent)
        switch held.outgoing {
        case .open:
            send(session)
            resumeReading(session)
        case .ended:
            if position <= ring.end { send(session, .finalData) }
            session.outgoing = .ended
        case .reset:
            // It goes on only so that the other end learns of it.
            return abandon(session, .connectError)
        }
        announceDelivery(session)
        closeIfEnded(session)
    }

    private func resumeReading(_ session: TunnelSession) {
        guard session.ring.freeSpace > 0 else {
            session.reading = .awaitingRoom
            return
        }
        session.reading = .forbidden
        allowReading(session)
    }
}

extension TunnelSession {
    /// Whether a stream carries payload for it, or what is left of it.
    var isAttached: Bool { phase == .relaying || phase == .closing }
}
