public import Cryptography
public import Primitives
public import TLS

/// What an arriving datagram led to.
public enum ReceiveOutcome: Hashable, Sendable {
    /// It was for this connection, which has to be drained.
    case connection(ConnectionHandle)
    /// It opened this connection, which has to be drained.
    case accepted(ConnectionHandle)
    /// A stateless answer waits in `nextReply`.
    case reply
    /// It was for nobody.
    case dropped
}

/// Whose connections an endpoint takes.
public enum Acceptance: Hashable, Sendable {
    /// Every client's, within the limits.
    case open
    /// Nobody's any more: the server is about to end. Clients are told so (CONNECTION_REFUSED).
    case closed
}

/// All connections of one UDP socket or group of sockets, without I/O: it finds the connection of a datagram, accepts
/// new ones and answers what belongs to none (RFC 9000 §5.2).
public final class Endpoint {
    /// Stateless answers that may wait to be sent; beyond it further datagrams go unanswered.
    static let maximumReplies = 64

    let configuration: EndpointConfiguration
    let identifiers: ConnectionIDTable
    var generator: KeyedGenerator
    var connections: [ConnectionHandle: Connection] = [:]
    /// Connections that this end opened; few, as a client's are.
    var opened: [ConnectionHandle] = []
    /// Accepted connections whose handshake is not complete.
    var handshaking: Set<ConnectionHandle> = []
    var replies: [StatelessReply] = []
    var resetBudget = ResetBudget()
    var handshakeRate = HandshakeRate()
    private var nextHandle: UInt64 = 0
    /// The connection that got the last datagram: they come in runs.
    private var recent: Connection?
    /// Whether clients' connections are taken.
    public var acceptance = Acceptance.open
    /// Seconds since 1970, for the age of tokens; the owner sets it as time goes by.
    public var unixTime: UInt64

    /// Creates an endpoint; everything random comes from `generator`.
    public init(_ configuration: EndpointConfiguration, generator: KeyedGenerator, unixTime: UInt64) {
        self.configuration = configuration
        self.generator = generator
        self.unixTime = unixTime
        identifiers = ConnectionIDTable(place: configuration.place, resetKey: configuration.resetKey)
    }

    /// A connection that was opened or accepted and not removed.
    public func connection(_ handle: ConnectionHandle) -> Connection? { connections[handle] }

    /// How many connections there are.
    public var connectionCount: Int { connections.count }

    /// Opens a connection; its first datagrams are ready to be drained.
    public func connect(_ parameters: ClientParameters, at now: Instant) throws(TLSError) -> ConnectionHandle {
        let handle = takeHandle()
        let (source, _) = identifiers.issue(for: handle, using: &generator)
        // RFC 9000 §7.2: at least 8 unpredictable bytes.
        let destination = ConnectionID.random(count: ConnectionIDTable.length, using: &generator)
        var own = TransportParameters(configuration.transport)
        own.initialSourceConnectionID = source
        let engine: TLSEngine
        do throws(TLSError) {
            engine = try TLSEngine(
                context: parameters.tls, serverName: parameters.serverName,
                transportParameters: own.encoded(for: .client, using: &generator), ticket: parameters.ticket)
        } catch {
            identifiers.retire(source, of: handle)
            throw error
        }
        // One that leaves no room for the handshake is as good as none.
        let token = parameters.token.count <= TransportLimits.longestToken ? parameters.token : []
        let connection = Connection(
            ConnectionStart(
                role: .client, handle: handle, version: .v1, configuration: configuration.transport,
                local: parameters.local, remote: parameters.remote, originalDestinationConnectionID: destination,
                handshakeConnectionID: source, peerConnectionID: destination, token: token,
                addressValidation: .notNeeded, generator: fork()),
            tls: engine, identifiers: identifiers, at: now)
        connections[handle] = connection
        opened.append(handle)
        connection.startHandshake(at: now)
        return handle
    }

    /// Forgets a connection, and with it the connection IDs that lead to it.
    public func remove(_ handle: ConnectionHandle) {
        guard let connection = connections.removeValue(forKey: handle) else { return }
        if recent === connection { recent = nil }
        handshaking.remove(handle)
        opened.removeAll { $0 == handle }
        for id in connection.connectionIDsInUse { identifiers.retire(id, of: handle) }
    }

    func takeHandle() -> ConnectionHandle {
        defer { nextHandle += 1 }
        return ConnectionHandle(rawValue: nextHandle)
    }

