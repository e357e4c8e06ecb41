import HTTP3
import Primitives
import QUIC
import Testing

@testable import Tunnel

/// A local endpoint and a gateway that outlive the connections between them, and hold tunnels meanwhile.
final class ResumptionBench {
    /// A tunnel that waits at one end, with its TCP unless that is closed.
    struct Waiting {
        var held: HeldTunnel
        var tcp: FakeTCP?
    }

    private(set) var pair: TunnelPair
    /// What the local endpoint holds, in the order in which it was detached.
    var heldLocally: [Waiting] = []
    /// What the gateway holds.
    var heldAtGateway: [ResumptionID: Waiting] = [:]
    /// Ids that were granted, in order.
    private(set) var granted: [ResumptionID] = []
    /// Verdicts on requests to resume.
    private(set) var verdicts: [ResumptionVerdict] = []
    var linger = Interval.seconds(3600)
    var grants = true
    private var generator = SeededGenerator(seed: 77)
    private let limits: TunnelRelay.Limits

    init(limits: TunnelRelay.Limits = .init()) throws {
        self.limits = limits
        pair = try TunnelPair.connected(limits: limits)
        wire()
    }

    /// Another connection instead of the present one.
    func reconnect() throws {
        pair = try TunnelPair.connected(limits: limits)
        wire()
    }

    /// Each end loses the connection as after an outage, and holds what can be held.
    func loseConnection() {
        for driver in [pair.local, pair.gateway] { driver.lose(.idleTimeout) }
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

    private func wire() {
        let (server, local, gateway) = (pair.server, pair.local, pair.gateway)
        local.onDetached = { [unowned self] _, held, tcp in heldLocally.append(Waiting(held: held, tcp: tcp)) }
        gateway.onDetached = { [unowned self] _, held, tcp in heldAtGateway[held.id] = Waiting(held: held, tcp: tcp) }
        gateway.onConnect = { [unowned self] id, _ in
            gateway.sockets[id] = FakeTCP()
            guard grants, server.isResumptionWanted(for: id) else { return server.connected(id) }
            let name = ResumptionID(drawing: &generator)
            granted.append(name)
            server.connected(id, resumption: ResumptionGrant(id: name, linger: linger))
        }
        gateway.onResume = { [unowned self] id, request in
            guard let waiting = heldAtGateway[request.id] else { return server.resumptionUnknown(id) }
            let verdict = server.resume(id, from: waiting.held)
            verdicts.append(verdict)
            guard verdict == .resumed else { return }
            heldAtGateway[request.id] = nil
            gateway.sockets[id] = waiting.tcp
        }
    }
}
