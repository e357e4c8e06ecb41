import Cryptography
import DequeModule
public import Primitives
public import QUIC

/// A `QUIC.Endpoint` as a host of a virtual network, with applications on its connections.
///
/// It does what a driver does: hands in datagrams and deadlines, splits transmissions into datagrams, and fetches events.
public final class QUICNode: VirtualNode {
    /// What a node does when the link monitor reports a local address.
    public enum LinkMonitoring: Sendable {
        /// Nothing: the scenario commands the connection itself.
        case ignored
        /// Addresses that come are added as paths, those that go are removed; one that comes when none is left is used.
        case followed
    }

    /// What makes a node finished.
    public enum Goal: Sendable {
        /// Every application on every connection is finished.
        case applications
        /// Every connection is over, however far the applications came.
        case end
        /// Nothing: the scenario says how long it goes on.
        case nothing
    }

    /// A connection of the node, kept after its end.
    public final class Session {
        /// The connection; its getters still answer when it is over.
        public let connection: Connection
        /// What happened on it and when; what concerns single streams is left out.
        public fileprivate(set) var events: [(at: Instant, event: ConnectionEvent)] = []
        fileprivate let handle: ConnectionHandle
        fileprivate let applications: [any QUICApplication]
        fileprivate var isRemoved = false

        fileprivate init(_ connection: Connection, _ handle: ConnectionHandle, _ applications: [any QUICApplication]) {
            self.connection = connection
            self.handle = handle
            self.applications = applications
        }
    }

    private static let bufferSize = 65_536

    /// The endpoint, for what has no shorthand here.
    public let endpoint: Endpoint
    /// Every connection that there was, in the order in which they came.
    public private(set) var sessions: [Session] = []
    /// Every change of a local address that the link monitor reported.
    public private(set) var addressChanges: [AddressChange] = []
    /// Datagrams that the operating system refused to send.
    public private(set) var sendFailures: [SendFailure] = []
    /// What the node does when addresses come and go.
    public var linkMonitoring = LinkMonitoring.ignored
    /// Decides on the paths of the first connection, if the node is a client that roams; set it before time passes.
    public var paths: RoamingPaths? {
        didSet { for change in addressChanges { paths?.addressChanged(change, at: VirtualNetwork.start) } }
    }
    /// What makes the node finished.
    public var goal = Goal.applications
    private let serve: () -> [any QUICApplication]
    private var outbox: Deque<Datagram> = []
    private var buffer = [UInt8](repeating: 0, count: QUICNode.bufferSize)
    private var port: UInt16 = 0
    private var usableAddresses: [IPAddress] = []

    /// A server; every connection that it accepts gets the applications that `serve` makes.
    public init(
        serving configuration: EndpointConfiguration, seed: UInt64, _ serve: @escaping () -> [any QUICApplication]
    ) {
        endpoint = Endpoint(
            configuration, generator: KeyedGenerator(simulationSeed: seed), unixTime: QUICCredentials.unixTime)
        self.serve = serve
    }

    /// A client that has opened a connection as the network starts.
    public init(
        connecting parameters: ClientParameters, _ configuration: EndpointConfiguration, seed: UInt64,
        running applications: [any QUICApplication]
    ) throws {
        endpoint = Endpoint(
            configuration, generator: KeyedGenerator(simulationSeed: seed), unixTime: QUICCredentials.unixTime)
        serve = { [] }
        try connect(parameters, running: applications, at: VirtualNetwork.start)
    }

    /// Opens one more connection.
    public func connect(
        _ parameters: ClientParameters, running applications: [any QUICApplication], at now: Instant
    ) throws {
        port = parameters.local.port
        add(try endpoint.connect(parameters, at: now), running: applications)
    }

    /// The connection that came first, if there is one.
    public var connection: Connection? { sessions.first?.connection }
    /// What happened on the first connection.
    public var events: [ConnectionEvent] { sessions.first?.events.map(\.event) ?? [] }

    /// When an event came first on the first connection.
    public func time(of event: ConnectionEvent) -> Instant? {
        sessions.first?.events.first { $0.event == event }?.at
    }

    private func add(_ handle: ConnectionHandle, running applications: [any QUICApplication]) {
        guard let connection = endpoint.connection(handle) else { return }
        sessions.append(Session(connection, handle, applications))
    }

    // MARK: - VirtualNode

    public func receive(_ datagram: Datagram, at now: Instant) {
        endpoint.unixTime = QUICCredentials.unixTime + UInt64(max(0, (now - VirtualNetwork.start).milliseconds / 1_000))
        guard paths?.accepts(datagram.destination) ?? true else { return }
        var bytes = datagram.bytes
        var span = bytes.mutableSpan
        let outcome = endpoint.receive(
            &span, from: datagram.source, to: datagram.destination, ecn: datagram.ecn, at: now)
        if case .accepted(let handle) = outcome { add(handle, running: serve()) }
    }

