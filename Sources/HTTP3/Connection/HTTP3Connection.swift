import DequeModule
public import Primitives
public import QUIC

/// HTTP/3 over one QUIC connection, for either role (RFC 9114).
///
/// A value that is called and never calls: feed it every `ConnectionEvent` with `receive(_:at:)`, then drain `nextEvent()`.
/// It writes to the QUIC connection at once, so the driver's drain of transmissions comes after. Violations by the peer
/// close the QUIC connection and show up as `.failed`; faults that concern one stream reset that stream.
///
/// The type is spread over files by responsibility: `+Streams` (who may open what), `+Requests` (sending),
/// `+Receiving` (heads and content), `+Control` (settings and shutdown).
public final class HTTP3Connection {
    /// What this end offers and bounds.
    public struct Configuration: Sendable {
        /// Largest field section that is accepted, in bytes as RFC 9114 §4.2.2 counts them; a request beyond it is answered
        /// with 431, a response beyond it is dropped.
        public var maximumFieldSectionSize = 16 * 1024
        /// Most requests of the peer at one time; further ones are rejected, to be tried again later.
        public var maximumConcurrentRequests = 8192
        /// Whether extended CONNECT (RFC 9220) is announced; only servers do.
        public var extendedConnect = Settings.Support.announced
        /// Whether HTTP Datagrams (RFC 9297) are announced; needs QUIC's DATAGRAM extension.
        public var datagrams = Settings.Support.notAnnounced
        /// Whether this server says that it opens no tunnels and only goes on with those that it has.
        public var tunnelResumptionOnly = Settings.Support.notAnnounced
        /// Chooses the reserved setting that is sent; any number.
        public var greaseSeed: UInt64

        /// Creates a configuration with the defaults.
        public init(greaseSeed: UInt64) { self.greaseSeed = greaseSeed }
    }

    /// The QUIC connection underneath.
    public let connection: Connection
    /// Which end this is.
    public let role: Role
    let configuration: Configuration

    /// Whether the connection still lives.
    enum State: Hashable {
        case open
        case closed
    }

    var state = State.open
    /// When the latest event came: commands carry no time.
    var latest = Instant.origin
    var events: Deque<HTTP3Event> = []

    /// Our control stream, once it is open.
    var controlStream: StreamID?
    /// The peer's unidirectional streams whose end has not come.
    var peerStreams: [StreamID: PeerStream] = [:]
    /// Which of the types that may come once have come.
    var seenPeerTypes: Set<UnidirectionalStreamType> = []
    var requests: [StreamID: RequestStream] = [:]

    /// The latest request that arrived, and what it was decoded from: requests for tunnels to one destination are all alike.
    var receivedRequest: (section: [UInt8], head: RequestHead)?
    /// The latest request that was sent, and its HEADERS frame.
    var sentRequest: (head: RequestHead, frame: HeadersFrame)?
    /// Encodes the fields of responses, most of which begin alike.
    var responseFields = RepeatingFieldEncoder()

    /// The peer's settings; nil before they arrive.
    public internal(set) var peerSettings: Settings?
    /// The identifier in the last GOAWAY that arrived.
    var receivedGoAway: UInt64?
    /// The identifier in the last GOAWAY that was sent.
    var sentGoAway: UInt64?
    /// The largest MAX_PUSH_ID that arrived.
    var maximumPushID: UInt64?
    /// The first request stream of the peer that has not been opened yet.
    var nextPeerRequest: UInt64 = 0

    /// Creates the HTTP/3 side of a connection whose handshake may still be under way.
    public init(_ connection: Connection, configuration: Configuration) {
        self.connection = connection
        role = connection.role
        self.configuration = configuration
        if connection.isHandshakeComplete { openControlStream() }
    }

    /// The next thing to know; nil when there is nothing.
    public func nextEvent() -> HTTP3Event? { events.popFirst() }

    /// Whether the connection is over, by either end.
    public var isClosed: Bool { state == .closed }

    /// Requests that are open, of either end.
    public var openRequestCount: Int { requests.count }

    /// Takes an event of the QUIC connection; those that are not HTTP/3's business have no effect.
    public func receive(_ event: ConnectionEvent, at now: Instant) {
        guard state == .open else { return }
        latest = now
        do throws(HTTP3Error) {
            try handle(event)
        } catch {
            fail(error, at: now)
        }
    }

    /// Closes the connection for a violation by the peer (RFC 9114 §8).
    func fail(_ error: HTTP3Error, at now: Instant) {
        guard state == .open else { return }
        connection.close(errorCode: error.code.rawValue, reason: error.reason, at: now)
        end(with: .failed(error))
    }

    /// Closes the connection on purpose, without having been wronged; `.closed` follows.
    public func close(_ code: HTTP3ErrorCode = .noError, reason: String, at now: Instant) {
        connection.close(errorCode: code.rawValue, reason: reason, at: now)
    }

    func end(with event: HTTP3Event) {
        state = .closed
        requests.removeAll()
        peerStreams.removeAll()
        events.append(event)
    }

    private func handle(_ event: ConnectionEvent) throws(HTTP3Error) {
        switch event {
        case .handshakeCompleted:
            openControlStream()
        case .streamsAvailable(.unidirectional):
            openControlStream()
        case .streamsAvailable(.bidirectional):
            if role == .client { events.append(.requestsAvailable) }
        case .streamOpened(let id):
            try peerOpened(id)
        case .streamReadable(let id):
            try readable(id)
        case .streamReset(let id, let code):
            try peerReset(id, HTTP3ErrorCode(rawValue: code))
        case .streamStopped(let id, let code):
            try peerStopped(id, HTTP3ErrorCode(rawValue: code))
        case .streamAcknowledged(let id):
            if requests[id] != nil { events.append(.contentAcknowledged(id)) }
        case .streamDrained(let id):
            if requests[id] != nil { events.append(.contentDrained(id)) }
        case .streamFinished(let id):
            sendingEnded(id)
        case .datagramReceived(let bytes):
            try datagramReceived(bytes.span)
        case .closed(let end):
            self.end(with: .closed(end))
        case .handshakeConfirmed, .newToken, .sessionTicket, .keyLogLine, .path:
            break
        }
    }
}
