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
    /// Whose tunnels these are, from the proof of who asks to their end.
    private var owners: [TunnelID: String] = [:]
    /// Tunnels that count against their user's limit.
    private var counted: Set<TunnelID> = []
    /// Tunnels that can be resumed.
    private var resumable: ResumableTunnels
    /// Whether the gateway was draining when the connection came.
    private let isResumptionOnly: Bool
    /// The token of the latest request that proved who asks, and its hash: most requests of a connection carry the same.
    private var proven: (text: String, hash: TokenHash)?
    /// The user whose connection this is: the first who authenticated on it.
    private(set) var user: String?
    /// The latest question whether the client is there.
    private var question: LivenessQuestion?

    init(_ driven: DrivenConnection, worker: GatewayWorker) {
        self.driven = driven
        self.worker = worker
        var configuration = HTTP3Connection.Configuration(greaseSeed: worker.drawSeed())
        isResumptionOnly = worker.isDraining
        if isResumptionOnly { configuration.tunnelResumptionOnly = .announced }
        let http = HTTP3Connection(driven.connection, configuration: configuration)
        var limits = TunnelRelay.Limits()
        limits.maximumRing = Int(worker.state.policy.resumption.buffer.bytes)
        server = TunnelServer(http, limits: limits)
        relay = RelayDriver(server.relay, over: driven, on: worker.loop)
        resumable = ResumableTunnels(of: server.relay)
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
        forgetClosed()
    }

    private func perform(_ action: TunnelAction, at now: Instant) {
        switch action {
        case .authenticate(let id, let credentials): authenticate(id, credentials, at: now)
        case .connect(let id, let destination): connect(id, to: destination)
        case .resume(let id, let request): resume(id, request)
        case .detached(let id): detached(id)
        case .close(let id):
            resumable.willClose(id, worker.protection)
            relay.perform(action)
            tunnelEnded(id)
        case .reset(let id):
            dials.removeValue(forKey: id)?.cancel()
            forget(id)
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
        let mayTry = worker.limiter.mayTry(peer.ip, at: now)
        guard mayTry, case .bearer(let text) = credentials, let hash = hash(of: text),
            let known = worker.state.policy.users.user(with: hash)
        else {
            // What was not looked at is no failure: a source that goes on asking would never get in again.
            if mayTry { worker.limiter.failed(peer.ip, at: now) }
            worker.counters.authenticationFailures += 1
            worker.log.warning("request without a valid token", metadata: ["client": "\(peer)"])
            server.authenticationFailed(for: id)
            return
        }
        worker.limiter.succeeded(peer.ip)
        proven = (text, hash)
        guard admit(known.name) else {
            worker.counters.tunnelsRefused += 1
            server.connectFailed(id, .connectionLimitReached)
            return
        }
        owners[id] = known.name
        server.authenticationSucceeded(for: id)
    }

    private func hash(of text: String) -> TokenHash? {
        if let proven, proven.text == text { return proven.hash }
        return Token(text)?.hash
    }

    /// Counts the connection as the user's, once.
    private func admit(_ name: String) -> Bool {
        if user == name { return true }
        guard worker.state.takeConnection(of: name) else {
            worker.log.warning("too many connections of a user", metadata: ["user": "\(name)", "client": "\(peer)"])
            if worker.state.mayAskForRoom(of: name, every: worker.patience, at: worker.loop.now) {
                worker.tellAll(.roomWanted(user: name))
            }
            return false
        }
        if let user {
            worker.state.returnConnection(of: user)
        } else {
            worker.log.info("client authenticated", metadata: ["user": "\(name)", "client": "\(peer)"])
        }
        user = name
        // Who comes first stands for the connection's buffers.
        server.relay.budget = server.relay.budget ?? UserRingBudget(worker.state, of: name)
        return true
    }

    /// Ends the connection when its user is not one any more: the tunnels end at once.
    func usersChanged() {
        guard let user, worker.state.policy.users.user(named: user) == nil else { return }
        worker.log.info("user removed", metadata: ["user": "\(user)", "client": "\(peer)"])
        driven.connection.close(
            errorCode: HTTP3ErrorCode.requestCancelled.rawValue, reason: "the user was removed", at: worker.loop.now)
        driven.needsService()
    }

    // MARK: - Origins

    private func connect(_ id: TunnelID, to destination: Destination) {
        guard let name = owners[id] else { return server.connectFailed(id, .internalError) }
        guard !isResumptionOnly else {
            return refuse(id, .gatewayGoingAway, "the gateway is draining", to: destination)
        }
        guard worker.state.takeTunnel(of: name) else {
            return refuse(id, .connectionLimitReached, "the user has as many tunnels as allowed", to: destination)
        }
        counted.insert(id)
        let rules = worker.state.policy.rules
        guard rules.verdict(on: destination) == .allowed else {
            return refuse(id, .destinationProhibited, "the rules do not allow it", to: destination)
        }
        let dial = OriginDial(id, to: destination, user: name, rules: rules, session: self)
        dials[id] = dial
        dial.start(resolver: worker.resolver, groups: worker.state.origins, on: worker.loop)
    }

    /// The connection to a destination is there; `replica` is the one that was chosen where it has some.
    func connected(_ dial: OriginDial, _ stream: ByteStream, to replica: HostPort?) {
        dials[dial.id] = nil
        worker.counters.tunnelsOpened += 1
        worker.pages.wereUsed()
        let side = relay.attach(stream, to: dial.id)
        var grant: ResumptionGrant?
        if server.isResumptionWanted(for: dial.id) {
            grant = worker.grant(to: dial.user, carriedBy: self, dial.id)
            if let grant { resumable.insert(dial.id, grant.id) }
        }
        if let replica { worker.origins.watch(side, to: dial.destination, at: replica, name: grant?.id) }
        if let grant, let ring = server.relay.ring(of: dial.id) {
            let note = GatewayNote(user: dial.user, counting: .counted)
            worker.protection?.open(
                grant.id, to: dial.destination, owner: note.owner, ring: ring, side)
        }
        server.connected(dial.id, resumption: grant)
        driven.needsService()
    }

    func failed(_ dial: OriginDial, _ failure: TunnelFailure, _ reason: String) {
        dials[dial.id] = nil
        refuse(dial.id, failure, reason, to: nil)
        driven.needsService()
    }

    private func refuse(_ id: TunnelID, _ failure: TunnelFailure, _ reason: String, to destination: Destination?) {
        worker.counters.tunnelsRefused += 1
        var metadata: Logger.Metadata = ["user": "\(owners[id] ?? "-")", "reason": "\(reason)"]
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
        guard let name = owners.removeValue(forKey: id), counted.remove(id) != nil else { return }
        worker.counters.tunnelsClosed += 1
        worker.state.returnTunnel(of: name)
    }

    /// Makes the client show that it is there, or lose the connection; the tunnels that can be resumed are held.
    func askForSign() {
        guard question?.isOpen != true else { return }
        question = LivenessQuestion(driven, on: worker.loop, within: worker.patience) { [weak self] in
            self?.unanswered()
        }
    }

    private func unanswered() {
        worker.log.info("a client does not answer", metadata: ["user": "\(user ?? "-")", "client": "\(peer)"])
        close("the client does not answer")
    }

    /// Ends the connection, not its tunnels: those that can be resumed are held.
    private func close(_ reason: String) {
        driven.connection.close(
            errorCode: HTTP3ErrorCode.tunnelDetached.rawValue, reason: reason, at: worker.loop.now)
        driven.needsService()
    }

    private func ended() {
        question?.end()
        for dial in dials.values { dial.cancel() }
        dials = [:]
        for name in resumable.removeAll() { worker.forget(name) }
        relay.abortAll()
        for id in Array(owners.keys) { tunnelEnded(id) }
        if let user { worker.state.returnConnection(of: user) }
        user = nil
        worker.sessionEnded(self)
    }
}

