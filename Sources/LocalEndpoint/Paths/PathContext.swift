import Configuration
import EventLoop
import Logging
import Primitives
import Tunnel

/// What hears that the network around a local endpoint changed.
protocol PathContextOwner: AnyObject {
    /// An address has come that can be used, or the machine woke up: what failed before may succeed now.
    func networkAppeared()
}

/// What the connections of a local endpoint share about the network: this machine's links, what the user wishes, and the
/// handovers of late.
final class PathContext: LinkMonitorHandler, SuspensionHandler {
    /// Handovers that are remembered for `status`; older ones are forgotten.
    static let maximumHandovers = 32

    /// Addresses of loopback beyond the one that the system names; further ones are unknown.
    static let maximumLoopbackAddresses = 16

    /// A handover and when it was.
    struct Record {
        var handover: Handover
        /// Since 1970-01-01 00:00 UTC.
        var unixMilliseconds: Int64
    }

    let loop: EventLoop
    let log: Logger
    weak var owner: (any PathContextOwner)?
    private(set) var configuration: PathPolicy.Configuration
    private(set) var handovers: [Record] = []
    private(set) var handoverCount = 0
    private var controls: [PathControl] = []
    private var monitor: LinkMonitor?

    init(_ paths: LocalConfiguration.Paths, on loop: EventLoop, log: Logger) {
        self.loop = loop
        self.log = log
        configuration = PathPolicy.Configuration(paths)
        do throws(SystemError) {
            monitor = try LinkMonitor(on: loop, handler: self)
        } catch {
            log.warning("the system's routes alone choose the path to the gateway: \(error)")
        }
        loop.addSuspensionHandler(self)
    }

    func close() {
        loop.removeSuspensionHandler(self)
        monitor?.close()
        monitor = nil
    }

    /// Every address of every link; none where they cannot be watched.
    var links: [LinkAddress] { withLoopback(monitor?.links ?? []) }

    /// Addresses of 127.0.0.0/8 that the user asked for: loopback answers to all of them, and the system names but one.
    private var loopbackAddresses: [IPAddress] = []

    /// Takes an address that the user asked for into the links, if it is one that loopback has unsaid.
    func admit(_ address: IPAddress) {
        guard address.isLoopback, address.family == .ipv4, !links.contains(where: { $0.address == address }),
            loopbackAddresses.count < Self.maximumLoopbackAddresses
        else { return }
        loopbackAddresses.append(address)
        for control in controls { control.linksChanged(links) }
    }

    private func withLoopback(_ links: [LinkAddress]) -> [LinkAddress] {
        guard let loopback = links.first(where: { $0.address.isLoopback && $0.address.family == .ipv4 }) else {
            return links
        }
        return links
            + loopbackAddresses.map { address in
                var link = loopback
                link.address = address
                return link
            }
    }

    /// The interface that has an address.
    func interface(of address: NetworkAddress) -> String? { links.first { $0.address == address.ip }?.interface }

    /// Other wishes of the user, which hold at once.
    func follow(_ paths: LocalConfiguration.Paths) {
        let wanted = PathPolicy.Configuration(paths)
        guard wanted != configuration else { return }
        configuration = wanted
        for control in controls { control.configurationChanged() }
    }

    // MARK: - Connections

    func add(_ control: PathControl) { controls.append(control) }

    func remove(_ control: PathControl) { controls.removeAll { $0 === control } }

    func handedOver(_ handover: Handover) {
        handoverCount += 1
        if handovers.count == Self.maximumHandovers { handovers.removeFirst() }
        let age = loop.now - handover.at
        handovers.append(
            Record(handover: handover, unixMilliseconds: Clock.unixMilliseconds() - age.milliseconds))
        log.notice(
            "handover",
            metadata: [
                "why": "\(handover.reason.sentence)", "from": "\(handover.from.text)", "to": "\(handover.to.text)",
                "stall": "\(handover.stall.map { "\($0.milliseconds) ms" } ?? "unknown")",
            ])
    }

    // MARK: - Sockets

