import Configuration
import Cryptography
import Driver
import EventLoop
import Glibc
import Logging
import Primitives
import QUIC
import Synchronization
import TLS
import Telemetry
import Testing
import Tunnel

@testable import Gateway
@testable import LocalEndpoint

/// A gateway, a local endpoint's link, and programs around them, over real sockets on one loop.
final class Bench: GatewayLinksOwner, TimerHandler {
    let loop: EventLoop
    let folder: String
    let log: Logger
    private(set) var gateway: GatewayWorker
    let gatewayAddress: NetworkAddress
    /// Where the gateway is reached over IPv6.
    let gatewayAddress6: NetworkAddress
    let state: GatewayState
    /// For the user of the gateway.
    let invite: Invite
    private let setup: WorkerSetup
    private var ownedLinks: GatewayLinks?
    private var post: WorkerPost?
    private(set) var establishedCount = 0
    private(set) var firstFailure: LinkFailure?
    private(set) var refusals: [LinkFailure] = []

    init(
        workers: Int = 1, at address: NetworkAddress = .ownLoopbackPort(),
        invites: (Invite) throws -> [Invite] = { [$0] }
    ) throws {
        loop = try EventLoop()
        folder = makeFolder()
        log = Logger("test", options: LogOptions(level: .critical), unixMilliseconds: { 0 })
        // Some scenes give the port back and take it again: nobody else is to take it meanwhile.
        let bound = try BoundDatagramSocket(address)
        gatewayAddress = bound.localAddress
        let other = try BoundDatagramSocket(NetworkAddress(.loopback(.ipv6), port: 0))
        gatewayAddress6 = other.localAddress
        var (setup, invite) = try Self.gateway(at: gatewayAddress, in: folder, log: log, workers: workers)
        setup.addresses = GatewayAddresses(
            configured: [bound.localAddress, other.localAddress], listen: [], own: [])
        self.invite = invite
        state = setup.state
        self.setup = setup
        gateway = try GatewayWorker(setup, WorkerInheritance(sockets: [bound, other]), index: 0, on: loop)
        gateway.receive(.serve)
        ownedLinks = try makeLinks(try invites(invite))
    }

    deinit {
        post?.close()
        Self.removeFiles(in: folder)
    }

    fileprivate static func removeFiles(in folder: String) {
        for name in ["gateway.toml", "gateway.key", "gateway.crt", "users.toml", "control"] {
            _ = unsafe unlink("\(folder)/\(name)")  // the path is used during the call only
        }
        _ = unsafe rmdir(folder)  // the path is used during the call only
    }

    /// Where programs connect.
    private(set) lazy var sockets = ListeningSockets(on: loop)

    var links: GatewayLinks {
        guard let ownedLinks else { preconditionFailure("made in init") }
        return ownedLinks
    }

    /// The link to the gateway that is used.
    var link: GatewayLink { links.current }

    /// Links of a local endpoint.
    func makeLinks(_ invites: [Invite], _ failover: LocalConfiguration.Failover = .init()) throws -> GatewayLinks {
        var configuration = LocalConfiguration(surroundings: Surroundings(variables: [:], userID: 1))
        configuration.gateways = invites
        configuration.failover = failover
        return try GatewayLinks(configuration, on: loop, log: log, keyLog: nil, owner: self)
    }

    fileprivate static func gateway(
        at address: NetworkAddress, in folder: String, log: Logger, keys: GatewayKeys? = nil, workers: Int = 1
    ) throws -> (WorkerSetup, Invite) {
        let files = GatewaySetup(
            folder: folder, name: HostPort(.address(address.ip), port: address.port), listen: [address], user: "me",
            certificate: nil, existing: .replace)
        let now = Clock.unixTime()
        let invite = try files.write(now: now)
        var configuration = try GatewayConfiguration.load(
            files.configuration, surroundings: Surroundings(variables: [:], userID: 1))
        configuration.destinations.privateNetworks = true
        let material = try GatewayMaterial(configuration)
        let secrets = GatewaySecrets(privateKeyPEM: [1, 2, 3])
        let options = TLSOptions(applicationProtocols: ["h3"])
        var server = TLSServerConfiguration(options: options, identity: material.identity)
        if let keys { server.ticketSecret = keys.ticketSecret }
        let setup = WorkerSetup(
            state: GatewayState(GatewayState.Policy(material, configuration)), tls: try TLSContext(server: server),
            tokenKey: secrets.tokenKey, resetKey: secrets.resetKey, workers: workers,
            congestion: configuration.congestion, log: log, keyLog: nil, reports: try Mailbox<WorkerReport>())
        return (setup, invite)
    }

