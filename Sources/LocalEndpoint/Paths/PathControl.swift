import Driver
import EventLoop
import Logging
import Primitives
import QUIC
import Tunnel

/// Carries out the path policy for one connection: it feeds the policy with what the connection, the sockets and the system
/// tell, and does what the policy says, at the end of each turn, behind the endpoint driver.
final class PathControl: TurnHandler, TimerHandler {
    private unowned let session: LinkSession
    private let context: PathContext
    private var policy: PathPolicy
    private var timer: TimerHandle?
    /// Tunnels that the policy knows of.
    private var toldTunnels = 0
    /// The silence that the session knows of.
    private var toldSilence: Instant?
    private var isOpen = true

    /// Begins when the connection's handshake is confirmed: it can migrate from here on.
    init(_ session: LinkSession, _ context: PathContext) {
        self.session = session
        self.context = context
        policy = PathPolicy(context.configuration)
        timer = context.loop.addTimer(self)
        context.loop.addTurnHandler(self)
        context.add(self)
        begin()
    }

    /// Gives the policy up: the connection is over, or another one takes its place.
    func end() {
        guard isOpen else { return }
        isOpen = false
        policy.disconnected(at: context.loop.now)
        // Sockets are the driver's to close, after it has said goodbye through them.
        while let action = policy.nextAction() {
            if case .handedOver(let handover) = action { context.handedOver(handover) }
        }
        if let timer { context.loop.removeTimer(timer) }
        timer = nil
        context.loop.removeTurnHandler(self)
        context.remove(self)
    }

    private var connection: Connection { session.driven.connection }

    private func begin() {
        let now = context.loop.now
        policy.linksChanged(context.links, at: now)
        toldTunnels = session.tunnelCount
        policy.demandChanged(tunnels: toldTunnels, at: now)
        let remote = connection.networkPaths[0].path.remote
        let other = connection.serverAddress(of: remote.ip.family == .ipv4 ? .ipv6 : .ipv4)
        policy.connected(
            local: connection.activeLocalAddress, remote: remote, alternatives: other.map { [$0] } ?? [], at: now)
    }

    // MARK: - Inputs

    func received(_ event: PathEvent, at now: Instant) { policy.received(event, at: now) }

    func sendFailed(from local: NetworkAddress, at now: Instant) { policy.sendFailed(from: local, at: now) }

    func linksChanged(_ links: [LinkAddress]) { policy.linksChanged(links, at: context.loop.now) }

    func wokeUp(after pause: Interval, at now: Instant) { policy.woke(after: pause, at: now) }

    func timerFired(_ timer: TimerHandle, at now: Instant) { policy.deadlineReached(at: now) }

    func turnEnded(at now: Instant) {
        guard isOpen else { return }
        if toldTunnels != session.tunnelCount {
            toldTunnels = session.tunnelCount
            policy.demandChanged(tunnels: toldTunnels, at: now)
        }
        let liveness = connection.liveness
        policy.observed(liveness, at: now)
        session.heard(at: liveness.lastReceived)
        perform(at: now)
        tellSilence()
        guard isOpen, let timer else { return }
        context.loop.arm(timer, at: policy.nextDeadline)
    }

    private func tellSilence() {
        guard isOpen, (policy.outageSince == nil) != (toldSilence == nil) else { return }
        toldSilence = policy.outageSince
        session.silenceChanged(toldSilence)
    }

    // MARK: - Commands

    func add(_ address: IPAddress) throws(PathRequestError) {
        context.admit(address)
        try policy.add(address, at: context.loop.now)
    }
    func use(_ address: IPAddress) throws(PathRequestError) {
        context.admit(address)
        try policy.use(address, at: context.loop.now)
    }
    func remove(_ address: IPAddress) throws(PathRequestError) { try policy.remove(address, at: context.loop.now) }

    /// Replaces the socket of the active path by a new one and moves the connection there; the others are made anew.
    func rebind() throws {
        let now = context.loop.now
        let old = connection.networkPaths[0].path
        let link = context.links.first { $0.address == old.local.ip }
        let bound =
            try link.map { try context.openSocket($0, toward: old.remote) }
            ?? BoundDatagramSocket(NetworkAddress(.unspecified(old.local.ip.family), port: 0))
        session.driver.addSocket(bound)
        do {
            try connection.addLocalAddress(bound.localAddress, at: now)
            limitDatagrams(from: bound.localAddress)
            try connection.activate(bound.localAddress, at: now)
        } catch {
            try? connection.removeLocalAddress(bound.localAddress, at: now)
            session.driver.removeSocket(bound.localAddress)
            throw error
        }
        restart(policy)
    }