    /// A socket that is bound to a link's address and, where that is of use and permitted, to its interface.
    func openSocket(_ link: LinkAddress, toward remote: NetworkAddress) throws(SystemError) -> BoundDatagramSocket {
        // What this machine sends to itself goes through loopback, whatever interface has the address.
        guard !isOwn(remote.ip) else { return try BoundDatagramSocket(link.networkAddress(port: 0)) }
        return try BoundDatagramSocket(link)
    }

    /// Of so many turns one goes to a link that is not the system's choice.
    private static let turnsBetweenOthers = 4

    /// The first socket of a connection, bound to where the routing table would send from, and the MTU there; now and then to
    /// another link that may lead to the gateway, when this is not the first turn.
    ///
    /// Where the address cannot be bound, or the links are not known, it is bound to nothing: then the routing table
    /// chooses for each datagram, and a change of the network goes unnoticed until it is heard of.
    func firstSocket(
        toward remote: NetworkAddress, turn: Int
    ) throws(SystemError) -> (socket: BoundDatagramSocket, mtu: Int) {
        monitor?.remote = remote.ip
        let route = try NetworkInterface.route(to: remote)
        if let first = links.first(where: { $0.address == route.local.ip }) {
            let link = other(than: first, toward: remote.ip, turn: turn) ?? first
            do throws(SystemError) {
                return (try openSocket(link, toward: remote), link == first ? route.mtu : link.mtu)
            } catch {
                log.info("the socket toward the gateway is bound to no address: \(error)")
            }
        }
        return (try BoundDatagramSocket(NetworkAddress(.unspecified(remote.ip.family), port: 0)), route.mtu)
    }

    /// The link whose turn it is, if that is not the first one.
    private func other(than first: LinkAddress, toward remote: IPAddress, turn: Int) -> LinkAddress? {
        let (round, place) = turn.quotientAndRemainder(dividingBy: Self.turnsBetweenOthers)
        guard place == Self.turnsBetweenOthers - 1, !isOwn(remote) else { return nil }
        let others = links.filter { link in
            link.isUsable && link.routeMetric != nil && link.interface != first.interface
                && link.address.family == remote.family
                && !configuration.ignore.contains { $0.matches(link.interface) }
        }
        return others.isEmpty ? nil : others[round % others.count]
    }

    private func isOwn(_ address: IPAddress) -> Bool {
        address.isLoopback || links.contains { $0.address == address }
    }

    // MARK: - Inputs

    func linksChanged(_ links: [LinkAddress]) {
        let links = withLoopback(links)
        for control in controls { control.linksChanged(links) }
        let usable = Set(links.filter { $0.isUsable }.map(\.address))
        defer { usableBefore = usable }
        if !usable.subtracting(usableBefore ?? usable).isEmpty { owner?.networkAppeared() }
    }

    /// The addresses that could be used when the links last changed.
    private var usableBefore: Set<IPAddress>?

    func wokeUp(after pause: Interval, at now: Instant) {
        log.notice(
            "the machine slept, or this process stood still", metadata: ["seconds": "\(pause.milliseconds / 1000)"])
        for control in controls { control.wokeUp(after: pause, at: now) }
        owner?.networkAppeared()
    }
}

extension PathPolicy.Configuration {
    init(_ paths: LocalConfiguration.Paths) {
        self.init(
            prefer: paths.prefer.map { InterfacePattern($0) }, metered: paths.metered.map { InterfacePattern($0) },
            ignore: paths.ignore.map { InterfacePattern($0) }, returnAfter: paths.returnAfter)
    }
}

extension Handover.Place {
    /// For people: the interface, if it is known, and the address.
    var text: String { interface.map { "\($0) \(local.ip)" } ?? "\(local.ip)" }
}

extension Handover.Reason {
    /// For people.
    var sentence: String {
        switch self {
        case .linkDown: "the link went down"
        case .addressChanged: "the address changed"
        case .writeError: "the system refused to send"
        case .silence: "nothing was heard any more"
        case .degraded: "the path became far worse"
        case .returned: "a better link has proven itself"
        case .manual: "asked for"
        case .wake: "the machine slept"
        }
    }
}
