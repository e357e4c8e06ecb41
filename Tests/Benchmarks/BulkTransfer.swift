import CCosts
import Cryptography
import Primitives
import TLS
import Testing

@testable import QUIC

/// One bulk transfer between two connections without a network: every datagram arrives, half a round trip later.
///
/// It has all its memory from the start, so that what is allocated during a transfer is the transport's.
final class BulkTransfer {
    /// Bytes of a datagram, as on a common path.
    static let datagramSize = 1350
    /// Bytes that the sender's ring holds.
    private static let ringSize = 1 << 20
    private static let halfRoundTrip = Interval.microseconds(500)
    private static let clientAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0001), port: 50_000)
    private static let serverAddress = NetworkAddress(IPAddress(ipv4: 0x0a00_0002), port: 443)

    private let clientEndpoint: Endpoint
    private let serverEndpoint: Endpoint
    /// What sends.
    let client: Connection
    /// What receives.
    let server: Connection
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var buffer = [UInt8](repeating: 0, count: 65_536)
    private let piece = [UInt8](repeating: 0x5A, count: 64 * 1024)
    private let ring = ByteRing(limit: BulkTransfer.ringSize)
    private var stream: StreamID?

    /// Bytes that have arrived in order.
    private(set) var received: UInt64 = 0
    /// Datagrams with data that were sent.
    private(set) var packets = 0
    /// Datagrams that came back.
    private(set) var acknowledgements = 0

    init() throws {
        var transport = TransportConfiguration()
        transport.idleTimeout = .seconds(3_600)
        transport.largestDatagram = Self.datagramSize
        var options = TLSOptions(applicationProtocols: ["bulk"])
        options.verificationTime = 1_800_000_000
        let identity = try Identity.generate(
            CertificateTemplate(names: ["bulk.test"], notBefore: 1_700_000_000, notAfter: 1_900_000_000), key: .ed25519)
        var serverTLS = TLSServerConfiguration(options: options, identity: identity)
        serverTLS.ticketSecret = SecretBytes([UInt8](repeating: 7, count: 32))
        serverEndpoint = Endpoint(
            EndpointConfiguration(
                transport: transport,
                server: ServerConfiguration(
                    tls: try TLSContext(server: serverTLS),
                    tokenKey: AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32)))),
                resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 1), unixTime: 1_800_000_000)
        clientEndpoint = Endpoint(
            EndpointConfiguration(
                transport: transport, resetKey: StatelessResetKey(SecretBytes([UInt8](repeating: 3, count: 32)))),
            generator: KeyedGenerator(simulationSeed: 2), unixTime: 1_800_000_000)
        let handle = try clientEndpoint.connect(
            ClientParameters(
                remote: Self.serverAddress, local: Self.clientAddress, serverName: "bulk.test",
                tls: try TLSContext(
                    client: TLSClientConfiguration(options: options, trust: .anchors([identity.certificate])))),
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
        else { throw NotConnected() }
        server = try #require(serverEndpoint.connection(accepted))
        for _ in 0..<100 { turn() }
        guard client.isHandshakeComplete, let stream = client.openStream(.bidirectional) else { throw NotConnected() }
        self.stream = stream
    }

    struct NotConnected: Error {}

    /// Transfers at least so many datagrams.
    func run(packets count: Int) {
        let end = packets + count
        var idleTurns = 0
        while packets < end, idleTurns < 10_000 {
            let before = packets
            turn()
            idleTurns = packets == before ? idleTurns + 1 : 0
        }
    }

    /// One round trip.
    private func turn() {
        if let stream { fill(stream) }
        packets += carry(from: client, to: serverEndpoint, Self.clientAddress, Self.serverAddress)
        drain()
        acknowledgements += carry(from: server, to: clientEndpoint, Self.serverAddress, Self.clientAddress)
        while let event = client.nextEvent() {
            if case .streamAcknowledged(let id) = event, let offset = client.acknowledgedRingOffset(on: id) {
                ring.release(upTo: offset)
            }
        }
    }

    private func fill(_ stream: StreamID) {
        let start = ring.end
        let bytes = piece
        while ring.freeSpace >= bytes.count { _ = ring.append(bytes.span) }
        if ring.end > start { client.write(ring, range: start..<ring.end, to: stream) }
    }

    private func carry(
        from sender: Connection, to receiver: Endpoint, _ source: NetworkAddress, _ target: NetworkAddress
    ) -> Int {
        if let deadline = sender.nextDeadline(), deadline <= now { sender.deadlineReached(at: now) }
        var count = 0
        while let size = carryOne(from: sender, to: receiver, source, target) { count += size }
        now = now + Self.halfRoundTrip
        return count
    }

    /// Carries one transmission and returns of how many datagrams it was; nil when there is none.
    private func carryOne(
        from sender: Connection, to receiver: Endpoint, _ source: NetworkAddress, _ target: NetworkAddress
    ) -> Int? {
        var span = buffer.mutableSpan
        guard let transmission = sender.nextDatagrams(into: &span, at: now) else { return nil }
        var start = 0
        while start < transmission.byteCount {
            let end = min(start + transmission.segmentSize, transmission.byteCount)
            var datagram = span._mutatingExtracting(start..<end)
            _ = receiver.receive(&datagram, from: source, to: target, ecn: .notCapable, at: now)
            start = end
        }
        return transmission.datagramCount
    }

    private func drain() {
        while let event = server.nextEvent() {
            guard case .streamReadable(let id) = event else { continue }
            let count = server.readableBytes(on: id)
            server.consume(count, from: id)
            received += UInt64(count)
        }
    }
}