// MARK: - Tunnels that outlive the connection

extension GatewaySession {
    private func resume(_ id: TunnelID, _ request: ResumptionRequest) {
        guard let name = owners[id], let destination = server.relay.destination(of: id) else {
            return server.resumptionUnknown(id)
        }
        worker.claim(request, to: destination, of: name, by: Carrier(session: self, tunnel: id))
    }

    /// What came of the wish to go on with a tunnel.
    func claimed(_ id: TunnelID, _ outcome: TunnelClaimOutcome) {
        switch outcome {
        case .found(let tunnel, let side, let note): goOn(id, tunnel, side, note)
        case .conflict:
            refuseToResume(id, "its state is another one") { server.connectFailed(id, .resumptionRefused) }
        case .unknown: refuseToResume(id, "there is no such tunnel") { server.resumptionUnknown(id) }
        case .underWay:
            refuseToResume(id, "it is being opened still") { server.connectFailed(id, .connectionLimitReached) }
        }
        driven.needsService()
    }

    private func goOn(_ id: TunnelID, _ tunnel: HeldTunnel, _ side: TunnelSide?, _ note: GatewayNote) {
        guard server.resume(id, from: tunnel) == .resumed else {
            worker.counters.resumptionsRefused += 1
            worker.log.info("a tunnel does not go on", metadata: ["user": "\(note.user)", "reason": "it has moved on"])
            owners[id] = nil
            return worker.hold(tunnel, side, note)
        }
        worker.counters.tunnelsResumed += 1
        worker.protection?.resumed(tunnel.id, generation: tunnel.generation)
        resumable.insert(id, tunnel.id, note.counting == .counted ? .open : .closing)
        worker.carriers[tunnel.id] = Carrier(session: self, tunnel: id)
        if note.counting == .counted { counted.insert(id) }
        if let side { relay.attach(side, to: id) }
    }

