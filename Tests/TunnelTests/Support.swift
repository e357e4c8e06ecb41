import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

/// `count` bytes from a generator.
func randomBytes(_ count: Int, using generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}

/// The application's or the destination's TCP connection, as a tunnel's driver sees it.
final class FakeTCP {
    /// What it will send.
    var outgoing: [UInt8] = []
    /// Whether its FIN follows.
    var sendsFin = false
    /// How many bytes it takes at present.
    var room = Int.max
    /// What it was given.
    var received: [UInt8] = []
    var hasFin = false
    var wasReset = false
    var wasClosed = false
    private(set) var finWasRead = false
    /// Whether the last bytes that it took were said to be the last.
    private(set) var knewLast = false

    /// Reads into a ring as a socket would be read.
    func read(into ring: ByteRing, atMost limit: Int) -> Int {
        let bytes = Array(outgoing.prefix(limit))
        let count = ring.append(bytes.span)
        outgoing.removeFirst(count)
        return count
    }

    func readFin() -> Bool {
        guard outgoing.isEmpty, sendsFin, !finWasRead else { return false }
        finWasRead = true
        return true
    }

    func write(_ bytes: Span<UInt8>, _ fin: Fin = .more) -> Int {
        let count = min(room, bytes.count)
        if fin == .end, count == bytes.count { knewLast = true }
        for index in 0..<count { received.append(bytes[index]) }
        if room != .max { room -= count }
        return count
    }
}

/// Does for one end what the driver does.
final class FakeDriver {
    let relay: TunnelRelay
    let connection: Connection
    private let receive: (ConnectionEvent, Instant) -> Void
    private let next: () -> TunnelAction?
    var sockets: [TunnelID: FakeTCP] = [:]
    var log: [TunnelAction] = []
    /// Answers the gateway's questions; returns what to do with a tunnel.
    var onConnect: ((TunnelID, Destination) -> Void)?
    var onAuthenticate: ((TunnelID, Credentials) -> Void)?
    var onResume: ((TunnelID, ResumptionRequest) -> Void)?
    /// Takes a tunnel that the connection has lost, and its socket.
    var onDetached: ((TunnelID, HeldTunnel, FakeTCP?) -> Void)?
    var onFailed: ((TunnelID, TunnelFailure) -> Void)?
    var now = Instant.origin
    /// Bytes read from TCP at one time.
    var burst = 16 * 1024

    init(_ client: TunnelClient) {
        relay = client.relay
        connection = client.http.connection
        receive = { client.receive($0, at: $1) }
        next = { client.nextAction() }
    }

    init(_ server: TunnelServer) {
        relay = server.relay
        connection = server.http.connection
        receive = { server.receive($0, at: $1) }
        next = { server.nextAction() }
    }

    /// One turn: events, actions, sockets.
    func turn() {
        while let event = connection.nextEvent() { receive(event, now) }
        if let deadline = relay.nextDeadline, deadline <= now { relay.deadlineReached(at: now) }
        act()
        for (id, socket) in sockets.sorted(by: { $0.key < $1.key }) where !socket.wasReset && !socket.wasClosed {
            pump(id, socket)
        }
        act()
    }

    /// The connection is over for this end, whatever the other end knows.
    func lose(_ end: ConnectionEnd) {
        // What the transport has acknowledged was heard.
        while let event = connection.nextEvent() { receive(event, now) }
        receive(.closed(end), now)
        act()
    }

    private func pump(_ id: TunnelID, _ socket: FakeTCP) {
        while let ring = relay.ring(of: id), case let room = relay.wantsBytes(id), room > 0, !socket.outgoing.isEmpty {
            _ = socket.read(into: ring, atMost: min(room, burst))
            // As the driver does, the end is reported with the last bytes.
            if !socket.outgoing.isEmpty || !socket.sendsFin { relay.bytesArrived(on: id) }
        }
        if relay.wantsBytes(id) > 0, socket.readFin() {
            relay.finArrived(on: id)
        } else {
            relay.bytesArrived(on: id)
        }
        if socket.room > 0 { relay.deliver(id, at: now) { socket.write($0, $1) } }
    }

