import Configuration
import Driver
import EventLoop
import HTTP3
import Logging
import Primitives
import QUIC
import Tunnel

/// One connection to a gateway, with the tunnels that it carries and an endpoint of its own.
final class LinkSession: ConnectionApplication {
    /// How long after the last sign of the gateway, beyond two round trips, a tunnel's bytes are sent ahead of its answer.
    /// Bytes that went to a gateway which is gone are lost, whereas a tunnel that waits for its answer can move to the next
    /// connection.
    static let trustInterval = Interval.milliseconds(50)

    private struct Opening {
        var applicant: any TunnelApplicant
        var optimism: TunnelClient.Optimism
    }

    let driver: EndpointDriver
    let driven: DrivenConnection
    let attempt: GatewayAttempt
    private unowned let link: GatewayLink
    private let client: TunnelClient
    private let relay: RelayDriver
    private var openings: [TunnelID: Opening] = [:]
    private var followers: [TunnelID: any TunnelFollower] = [:]
    /// Tunnels of an earlier connection that the gateway was asked to go on with; it has not answered yet.
    private var resuming: [TunnelID: Destination?] = [:]
    /// Tunnels that can be resumed.
    private var resumable: ResumableTunnels
    /// What is noted of each.
    private lazy var owner = TunnelOwner(attempt.invite, .zero)
    /// Whether tunnels have left for another connection: the end of this one must not be theirs.
    private var hasDetached = false
    /// When something last arrived from the gateway.
    private(set) var lastContact: Instant
    /// Since when that has gone on without a pause: what arrives after one may have waited here while this machine slept.
    private var contactBegan = Instant.origin
    /// Chooses the path; from the confirmation of the handshake to the end of the connection.
    private(set) var paths: PathControl?
    /// Whether this end has given the connection up; what it still tells changes nothing.
    private var isGivenUp = false
    /// When the connection was begun.
    let began: Instant
    /// When the handshake was complete.
    private(set) var established: Instant?
    /// Whether the link knows that the connection is up.
    private var isAnnounced = false
    /// Whether no path answers.
    private(set) var isSilent = false

    init(_ driven: DrivenConnection, of driver: EndpointDriver, _ attempt: GatewayAttempt, link: GatewayLink) {
        self.driver = driver
        self.driven = driven
        self.attempt = attempt
        self.link = link
        lastContact = link.loop.now
        began = link.loop.now
        let http = HTTP3Connection(
            driven.connection, configuration: HTTP3Connection.Configuration(greaseSeed: link.drawSeed()))
        client = TunnelClient(
            http, gateway: "\(attempt.invite.gateway)", credentials: .bearer(attempt.invite.token.text))
        client.relay.budget = link.rings
        relay = RelayDriver(client.relay, over: driven, on: link.loop)
        resumable = ResumableTunnels(of: client.relay)
    }

    var isAcceptingTunnels: Bool { client.isAcceptingTunnels }
    var isResumptionOnly: Bool { client.isResumptionOnly }
    var tunnels: [TunnelRelay.Statistics] { client.relay.statistics }
    var tunnelCount: Int { client.relay.count }
    /// Tunnels that the gateway was asked for and has not answered.
    var openingCount: Int { openings.count }

    /// Tells the gateway that this end needs the connection no more.
    func close(_ reason: String) {
        isGivenUp = true
        endPaths()
        let code: HTTP3ErrorCode = hasDetached ? .tunnelDetached : .noError
        driven.connection.close(errorCode: code.rawValue, reason: reason, at: link.loop.now)
        driven.needsService()
    }

    /// Lets every tunnel go for another process, and the gateway know.
    func letGo() {
        detachTunnels()
        hasDetached = true
        close("another process takes over")
        driver.turnEnded(at: link.loop.now)
    }

    /// Resets the programs of all tunnels: left to the system, their connections would seem to end in order.
    func abortTunnels() { relay.abortAll() }

    // MARK: - Tunnels

    func open(_ applicant: any TunnelApplicant) {
        let optimism = isTrusted ? applicant.optimism : .afterAnswer
        let id = client.open(to: applicant.destination, optimism, .resumable)
        openings[id] = Opening(applicant: applicant, optimism: optimism)
        // Bytes that may be sent at once are read at once; what comes back waits for the answer all the same.
        if optimism == .beforeAnswer { attach(applicant, to: id) }
        driven.needsService()
    }

    /// Whether the gateway has been there all the time of late.
    private var isTrusted: Bool {
        let now = link.loop.now
        return now - lastContact < longestPause && now - contactBegan >= longestPause
    }

    /// A pause after which the gateway has to prove again that it is there.
    private var longestPause: Interval {
        Self.trustInterval + (driven.connection.networkPaths.first?.smoothedRTT ?? .zero) * 2
    }

