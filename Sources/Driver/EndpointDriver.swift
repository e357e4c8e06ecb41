import Cryptography
public import EventLoop
public import Primitives
public import QUIC
public import TLS

/// Moves datagrams and deadlines between one QUIC endpoint and the sockets and timers of one loop, for either role.
///
/// It is the only caller of the endpoint. Datagrams go in as they arrive; at the end of each turn every connection that
/// something happened to is served once: its events to the application, then what is to be sent, then its timer. What the
/// application writes in answer thus leaves in the same datagrams as the acknowledgements.
public final class EndpointDriver: TurnHandler {
    /// Which local address a received datagram is said to have come to.
    public enum LocalAddressing: Hashable, Sendable {
        /// The address in the datagram: a server answers from the address that its client knows.
        case datagram
        /// The address that the socket is bound to: to a client the socket is the path, and the kernel picks the address.
        case socket
    }

    /// What is made of errors that the network reports (ICMP).
    public enum NetworkErrors: Hashable, Sendable {
        /// They are told to the applications, which learn at once that nobody listens where they want to go.
        case told
        /// Only that nobody listens is told, as a hint: an established connection is not ended by what anybody can make up
        /// (RFC 9000 §14.2.1).
        case refusalsTold
        /// They are passed over.
        case ignored
    }

    /// Counters since the driver was made.
    public struct Statistics: Hashable, Sendable {
        /// Batches refused because the interface does not carry datagrams of their size.
        public internal(set) var datagramsTooLarge: UInt64 = 0
        /// Batches that the kernel could not send.
        public internal(set) var sendFailures: UInt64 = 0
        /// Datagrams that belonged to no connection and got no answer.
        public internal(set) var datagramsDropped: UInt64 = 0
    }

    /// The loop that everything here runs on.
    public let loop: EventLoop
    /// Counters since the driver was made.
    public internal(set) var statistics = Statistics()
    /// The last failure of a send, for `status`.
    public private(set) var lastSendFailure: SystemError?
    private let endpoint: Endpoint
    private let addressing: LocalAddressing
    private weak var acceptor: (any ConnectionAcceptor)?
    private var ports: [DatagramPort] = []
    private var connections: [ConnectionHandle: DrivenConnection] = [:]
    private var due: [DrivenConnection] = []
    /// The connection that got the last datagram: they come in runs.
    private var recent: DrivenConnection?
    private var batch: ReceiveBatch
    /// Failures that the applications have not heard of, each address and cause once.
    private var failures: [SendFailure] = []

    private struct SendFailure: Equatable {
        var local: NetworkAddress
        var error: SystemError
    }

    /// How often in one turn connections are served again because their applications answered a failure.
    static let roundsPerTurn = 4

    /// Creates a driver; sockets are added with `addSocket`.
    public init(
        _ configuration: EndpointConfiguration, on loop: EventLoop, addressing: LocalAddressing,
        acceptor: (any ConnectionAcceptor)? = nil
    ) throws(SystemError) {
        self.loop = loop
        self.addressing = addressing
        self.acceptor = acceptor
        endpoint = Endpoint(
            configuration, generator: .system(), unixTime: UInt64(clamping: Clock.unixTime()))
        batch = try ReceiveBatch()
        loop.addTurnHandler(self)
    }

    /// Receives from and sends over one more socket.
    public func addSocket(_ bound: BoundDatagramSocket) {
        let port = DatagramPort(bound, driver: self)
        port.follow(networkErrors)
        ports.append(port)
    }

    /// What is made of errors that the network reports, for all sockets.
    public var networkErrors = NetworkErrors.ignored {
        didSet { for port in ports { port.follow(networkErrors) } }
    }

    /// Closes the socket that is bound to `local`.
    public func removeSocket(_ local: NetworkAddress) {
        for port in ports where port.localAddress == local { port.close() }
        ports.removeAll { $0.localAddress == local || $0.socket == nil }
    }

    /// The addresses that the sockets are bound to.
    public var localAddresses: [NetworkAddress] { ports.map(\.localAddress) }

    /// Opens a connection, over which `application` runs.
    public func connect(
        _ parameters: ClientParameters, _ application: (DrivenConnection) -> any ConnectionApplication
    ) throws(TLSError) -> DrivenConnection {
        endpoint.unixTime = UInt64(clamping: Clock.unixTime())
        let handle = try endpoint.connect(parameters, at: loop.now)
        guard let driven = adopt(handle) else { preconditionFailure("a connection that was just opened is there") }
        driven.application = application(driven)
        return driven
    }

    /// Whether connections that clients open are taken.
    public var acceptance: Acceptance {
        get { endpoint.acceptance }
        set { endpoint.acceptance = newValue }
    }

    /// All connections, in the order in which they came.
    public var allConnections: [DrivenConnection] {
        connections.values.sorted { $0.handle.rawValue < $1.handle.rawValue }
    }

    /// How many connections there are.
    public var connectionCount: Int { connections.count }

    /// Closes the sockets and forgets all connections.
    public func shutDown() {
        loop.removeTurnHandler(self)
        for driven in connections.values { driven.end() }
        connections = [:]
        recent = nil
        due = []
        for port in ports { port.close() }
        ports = []
    }

