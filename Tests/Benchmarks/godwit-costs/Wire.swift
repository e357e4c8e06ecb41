import CBareTLS
import Cryptography
import Primitives
import QUIC
import TLS
import Tunnel

/// A gateway's endpoint and a local endpoint's, and what a network would do between them: nothing gets lost, and each way takes
/// half a round trip.
final class Wire {
    static let serverAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0002), port: 443)
    private static let clientPort: UInt16 = 50_000
    /// 10.1.0.0, the clients' network.
    private static let clientNetwork: UInt32 = 0x0a01_0000
    private static let name = "costs.test"
    private static let unixTime: UInt64 = 1_800_000_000

    let client: Endpoint
    let server: Endpoint
    /// The certificate and key of the server, of the kind that `godwit init` makes.
    let identity: Identity
    /// Nanoseconds of processor time of each side so far.
    private(set) var spent: [Side: Int64] = [:]
    private let clientTLS: TLSContext
    private var connected: UInt32 = 0
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    /// `largestDatagram`: bytes of the largest datagram that the network carries.
    init(largestDatagram: Int) throws {
        var transport = TransportConfiguration.forTunnels
        transport.largestDatagram = largestDatagram
        transport.idleTimeout = .seconds(3_600)
        transport.streams.peerBidirectionalStreams = 4_096
        var options = TLSOptions(applicationProtocols: ["h3"])
        options.verificationTime = Int64(Self.unixTime)
        identity = try Identity.generate(
            CertificateTemplate(names: [Self.name], notBefore: 1_700_000_000, notAfter: 1_900_000_000), key: .ecdsaP256)
        var serverTLS = TLSServerConfiguration(options: options, identity: identity)
        serverTLS.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
        server = Endpoint(
            EndpointConfiguration(
                transport: transport,
                server: ServerConfiguration(
                    tls: try TLSContext(server: serverTLS),
                    tokenKey: AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32)))),
                resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 1), unixTime: Self.unixTime)
        client = Endpoint(
            EndpointConfiguration(
                transport: transport, resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 3, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 2), unixTime: Self.unixTime)
        clientTLS = try TLSContext(
            client: TLSClientConfiguration(options: options, trust: .anchors([identity.certificate])))
    }

    /// Opens a connection from an address of its own, since a server bounds how often one comes, and without anything known from
    /// earlier ones.
    func connect(at now: Instant) throws -> ConnectionHandle {
        connected = (connected + 1) % (1 << 16)
        let local = NetworkAddress(IPAddress(ipv4: Self.clientNetwork + connected), port: Self.clientPort)
        return try client.connect(
            ClientParameters(remote: Self.serverAddress, local: local, serverName: Self.name, tls: clientTLS), at: now)
    }

    /// Carries what a connection of one side wants to send now to the other side; tells what the last datagram led to.
    func carry(_ connection: Connection, from side: Side, at now: Instant) -> ReceiveOutcome? {
        var outcome: ReceiveOutcome?
        while true {
            let start = gwb_thread_nanoseconds()
            if let deadline = connection.nextDeadline(), deadline <= now { connection.deadlineReached(at: now) }
            var span = buffer.mutableSpan
            let transmission = connection.nextDatagrams(into: &span, at: now)
            let middle = gwb_thread_nanoseconds()
            spent[side, default: 0] += middle - start
            guard let transmission else { return outcome }
            outcome = give(&span, transmission, to: side == .client ? server : client, at: now)
            spent[side == .client ? .server : .client, default: 0] += gwb_thread_nanoseconds() - middle
        }
    }

    private func give(
        _ bytes: inout MutableSpan<UInt8>, _ transmission: Transmission, to endpoint: Endpoint, at now: Instant
    ) -> ReceiveOutcome? {
        var outcome: ReceiveOutcome?
        var start = 0
        while start < transmission.byteCount {
            let end = min(start + transmission.segmentSize, transmission.byteCount)
            var datagram = bytes._mutatingExtracting(start..<end)
            outcome = endpoint.receive(
                &datagram, from: transmission.local, to: transmission.remote, ecn: .notCapable, at: now)
            start = end
        }
        return outcome
    }

    /// Calls, and counts the time as that of a side.
    func count<R>(_ side: Side, _ body: () throws -> R) rethrows -> R {
        let start = gwb_thread_nanoseconds()
        defer { spent[side, default: 0] += gwb_thread_nanoseconds() - start }
        return try body()
    }

    /// Which end.
    enum Side: Hashable {
        case client
        case server
    }
}