    /// Gives up on behalf of a program that is gone.
    func withdraw(_ applicant: any TunnelApplicant) {
        for (id, known) in openings where known.applicant === applicant {
            openings[id] = nil
            client.relay.resetArrived(on: id)
        }
        driven.needsService()
    }

    /// Takes back what was asked for and has no answer, and of which nothing was sent.
    func takeApplicants() -> [any TunnelApplicant] {
        let waiting = openings.filter { $0.value.optimism == .afterAnswer }.sorted { $0.key < $1.key }
        for (id, _) in waiting {
            openings[id] = nil
            client.relay.resetArrived(on: id)
        }
        if !waiting.isEmpty { driven.needsService() }
        return waiting.map(\.value.applicant)
    }

    /// Goes on with a tunnel that another connection has lost.
    func resume(_ entry: HeldEntry<TunnelNote>) {
        // Noted before it is asked for: no later process may ask for the same again.
        link.protection?.resumed(entry.tunnel.id, generation: entry.tunnel.generation + 1)
        let id = client.resume(entry.tunnel)
        resuming[id] = entry.tunnel.destination
        resumable.insert(id, entry.tunnel.id, entry.side == nil ? .closing : .open)
        followers[id] = entry.note.follower
        if let side = entry.side { relay.attach(side, to: id) }
        driven.needsService()
    }

    /// Lets every tunnel go that can go on elsewhere; the link holds them.
    func detachTunnels() {
        settle(at: link.loop.now)
        for tunnel in client.relay.statistics {
            if let held = client.relay.detach(tunnel.id) { hold(held, tunnel.id) }
        }
        driven.needsService()
    }

    private func hold(_ tunnel: HeldTunnel, _ id: TunnelID) {
        hasDetached = true
        if resuming.removeValue(forKey: id) != nil { link.resumptionPostponed() }
        resumable.remove(id)
        let note = TunnelNote(gateway: attempt.invite, follower: followers.removeValue(forKey: id))
        link.hold(tunnel, relay.release(id), note, from: self)
    }

    private func attach(_ applicant: any TunnelApplicant, to id: TunnelID) {
        guard let entrance = applicant.tunnelOpened() else {
            openings[id] = nil
            client.relay.resetArrived(on: id)
            return
        }
        followers[id] = entrance.follower
        attach(entrance, to: id)
        guard !entrance.received.isEmpty, let ring = client.relay.ring(of: id) else { return }
        // A request's head may be larger than a ring is at first.
        ring.limit = max(ring.limit, entrance.received.count)
        _ = ring.append(entrance.received.span)
        client.relay.bytesArrived(on: id)
        if case .side(let side) = entrance.source, side.stream.hasReachedEnd { client.relay.finArrived(on: id) }
    }

    private func attach(_ entrance: TunnelEntrance, to id: TunnelID) {
        switch entrance.source {
        case .side(let side): relay.attach(side, to: id)
        case .stream(let stream):
            let side = relay.attach(stream, to: id, filter: entrance.filter)
            guard entrance.filter == nil, stream.kind == .tcp else { return }
            link.owner.tunnelBegan(side, sent: entrance.received)
        }
    }

    /// Lets the tunnels go that can go on through another gateway; the link holds them.
    func detachContinuable() {
        settle(at: link.loop.now)
        for tunnel in client.relay.statistics where relay.side(of: tunnel.id)?.applicationPassage?.canGoOn == true {
            if let held = client.relay.detach(tunnel.id) { hold(held, tunnel.id) }
        }
        driven.needsService()
    }

    // MARK: - ConnectionApplication

    func receive(_ event: ConnectionEvent, at now: Instant) {
        switch event {
        case .handshakeCompleted:
            established = now
            driver.networkErrors = .refusalsTold
            announce()
        case .sessionTicket(let bytes): link.keepTicket(bytes)
        case .newToken(let bytes): link.keepToken(bytes)
        case .keyLogLine(let line): link.keyLog(line)
        case .handshakeConfirmed: if !isGivenUp { paths = PathControl(self, link.paths) }
        case .path(let change):
            link.pathChanged(change)
            paths?.received(change, at: now)
        case .closed(let end):
            client.receive(event, at: now)
            settle(at: now)
            endPaths()
            return link.closed(self, end)
        default: break
        }
        // The round trip is asked for only after a pause: events are many.
        let pause = now - lastContact
        if pause >= Self.trustInterval, pause >= longestPause { contactBegan = now }
        lastContact = now
        // It has answered to what was drawn for this connection alone.
        if case .handshakeCompleted = event { contactBegan = .origin }
        client.receive(event, at: now)
    }

    func settle(at now: Instant) {
        announce()
        while let action = client.nextAction() { perform(action) }
        for name in resumable.removeSettled() { link.protection?.ended(name) }
        if client.relay.count == 0 { link.tunnelsEnded(on: self) }
    }

    /// The connection is up. A gateway that was draining has to say first whether it still is.
    private func announce() {
        guard !isAnnounced, established != nil, !link.isDraining || client.knowsGateway else { return }
        isAnnounced = true
        link.established(self)
    }

