import HTTP3
import Primitives

@testable import QUIC
@testable import Tunnel

/// Most steps of one input, so that none takes long.
private let mostSteps = 120

/// The first byte chooses which end is attacked; then come steps: what the attacker writes to its streams, and what TCP
/// and the role's owner do at the attacked end.
func fuzzTunnels(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let stage = TunnelStage(attacking: input.byte() & 1 == 0 ? .server : .client)
    for _ in 0..<mostSteps where !input.isEmpty { stage.step(&input) }
    stage.finish()
}

/// A gateway or a local endpoint without its sockets, against a peer that writes whatever it likes.
private final class TunnelStage {
    private static let mostStreams = 32
    private static let limits: TunnelRelay.Limits = {
        var limits = TunnelRelay.Limits()
        limits.initialRing = 1 << 10
        limits.maximumRing = 1 << 14
        return limits
    }()

    private enum Side {
        case gateway(TunnelServer)
        case local(TunnelClient)
    }

    private let pair = FuzzPair()
    private let attacked: Connection
    private let attacker: Connection
    private let side: Side
    /// The attacker's own streams, and those that the attacked end opened.
    private var streams: [StreamID] = []
    private var tunnels: [TunnelID] = []
    /// Tunnels that have left the connection, and how many were made that can.
    private var held: [HeldTunnel] = []
    private var grants: UInt64 = 0
    /// How many bytes TCP takes in one call.
    private var room = Int.max
    private var hasEnded = false

    init(attacking role: Role) {
        pair.run(for: .milliseconds(20))
        guard let attacked = pair.connection(of: role), let attacker = pair.connection(of: role.peer) else {
            violated("the handshake failed")
        }
        self.attacked = attacked
        self.attacker = attacker
        let http = HTTP3Connection(attacked, configuration: .init(greaseSeed: 7))
        switch role {
        case .server: side = .gateway(TunnelServer(http, limits: Self.limits))
        case .client:
            side = .local(
                TunnelClient(http, gateway: "gw.example", credentials: .bearer("secret"), limits: Self.limits))
        }
        pair.service = { [unowned self] connection, now in service(connection, now) }
        pair.run(for: .milliseconds(5))
    }

    private var relay: TunnelRelay {
        switch side {
        case .gateway(let server): server.relay
        case .local(let client): client.relay
        }
    }

    func step(_ input: inout FuzzInput) {
        let choice = input.byte()
        switch choice & 15 {
        case 0, 1: open(.bidirectional, input.block())
        case 2: open(.unidirectional, input.block())
        case 3, 4, 5: if let id = stream(&input) { attacker.write(input.block().span, to: id) }
        case 6: if let id = stream(&input) { attacker.finish(id) }
        case 7: if let id = stream(&input) { attacker.reset(id, errorCode: UInt64(0x100 + input.word())) }
        case 8: if let id = stream(&input) { attacker.stopSending(id, errorCode: UInt64(0x100 + input.word())) }
        case 9: _ = attacker.sendDatagram(input.block(atMost: 500))
        case 10, 11: local(&input)
        case 12: room = choice & 16 == 0 ? .max : Int(choice >> 5)
        default: pair.run(for: .milliseconds(Int64(choice)))
        }
        if choice & 0x80 != 0 { pair.run(for: .milliseconds(3)) }
        checkSanity()
    }

    func finish() {
        room = .max
        for id in tunnels { relay.deliver(id, at: pair.now) { bytes, _ in bytes.count } }
        pair.run(for: .seconds(1))
        pair.checkEnd()
        require(attacked.isClosed && relay.count == 0, "\(relay.count) tunnels outlive their connection")
        require(hasEnded, "nobody was told that the connection is over")
    }

    private func checkSanity() {
        pair.checkSanity()
        require(relay.memory <= relay.count * Self.limits.maximumRing, "rings of \(relay.memory) bytes")
        if hasEnded { require(relay.count == 0, "\(relay.count) tunnels after the end") }
    }

    private func open(_ direction: StreamDirection, _ bytes: [UInt8]) {
        guard streams.count < Self.mostStreams, let id = attacker.openStream(direction) else { return }
        streams.append(id)
        attacker.write(bytes.span, to: id)
    }

    private func stream(_ input: inout FuzzInput) -> StreamID? {
        let index = input.number(below: Self.mostStreams)
        return streams.isEmpty ? nil : streams[index % streams.count]
    }

    // MARK: The attacked end

