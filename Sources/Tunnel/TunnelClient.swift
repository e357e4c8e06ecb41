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

    /// How long a tunnel is to live.
    public enum Durability: Hashable, Sendable {
        /// As long as the connection.
        case connection
        /// Longer, if the gateway can do that: it can be resumed on another connection.
        case resumable
    }

    /// The relaying of bytes.
    public let relay: TunnelRelay
    /// The HTTP/3 connection.
    public let http: HTTP3Connection
    private let gateway: String
    private let credentials: Credentials
    /// The latest request and its head: those for tunnels to one destination are all alike.
    private var latestRequest: (request: TunnelRequest, head: RequestHead)?
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
    public func open(
        to destination: Destination, _ optimism: Optimism = .beforeAnswer, _ durability: Durability = .connection
    ) -> TunnelID {
        let session = relay.add(.waiting, .classic, to: destination)
        session.optimism = optimism
        if durability == .resumable { session.durability = .asked }
        waiting.append(session.id)
        sendRequests()
        return session.id
    }

    /// Asks to go on with a tunnel that another connection has lost.
    ///
    /// `.resumed` follows; or `.detached`, when this connection cannot say whether the tunnel goes on; or `.failed`: for good with
    /// `.resumptionGone`, `.resumptionRefused` and when `takeHeld` gives nothing, else it may be tried again. `.reset`
    /// when the gateway's answer contradicts what this end holds.
    public func resume(_ held: HeldTunnel) -> TunnelID {
        let session = relay.add(.waiting, .classic, to: held.destination, held.ring)
        session.delivered = held.delivered
        session.durability = .resuming(held)
        waiting.append(session.id)
        sendRequests()
        return session.id
    }

    /// Whether a new tunnel would be asked for on this connection.
    public var isAcceptingTunnels: Bool { !http.isPeerGoingAway && !http.isClosed && !isResumptionOnly }

    /// Whether the gateway has said that it opens no tunnels on this connection and goes on with those that it has.
    public var isResumptionOnly: Bool { http.peerSettings?.tunnelResumptionOnly == .announced }

    /// Whether the gateway has said what it offers.
    public var knowsGateway: Bool { http.peerSettings != nil }

    /// Tunnels that wait for the handshake, SETTINGS or stream credit.
    public var waitingCount: Int { waiting.count }

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

    private func handle(_ event: HTTP3Event) {
        switch event {
        case .settingsReceived:
            sendRequests()
            if isResumptionOnly { relay.actions.append(.goingAway) }
        case .requestsAvailable:
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
        if isResumptionOnly { giveBackOpenings() }
        while let id = waiting.first {
            guard let session = relay.session(id), let destination = session.destination else {
                waiting.removeFirst()
                continue
            }
            let wish = session.wish
            let form: TunnelForm =
                http.peerSettings?.extendedConnect == .announced ? .connectTCP(.draft08) : .classic
            guard http.isClosed || session.resuming == nil || form != .classic else {
                // This gateway speaks another language now: it cannot have the tunnel.
                waiting.removeFirst()
                relay.lose(session, .resumptionGone)
                continue
            }
            let request = TunnelRequest(form, to: destination, credentials: credentials, resumption: wish)
            switch http.openRequest(head(of: request)) {
            case .opened(let stream):
                session.form = form
                session.phase = .requested
                relay.attach(session, to: stream)
                if case .resume(let request) = wish { session.resuming?.generation = request.generation }
                if form == .classic { session.durability = .connection }
                if session.resuming == nil, form != .classic, session.optimism == .beforeAnswer {
                    relay.allowReading(session)
                }
            case .blocked:
                return
            case .refused:
                let isLost = http.isClosed
                relay.lose(
                    session, isLost ? .connectionLost : .gatewayGoingAway,
                    isLost ? .connectionLost : .requestUnprocessed)
            case .tooLarge:
                relay.lose(session, .malformedRequest)
            }
            waiting.removeFirst()
        }
    }

    private func head(of request: TunnelRequest) -> RequestHead {
        if let latestRequest, latestRequest.request == request { return latestRequest.head }
        let head = request.head(gateway: gateway)
        latestRequest = (request, head)
        return head
    }

    /// What asks for a new tunnel may be tried elsewhere.
    private func giveBackOpenings() {
        for id in waiting {
            guard let session = relay.session(id), session.resuming == nil else { continue }
            relay.lose(session, .gatewayGoingAway, .requestUnprocessed)
        }
        waiting.removeAll { relay.session($0)?.resuming == nil }
    }

    private func responseReceived(_ head: ResponseHead, on stream: StreamID) {
        guard !head.isInterim, let session = relay.session(on: stream), session.phase == .requested else { return }
        let response = TunnelResponse(head)
        if let held = session.resuming { return resumptionAnswered(session, held, response, stream) }
        switch response {
        case .established, .resumed:
            session.durability = .connection
            opened(session, stream)
        case .resumable(let grant):
            guard case .asked = session.durability else { return opened(session, stream) }
            let attachment = TunnelAttachment(
                grant.id, generation: 0, linger: grant.linger, confirmation: .given, peerDelivered: 0, reported: 0)
            session.durability = .resumable(attachment)
            session.capsules.reports = .understood
            // The first report, even if there is nothing to report, tells the gateway that the id arrived.
            relay.scheduleReport(session, attachment)
            opened(session, stream)
        case .failed(let failure):
            http.abort(stream, .noError)
            relay.lose(session, failure)
        }
    }

    private func opened(_ session: TunnelSession, _ stream: StreamID) {
        session.phase = .relaying
        relay.actions.append(.opened(session.id))
        guard session.outgoing != .stopped else {
            // The gateway wants no bytes though it says that the tunnel is up.
            relay.abandon(session, .connectError)
            return
        }
        relay.release(session, stream)
        relay.allowReading(session)
    }

    /// The gateway has answered a request to go on with a tunnel.
    private func resumptionAnswered(
        _ session: TunnelSession, _ held: HeldTunnel, _ response: TunnelResponse, _ stream: StreamID
    ) {
        switch response {
        case .resumed(let answer)
        where answer.position.id == held.id && answer.position.generation == held.generation
            && held.holds(answer.position.delivered) && session.outgoing != .stopped:
            relay.actions.append(.resumed(session.id))
            relay.adopt(held, into: session, from: answer.position.delivered, linger: answer.linger)
        case .resumed:
            // Going on anywhere else than at exactly the next byte would corrupt what the application sees.
            http.abort(stream, .connectError)
            relay.forget(session)
            relay.actions.append(.reset(session.id))
        case .established, .resumable:
            // A gateway that does not know resumption has opened something else.
            http.abort(stream, .connectError)
            relay.failToResume(session, held, .resumptionGone)
        case .failed(let failure):
            http.abort(stream, .noError)
            relay.failToResume(session, held, failure.ofResumption)
        }
    }

    /// RFC 9114 §5.2: requests from `first` on were not looked at.
    private func gatewayGoingAway(from first: StreamID) {
        for session in relay.all {
            guard let stream = session.stream else {
                relay.lose(session, .gatewayGoingAway, .requestUnprocessed)
                continue
            }
            guard stream >= first else { continue }
            http.abort(stream, .requestCancelled)
            relay.lose(session, .gatewayGoingAway, .requestUnprocessed)
        }
        waiting.removeAll()
        relay.actions.append(.goingAway)
    }
}