    private func refuseToResume(_ id: TunnelID, _ reason: String, _ answer: () -> Void) {
        worker.counters.resumptionsRefused += 1
        worker.log.info(
            "a tunnel does not go on",
            metadata: [
                "user": "\(owners[id] ?? "-")", "reason": "\(reason)",
                "destination": "\(server.relay.destination(of: id).map { "\($0)" } ?? "-")",
            ])
        owners[id] = nil
        answer()
    }

    /// Lets a tunnel go that a client goes on with elsewhere; nothing changes when the claim is not right.
    func relinquish(_ id: TunnelID, _ claim: TunnelClaim) -> TunnelClaimOutcome {
        settle(at: worker.loop.now)
        guard let name = owners[id] ?? closingOwner(id), name == claim.user else { return .unknown }
        // It has no stream that could go elsewhere before the other origin is there.
        if claim.asker != worker.index, relay.side(of: id)?.isBetweenOrigins == true { return .underWay }
        guard server.relay.verdict(on: claim.request, to: claim.destination, for: id) == .resumed,
            let tunnel = server.relay.detach(id)
        else { return .conflict }
        // A client whose tunnels go on elsewhere has left, or is a process that was killed: nobody will close this.
        if server.relay.count == 0 { close("its tunnels go on elsewhere") } else { askForSign() }
        driven.needsService()
        return .found(tunnel, relay.release(id), leave(id))
    }

    private func closingOwner(_ id: TunnelID) -> String? { resumable.isClosing(id) ? user : nil }

    /// The connection has lost a tunnel that can go on with another one.
    private func detached(_ id: TunnelID) {
        guard let tunnel = server.relay.takeHeld(id) else { return }
        let side = relay.release(id)
        guard let name = owners[id] ?? closingOwner(id), worker.state.policy.users.user(named: name) != nil else {
            tunnelEnded(id)
            forget(id)
            side?.abort()
            return
        }
        worker.hold(tunnel, side, leave(id))
    }

    /// What is remembered of a tunnel that leaves the connection.
    private func leave(_ id: TunnelID) -> GatewayNote {
        let name = owners.removeValue(forKey: id) ?? user ?? ""
        resumable.remove(id)
        return GatewayNote(user: name, counting: counted.remove(id) != nil ? .counted : .over)
    }

    private func forget(_ id: TunnelID) {
        if let name = resumable.remove(id) { worker.forget(name) }
    }

    /// Tunnels of which the client has reported everything need no name any more.
    private func forgetClosed() {
        for name in resumable.removeSettled() { worker.forget(name) }
    }
}
