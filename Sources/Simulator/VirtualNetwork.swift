import HeapModule
public import Primitives

/// A network of virtual hosts, links and address translators in virtual time: a discrete-event simulation from one seed.
///
/// Build it with `addHost`, `addTranslator` and `attach`, say what happens when with `schedule`, then `run`. Everything random
/// comes from the seed: same seed and same nodes, same `trace`. Not thread-safe; one network belongs to one test.
public final class VirtualNetwork {
    /// Names a host of one network.
    public struct HostID: Hashable, Sendable { let index: Int }
    /// Names a link of one network.
    public struct LinkID: Hashable, Sendable { let index: Int }
    /// Names an address translator of one network.
    public struct TranslatorID: Hashable, Sendable { let index: Int }

    /// What the far end of a link, or the outside of a translator, leads to.
    public enum Upstream: Hashable, Sendable {
        /// The internet: no delay, and every attached address is reachable.
        case internet
        /// The inside of an address translator.
        case translator(TranslatorID)
        /// Another host: a wire between two machines.
        case host(HostID)
    }

    /// The first instant of virtual time; not zero, so that zero is seen to be no special instant.
    public static let start = Instant.origin + .seconds(1_000)

    /// The present.
    public internal(set) var now = VirtualNetwork.start
    /// What happened so far.
    public internal(set) var trace: Trace
    /// The seed of everything random here.
    public let seed: UInt64

    var hosts: [Host] = []
    var links: [Link] = []
    var translators: [Translator] = []
    var routes: [Destination: Route] = [:]
    var actions: [(VirtualNetwork) -> Void] = []
    var events = Heap<Event>()
    var eventsScheduled: UInt64 = 0
    var eventsThisInstant = 0
    /// The host that received last: the one to blame when datagrams go round without time passing.
    var lastReceiver: HostID?

    /// Creates an empty network.
    public init(seed: UInt64, detail: Trace.Detail = .sizes) {
        self.seed = seed
        trace = Trace(detail: detail)
    }

    struct Host {
        var name: String
        var node: any VirtualNode
        var interfaces: [IPAddress: Interface] = [:]
        var asleepSince: Instant?
        var isAsleep: Bool { asleepSince != nil }
        var armed: Instant?
        var sentDatagrams = 0
        var sentBytes: ByteCount = 0
    }

    /// How a host reaches the world from one of its addresses.
    struct Interface {
        var link: LinkID
        var sending: Direction
        var mtu: Int?
    }

    struct Link {
        var name: String
        var host: HostID
        var address: IPAddress
        var upstream: Upstream
        var outbound: LinkDirection<Datagram>
        var inbound: LinkDirection<Datagram>

        subscript(direction: Direction) -> LinkDirection<Datagram> {
            get { direction == .outbound ? outbound : inbound }
            set { if direction == .outbound { outbound = newValue } else { inbound = newValue } }
        }
    }

    struct Translator {
        var name: String
        var translation: AddressTranslator
        var upstream: Upstream
    }

    /// An address as reachable from the internet or from the inside of one translator: private ranges may repeat.
    struct Destination: Hashable {
        var from: Upstream
        var address: IPAddress
    }

    enum Route {
        case link(LinkID)
        case translator(TranslatorID)
    }
}

// MARK: - Building

extension VirtualNetwork {
    /// Adds a host without addresses that runs `node`.
    public func addHost(_ name: String, running node: any VirtualNode) -> HostID {
        hosts.append(Host(name: name, node: node))
        return HostID(index: hosts.count - 1)
    }

    /// Adds an address translator; hosts are put behind it by attaching them to `.translator(id)`.
    ///
    /// `outside` is the pool of outside addresses, the first is used until a rebinding moves to the next.
    public func addTranslator(
        _ name: String, outside: [IPAddress], behaviour: TranslatorBehaviour = TranslatorBehaviour(),
        to upstream: Upstream = .internet
    ) -> TranslatorID {
        let id = TranslatorID(index: translators.count)
        let translation = AddressTranslator(outside: outside, behaviour: behaviour)
        translators.append(Translator(name: name, translation: translation, upstream: upstream))
        for address in outside { routes[Destination(from: upstream, address: address)] = .translator(id) }
        return id
    }

