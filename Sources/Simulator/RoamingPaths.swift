public import Primitives
import QUIC
public import Tunnel

/// A link monitor, sockets and a `PathPolicy` on a virtual host: carries out what the policy says on the node's connection.
///
/// A node with it moves between its networks as a local endpoint does. Each socket has a port of its own; what arrives for
/// a closed one is lost.
public final class RoamingPaths {
    /// Whether a link monitor works.
    public enum Monitoring: Sendable {
        case on
        case off
    }

    /// What the link monitor calls an interface.
    public struct Interface: Sendable {
        /// Its name, as in "wlan0".
        public var name: String
        /// The metric of its default route.
        public var metric: UInt32?

        /// Names an interface.
        public init(_ name: String, metric: UInt32? = nil) {
            self.name = name
            self.metric = metric
        }
    }

    /// The policy.
    public private(set) var policy: PathPolicy
    /// Everything that it wanted, and when.
    public private(set) var actions: [(at: Instant, action: PathAction)] = []
    /// Where the gateway can be reached beside the address of the handshake.
    public var alternatives: [NetworkAddress] = []
    /// Whether the link monitor tells of changes; the first snapshot it always gives.
    public var monitoring = Monitoring.on
    private let interfaces: (IPAddress) -> Interface
    private var links: [LinkAddress] = []
    /// Nil until the handshake is confirmed: until then there is one for everything.
    private var sockets: Set<NetworkAddress>?
    private var isGathering = false
    private var nextPort: UInt16 = 20_000

    /// Creates it with the names of the host's interfaces.
    public init(
        _ configuration: PathPolicy.Configuration = PathPolicy.Configuration(),
        interfaces: @escaping (IPAddress) -> Interface
    ) {
        policy = PathPolicy(configuration)
        self.interfaces = interfaces
    }

    /// The last handovers.
    public var handovers: [Handover] { policy.handovers }

    // MARK: What the scenario says

    /// So many tunnels are open from here on.
    public func open(tunnels: Int, at now: Instant) { policy.demandChanged(tunnels: tunnels, at: now) }

    /// Commands the policy.
    public func command(_ command: (inout PathPolicy) throws -> Void) rethrows { try command(&policy) }

    // MARK: What the host says

    func addressChanged(_ change: AddressChange, at now: Instant) {
        switch change {
        case .available(let address):
            remove(address)
            links.append(link(address, isUsable: true))
        case .linkDown(let address):
            remove(address)
            links.append(link(address, isUsable: false))
        case .removed(let address): remove(address)
        }
        guard monitoring == .on else { return }
        if !isGathering { policy.linksChanged(links, at: now) }
    }

    /// Has everything that changes meanwhile come in one snapshot, as from a link monitor that tells it once a turn.
    public func snapshot(at now: Instant, of changes: () -> Void) {
        isGathering = true
        changes()
        isGathering = false
        policy.linksChanged(links, at: now)
    }

    private func remove(_ address: IPAddress) { links.removeAll { $0.address == address } }

    private func link(_ address: IPAddress, isUsable: Bool) -> LinkAddress {
        let interface = interfaces(address)
        return LinkAddress(
            interface: interface.name, index: 1, address: address, mtu: 1_500, routeMetric: interface.metric,
            isUsable: isUsable)
    }

    func woke(after sleep: Interval, at now: Instant) { policy.woke(after: sleep, at: now) }

    func sendFailed(from local: NetworkAddress, at now: Instant) { policy.sendFailed(from: local, at: now) }

    /// Whether a socket is open for what arrives at this address or leaves from it.
    func accepts(_ local: NetworkAddress) -> Bool { sockets?.contains(local) ?? true }

    // MARK: What the connection says

    func handle(_ event: ConnectionEvent, of connection: Connection, at now: Instant) {
        switch event {
        case .handshakeConfirmed:
            guard let path = connection.networkPaths.first?.path else { return }
            sockets = [path.local]
            policy.connected(local: path.local, remote: path.remote, alternatives: alternatives, at: now)
        case .path(let event): policy.received(event, at: now)
        case .closed: policy.disconnected(at: now)
        default: break
        }
    }

    /// The end of a turn: the policy looks at the connection, and what it says is done.
    func turn(_ connection: Connection, at now: Instant) {
        if let deadline = policy.nextDeadline, deadline <= now { policy.deadlineReached(at: now) }
        carryOut(on: connection, at: now)
        policy.observed(connection.liveness, at: now)
        carryOut(on: connection, at: now)
    }

    var nextDeadline: Instant? { policy.nextDeadline }

    private func carryOut(on connection: Connection, at now: Instant) {
        while let action = policy.nextAction() {
            actions.append((now, action))
            do {
                try carryOut(action, on: connection, at: now)
            } catch {
                if case .activate(let local, _) = action { policy.sendFailed(from: local, at: now) }
            }
        }
    }

    private func carryOut(_ action: PathAction, on connection: Connection, at now: Instant) throws {
        switch action {
        case .openSocket(let link):
            let local = NetworkAddress(link.address, port: nextPort)
            nextPort &+= 1
            sockets?.insert(local)
            policy.socketOpened(link, as: local, at: now)
        case .closeSocket(let local): sockets?.remove(local)
        case .add(let local): try connection.addLocalAddress(local, at: now)
        case .probe(let local): try connection.probe(local, at: now)
        case .ping: connection.ping(at: now)
        case .activate(let local, _): try connection.activate(local, at: now)
        case .remove(let local): try connection.removeLocalAddress(local, at: now)
        case .keepAlive(let wanted): connection.setKeepAlive(wanted)
        case .raceConnection, .handedOver: break
        }
    }
}
