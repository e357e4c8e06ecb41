import Configuration
import Driver
import EventLoop
import HTTP3
import Logging
import Primitives
import QUIC
import Telemetry
import Tunnel

/// One client's connection: who it is, its tunnels, and their connections to origins.
final class GatewaySession: ConnectionApplication {
    private let driven: DrivenConnection
    private unowned let worker: GatewayWorker
    private let server: TunnelServer
    private let relay: RelayDriver
    private var dials: [TunnelID: OriginDial] = [:]
    /// Tunnels that count against their user's limit.
    private var openTunnels: [TunnelID: String] = [:]
    /// The user whose connection this is: the first who authenticated on it.
    private(set) var user: String?

    init(_ driven: DrivenConnection, worker: GatewayWorker) {
        self.driven = driven
        self.worker = worker
        let http = HTTP3Connection(
            driven.connection, configuration: HTTP3Connection.Configuration(greaseSeed: worker.drawSeed()))
        server = TunnelServer(http)
        relay = RelayDriver(server.relay, over: driven, on: worker.loop)
    }

    var peer: NetworkAddress { driven.connection.networkPaths[0].path.remote }

    // MARK: - ConnectionApplication

    func receive(_ event: ConnectionEvent, at now: Instant) {
        switch event {
        case .path(.peerMoved(let from, let path)):
            worker.log.info("client moved", metadata: ["from": "\(from)", "to": "\(path.remote)"])
        case .keyLogLine(let line): worker.keyLog(line)
        default: break
        }
        server.receive(event, at: now)
    }

    func settle(at now: Instant) {
        while let action = server.nextAction() { perform(action, at: now) }
    }

    private func perform(_ action: TunnelAction, at now: Instant) {
        switch action {
        case .authenticate(let id, let credentials): authenticate(id, credentials, at: now)
        case .connect(let id, let destination): connect(id, to: destination)
        case .resume(let id, _): server.resumptionUnknown(id)
        case .close(let id), .reset(let id), .detached(let id):
            dials.removeValue(forKey: id)?.cancel()
            relay.perform(action)
            tunnelEnded(id)
        case .ended: ended()
        case .read, .deliver, .closeWrite: relay.perform(action)
        // Actions of a local endpoint only.
        case .opened, .resumed, .failed, .goingAway: break
        }
    }

    // MARK: - Who may use the gateway

    private func authenticate(_ id: TunnelID, _ credentials: Credentials, at now: Instant) {
        guard worker.limiter.mayTry(peer.ip, at: now), case .bearer(let text) = credentials,
            let token = Token(text), let known = worker.state.policy.users.user(for: token)
        else {
            worker.limiter.failed(peer.ip, at: now)
            worker.counters.authenticationFailures += 1
            worker.log.warning("request without a valid token", metadata: ["client": "\(peer)"])
            server.authenticationFailed(for: id)
            return
        }
        worker.limiter.succeeded(peer.ip)
        guard admit(known.name), worker.state.takeTunnel(of: known.name) else {
            worker.counters.tunnelsRefused += 1
            server.connectFailed(id, .connectionLimitReached)
            return
        }
        openTunnels[id] = known.name
        server.authenticationSucceeded(for: id)
    }

    /// Counts the connection as the user's, once.
    private func admit(_ name: String) -> Bool {
        if user == name { return true }
        guard worker.state.takeConnection(of: name) else {
            worker.log.warning("too many connections of a user", metadata: ["user": "\(name)", "client": "\(peer)"])
            return false
        }
        if let user {
            worker.state.returnConnection(of: user)
        } else {
            worker.log.info("client authenticated", metadata: ["user": "\(name)", "client": "\(peer)"])
        }
        user = name
        return true
    }

    /// Ends the connection when its user is not one any more: the tunnels end at once.
    func usersChanged() {
        guard let user, worker.state.policy.users.user(named: user) == nil else { return }
        worker.log.info("user removed", metadata: ["user": "\(user)", "client": "\(peer)"])
        driven.connection.close(errorCode: 0x10c, reason: "the user was removed", at: worker.loop.now)
        driven.needsService()
    }

    // MARK: - Origins

    private func connect(_ id: TunnelID, to destination: Destination) {
        guard let name = openTunnels[id] else { return server.connectFailed(id, .internalError) }
        let rules = worker.state.policy.rules
        guard rules.verdict(on: destination) == .allowed else {
            return refuse(id, .destinationProhibited, "the rules do not allow it", to: destination)
        }
        let dial = OriginDial(id, to: destination, user: name, rules: rules, session: self)
        dials[id] = dial
        dial.start(resolver: worker.resolver)
    }

    func connected(_ dial: OriginDial, _ stream: ByteStream) {
        dials[dial.id] = nil
        worker.counters.tunnelsOpened += 1
        relay.attach(stream, to: dial.id)
        server.connected(dial.id)
        driven.needsService()
    }

    func failed(_ dial: OriginDial, _ failure: TunnelFailure, _ reason: String) {
        dials[dial.id] = nil
        refuse(dial.id, failure, reason, to: nil)
        driven.needsService()
    }

    private func refuse(_ id: TunnelID, _ failure: TunnelFailure, _ reason: String, to destination: Destination?) {
        worker.counters.tunnelsRefused += 1
        var metadata: Logger.Metadata = ["user": "\(openTunnels[id] ?? "-")", "reason": "\(reason)"]
        if let destination { metadata["destination"] = "\(destination)" }
        worker.log.info("tunnel refused", metadata: metadata)
        server.connectFailed(id, failure)
        tunnelEnded(id)
    }

    // MARK: - Ends

    /// Takes no more tunnels; those that are up go on (RFC 9114 §5.2).
    func drain() {
        server.goAway()
        driven.needsService()
    }

    var tunnelCount: Int { server.relay.count }

    var status: [PathStatus] { driven.connection.networkPaths }

    var tunnels: [TunnelRelay.Statistics] { server.relay.statistics }

    private func tunnelEnded(_ id: TunnelID) {
        guard let name = openTunnels.removeValue(forKey: id) else { return }
        worker.counters.tunnelsClosed += 1
        worker.state.returnTunnel(of: name)
    }

    private func ended() {
        for dial in dials.values { dial.cancel() }
        dials = [:]
        relay.abortAll()
        for id in Array(openTunnels.keys) { tunnelEnded(id) }
        if let user { worker.state.returnConnection(of: user) }
        user = nil
        worker.sessionEnded(self)
    }
}
