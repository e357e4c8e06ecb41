import Cryptography
import Primitives
import TLS

@testable import QUIC

/// A client and a server in virtual time with an ideal network between them, for inputs to be thrown at.
///
/// Everything random is seeded, but for what libssl makes itself.
final class FuzzPair {
    struct Datagram {
        var bytes: [UInt8]
        var from: NetworkAddress
        var to: NetworkAddress
        var receiver: Role
    }

    static let clientAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0001), port: 50_000)
    static let serverAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0002), port: 443)
    /// One way.
    private static let delay = Interval.milliseconds(1)
    /// Rounds without progress of time after which something is a busy loop.
    private static let maximumRoundsAtOnce = 500
    /// Genuine datagrams that are kept for inputs to replay.
    private static let mostKept = 64
    /// Making a key takes longer than a handshake.
    private static let credentials = Credentials()

    let client: Endpoint
    let server: Endpoint
    let clientHandle: ConnectionHandle
    private(set) var serverHandle: ConnectionHandle?
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    /// Called for every connection before each drain of its datagrams, with its events untouched.
    var service: (Connection, Instant) -> Void = { connection, _ in while connection.nextEvent() != nil {} }
    private(set) var genuine: [Datagram] = []
    private var inFlight: [(at: Instant, datagram: Datagram)] = []
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    init() {
        let credentials = Self.credentials
        var transport = TransportConfiguration()
        transport.maximumDatagramFrameSize = 1_000
        transport.largestDatagram = 1_400
        var configuration = ServerConfiguration(tls: credentials.server, tokenKey: credentials.tokenKey)
        // Both ways into the server are tried: a handshake more than this needs a Retry.
        configuration.retry = .aboveHandshakes(2)
        configuration.maximumConnections = 6
        server = Endpoint(
            EndpointConfiguration(transport: transport, server: configuration, resetKey: credentials.resetKey),
            generator: KeyedGenerator(simulationSeed: 1), unixTime: Credentials.unixTime)
        client = Endpoint(
            EndpointConfiguration(transport: transport, resetKey: credentials.resetKey),
            generator: KeyedGenerator(simulationSeed: 2), unixTime: Credentials.unixTime)
        let parameters = ClientParameters(
            remote: Self.serverAddress, local: Self.clientAddress, serverName: Credentials.name, tls: credentials.client
        )
        do {
            clientHandle = try client.connect(parameters, at: now)
        } catch {
            violated("no connection: \(error)")
        }
    }

    var clientConnection: Connection? { client.connection(clientHandle) }
    var serverConnection: Connection? { serverHandle.flatMap { server.connection($0) } }
    func connection(of role: Role) -> Connection? { role == .client ? clientConnection : serverConnection }

    var connections: [Connection] {
        [client, server].flatMap { endpoint in
            endpoint.connections.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        }
    }

    /// Lets time pass.
    func run(for limit: Interval) {
        let end = now + limit
        var rounds = 0
        while true {
            drain()
            let next = (connections.compactMap { $0.nextDeadline() } + inFlight.map(\.at)).min()
            guard let next, next <= end else { break }
            rounds = next > now ? 0 : rounds + 1
            require(rounds < Self.maximumRoundsAtOnce, "a deadline stays in the past")
            now = max(now, next)
            let due = inFlight.filter { $0.at <= now }
            inFlight.removeAll { $0.at <= now }
            for (_, datagram) in due { deliver(datagram) }
            for connection in connections {
                if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
            }
        }
        now = end
    }

    /// Hands bytes to an end at once, by default as if its peer had sent them.
    func inject(_ bytes: [UInt8], to role: Role, from source: NetworkAddress? = nil) {
        let (own, peer) =
            role == .client ? (Self.clientAddress, Self.serverAddress) : (Self.serverAddress, Self.clientAddress)
        deliver(Datagram(bytes: bytes, from: source ?? peer, to: own, receiver: role))
        drain()
    }

    private func deliver(_ datagram: Datagram) {
        var bytes = datagram.bytes
        var span = bytes.mutableSpan
        let endpoint = datagram.receiver == .client ? client : server
        let outcome = endpoint.receive(
            &span, from: datagram.from, to: datagram.to, ecn: .notCapable, at: now)
        if case .accepted(let handle) = outcome, serverHandle == nil { serverHandle = handle }
    }

    private func drain() {
        // Taken out for this while, so that it can be lent.
        var buffer: [UInt8] = []
        swap(&buffer, &self.buffer)
        func fill(_ body: (inout MutableSpan<UInt8>) -> Transmission?) -> Transmission? {
            var span = buffer.mutableSpan
            return body(&span)
        }
        for (endpoint, role) in [(client, Role.client), (server, .server)] {
            while let transmission = fill({ endpoint.nextReply(into: &$0) }) { send(transmission, buffer, from: role) }
            for handle in endpoint.connections.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
                guard let connection = endpoint.connections[handle] else { continue }
                service(connection, now)
                while let transmission = fill({ connection.nextDatagrams(into: &$0, at: now) }) {
                    send(transmission, buffer, from: role)
                }
            }
        }
        swap(&buffer, &self.buffer)
    }

    private func send(_ transmission: Transmission, _ buffer: [UInt8], from role: Role) {
        for start in stride(from: 0, to: transmission.byteCount, by: transmission.segmentSize) {
            let end = min(start + transmission.segmentSize, transmission.byteCount)
            let datagram = Datagram(
                bytes: Array(buffer[start..<end]), from: transmission.local, to: transmission.remote,
                receiver: role.peer)
            if genuine.count < Self.mostKept { genuine.append(datagram) }
            // Nobody lives at the addresses that inputs make up.
            guard datagram.to == Self.clientAddress || datagram.to == Self.serverAddress else { continue }
            inFlight.append((now + Self.delay, datagram))
        }
    }

    /// What must hold at every time.
    func checkSanity() {
        require(server.connectionCount <= 6, "more connections than allowed")
        for connection in connections {
            require(connection.paths.paths.count <= Connection.maximumPaths, "too many paths")
            require(connection.peerConnectionIDs.entries.count <= 9, "too many connection IDs of the peer")
            require(connection.undecryptable.count < 300, "too many datagrams kept")
            guard case .closing(let closing) = connection.state, case .transport(let error) = closing.cause else {
                continue
            }
            let code = error.code.rawValue
            // RFC 9000 §20.1. INTERNAL_ERROR is for one bound only, see `ReceiveStream`.
            require((1...0x11).contains(code) || (0x100...0x1ff).contains(code), "closed with \(error)")
        }
    }

    /// Nothing lives for ever without a peer that wants it.
    func checkEnd() {
        for connection in connections { connection.setKeepAlive(.off) }
        run(for: .seconds(100))
        for connection in connections { require(connection.isClosed, "\(connection.role) outlives its idle timeout") }
    }
}

/// Keys and certificates of both ends.
private struct Credentials: @unchecked Sendable {
    static let unixTime: UInt64 = 1_800_000_000
    static let name = "server.test"

    let server: TLSContext
    let client: TLSContext
    let tokenKey = AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32)))
    let resetKey = StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))

    init() {
        do {
            let identity = try Identity.generate(
                CertificateTemplate(names: [Self.name], notBefore: 1_700_000_000, notAfter: 1_900_000_000),
                key: .ed25519)
            var options = TLSOptions(applicationProtocols: ["h3"])
            options.verificationTime = Int64(Self.unixTime)
            var serverSide = TLSServerConfiguration(options: options, identity: identity)
            serverSide.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
            server = try TLSContext(server: serverSide)
            client = try TLSContext(
                client: TLSClientConfiguration(options: options, trust: .anchors([identity.certificate])))
        } catch {
            violated("no credentials: \(error)")
        }
    }
}