    /// A generator of its own for a connection, so that what one does has no influence on another's numbers.
    func fork() -> KeyedGenerator {
        KeyedGenerator(seed: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    // MARK: Receiving

    /// Looks ahead at datagrams that arrived together, all but the last of `segmentSize` bytes, each of which is to be
    /// given to `receive` next: what can be computed at once for all of them is.
    public func expect(_ run: Span<UInt8>, segmentSize: Int) {
        let header = 1 + ConnectionIDTable.length
        // RFC 9000 §17.3.1: a short header, whose connection ID has the length that this end gave it.
        guard segmentSize > header, run.count > segmentSize, run[0] & FirstByte.longHeader == 0,
            let id = ConnectionID(run.extracting(1..<header)), let handle = identifiers.handle(for: id)
        else { return }
        find(handle)?.oneRTTKeys.expect(run, segmentSize: segmentSize, packetNumberOffset: header)
    }

    /// Takes in a datagram, which is opened in place.
    public func receive(
        _ datagram: inout MutableSpan<UInt8>, from remote: NetworkAddress, to local: NetworkAddress, ecn: ECN,
        at now: Instant
    ) -> ReceiveOutcome {
        var scanner = DatagramScanner(
            localConnectionIDLength: ConnectionIDTable.length,
            fixedBit: configuration.transport.acceptsGreasedFixedBit ? .ignored : .required)
        guard let first = scanner.next(in: datagram.span) else { return .dropped }
        let arrival = Arrival(remote: remote, local: local, ecn: ecn)
        switch first {
        case .short(let header):
            return deliver(&datagram, to: header.destinationConnectionID, arrival, at: now)
                ?? deliverReset(datagram.span, arrival, at: now)
                ?? answerWithReset(header.destinationConnectionID, to: datagram.span, arrival, at: now)
        case .long(let header):
            if let outcome = deliver(&datagram, to: header.destinationConnectionID, arrival, at: now)
                ?? deliverReset(datagram.span, arrival, at: now)
            {
                return outcome
            }
            guard header.type == .initial else { return .dropped }
            return accept(header, &datagram, arrival, at: now)
        case .retry(let header):
            return deliver(&datagram, to: header.destinationConnectionID, arrival, at: now) ?? .dropped
        case .versionNegotiation(let header):
            return deliver(&datagram, to: header.destinationConnectionID, arrival, at: now) ?? .dropped
        case .unknownVersion(let header):
            return deliverReset(datagram.span, arrival, at: now) ?? negotiateVersion(header, datagram.span, arrival)
        case .defective: return deliverReset(datagram.span, arrival, at: now) ?? .dropped
        }
    }

    struct Arrival {
        var remote: NetworkAddress
        var local: NetworkAddress
        var ecn: ECN
    }

    /// A server that lost its state cannot know our connection ID: its reset is found by the token (RFC 9000 §10.3.1).
    ///
    /// Any datagram may be one, whatever its first byte says. Only connections that this end opened are looked through. A client that resets a server's connection is found out
    /// when its packet happens to carry a known connection ID, else by the idle timeout: a look-up among all
    /// clients would cost more than the rare reset of a client is worth.
    private func deliverReset(
        _ datagram: Span<UInt8>, _ arrival: Arrival, at now: Instant
    ) -> ReceiveOutcome? {
        let reset = opened.first { connections[$0]?.isReset(by: datagram, from: arrival.remote) == true }
        guard let handle = reset else { return nil }
        connections[handle]?.resetReceived(at: now)
        return .connection(handle)
    }

    private func deliver(
        _ datagram: inout MutableSpan<UInt8>, to id: ConnectionID, _ arrival: Arrival, at now: Instant
    ) -> ReceiveOutcome? {
        guard let handle = identifiers.handle(for: id), let connection = find(handle) else { return nil }
        connection.unixTime = unixTime
        connection.receive(&datagram, from: arrival.remote, to: arrival.local, ecn: arrival.ecn, at: now)
        if !handshaking.isEmpty, connection.isHandshakeComplete { handshaking.remove(handle) }
        return .connection(handle)
    }

    private func find(_ handle: ConnectionHandle) -> Connection? {
        if let recent, recent.handle == handle { return recent }
        guard let connection = connections[handle] else { return nil }
        recent = connection
        return connection
    }
}
