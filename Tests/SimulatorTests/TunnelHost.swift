import HTTP3
import Primitives
import QUIC
import Simulator
import Tunnel

/// TCP of one end of a tunnel, in memory.
final class TunnelSocket {
    /// What it will send, then its FIN.
    private(set) var outgoing: [UInt8]
    private(set) var received: [UInt8] = []
    private(set) var hasFin = false
    private(set) var wasReset = false
    private(set) var wasClosed = false
    private var isFinRead = false

    init(sending outgoing: [UInt8]) { self.outgoing = outgoing }

    func read(_ id: TunnelID, into relay: TunnelRelay) {
        while !outgoing.isEmpty, let ring = relay.ring(of: id), case let room = relay.wantsBytes(id), room > 0 {
            let count = ring.append(outgoing.span.extracting(0..<min(room, outgoing.count, 64 << 10)))
            outgoing.removeFirst(count)
            relay.bytesArrived(on: id)
        }
        guard outgoing.isEmpty, !isFinRead, relay.wantsBytes(id) > 0 else { return }
        isFinRead = true
        relay.finArrived(on: id)
    }

    func write(_ bytes: Span<UInt8>) -> Int {
        for index in bytes.indices { received.append(bytes[index]) }
        return bytes.count
    }

    func end(_ action: TunnelAction) {
        switch action {
        case .closeWrite: hasFin = true
        case .close: wasClosed = true
        case .reset, .failed: wasReset = true
        default: break
        }
    }
}

/// A local endpoint or a gateway: what outlives its connections.
final class TunnelHost {
    /// A tunnel between two connections.
    struct Waiting {
        var held: HeldTunnel
        var socket: TunnelSocket?
    }

    let role: Role
    /// A local endpoint's tunnels, before they are opened; what a gateway's destinations send.
    let payload: [[UInt8]]
    let grants: Bool
    /// By the number of their tunnel.
    private var table: [Int: TunnelSocket] = [:]
    /// Whether applications and destinations send anything yet.
    var isTalking = true
    /// Tunnels whose TCP is closed in order.
    fileprivate(set) var closings = 0
    /// Tunnels that are up for the first time.
    fileprivate(set) var openings = 0
    fileprivate(set) var waiting: [Waiting] = []
    fileprivate(set) var carriers: [TunnelCarrier] = []
    /// When tunnels went on.
    fileprivate(set) var resumptions: [Instant] = []
    /// Connections that were lost.
    fileprivate(set) var losses = 0
    fileprivate var generator = SeededGenerator(seed: 5)

    init(_ role: Role, sending payload: [[UInt8]], grants: Bool = true) {
        self.role = role
        self.payload = payload
        self.grants = grants
    }

    /// What it runs on its next connection.
    func carrier() -> [any QUICApplication] {
        let carrier = TunnelCarrier(self)
        carriers.append(carrier)
        return [carrier]
    }

    var sockets: [TunnelSocket] { table.sorted { $0.key < $1.key }.map(\.value) }

    /// Whether every tunnel has ended in order.
    var isFinished: Bool { closings == payload.count }

    /// A socket for the next tunnel; the gateway's destination is told by its port.
    fileprivate func socket(_ index: Int) -> TunnelSocket {
        let socket = TunnelSocket(sending: payload[index])
        table[index] = socket
        return socket
    }

    /// What a new process makes of the records and rings of one that was killed.
    func crash() {
        for carrier in carriers { carrier.detachAll() }
        waiting = waiting.compactMap { tunnel in
            HeldTunnel(restoring: tunnel.held.record, tunnel.held.ring).map { Waiting(held: $0, socket: tunnel.socket) }
        }
        carriers = []
    }
}

/// One connection's tunnels, in either role.
final class TunnelCarrier: QUICApplication {
    private unowned let host: TunnelHost
    private var client: TunnelClient?
    private var server: TunnelServer?
    private var sockets: [TunnelID: TunnelSocket] = [:]
    /// Tunnels that are to be read from.
    private var readable: Set<TunnelID> = []