    func configurationChanged() { restart(PathPolicy(context.configuration)) }

    /// Gives up every path but the active one and begins again.
    private func restart(_ next: PathPolicy) {
        let now = context.loop.now
        policy.disconnected(at: now)
        while let action = policy.nextAction() {
            if case .handedOver(let handover) = action { context.handedOver(handover) }
        }
        let active = connection.activeLocalAddress
        for path in connection.networkPaths where path.path.local != active {
            try? connection.removeLocalAddress(path.path.local, at: now)
        }
        for local in session.driver.localAddresses where local != active { session.driver.removeSocket(local) }
        policy = next
        policy.disconnected(at: now)
        begin()
        session.driven.needsService()
        context.loop.turnSoon()
    }

    // MARK: - Actions

    private func perform(at now: Instant) {
        var hasActed = false
        while isOpen, let action = policy.nextAction() {
            perform(action, at: now)
            hasActed = true
        }
        guard hasActed, isOpen else { return }
        // The driver has had its turn: what was ordered leaves in the next one, at once.
        session.driven.needsService()
        context.loop.turnSoon()
    }

    private func perform(_ action: PathAction, at now: Instant) {
        switch action {
        case .openSocket(let link): openSocket(link, at: now)
        case .closeSocket(let local): session.driver.removeSocket(local)
        case .add(let local):
            attempt("add", local) { () throws(Connection.PathRefusal) in
                try connection.addLocalAddress(local, at: now)
                limitDatagrams(from: local)
            }
        case .probe(let local):
            attempt("probe", local) { () throws(Connection.PathRefusal) in
                try connection.probe(local, at: now)
            }
        case .ping: connection.ping(at: now)
        case .activate(let local, let reason): activate(local, reason, at: now)
        case .remove(let local):
            attempt("remove", local) { () throws(Connection.PathRefusal) in
                try connection.removeLocalAddress(local, at: now)
            }
        case .keepAlive(let wanted): connection.setKeepAlive(wanted)
        case .raceConnection(let reason): session.raceWanted(reason)
        case .handedOver(let handover): context.handedOver(handover)
        }
    }

    /// Each link has its own MTU; one that is not known limits nothing but what its packets show.
    private func limitDatagrams(from local: NetworkAddress) {
        guard let link = context.links.first(where: { $0.address == local.ip }), link.mtu > 0 else { return }
        connection.limitDatagrams(from: local, to: GatewayAttempt.largestPayload(link.mtu, local.ip.family))
    }

    private func openSocket(_ link: LinkAddress, at now: Instant) {
        // The paths of one connection lead to an address of its family.
        let family = link.address.family
        let remote = connection.serverAddress(of: family) ?? connection.networkPaths[0].path.remote
        do throws(SystemError) {
            let bound = try context.openSocket(link, toward: remote)
            session.driver.addSocket(bound)
            policy.socketOpened(link, as: bound.localAddress, at: now)
        } catch {
            context.log.debug("\(link.interface) cannot be used now: \(error)")
            policy.socketFailed(link, at: now)
        }
    }

    private func activate(_ local: NetworkAddress, _ reason: Handover.Reason, at now: Instant) {
        context.log.info(
            "moving", metadata: ["to": "\(local)", "why": "\(reason.sentence)"])
        do throws(Connection.PathRefusal) {
            try connection.activate(local, at: now)
        } catch {
            context.log.info("cannot move to \(local): \(error)")
            policy.sendFailed(from: local, at: now)
        }
    }

    private func attempt(
        _ verb: String, _ local: NetworkAddress, _ body: () throws(Connection.PathRefusal) -> Void
    ) {
        do throws(Connection.PathRefusal) {
            try body()
        } catch {
            // The policy learns of it by the answer that does not come.
            context.log.debug("cannot \(verb) the path from \(local): \(error)")
        }
    }
}
