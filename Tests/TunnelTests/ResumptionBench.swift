import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

/// A local endpoint and a gateway that outlive the connections between them, and hold tunnels meanwhile.
final class ResumptionBench {
    /// A tunnel that waits at one end, with its TCP unless there is none any more.
    struct Waiting {
        var held: HeldTunnel
        var tcp: FakeTCP?
    }

    private(set) var pair: TunnelPair
    /// Connections of which the gateway does not know that the client has given them up.
    private var former: [TunnelPair] = []
    /// What the local endpoint holds, in the order in which it was detached.
    var heldLocally: [Waiting] = []
    /// What the gateway holds.
    var heldAtGateway: [ResumptionID: Waiting] = [:]
    /// Where the gateway carries tunnels.
    private var attached: [ResumptionID: (pair: TunnelPair, id: TunnelID)] = [:]
    /// Ids that were granted, in order.
    private(set) var granted: [ResumptionID] = []
    /// The gateway's verdicts on requests to resume; nil for an unknown id.
    private(set) var verdicts: [ResumptionVerdict?] = []
    var linger = Interval.seconds(3600)
    var grants = true
    private var generator = SeededGenerator(seed: 77)
    private let limits: TunnelRelay.Limits

    init(limits: TunnelRelay.Limits = .init()) throws {
        self.limits = limits
        pair = try TunnelPair.connected(limits: limits)
        wire(pair)
    }

    /// Another connection instead of the present one.
    func reconnect() throws {
        former.append(pair)
        pair = try TunnelPair.connected(limits: limits)
        wire(pair)
    }

    /// Each end loses the connection as after an outage, and holds what can be held.
    func loseConnection(_ end: ConnectionEnd = .idleTimeout) {
        pair.local.lose(end)
        pair.gateway.lose(end)
        for pair in former { pair.gateway.lose(end) }
        former = []
    }

    /// Only the client has noticed so far that the connection is dead.
    func loseConnectionLocally() {
        pair.transport.deaf = [.client, .server]
        pair.local.lose(.idleTimeout)
    }

    /// Opens a tunnel that is to be resumable, and gives both ends of it.
    func open() throws -> (id: TunnelID, app: FakeTCP, origin: FakeTCP) {
        let known = Set(pair.gateway.sockets.keys)
        let id = pair.client.open(to: buildServer, .beforeAnswer, .resumable)
        let app = FakeTCP()
        pair.local.sockets[id] = app
        pair.run()
        let origin = try #require(pair.gateway.sockets.first { !known.contains($0.key) }?.value)
        return (id, app, origin)
    }

    /// Asks to go on with everything that is held.
    @discardableResult
    func resumeAll() -> [TunnelID] {
        let waiting = heldLocally
        heldLocally = []
        return waiting.map { tunnel in
            let id = pair.client.resume(tunnel.held)
            pair.local.sockets[id] = tunnel.tcp
            return id
        }
    }

    /// Where the local endpoint carries a TCP connection.
    func local(of tcp: FakeTCP) -> (driver: FakeDriver, id: TunnelID)? { find(tcp, among: [pair.local]) }

    /// Where the gateway carries a TCP connection.
    func gateway(of tcp: FakeTCP) -> (driver: FakeDriver, id: TunnelID)? {
        find(tcp, among: (former + [pair]).map(\.gateway))
    }

    private func find(_ tcp: FakeTCP, among drivers: [FakeDriver]) -> (driver: FakeDriver, id: TunnelID)? {
        for driver in drivers {
            if let id = driver.sockets.first(where: { $0.value === tcp })?.key { return (driver, id) }
        }
        return nil
    }

    /// The application's TCP is reset.
    func resetLocally(_ tcp: FakeTCP) {
        if let (driver, id) = local(of: tcp) {
            driver.sockets[id] = nil
            driver.relay.resetArrived(on: id)
        } else if let index = heldLocally.firstIndex(where: { $0.tcp === tcp }) {
            heldLocally[index].tcp = nil
            _ = heldLocally[index].held.resetArrived()
        }
    }