    public func deadlineReached(at now: Instant) {
        for session in sessions where !session.isRemoved {
            if let deadline = session.connection.nextDeadline(), deadline <= now {
                session.connection.deadlineReached(at: now)
            }
        }
        takeEvents(at: now)
    }

    public func nextTransmission(at now: Instant) -> Datagram? {
        if let next = outbox.popFirst() { return next }
        takeEvents(at: now)
        fillOutbox(at: now)
        return outbox.popFirst()
    }

    public var nextDeadline: Instant? {
        var earliest: Instant?
        for session in sessions where !session.isRemoved {
            for deadline in [session.connection.nextDeadline()] + session.applications.map(\.nextDeadline) {
                if let deadline { earliest = min(earliest ?? deadline, deadline) }
            }
        }
        if let deadline = paths?.nextDeadline { earliest = min(earliest ?? deadline, deadline) }
        return earliest
    }

    public var isFinished: Bool {
        switch goal {
        case .applications: sessions.allSatisfy { $0.applications.allSatisfy(\.isFinished) }
        case .end: sessions.allSatisfy(\.isRemoved)
        case .nothing: true
        }
    }

    public func sendFailed(_ datagram: Datagram, _ failure: SendFailure, at now: Instant) {
        sendFailures.append(failure)
        if failure != .messageTooLong { paths?.sendFailed(from: datagram.source, at: now) }
    }

    public func woke(after sleep: Interval, at now: Instant) { paths?.woke(after: sleep, at: now) }

    public func localAddressChanged(_ change: AddressChange, at now: Instant) {
        addressChanges.append(change)
        paths?.addressChanged(change, at: now)
        switch change {
        case .available(let address):
            if !usableAddresses.contains(address) { usableAddresses.append(address) }
        case .linkDown(let address), .removed(let address): usableAddresses.removeAll { $0 == address }
        }
        guard linkMonitoring == .followed else { return }
        for session in sessions where !session.isRemoved {
            switch change {
            case .available(let address): add(address, to: session.connection, at: now)
            case .linkDown(let address), .removed(let address):
                // Refused when the connection is over or never used the address: nothing is left to do then.
                try? session.connection.removeLocalAddress(NetworkAddress(address, port: port), at: now)
            }
        }
    }

    // MARK: - What a driver does

    private func takeEvents(at now: Instant) {
        for session in sessions where !session.isRemoved {
            while let event = session.connection.nextEvent() {
                note(event, of: session, at: now)
                if session === sessions.first { paths?.handle(event, of: session.connection, at: now) }
                for application in session.applications {
                    application.handle(event, on: session.connection, at: now)
                }
            }
            for application in session.applications { application.proceed(on: session.connection, at: now) }
            if session === sessions.first { paths?.turn(session.connection, at: now) }
            if session.connection.isClosed {
                session.isRemoved = true
                endpoint.remove(session.handle)
            }
        }
    }

    private func note(_ event: ConnectionEvent, of session: Session, at now: Instant) {
        switch event {
        case .streamReadable, .streamAcknowledged, .streamDrained, .streamOpened, .streamFinished, .keyLogLine: return
        case .handshakeConfirmed:
            if linkMonitoring == .followed, session.connection.role == .client {
                for address in usableAddresses { add(address, to: session.connection, at: now) }
            }
        default: break
        }
        session.events.append((now, event))
    }

    private func add(_ address: IPAddress, to connection: Connection, at now: Instant) {
        let local = NetworkAddress(address, port: port)
        guard connection.isHandshakeComplete, connection.networkPaths.first?.path.local != local else { return }
        // Refused before the handshake is confirmed, when every usable address is added.
        try? connection.addLocalAddress(local, at: now)
        guard let active = connection.networkPaths.first?.path.local.ip, !usableAddresses.contains(active) else {
            return
        }
        try? connection.activate(local, at: now)
    }

    private func fillOutbox(at now: Instant) {
        // Taken out, so that there is one owner while a span of it is lent.
        var buffer = self.buffer
        self.buffer = []
        func fill(_ next: (inout MutableSpan<UInt8>) -> Transmission?) -> Transmission? {
            var span = buffer.mutableSpan
            return next(&span)
        }
        while let transmission = fill({ endpoint.nextReply(into: &$0) }) { enqueue(transmission, in: buffer) }
        for session in sessions where !session.isRemoved {
            while let transmission = fill({ session.connection.nextDatagrams(into: &$0, at: now) }) {
                enqueue(transmission, in: buffer)
            }
        }
        self.buffer = buffer
    }

    /// Splits a batch as the kernel does (UDP_SEGMENT).
    private func enqueue(_ transmission: Transmission, in buffer: [UInt8]) {
        guard paths?.accepts(transmission.local) ?? true else { return }
        for start in stride(from: 0, to: transmission.byteCount, by: max(1, transmission.segmentSize)) {
            let end = min(start + transmission.segmentSize, transmission.byteCount)
            outbox.append(
                Datagram(
                    from: transmission.local, to: transmission.remote, ecn: transmission.ecn,
                    bytes: Array(buffer[start..<end])))
        }
    }
}
