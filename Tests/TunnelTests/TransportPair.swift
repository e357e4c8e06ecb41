import Cryptography
import Primitives
import QUIC
import TLS
import Testing

/// Two QUIC connections with each other and an ideal network between them, in virtual time.
///
/// Events stay where they are for the test to take; `exchange()` only carries datagrams and keeps time.
final class TransportPair {
    /// Longer than every acknowledgement is delayed, shorter than any other timer of interest.
    static let settlingTime = Interval.milliseconds(60)
    /// One way.
    static let delay = Interval.milliseconds(1)

    private static let clientAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0001), port: 50_000)
    private static let serverAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0002), port: 443)

    private let clientEndpoint: Endpoint
    private let serverEndpoint: Endpoint
    let client: Connection
    let server: Connection
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    /// Ends that nothing reaches any more.
    var deaf: Set<Role> = []
    /// Datagrams that an end will still get before it is deaf; absent: all.
    var remaining: [Role: Int] = [:]
    private var inFlight: [(at: Instant, to: Role, bytes: [UInt8])] = []

    init(configure: (inout TransportConfiguration) -> Void = { _ in }) throws {
        var transport = TransportConfiguration()
        transport.idleTimeout = .seconds(3_600)
        transport.largestDatagram = 1_200
        configure(&transport)
        var options = TLSOptions(applicationProtocols: ["h3"])
        options.verificationTime = 1_800_000_000
        let identity = try Identity.generate(
            CertificateTemplate(names: ["gw.example"], notBefore: 1_700_000_000, notAfter: 1_900_000_000),
            key: .ed25519)
        var serverTLS = TLSServerConfiguration(options: options, identity: identity)
        serverTLS.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
        let configuration = ServerConfiguration(
            tls: try TLSContext(server: serverTLS),
            tokenKey: AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32))))
        serverEndpoint = Endpoint(
            EndpointConfiguration(
                transport: transport, server: configuration,
                resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 1), unixTime: 1_800_000_000)
        clientEndpoint = Endpoint(
            EndpointConfiguration(
                transport: transport, resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 3, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 2), unixTime: 1_800_000_000)
        let clientTLS = try TLSContext(
            client: TLSClientConfiguration(options: options, trust: .anchors([identity.certificate])))
        let handle = try clientEndpoint.connect(
            ClientParameters(
                remote: Self.serverAddress, local: Self.clientAddress, serverName: "gw.example", tls: clientTLS),
            at: now)
        client = try #require(clientEndpoint.connection(handle))
        // The server's connection exists from the client's first datagram on.
        var first = [UInt8](repeating: 0, count: 65_536)
        var span = first.mutableSpan
        let transmission = try #require(client.nextDatagrams(into: &span, at: now))
        var datagram = Array(first[..<transmission.byteCount])
        var input = datagram.mutableSpan
        guard
            case .accepted(let accepted) = serverEndpoint.receive(
                &input, from: Self.clientAddress, to: Self.serverAddress, ecn: .notCapable, at: now)
        else { throw NotAccepted() }
        server = try #require(serverEndpoint.connection(accepted))
    }

    struct NotAccepted: Error {}

    /// A pair whose handshake is over.
    static func connected(configure: (inout TransportConfiguration) -> Void = { _ in }) throws -> TransportPair {
        let pair = try TransportPair(configure: configure)
        pair.exchange()
        #expect(pair.client.isHandshakeComplete && pair.server.isHandshakeComplete)
        return pair
    }

    /// Lets both ends send until nothing is under way.
    func exchange() {
        var end = now + Self.settlingTime
        while true {
            if send(client, .client) || send(server, .server) { end = now + Self.settlingTime }
            let deadlines = [client.nextDeadline(), server.nextDeadline()].compactMap { $0 }
            guard let next = (deadlines + inFlight.map(\.at)).min(), next <= end else { break }
            now = max(now, next)
            deliver()
            for connection in [client, server] {
                if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
            }
        }
        now = end
    }

    private func send(_ connection: Connection, _ role: Role) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        func fill() -> Transmission? {
            var span = buffer.mutableSpan
            return connection.nextDatagrams(into: &span, at: now)
        }
        var hasSent = false
        while let transmission = fill() {
            hasSent = true
            for start in stride(from: 0, to: transmission.byteCount, by: transmission.segmentSize) {
                let end = min(start + transmission.segmentSize, transmission.byteCount)
                inFlight.append((now + Self.delay, role.peer, Array(buffer[start..<end])))
            }
        }
        return hasSent
    }

    private func isHeard(by role: Role) -> Bool {
        guard let left = remaining[role] else { return !deaf.contains(role) }
        remaining[role] = max(0, left - 1)
        return left > 0
    }

    private func deliver() {
        let due = inFlight.filter { $0.at <= now }
        inFlight.removeAll { $0.at <= now }
        for (_, to, datagram) in due where isHeard(by: to) {
            var bytes = datagram
            var span = bytes.mutableSpan
            switch to {
            case .client:
                _ = clientEndpoint.receive(
                    &span, from: Self.serverAddress, to: Self.clientAddress, ecn: .notCapable, at: now)
            case .server:
                _ = serverEndpoint.receive(
                    &span, from: Self.clientAddress, to: Self.serverAddress, ecn: .notCapable, at: now)
            }
        }
    }
}
