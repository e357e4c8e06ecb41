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

    /// Creates the server side of a connection.
    public init(_ http: HTTP3Connection, limits: TunnelRelay.Limits = .init()) {
        self.http = http
        relay = TunnelRelay(http, limits: limits)
    }

    /// Takes an event of the QUIC connection.
    public func receive(_ event: ConnectionEvent, at now: Instant) { http.receive(event, at: now) }

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
        switch RequestReading(head) {
        case .unavailable(let status):
            http.respond(ResponseHead(status: status), on: stream, .end)
            // RFC 9114 §4.1: the rest of the request is of no interest.
            http.stopReading(stream, .noError)
        case .tunnel(let form, let destination, let credentials, let expectation):
            let session = relay.add(.authenticating, form, to: destination)
            session.expectation = expectation
            relay.attach(session, to: stream)
            relay.actions.append(.authenticate(session.id, credentials))
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
        relay.actions.append(.connect(id, destination))
    }

    /// Who asked for the tunnel may not use the gateway.
    public func authenticationFailed(for id: TunnelID) {
        guard let session = relay.session(id), session.phase == .authenticating else { return }
        refuse(session, .unauthorized)
    }

    /// The TCP connection to the destination is up.
    public func connected(_ id: TunnelID) {
        guard let session = relay.session(id), session.phase == .dialling, let stream = session.stream else { return }
        session.phase = .relaying
        http.respond(TunnelResponse.established.head(for: session.form), on: stream)
        relay.allowReading(session)
        // The client may have sent payload before the answer, or its end.
        relay.announceDelivery(session)
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