    private func service(_ connection: Connection, _ now: Instant) {
        guard connection === attacked else {
            while let event = connection.nextEvent() {
                switch event {
                case .streamOpened(let id): if streams.count < Self.mostStreams { streams.append(id) }
                case .streamReadable(let id): _ = connection.read(from: id, atMost: .max / 2)
                default: break
                }
            }
            return
        }
        while let event = connection.nextEvent() {
            switch side {
            case .gateway(let server): server.receive(event, at: now)
            case .local(let client): client.receive(event, at: now)
            }
        }
        act()
    }

    private func act() {
        while let action = nextAction() {
            checkOrder(action)
            switch action {
            case .authenticate(let id, let credentials): authenticate(id, credentials)
            case .connect(let id, _), .opened(let id), .resumed(let id):
                if !tunnels.contains(id) { tunnels.append(id) }
            case .resume(let id, let request): resume(id, request)
            case .detached(let id): detached(id)
            case .deliver(let id): relay.deliver(id, at: pair.now) { bytes, _ in min(bytes.count, room) }
            case .close(let id), .reset(let id): tunnels.removeAll { $0 == id }
            case .failed(let id, _, _): detached(id)
            case .ended: hasEnded = true
            case .read, .closeWrite, .goingAway: break
            }
        }
    }

    /// After the end only tunnels that were asked for too late are still heard of.
    private func checkOrder(_ action: TunnelAction) {
        guard hasEnded else { return }
        switch action {
        case .failed, .detached: return
        default: break
        }
        violated("\(action) after the end")
    }

    private func nextAction() -> TunnelAction? {
        switch side {
        case .gateway(let server): server.nextAction()
        case .local(let client): client.nextAction()
        }
    }

    private func detached(_ id: TunnelID) {
        tunnels.removeAll { $0 == id }
        if let tunnel = relay.takeHeld(id) { held.append(tunnel) }
    }

    private func resume(_ id: TunnelID, _ request: ResumptionRequest) {
        guard case .gateway(let server) = side else { return }
        guard let place = held.firstIndex(where: { $0.id == request.id }) else {
            return server.resumptionUnknown(id)
        }
        if server.resume(id, from: held[place]) == .resumed {
            held.remove(at: place)
            tunnels.append(id)
        }
    }

    /// An id that the attacker can guess, since it would know its own.
    private func grant() -> ResumptionGrant {
        grants += 1
        return ResumptionGrant(id: ResumptionID(words: (0, grants)), linger: .seconds(60))
    }

    private func authenticate(_ id: TunnelID, _ credentials: Credentials) {
        guard case .gateway(let server) = side else { return }
        if case .none = credentials {
            server.authenticationFailed(for: id)
        } else {
            server.authenticationSucceeded(for: id)
        }
    }

    /// What happens at the attacked end's TCP connections, and what its owner decides.
    private func local(_ input: inout FuzzInput) {
        let choice = input.byte()
        if case .local(let client) = side, choice & 7 == 0 {
            tunnels.append(
                client.open(
                    to: Destination(.name("a.test"), port: 80), choice & 8 == 0 ? .beforeAnswer : .afterAnswer,
                    choice & 16 == 0 ? .resumable : .connection))
            return
        }
        if case .local(let client) = side, choice & 15 == 9, let tunnel = held.popLast() {
            tunnels.append(client.resume(tunnel))
            return
        }
        guard !tunnels.isEmpty else { return }
        let id = tunnels[Int(choice >> 4) % tunnels.count]
        switch choice & 7 {
        case 1, 2:
            if case .gateway(let server) = side { server.connected(id, resumption: choice & 8 == 0 ? grant() : nil) }
        case 3: if case .gateway(let server) = side { server.connectFailed(id, .connectionRefused) }
        case 4, 5: fill(id, input.word())
        case 6 where choice & 8 != 0:
            act()
            if let tunnel = relay.detach(id) { held.append(tunnel) }
            if relay.ring(of: id) == nil { tunnels.removeAll { $0 == id } }
        case 6: relay.finArrived(on: id)
        case 7: relay.resetArrived(on: id)
        default: relay.deliver(id, at: pair.now) { bytes, _ in min(bytes.count, room) }
        }
        act()
    }

    private func fill(_ id: TunnelID, _ count: Int) {
        guard let ring = relay.ring(of: id) else { return }
        let count = min(count, relay.wantsBytes(id))
        guard count > 0 else { return }
        _ = ring.append([UInt8](repeating: 0x61, count: count).span)
        relay.bytesArrived(on: id)
    }
}
