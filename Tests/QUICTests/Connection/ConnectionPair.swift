import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

/// Two endpoints and an ideal network between them, in virtual time: for tests of single rules. What a network does
/// belongs into the simulator.
final class ConnectionPair {
    struct Datagram: Equatable {
        var bytes: [UInt8]
        var from: NetworkAddress
        var to: NetworkAddress
    }

    struct Sent {
        var at: Instant
        var from: Role
        var datagram: Datagram
    }

    static let clientAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0001), port: 50_000)
    static let serverAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0002), port: 443)
    /// Rounds without progress of time after which a run ends as a busy loop.
    private static let maximumRoundsAtOnce = 200

    let setup: PairSetup
    let client: Endpoint
    let server: Endpoint
    var clientHandle: ConnectionHandle
    var serverHandle: ConnectionHandle?
    var now = Instant(nanoseconds: 1_000_000_000)
    /// One way, for every datagram.
    var delay = Interval.milliseconds(5)
    /// Replaces an address of the client on the way to the server, as a NAT does.
    private(set) var translations: [NetworkAddress: NetworkAddress] = [:]
    /// Public addresses that the NAT has forgotten: what is sent there arrives nowhere.
    private var forgotten: Set<NetworkAddress> = []
    /// Asked of every datagram that leaves the client or server; false: it is lost.
    var passes: (Role, Datagram) -> Bool = { _, _ in true }
    var clientEvents: [ConnectionEvent] = []
    var serverEvents: [ConnectionEvent] = []
    /// Every datagram that left, lost or not.
    private(set) var sent: [Sent] = []
    private var inFlight: [(at: Instant, to: Role, datagram: Datagram)] = []

    init(_ configure: (inout PairSetup) -> Void = { _ in }) throws {
        var setup = PairSetup()
        configure(&setup)
        self.setup = setup
        server = Endpoint(
            try setup.serverConfiguration(), generator: KeyedGenerator(simulationSeed: setup.seed),
            unixTime: PairSetup.unixTime)
        client = Endpoint(
            setup.clientConfiguration, generator: KeyedGenerator(simulationSeed: setup.seed &+ 1),
            unixTime: PairSetup.unixTime)
        clientHandle = try client.connect(
            setup.clientParameters(from: Self.clientAddress, to: Self.serverAddress), at: now)
        if setup.clientTampering != nil { try replaceClient() }
    }

    /// Both ends connected, confirmed and at rest.
    static func connected(_ configure: (inout PairSetup) -> Void = { _ in }) throws -> ConnectionPair {
        let pair = try ConnectionPair(configure)
        pair.run(for: .milliseconds(300))
        try #require(pair.clientEvents.contains(.handshakeConfirmed))
        try #require(pair.serverEvents.contains(.handshakeConfirmed))
        return pair
    }

    var clientConnection: Connection { get throws { try #require(client.connection(clientHandle)) } }
    var serverConnection: Connection {
        get throws {
            let handle = try #require(serverHandle)
            return try #require(server.connection(handle))
        }
    }

    func connection(of role: Role) throws -> Connection {
        switch role {
        case .client: try clientConnection
        case .server: try serverConnection
        }
    }

    func endpoint(of role: Role) -> Endpoint { role == .client ? client : server }

    /// Opens another connection from the same client endpoint, from another port.
    func connectAgain(
        token: [UInt8] = [], ticket: SessionTicket? = nil, from address: NetworkAddress? = nil
    ) throws {
        var parameters = try setup.clientParameters(
            from: address ?? NetworkAddress(Self.clientAddress.ip, port: Self.clientAddress.port + 1),
            to: Self.serverAddress)
        parameters.token = token
        parameters.ticket = ticket
        clientEvents = []
        serverEvents = []
        serverHandle = nil
        clientHandle = try client.connect(parameters, at: now)
    }

    // MARK: The network

    /// The NAT gives a local address of the client another public one.
    func rebind(_ local: NetworkAddress = clientAddress, to address: NetworkAddress) {
        forgotten.insert(translations[local] ?? local)
        forgotten.remove(address)
        translations[local] = address
    }

    /// Hands a datagram to an endpoint, by default as if its peer had sent it.
    @discardableResult
    func inject(
        _ bytes: [UInt8], to role: Role, from remote: NetworkAddress? = nil, at local: NetworkAddress? = nil,
        ecn: ECN = .notCapable
    ) -> ReceiveOutcome {
        var bytes = bytes
        var span = bytes.mutableSpan
        let (own, peer) =
            role == .client ? (Self.clientAddress, Self.serverAddress) : (Self.serverAddress, Self.clientAddress)
        return receive(&span, from: remote ?? peer, to: local ?? own, ecn: ecn, role)
    }

    private func receive(
        _ span: inout MutableSpan<UInt8>, from remote: NetworkAddress, to local: NetworkAddress, ecn: ECN, _ role: Role
    ) -> ReceiveOutcome {
        let outcome = endpoint(of: role).receive(&span, from: remote, to: local, ecn: ecn, at: now)
        guard role == .server, case .accepted(let handle) = outcome else { return outcome }
        serverHandle = handle
        if setup.serverTampering != nil { replaceServer(handle) }
        return outcome
    }

    /// Lets time pass until `limit` has passed.
    func run(for limit: Interval = .seconds(10)) { run(for: limit) { false } }

    /// Lets time pass until something is done, or until `limit` has passed.
    func run(for limit: Interval = .seconds(10), until done: () throws -> Bool) rethrows {
        let end = now + limit
        var rounds = 0
        while now <= end {
            drain()
            if try done() { return }
            guard let next = nextInstant, next <= end else { return now = end }
            rounds = next > now ? 0 : rounds + 1
            guard rounds < Self.maximumRoundsAtOnce else {
                Issue.record("a deadline stays in the past: nothing but the loop makes progress")
                return now = end
            }
            now = max(now, next)
            deliver()
            for connection in connections {
                if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
            }
        }
    }

    /// Lets both ends send what they have to, without letting time pass.
    func drain() {
        drain(client, .client)
        drain(server, .server)
    }

    private var connections: [Connection] {
        [client, server].flatMap { endpoint in
            endpoint.connections.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        }
    }

    private var nextInstant: Instant? {
        (connections.compactMap { $0.nextDeadline() } + inFlight.map(\.at)).min()
    }

    private func deliver() {
        let due = inFlight.filter { $0.at <= now }
        inFlight.removeAll { $0.at <= now }
        for (_, to, datagram) in due {
            var bytes = datagram.bytes
            var span = bytes.mutableSpan
            _ = receive(&span, from: datagram.from, to: datagram.to, ecn: .notCapable, to)
        }
    }

    private func drain(_ endpoint: Endpoint, _ role: Role) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        func fill(_ body: (inout MutableSpan<UInt8>) -> Transmission?) -> Transmission? {
            var span = buffer.mutableSpan
            return body(&span)
        }
        while let transmission = fill({ endpoint.nextReply(into: &$0) }) { send(transmission, buffer, from: role) }
        for handle in endpoint.connections.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            guard let connection = endpoint.connections[handle] else { continue }
            while let transmission = fill({ connection.nextDatagrams(into: &$0, at: now) }) {
                send(transmission, buffer, from: role)
            }
            while let event = connection.nextEvent() {
                switch role {
                case .client: clientEvents.append(event)
                case .server: serverEvents.append(event)
                }
            }
        }
    }

    private func send(_ transmission: Transmission, _ buffer: [UInt8], from role: Role) {
        for start in stride(from: 0, to: transmission.byteCount, by: transmission.segmentSize) {
            let end = min(start + transmission.segmentSize, transmission.byteCount)
            var datagram = Datagram(
                bytes: Array(buffer[start..<end]), from: transmission.local, to: transmission.remote)
            sent.append(Sent(at: now, from: role, datagram: datagram))
            guard passes(role, datagram), !forgotten.contains(datagram.to) else { continue }
            switch role {
            case .client: datagram.from = translations[datagram.from] ?? datagram.from
            case .server:
                if let local = translations.first(where: { $0.value == datagram.to })?.key { datagram.to = local }
            }
            inFlight.append((now + delay, role.peer, datagram))
        }
    }
}