    private func act() {
        while let action = next() {
            log.append(action)
            switch action {
            case .authenticate(let id, let credentials): onAuthenticate?(id, credentials)
            case .connect(let id, let destination): onConnect?(id, destination)
            case .closeWrite(let id): sockets[id]?.hasFin = true
            case .reset(let id): sockets[id]?.wasReset = true
            case .close(let id): sockets[id]?.wasClosed = true
            case .deliver(let id):
                guard let socket = sockets[id] else { continue }
                relay.deliver(id, at: now) { socket.write($0, $1) }
            case .resume(let id, let request): onResume?(id, request)
            case .detached(let id):
                guard let held = relay.takeHeld(id) else { continue }
                onDetached?(id, held, sockets.removeValue(forKey: id))
            case .failed(let id, let failure, _): onFailed?(id, failure)
            case .opened, .resumed, .read, .goingAway, .ended: break
            }
        }
    }
}

/// A local endpoint and a gateway with a connection between them. The gateway knows the token "secret" and connects every
/// tunnel to a socket of its own, unless told otherwise.
final class TunnelPair {
    let transport: TransportPair
    let client: TunnelClient
    let server: TunnelServer
    let local: FakeDriver
    let gateway: FakeDriver
    /// Failures that await tunnels to a destination.
    var failures: [Destination: TunnelFailure] = [:]
    /// Destinations that neither answer nor refuse.
    var silent: Set<Destination> = []

    init(
        credentials: Credentials = .bearer("secret"), limits: TunnelRelay.Limits = .init(),
        configure: (inout HTTP3Connection.Configuration) -> Void = { _ in }
    ) throws {
        transport = try TransportPair()
        var configuration = HTTP3Connection.Configuration(greaseSeed: 7)
        client = TunnelClient(
            HTTP3Connection(transport.client, configuration: configuration), gateway: "gw.example:4433",
            credentials: credentials, limits: limits)
        configure(&configuration)
        server = TunnelServer(HTTP3Connection(transport.server, configuration: configuration), limits: limits)
        local = FakeDriver(client)
        gateway = FakeDriver(server)
        gateway.onAuthenticate = { [unowned self] id, credentials in
            credentials == .bearer("secret")
                ? server.authenticationSucceeded(for: id) : server.authenticationFailed(for: id)
        }
        gateway.onConnect = { [unowned self] id, destination in
            guard !silent.contains(destination) else { return }
            if let failure = failures[destination] {
                server.connectFailed(id, failure)
            } else {
                gateway.sockets[id] = FakeTCP()
                server.connected(id)
            }
        }
    }

    /// A pair whose handshake is over.
    static func connected(
        credentials: Credentials = .bearer("secret"), limits: TunnelRelay.Limits = .init(),
        configure: (inout HTTP3Connection.Configuration) -> Void = { _ in }
    ) throws -> TunnelPair {
        let pair = try TunnelPair(credentials: credentials, limits: limits, configure: configure)
        pair.run(turns: 4)
        return pair
    }

    /// Runs both ends for some turns; enough for whatever is under way to come to rest, unless told otherwise.
    func run(turns: Int = 10) {
        for _ in 0..<turns {
            turn(.client)
            turn(.server)
            transport.exchange()
        }
    }

    /// One turn of one end, whose datagrams wait.
    func turn(_ role: Role) {
        let driver = role == .client ? local : gateway
        driver.now = transport.now
        driver.turn()
    }

    /// Asks for a tunnel and gives its local end.
    func open(_ destination: Destination, _ optimism: TunnelClient.Optimism = .beforeAnswer) -> (
        id: TunnelID, tcp: FakeTCP
    ) {
        let id = client.open(to: destination, optimism)
        let tcp = FakeTCP()
        local.sockets[id] = tcp
        return (id, tcp)
    }
}

let buildServer = Destination(.name("build.internal"), port: 22)