    init(_ host: TunnelHost) { self.host = host }

    private var relay: TunnelRelay? { client?.relay ?? server?.relay }
    var isFinished: Bool { host.isFinished }
    var nextDeadline: Instant? { relay?.nextDeadline }

    func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        if relay == nil { begin(on: connection) }
        client?.receive(event, at: now)
        server?.receive(event, at: now)
    }

    func proceed(on connection: Connection, at now: Instant) {
        guard let relay else { return }
        if let deadline = relay.nextDeadline, deadline <= now { relay.deadlineReached(at: now) }
        act(at: now)
        guard host.isTalking, !readable.isEmpty else { return }
        for id in readable.sorted() { sockets[id]?.read(id, into: relay) }
        readable = []
        act(at: now)
    }

    private func begin(on connection: Connection) {
        let http = HTTP3Connection(connection, configuration: .init(greaseSeed: 3))
        guard host.role == .client else {
            server = TunnelServer(http)
            return
        }
        let client = TunnelClient(http, gateway: "gw.example", credentials: .bearer("secret"))
        self.client = client
        if host.sockets.isEmpty {
            for index in host.payload.indices {
                let destination = Destination(.name("origin.internal"), port: UInt16(index + 1))
                sockets[client.open(to: destination, .beforeAnswer, .resumable)] = host.socket(index)
            }
        }
        let waiting = host.waiting
        host.waiting = []
        for tunnel in waiting { sockets[client.resume(tunnel.held)] = tunnel.socket }
    }

    private func act(at now: Instant) {
        guard let relay else { return }
        while let action = client?.nextAction() ?? server?.nextAction() {
            switch action {
            case .authenticate(let id, _): server?.authenticationSucceeded(for: id)
            case .connect(let id, let destination): connect(id, destination)
            case .resume(let id, let request): resume(id, request, at: now)
            case .resumed: host.resumptions.append(now)
            case .deliver(let id): relay.deliver(id, at: now) { bytes, _ in sockets[id]?.write(bytes) ?? 0 }
            case .detached(let id): relay.takeHeld(id).map { hold($0, of: id) }
            case .closeWrite(let id), .reset(let id), .failed(let id, _, _): sockets[id]?.end(action)
            case .close(let id):
                guard let socket = sockets[id], !socket.wasClosed else { continue }
                socket.end(action)
                host.closings += 1
            case .ended: host.losses += 1
            case .opened: host.openings += 1
            case .read(let id): readable.insert(id)
            case .goingAway: break
            }
        }
    }

    private func hold(_ held: HeldTunnel, of id: TunnelID) {
        host.waiting.append(.init(held: held, socket: sockets.removeValue(forKey: id)))
    }

    private func connect(_ id: TunnelID, _ destination: Destination) {
        sockets[id] = host.socket(Int(destination.port) - 1)
        let grant = ResumptionGrant(id: ResumptionID(drawing: &host.generator), linger: .seconds(3600))
        server?.connected(id, resumption: host.grants ? grant : nil)
    }

    private func resume(_ id: TunnelID, _ request: ResumptionRequest, at now: Instant) {
        guard let server else { return }
        for carrier in host.carriers where carrier !== self { carrier.detach(request.id) }
        guard let index = host.waiting.firstIndex(where: { $0.held.id == request.id }) else {
            return server.resumptionUnknown(id)
        }
        guard server.resume(id, from: host.waiting[index].held) == .resumed else { return }
        sockets[id] = host.waiting.remove(at: index).socket
        host.resumptions.append(now)
    }

    /// Gives up a tunnel that another connection wants.
    private func detach(_ name: ResumptionID) {
        for id in sockets.keys where relay?.resumption(of: id)?.id == name {
            if let held = relay?.detach(id) { hold(held, of: id) }
        }
    }

    /// Gives up every tunnel that can be resumed.
    func detachAll() {
        for id in sockets.keys.sorted() {
            if let held = relay?.detach(id) { hold(held, of: id) }
        }
    }
}
