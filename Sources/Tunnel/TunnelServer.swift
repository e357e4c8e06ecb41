import DequeModule
public import HTTP3
public import Primitives
public import QUIC

/// The gateway's side of one connection: answers requests for tunnels.
///
/// Feed it the connection's events with `receive(_:at:)`, report TCP's with the methods of `relay`, and drain `nextAction()`
/// after every input. Every request goes through `.authenticate` and then `.connect`; who may not use the gateway learns
/// nothing else. Requests for anything but tunnels are answered here.
public final class TunnelServer {
    /// The relaying of bytes.
    public let relay: TunnelRelay
    /// The HTTP/3 connection.
    public let http: HTTP3Connection

    /// The latest request and what was read in it: those for tunnels to one destination are all alike.
    private var latestRequest: (head: RequestHead, reading: RequestReading)?

    /// Creates the server side of a connection.
    public init(_ http: HTTP3Connection, limits: TunnelRelay.Limits = .init()) {
        self.http = http
        relay = TunnelRelay(http, limits: limits)
    }

    /// Takes an event of the QUIC connection.
    public func receive(_ event: ConnectionEvent, at now: Instant) {
        relay.latest = now
        http.receive(event, at: now)
    }

    /// The next thing for the driver to do; nil when there is nothing.
    public func nextAction() -> TunnelAction? {
        while let event = http.nextEvent() { handle(event) }
        return relay.actions.popFirst()
    }

    /// Takes no further requests; tunnels that are up or under way go on (RFC 9114 §5.2).
    public func goAway() { http.goAway() }

    private func handle(_ event: HTTP3Event) {
        switch event {
        case .request(let stream, let head): requestReceived(head, on: stream)
        default: relay.handle(event)
        }
    }

    private func requestReceived(_ head: RequestHead, on stream: StreamID) {
        switch reading(of: head) {
        case .unavailable(let status):
            http.respond(ResponseHead(status: status), on: stream, .end)
            // RFC 9114 §4.1: the rest of the request is of no interest.
            http.stopReading(stream, .noError)
        case .tunnel(let form, let destination, let credentials, let expectation):
            let session = relay.add(.authenticating, form, to: destination)
            session.expectation = expectation
            if form != .classic { noteWish(ResumptionField.wish(in: head.fields), of: session) }
            relay.attach(session, to: stream)
            relay.actions.append(.authenticate(session.id, credentials))
        }
    }
}

extension TunnelServer {
    private func reading(of head: RequestHead) -> RequestReading {
        if let latestRequest, latestRequest.head == head { return latestRequest.reading }
        let reading = RequestReading(head)
        latestRequest = (head, reading)
        return reading
    }

    private func noteWish(_ wish: ResumptionWish, of session: TunnelSession) {
        switch wish {
        case .none: break
        case .wanted: session.durability = .asked
        case .resume(let request): session.durability = .claimed(request)
        // Without a destination the request is refused once it is known who asks.
        case .malformed: session.destination = nil
        }
    }
}

// MARK: - Answers of the driver

extension TunnelServer {
    /// Who asked for the tunnel may use the gateway.
    public func authenticationSucceeded(for id: TunnelID) {
        guard let session = relay.session(id), session.phase == .authenticating, let stream = session.stream else {
            return
        }
        guard let destination = session.destination else {
            refuse(session, .malformedRequest)
            return
        }
        session.phase = .dialling
        // RFC 9110 §10.1.1: the request will not be refused at once, so the client may go on.
        if session.expectation == .toContinue { http.respond(ResponseHead(status: 100), on: stream) }
        if case .claimed(let request) = session.durability {
            relay.actions.append(.resume(id, request))
        } else {
            relay.actions.append(.connect(id, destination))
        }
    }

    /// Who asked for the tunnel may not use the gateway.
    public func authenticationFailed(for id: TunnelID) {
        guard let session = relay.session(id), session.phase == .authenticating else { return }
        refuse(session, .unauthorized)
    }

    /// Whether the client would like to be able to resume a tunnel that is being opened.
    public func isResumptionWanted(for id: TunnelID) -> Bool {
        guard case .asked = relay.session(id)?.durability else { return false }
        return true
    }

    /// The TCP connection to the destination is up. A client that wants to be able to resume the tunnel is told what the
    /// gateway offers.
    public func connected(_ id: TunnelID, resumption grant: ResumptionGrant? = nil) {
        guard let session = relay.session(id), session.phase == .dialling, let stream = session.stream else { return }
        var response = TunnelResponse.established
        switch (session.durability, grant) {
        case (.claimed, _):
            // This was the wish to go on with a tunnel; a new one would mix two streams of bytes.
            return refuse(session, .resumptionGone)
        case (.asked, let grant?):
            response = .resumable(grant)
            session.durability = .resumable(
                TunnelAttachment(
                    grant.id, generation: 0, linger: grant.linger, confirmation: .awaited, peerDelivered: 0,
                    reported: 0))
            session.capsules.reports = .understood
        case (.asked, nil), (.connection, _), (.resumable, _), (.resuming, _):
            session.durability = .connection
        }
        session.phase = .relaying
        http.respond(response.head(for: session.form), on: stream)
        relay.allowReading(session)
        // The client may have sent payload before the answer, or its end.
        relay.announceDelivery(session)
    }

    /// Goes on with a tunnel that was detached. Nothing has changed when the verdict is a conflict, and the client was told so.
    public func resume(_ id: TunnelID, from held: HeldTunnel) -> ResumptionVerdict {
        guard let session = relay.session(id), session.phase == .dialling, let stream = session.stream,
            case .claimed(let request) = session.durability
        else { return .conflict }
        guard held.verdict(on: request, to: session.destination) == .resumed, held.outgoing != .reset else {
            refuse(session, .resumptionRefused)
            return .conflict
        }
        held.generation = request.generation
        let position = ResumptionRequest(
            id: held.id, delivered: held.deliveredPosition, generation: held.generation)
        let answer = ResumptionAnswer(position, linger: held.grantedLinger)
        http.respond(TunnelResponse.resumed(answer).head(for: session.form), on: stream)
        relay.adopt(held, into: session, from: request.delivered, linger: held.grantedLinger)
        return .resumed
    }

    /// Tells a client that the tunnel with which it wants to go on does not exist, no longer exists, or is not its own, which is the same to it.
    public func resumptionUnknown(_ id: TunnelID) {
        guard let session = relay.session(id), session.phase == .dialling, case .claimed = session.durability else {
            return
        }
        refuse(session, .resumptionGone)
    }

    /// There will be no TCP connection to the destination; also when a limit or rule forbids it.
    public func connectFailed(_ id: TunnelID, _ failure: TunnelFailure) {
        guard let session = relay.session(id), session.phase == .dialling || session.phase == .authenticating else {
            return
        }
        refuse(session, failure)
    }

    private func refuse(_ session: TunnelSession, _ failure: TunnelFailure) {
        relay.forget(session)
        guard let stream = session.stream else { return }
        http.respond(TunnelResponse.failed(failure).head(for: session.form), on: stream, .end)
        http.stopReading(stream, .noError)
    }
}