    /// Another process of the gateway, at its IPv4 address, after the one before has fallen silent.
    func restartGateway() throws {
        // It knows no tunnel of the one before.
        let fresh = WorkerSetup(
            state: GatewayState(state.policy), tls: setup.tls, tokenKey: setup.tokenKey, resetKey: setup.resetKey,
            workers: 1, congestion: setup.congestion, log: log, keyLog: nil, reports: setup.reports)
        gateway = try GatewayWorker(
            fresh, WorkerInheritance(sockets: [try BoundDatagramSocket(gatewayAddress)]), index: 0, on: loop)
        gateway.receive(.serve)
    }

    /// The gateway's second worker, which clients are with from now on; the first one keeps what it has.
    func secondWorker() throws -> GatewayWorker {
        gateway.fallSilent()
        let inheritance = WorkerInheritance(sockets: [try BoundDatagramSocket(gatewayAddress)])
        let worker = try GatewayWorker(setup, inheritance, index: 1, on: loop)
        let post = try WorkerPost([gateway, worker], on: loop)
        self.post = post
        state.directory.publish(post.handles)
        worker.receive(.serve)
        return worker
    }

    /// Another gateway of the same machine, with users and a key of its own.
    func otherGateway(keys: GatewayKeys? = nil) throws -> OtherGateway {
        try OtherGateway(on: loop, log: log, keys: keys)
    }

    // MARK: - GatewayLinksOwner

    func linkEstablished() { establishedCount += 1 }
    func linkFailedAtFirst(_ failure: LinkFailure) { firstFailure = failure }
    func linkRefused(_ failure: LinkFailure) { refusals.append(failure) }

    // MARK: - Time

    /// Runs until `condition` holds after a turn, for ten seconds at most; tells whether it did.
    func run(until condition: @escaping () -> Bool) -> Bool {
        let watch = Watch(loop, condition)
        loop.addTurnHandler(watch)
        defer { loop.removeTurnHandler(watch) }
        let timer = loop.addTimer(self)
        defer { loop.removeTimer(timer) }
        loop.arm(timer, at: loop.now + .seconds(10))
        loop.turnSoon()
        loop.run()
        return watch.isMet
    }

