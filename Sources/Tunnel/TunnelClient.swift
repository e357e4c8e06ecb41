import DequeModule
public import HTTP3
public import Primitives
public import QUIC

/// The local endpoint's side of one connection to a gateway: opens tunnels.
///
/// Feed it the connection's events with `receive(_:at:)`, report TCP's with the methods of `relay`, and drain `nextAction()`
/// after every input. Tunnels may be asked for at any time: they wait for the handshake, for the gateway's SETTINGS, which
/// say in which form to ask, and for stream credit.
public final class TunnelClient {
    /// Whether the application's first bytes are sent before the gateway has answered.
    public enum Optimism: Hashable, Sendable {
        /// They are, in the forms that allow it: saves a round trip.
        case beforeAnswer
        /// They wait for the answer: a tunnel that fails can be tried again elsewhere.
        case afterAnswer
    }

    /// The relaying of bytes.
    public let relay: TunnelRelay
    /// The HTTP/3 connection.
    public let http: HTTP3Connection
    private let gateway: String
    private let credentials: Credentials
    /// Tunnels that have no stream yet, in order.
    private var waiting: Deque<TunnelID> = []

    /// Creates the client side of a connection.
    ///
    /// - Parameters:
    ///   - gateway: The authority of the gateway, for connect-tcp requests.
    ///   - credentials: Shown with every request.
    public init(
        _ http: HTTP3Connection, gateway: String, credentials: Credentials, limits: TunnelRelay.Limits = .init()
    ) {
        self.http = http
        self.gateway = gateway
        self.credentials = credentials
        relay = TunnelRelay(http, limits: limits)
    }

    /// Asks for a tunnel; `.opened` or `.failed` follows.
    public func open(to destination: Destination, _ optimism: Optimism = .beforeAnswer) -> TunnelID {
        let session = relay.add(.waiting, .classic, to: destination)
        session.optimism = optimism
        waiting.append(session.id)
        sendRequests()
        return session.id
    }

    /// Whether a new tunnel would be asked for on this connection.
    public var isAcceptingTunnels: Bool { !http.isPeerGoingAway && !http.isClosed }

    /// Tunnels that wait for the handshake, SETTINGS or stream credit.
    public var waitingCount: Int { waiting.count }

    /// Takes an event of the QUIC connection.
    public func receive(_ event: ConnectionEvent, at now: Instant) { http.receive(event, at: now) }

    /// The next thing for the driver to do; nil when there is nothing.
    public func nextAction() -> TunnelAction? {
        while let event = http.nextEvent() { handle(event) }
        return relay.actions.popFirst()
    }

    private func handle(_ event: HTTP3Event) {
        switch event {
        case .settingsReceived, .requestsAvailable:
            sendRequests()
        case .response(let stream, let head):
            responseReceived(head, on: stream)
        case .goingAway(let first):
            gatewayGoingAway(from: first)
        default:
            relay.handle(event)
            if http.isClosed { waiting.removeAll() }
        }
    }
}

extension TunnelClient {
    private func sendRequests() {
        // RFC 9220 §3: extended CONNECT is only used once it was announced; so SETTINGS are waited for.
        guard http.isClosed || http.peerSettings != nil else { return }
        while let id = waiting.first {
            guard let session = relay.session(id), let destination = session.destination else {
                waiting.removeFirst()
                continue
            }
            let form: TunnelForm =
                http.peerSettings?.extendedConnect == .announced ? .connectTCP(.draft08) : .classic
            let request = TunnelRequest(form, to: destination, credentials: credentials)
            switch http.openRequest(request.head(gateway: gateway)) {
            case .opened(let stream):
                session.form = form
                session.phase = .requested
                relay.attach(session, to: stream)
                if form != .classic, session.optimism == .beforeAnswer { relay.allowReading(session) }
            case .blocked:
                return
            case .refused:
                relay.lose(session, http.isClosed ? .connectionLost : .gatewayGoingAway)
            case .tooLarge:
                relay.lose(session, .malformedRequest)
            }
            waiting.removeFirst()
        }
    }

    private func responseReceived(_ head: ResponseHead, on stream: StreamID) {
        guard !head.isInterim, let session = relay.session(on: stream), session.phase == .requested else { return }
        switch TunnelResponse(head) {
        case .established:
            session.phase = .relaying
            relay.actions.append(.opened(session.id))
            guard session.outgoing != .stopped else {
                // The gateway wants no bytes though it says that the tunnel is up.
                relay.abandon(session, .connectError)
                return
            }
            relay.allowReading(session)
        case .failed(let failure):
            http.abort(stream, .noError)
            relay.lose(session, failure)
        }
    }

    /// RFC 9114 §5.2: requests from `first` on were not looked at.
    private func gatewayGoingAway(from first: StreamID) {
        for session in relay.all {
            guard let stream = session.stream else {
                relay.lose(session, .gatewayGoingAway)
                continue
            }
            guard stream >= first else { continue }
            http.abort(stream, .requestCancelled)
            relay.lose(session, .gatewayGoingAway)
        }
        waiting.removeAll()
        relay.actions.append(.goingAway)
    }
}
