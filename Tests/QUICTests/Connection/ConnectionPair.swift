import Testing
import Cryptography
import Primitives
import TLS

@testable import QUIC

/// Two endpoints and an ideal network between them, in virtual time: for tests of single rules. What a network does
/// belongs into the simulator.
final class ConnectionPair {
    struct Datagram {
        var bytes: [UInt8]
        var from: NetworkAddress
        var to: NetworkAddress
    }

    static let clientAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0001), port: 50_000)
    static let serverAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0002), port: 443)

    let client: Endpoint
    let server: Endpoint
    var clientHandle: ConnectionHandle
    var serverHandle: ConnectionHandle?
    var now = Instant(nanoseconds: 1_000_000_000)
    /// One way, for every datagram.
    var delay = Interval.milliseconds(5)
    /// Replaces the client's address on its way to the server, as a NAT does.
    var translatedClient: NetworkAddress?
    /// Asked of every datagram that leaves the client or server; false: it is lost.
    var passes: (Role, Datagram) -> Bool = { _, _ in true }
    var clientEvents: [ConnectionEvent] = []
    var serverEvents: [ConnectionEvent] = []
    private var inFlight: [(at: Instant, to: Role, Datagram)] = []
    private(set) var sent: [(from: Role, Datagram)] = []

    init(
        transport: TransportConfiguration = TransportConfiguration(), retry: ServerConfiguration.RetryPolicy? = nil,
        configureServer: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        var options = TLSOptions(applicationProtocols: ["test"])
        options.verificationTime = 1_800_000_000
        let identity = try Identity.generate(
            CertificateTemplate(names: ["server.test"], notBefore: 1_700_000_000, notAfter: 1_900_000_000),
            key: .ed25519)
        var serverTLS = TLSServerConfiguration(options: options, identity: identity)
        serverTLS.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
        var serverConfiguration = ServerConfiguration(
            tls: try TLSContext(server: serverTLS),
            tokenKey: AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32))))
        if let retry { serverConfiguration.retry = retry }
        configureServer(&serverConfiguration)
        let resetKey = StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))
        server = Endpoint(
            EndpointConfiguration(transport: transport, server: serverConfiguration, resetKey: resetKey),
            generator: KeyedGenerator(simulationSeed: 1), unixTime: 1_800_000_000)
        client = Endpoint(
            EndpointConfiguration(
                transport: transport, resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 3, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 2), unixTime: 1_800_000_000)
        let clientTLS = try TLSContext(
            client: TLSClientConfiguration(options: options, trust: .anchors([identity.certificate])))
        clientHandle = try client.connect(
            ClientParameters(
                remote: Self.serverAddress, local: Self.clientAddress, serverName: "server.test", tls: clientTLS),
            at: now)
    }

    var clientConnection: Connection { get throws { try #require(client.connection(clientHandle)) } }
    var serverConnection: Connection {
        get throws {
            let handle = try #require(serverHandle)
            return try #require(server.connection(handle))
        }
    }

    /// Lets time pass until nothing happens any more, or until `limit` has passed.
    func run(for limit: Interval = .seconds(10), until done: () -> Bool = { false }) {
        let end = now + limit
        while now <= end {
            drain(client, .client)
            drain(server, .server)
            if done() { return }
            guard let next = nextInstant, next <= end else { return now = end }
            now = max(now, next)
            deliver()
            for connection in client.connections.values {
                if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
            }
            for connection in server.connections.values {
                if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
            }
        }
    }

    private var nextInstant: Instant? {
        let deadlines = (Array(client.connections.values) + Array(server.connections.values))
            .compactMap { $0.nextDeadline() }
        return (deadlines + inFlight.map(\.at)).min()
    }

    private func deliver() {
        let due = inFlight.filter { $0.at <= now }
        inFlight.removeAll { $0.at <= now }
        for (_, to, datagram) in due {
            var bytes = datagram.bytes
            var span = bytes.mutableSpan
            switch to {
            case .client:
                _ = client.receive(&span, from: datagram.from, to: datagram.to, ecn: .notCapable, at: now)
            case .server:
                let outcome = server.receive(&span, from: datagram.from, to: datagram.to, ecn: .notCapable, at: now)
                if case .accepted(let handle) = outcome { serverHandle = handle }
            }
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
            sent.append((role, datagram))
            guard passes(role, datagram) else { continue }
            if role == .client, let translated = translatedClient { datagram.from = translated }
            if role == .server, datagram.to == translatedClient { datagram.to = Self.clientAddress }
            inFlight.append((now + delay, role.peer, datagram))
        }
    }
}