    func sendFailed(from local: NetworkAddress, _ error: SystemError, at now: Instant) {
        if established == nil, error.isRefusal || error.isPathFailure {
            link.unreachable(self, LinkFailure(error, gateway: attempt))
        } else if error.isRefusal {
            link.refusalReported(of: self)
        } else if error.isPathFailure {
            paths?.sendFailed(from: local, at: now)
        }
    }

    // MARK: - Paths

    private func endPaths() {
        paths?.end()
        paths = nil
    }

    /// No path answers: a fresh connection may be the better way.
    func raceWanted(_ reason: Handover.Reason) { link.raceWanted(by: self, reason) }

    /// Since when no path answers; nil when one does.
    func silenceChanged(_ since: Instant?) {
        isSilent = since != nil
        link.silenceChanged(of: self, since)
    }

    /// Asks the gateway for a sign of life.
    func ping() {
        driven.connection.ping(at: link.loop.now)
        driven.needsService()
    }

    /// Something arrived from the gateway, or not: ends a race that is not needed.
    func heard(at received: Instant?) { link.heard(from: self, at: received) }

    private func perform(_ action: TunnelAction) {
        switch action {
        case .opened(let id):
            guard let opening = openings.removeValue(forKey: id) else { return }
            link.tunnelOpened(to: opening.applicant.destination)
            if opening.optimism == .afterAnswer { attach(opening.applicant, to: id) }
            protect(id)
            opening.applicant.gatewayAgreed()
        case .resumed(let id):
            resuming[id] = nil
            link.tunnelResumed()
        case .detached(let id):
            if let tunnel = client.relay.takeHeld(id) { hold(tunnel, id) }
        case .failed(let id, let failure, let payload):
            if resuming[id] != nil { failedToResume(id, failure) } else { failed(id, failure, payload) }
        case .close(let id): ended(id, .finished, action)
        case .reset(let id): ended(id, .reset, action)
        case .read, .deliver, .closeWrite: relay.perform(action)
        case .goingAway: link.goingAway(self)
        case .ended:
            for name in resumable.removeAll() { link.protection?.ended(name) }
            relay.abortAll()
            let unheard = followers.sorted { $0.key < $1.key }
            followers = [:]
            for (_, follower) in unheard { follower.tunnelEnded(.reset) }
        // Actions of a gateway only.
        case .authenticate, .connect, .resume: break
        }
    }

    /// The gateway has the tunnel no more, or not now.
    private func failedToResume(_ id: TunnelID, _ failure: TunnelFailure) {
        if let tunnel = client.relay.takeHeld(id) {
            link.log.debug("a tunnel has to wait: \(failure)")
            return hold(tunnel, id)
        }
        let destination = resuming.removeValue(forKey: id) ?? nil
        forget(id)
        let follower = followers.removeValue(forKey: id)
        // The gateway may forget what this end has got whole.
        guard let side = relay.release(id) else { return link.tunnelSettled() }
        link.tunnelLost(to: destination, failure)
        if let destination, let next = ContinuedTunnel(to: destination, side, follower, log: link.log) {
            return link.owner.reopen(next)
        }
        side.abort()
        follower?.tunnelEnded(.reset)
    }

    private func ended(_ id: TunnelID, _ ending: TunnelEnding, _ action: TunnelAction) {
        // The answer was that both ends know of a reset.
        if resuming.removeValue(forKey: id) != nil { link.tunnelResumed() }
        if ending == .finished { resumable.willClose(id, link.protection) } else { forget(id) }
        relay.perform(action)
        followers.removeValue(forKey: id)?.tunnelEnded(ending)
    }

    /// Has a tunnel that can be resumed outlive this process.
    private func protect(_ id: TunnelID) {
        guard let agreed = client.relay.resumption(of: id), let ring = client.relay.ring(of: id),
            let side = relay.side(of: id)
        else { return }
        resumable.insert(id, agreed.id)
        owner.linger = agreed.linger
        link.protection?.open(
            agreed.id, to: client.relay.destination(of: id), owner: owner.bytes,
            ring: ring, delivered: client.relay.delivered(of: id) ?? 0, side)
    }

    private func forget(_ id: TunnelID) {
        if let name = resumable.remove(id) { link.protection?.ended(name) }
    }

    private func failed(_ id: TunnelID, _ failure: TunnelFailure, _ payload: TunnelAction.Payload) {
        followers[id] = nil
        guard let opening = openings.removeValue(forKey: id) else { return }
        // Nothing of the program's was sent: another connection may try it.
        if failure.isSafeToRetry, payload == .untouched, opening.optimism == .afterAnswer {
            return link.owner.reopen(opening.applicant)
        }
        link.tunnelFailed(to: opening.applicant.destination, failure)
        relay.perform(.reset(id))
        opening.applicant.tunnelFailed(failure)
    }
}