    private func adopt(_ handle: ConnectionHandle) -> DrivenConnection? {
        guard let connection = endpoint.connection(handle) else { return nil }
        let driven = DrivenConnection(handle, connection, driver: self)
        connections[handle] = driven
        serve(driven)
        return driven
    }

    // MARK: - Datagrams in

    func receive(from socket: UDPSocket) -> UDPSocket.ReceiveOutcome {
        let outcome = socket.receive(into: &batch)
        endpoint.unixTime = UInt64(clamping: Clock.unixTime())
        for index in 0..<batch.count {
            let entry = batch[index]
            let local = addressing == .socket ? socket.localAddress : entry.to
            let count = entry.datagramCount
            if count > 1 {
                batch.withBytes(0..<entry.byteCount, at: index) {
                    endpoint.expect($0.span, segmentSize: entry.segmentSize)
                }
            }
            for position in 0..<count { receive(position, of: entry, at: index, local: local) }
        }
        return outcome
    }

    private func receive(_ position: Int, of entry: ReceiveBatch.Entry, at index: Int, local: NetworkAddress) {
        let now = loop.now
        let outcome = batch.withBytes(entry.range(ofDatagram: position), at: index) {
            endpoint.receive(&$0, from: entry.from, to: local, ecn: entry.ecn, at: now)
        }
        switch outcome {
        case .connection(let handle):
            if let driven = find(handle) { serve(driven) }
        case .accepted(let handle):
            if let driven = adopt(handle) { driven.application = acceptor?.accept(driven) }
        case .reply: loop.turnSoon()
        case .dropped: statistics.datagramsDropped += 1
        }
    }

    private func find(_ handle: ConnectionHandle) -> DrivenConnection? {
        if let recent, recent.handle == handle { return recent }
        recent = connections[handle]
        return recent
    }

    // MARK: - Service, once per turn

    func serve(_ driven: DrivenConnection) {
        guard !driven.isDue else { return }
        driven.isDue = true
        due.append(driven)
    }

    /// Serves every connection that something happened to.
    public func turnEnded(at now: Instant) {
        if let port = ports.first { port.transmit { endpoint.nextReply(into: &$0) } }
        var rounds = 0
        repeat {
            serveDue(at: now)
            for port in ports { port.flush() }
            tellFailures(at: now)
            rounds += 1
        } while !due.isEmpty && rounds < Self.roundsPerTurn
        if !due.isEmpty { loop.turnSoon() }
    }

    private func serveDue(at now: Instant) {
        // What an application does may make other connections due; they have their turn in the same round.
        var next = 0
        while next < due.count {
            let driven = due[next]
            next += 1
            driven.isDue = false
            serveNow(driven, at: now)
        }
        due.removeAll(keepingCapacity: true)
    }

    private func tellFailures(at now: Instant) {
        guard !failures.isEmpty else { return }
        let told = failures
        failures = []
        for driven in allConnections {
            for failure in told { driven.application?.sendFailed(from: failure.local, failure.error, at: now) }
        }
    }

    private func serveNow(_ driven: DrivenConnection, at now: Instant) {
        let connection = driven.connection
        tellEvents(of: driven, at: now)
        transmit(connection, at: now)
        guard !connection.isClosed else { return remove(driven, at: now) }
        // What left made room: who waits for it is told in the next round.
        if connection.hasStreamEvents { serve(driven) }
        driven.armTimer()
    }

    private func tellEvents(of driven: DrivenConnection, at now: Instant) {
        var toldAny = true
        while toldAny {
            toldAny = false
            while let event = driven.connection.nextEvent() {
                driven.application?.receive(event, at: now)
                toldAny = true
            }
            driven.application?.settle(at: now)
        }
    }

    /// Data leaves through the socket of the active path.
    private func transmit(_ connection: Connection, at now: Instant) {
        guard let port = port(for: connection.activeLocalAddress) ?? ports.first else { return }
        port.transmit { connection.nextDatagrams(into: &$0, at: now) }
        // A path that takes nothing at present is no reason to leave the others unasked.
        guard port.isBlocked, let other = ports.first(where: { !$0.isBlocked }) else { return }
        other.transmit { connection.nextStandbyProbe(into: &$0, at: now) }
    }

    /// The socket that datagrams from `local` leave through.
    func port(for local: NetworkAddress) -> DatagramPort? { ports.first { $0.serves(local) } }

    private func remove(_ driven: DrivenConnection, at now: Instant) {
        tellEvents(of: driven, at: now)
        driven.end()
        connections[driven.handle] = nil
        if recent === driven { recent = nil }
        endpoint.remove(driven.handle)
    }

    /// A socket that took nothing more has room again: everybody may have something to send.
    func roomCame() {
        for driven in allConnections { serve(driven) }
    }

    func sendFailed(from local: NetworkAddress, _ error: SystemError) {
        statistics.sendFailures += 1
        lastSendFailure = error
        note(SendFailure(local: local, error: error))
    }

    func networkErrorReported(to local: NetworkAddress, _ error: SystemError) {
        guard networkErrors == .told || networkErrors == .refusalsTold && error.isRefusal else { return }
        note(SendFailure(local: local, error: error))
    }

    private func note(_ failure: SendFailure) {
        // A server's failures are those of single clients, whose connections find out by themselves.
        guard addressing == .socket, !failures.contains(failure) else { return }
        failures.append(failure)
    }
}