    /// Lets so much time pass.
    func pass(_ interval: Interval) {
        let timer = loop.addTimer(self)
        defer { loop.removeTimer(timer) }
        loop.arm(timer, at: loop.now + interval)
        loop.run()
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { loop.stop() }

    // MARK: - Programs

    /// A program that connects to a port of this machine.
    func program(to address: NetworkAddress?, sends bytes: [UInt8] = []) throws -> Program {
        let program = Program(sends: bytes)
        program.attempt = try TCPConnectAttempt(to: try #require(address), on: loop, handler: program)
        return program
    }

    /// A server that answers with everything that it gets, and ends when its client has ended.
    func echo() throws -> Echo { try Echo(on: loop) }

    /// A port at which nobody listens.
    func deadPort() throws -> UInt16 {
        let echo = try Echo(on: loop)
        defer { echo.listener?.close() }
        return echo.port
    }
}

/// A gateway beside the bench's own.
final class OtherGateway {
    let worker: GatewayWorker
    let address: NetworkAddress
    let invite: Invite
    private let folder = makeFolder()

    init(on loop: EventLoop, log: Logger, keys: GatewayKeys? = nil) throws {
        let bound = try BoundDatagramSocket(.anyLoopbackPort)
        address = bound.localAddress
        let (setup, invite) = try Bench.gateway(at: address, in: folder, log: log, keys: keys)
        self.invite = invite
        worker = try GatewayWorker(setup, WorkerInheritance(sockets: [bound]), index: 0, on: loop)
        worker.receive(.serve)
    }

    deinit { Bench.removeFiles(in: folder) }
}

private final class Watch: TurnHandler {
    private let loop: EventLoop
    private let condition: () -> Bool
    private(set) var isMet = false

    init(_ loop: EventLoop, _ condition: @escaping () -> Bool) {
        self.loop = loop
        self.condition = condition
    }

    func turnEnded(at now: Instant) {
        guard condition() else { return }
        isMet = true
        loop.stop()
    }
}

/// Sends bytes, and writes down what comes back and how it ends.
final class Program: ByteStreamHandler, TCPConnectAttemptHandler {
    var attempt: TCPConnectAttempt?
    private(set) var stream: ByteStream?
    private(set) var received: [UInt8] = []
    private(set) var hasEnded = false
    private(set) var isBroken = false
    private var outgoing: [UInt8]

    init(sends bytes: [UInt8]) { outgoing = bytes }

    var text: String { String(decoding: received, as: UTF8.self) }

    /// Takes over a stream.
    func use(_ stream: ByteStream) {
        self.stream = stream
        stream.setHandler(self)
        stream.isReading = true
        stream.watchForReset()
        streamWritable(stream)
    }

    func send(_ bytes: [UInt8]) {
        outgoing += bytes
        if let stream { streamWritable(stream) }
    }

    func attempt(_ attempt: TCPConnectAttempt, connected stream: ByteStream) { use(stream) }
    func attempt(_ attempt: TCPConnectAttempt, failed error: SystemError) { isBroken = true }

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count): received += buffer.prefix(count)
        case .wouldBlock: break
        case .endOfStream: hasEnded = true
        case .failed: streamBroken(stream)
        }
    }

    func streamWritable(_ stream: ByteStream) {
        while !outgoing.isEmpty {
            guard case .bytes(let count) = stream.write(outgoing.span) else { return }
            outgoing.removeFirst(count)
        }
    }

    func streamBroken(_ stream: ByteStream) {
        isBroken = true
        stream.close()
    }
}

/// Sends everything back; what it got stays to be looked at.
final class Echo: StreamListenerHandler, ByteStreamHandler {
    private(set) var listener: StreamListener?
    private(set) var received: [UInt8] = []
    private(set) var resets = 0
    private(set) var streams: [ByteStream] = []

    init(on loop: EventLoop) throws {
        listener = try StreamListener(tcp: NetworkAddress(.loopback(.ipv4), port: 0), on: loop, handler: self)
    }

    var port: UInt16 { listener?.localAddress?.port ?? 0 }
    var destination: Destination { Destination(.address(.loopback(.ipv4)), port: port) }

    func listener(_ listener: StreamListener, accepted stream: ByteStream) {
        streams.append(stream)
        stream.setHandler(self)
        stream.isReading = true
        stream.watchForReset()
    }

    func listener(_ listener: StreamListener, pausedBy error: SystemError) {}

    func streamReadable(_ stream: ByteStream) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var region = buffer.mutableSpan
        switch stream.read(into: &region) {
        case .bytes(let count):
            received += buffer.prefix(count)
            _ = stream.write(buffer.span.extracting(0..<count))
        case .wouldBlock: break
        case .endOfStream: try? stream.shutdownWrite()
        case .failed: streamBroken(stream)
        }
    }

    func streamWritable(_ stream: ByteStream) {}

    func streamBroken(_ stream: ByteStream) {
        resets += 1
        stream.close()
    }
}

/// A new folder of the user's own.
private func makeFolder() -> String {
    var template = Array("/tmp/godwit-XXXXXX".utf8CString)
    return unsafe template.withUnsafeMutableBufferPointer { buffer in
        unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) } ?? "/tmp"
    }
}

extension NetworkAddress {
    static var anyLoopbackPort: NetworkAddress { NetworkAddress(.loopback(.ipv4), port: 0) }

    /// Any port of a loopback address that no other test uses, and no other process that runs these: what was closed there stays
    /// closed until its test opens it again.
    static func ownLoopbackPort() -> NetworkAddress {
        let number = loopbackAddresses.add(1, ordering: .relaxed).newValue & 0xffff
        let process = UInt32(truncatingIfNeeded: getpid()) & 0x3f
        return NetworkAddress(IPAddress(ipv4: 0x7f40_0000 | process << 16 | number), port: 0)
    }
}

/// Bytes of a text.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Loopback addresses that were given out.
private let loopbackAddresses = Atomic<UInt32>(0)