    /// The destination's TCP is reset; a gateway that holds the tunnel forgets it, unless it had sent everything before.
    func resetAtGateway(_ tcp: FakeTCP) {
        if let (driver, id) = gateway(of: tcp) {
            driver.sockets[id] = nil
            driver.relay.resetArrived(on: id)
        } else if let name = heldAtGateway.first(where: { $0.value.tcp === tcp })?.key {
            let isOver = heldAtGateway[name]?.held.resetArrived() == nil
            heldAtGateway[name]?.tcp = nil
            if isOver { heldAtGateway[name] = nil }
        }
    }

    /// TCP is read while tunnels are held, as far as there is room.
    func readWhileHeld(atMost limit: Int = .max) {
        for waiting in heldLocally + heldAtGateway.values {
            guard let tcp = waiting.tcp, !tcp.wasReset, !tcp.wasClosed else { continue }
            _ = tcp.read(into: waiting.held.ring, atMost: min(limit, waiting.held.wantsBytes))
            if waiting.held.wantsBytes > 0, tcp.readFin() { waiting.held.finArrived() }
            if waiting.held.isTCPClosed { tcp.wasClosed = true }
        }
    }

    private func wire(_ pair: TunnelPair) {
        let (server, local, gateway) = (pair.server, pair.local, pair.gateway)
        local.onDetached = { [unowned self] _, held, tcp in heldLocally.append(Waiting(held: held, tcp: tcp)) }
        local.onFailed = { [unowned self, unowned local] id, _ in
            let tcp = local.sockets.removeValue(forKey: id)
            if let held = local.relay.takeHeld(id) {
                heldLocally.append(Waiting(held: held, tcp: tcp))
            } else if let tcp, !tcp.wasClosed {
                tcp.wasReset = true
            }
        }
        gateway.onDetached = { [unowned self] _, held, tcp in
            attached[held.id] = nil
            heldAtGateway[held.id] = Waiting(held: held, tcp: tcp)
        }
        gateway.onConnect = { [unowned self, unowned pair] id, _ in
            gateway.sockets[id] = FakeTCP()
            guard grants, server.isResumptionWanted(for: id) else { return server.connected(id) }
            let name = ResumptionID(drawing: &generator)
            granted.append(name)
            attached[name] = (pair, id)
            server.connected(id, resumption: ResumptionGrant(id: name, linger: linger))
        }
        gateway.onResume = { [unowned self, unowned pair] id, request in answer(request, id, on: pair) }
    }

    private func answer(_ request: ResumptionRequest, _ id: TunnelID, on pair: TunnelPair) {
        let server = pair.server
        if let (carrier, old) = attached[request.id], carrier.server.relay.resumption(of: old) != nil {
            guard carrier.server.relay.verdict(on: request, to: buildServer, for: old) == .resumed else {
                verdicts.append(.conflict)
                return server.connectFailed(id, .resumptionRefused)
            }
            guard let held = carrier.server.relay.detach(old) else { return }
            attached[request.id] = nil
            heldAtGateway[request.id] = Waiting(held: held, tcp: carrier.gateway.sockets.removeValue(forKey: old))
        }
        guard let waiting = heldAtGateway[request.id] else {
            verdicts.append(nil)
            return server.resumptionUnknown(id)
        }
        let verdict = server.resume(id, from: waiting.held)
        verdicts.append(verdict)
        guard verdict == .resumed else { return }
        heldAtGateway[request.id] = nil
        attached[request.id] = (pair, id)
        pair.gateway.sockets[id] = waiting.tcp
    }

    /// A request to resume that no tunnel of the local endpoint's stands behind, as it would be late, repeated or invented; tells
    /// how it failed.
    func request(_ request: ResumptionRequest, to destination: Destination = buildServer) throws -> TunnelFailure? {
        let record = HeldTunnel.Record(
            id: request.id, role: .client, destination: destination, linger: .zero,
            generation: request.generation - 1, outgoing: .open, peerDelivered: 0, delivered: request.delivered,
            hasDeliveredEnd: false)
        let id = pair.client.resume(try #require(HeldTunnel(restoring: record, ByteRing(limit: 1))))
        pair.run(turns: 3)
        for case .failed(id, let failure, _) in pair.local.log { return failure }
        return nil
    }
}