    /// Gives a host an address and a link of its own to `upstream`; what it sends from that address takes this link.
    ///
    /// `interfaceMTU` is the largest IP packet the host's operating system lets out of this interface, in bytes; a larger one is
    /// refused with `messageTooLong`, unlike one above a link's own MTU, which vanishes.
    @discardableResult
    public func attach(
        _ host: HostID, at address: IPAddress, to upstream: Upstream = .internet, named name: String? = nil,
        outbound: LinkConditions, inbound: LinkConditions, interfaceMTU: Int? = nil
    ) -> LinkID {
        let id = LinkID(index: links.count)
        links.append(
            Link(
                name: name ?? "\(hosts[host.index].name)-link\(id.index)", host: host, address: address,
                upstream: upstream,
                outbound: LinkDirection(outbound, seed: seed(of: id, .outbound)),
                inbound: LinkDirection(inbound, seed: seed(of: id, .inbound))))
        hosts[host.index].interfaces[address] = Interface(link: id, sending: .outbound, mtu: interfaceMTU)
        if case .host = upstream {} else { routes[Destination(from: upstream, address: address)] = .link(id) }
        tell(host, .available(address))
        return id
    }

    /// Gives a host an address and a link that is the same in both directions.
    @discardableResult
    public func attach(
        _ host: HostID, at address: IPAddress, to upstream: Upstream = .internet, named name: String? = nil,
        _ conditions: LinkConditions, interfaceMTU: Int? = nil
    ) -> LinkID {
        attach(
            host, at: address, to: upstream, named: name, outbound: conditions, inbound: conditions,
            interfaceMTU: interfaceMTU)
    }

    /// Joins two hosts by a wire; `outbound` is the direction from the first to the second.
    @discardableResult
    public func join(
        _ host: HostID, at address: IPAddress, with other: HostID, at otherAddress: IPAddress,
        named name: String? = nil, outbound: LinkConditions, inbound: LinkConditions
    ) -> LinkID {
        let id = attach(
            host, at: address, to: .host(other), named: name, outbound: outbound, inbound: inbound)
        hosts[other.index].interfaces[otherAddress] = Interface(link: id, sending: .inbound, mtu: nil)
        tell(other, .available(otherAddress))
        return id
    }

    /// Each direction of each link has its own seed, so that adding a link leaves the others as they were.
    private func seed(of link: LinkID, _ direction: Direction) -> UInt64 {
        var mixer = SeededGenerator.derived(
            from: seed, purpose: UInt64(link.index) << 1 | UInt64(direction.rawValue))
        return mixer.next()
    }
}

// MARK: - Reading

extension VirtualNetwork {
    /// Virtual time since the start.
    public var elapsed: Interval { now - Self.start }

    /// What became of the datagrams on one direction of a link.
    public func statistics(of link: LinkID, _ direction: Direction) -> LinkStatistics {
        links[link.index][direction].statistics
    }

    /// Datagrams that a host has sent, those its operating system refused not counted.
    public func datagramsSent(by host: HostID) -> Int { hosts[host.index].sentDatagrams }

    /// UDP payload bytes that a host has sent, those its operating system refused not counted.
    public func bytesSent(by host: HostID) -> ByteCount { hosts[host.index].sentBytes }

    /// The outside address that a translator has for an inside address at present, if it has one.
    public func outsideAddress(of inside: NetworkAddress, at translator: TranslatorID) -> NetworkAddress? {
        translators[translator.index].translation.outside(of: inside)
    }

    /// Whether every node has done what it came for.
    public var isFinished: Bool { hosts.allSatisfy { $0.node.isFinished } }
}
