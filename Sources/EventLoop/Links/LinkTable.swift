internal import Primitives

/// The links, addresses and routes of this machine, as the routing socket tells them one by one.
struct LinkTable {
    /// Most addresses that are kept: memory is bounded on a machine with more, which keeps the first ones.
    static let maximumAddresses = 1024
    /// Most routes that are kept, of those that matter.
    static let maximumRoutes = 1024

    private struct Link: Equatable {
        var name: String
        var mtu: Int
        var isUp: Bool
    }

    private struct AddressKey: Hashable {
        var index: UInt32
        var ip: IPAddress
    }

    /// An address whose routes matter besides the default routes.
    var remote: IPAddress?
    private var links: [UInt32: Link] = [:]
    private var addresses: [AddressKey: RoutingMessage.Address] = [:]
    private var routes: [RoutingMessage.Route] = []

    init(remote: IPAddress? = nil) { self.remote = remote }

    /// Takes over what a message says.
    ///
    /// - Returns: whether routes may be others than those known: the system does not tell which routes go with a link or
    ///   an address.
    mutating func apply(_ message: RoutingMessage) -> Bool {
        switch message {
        case .link(let link):
            let known = links[link.index]
            let now = Link(
                name: link.name ?? known?.name ?? "", mtu: link.mtu ?? known?.mtu ?? 0, isUp: link.isUp)
            links[link.index] = now
            return now != known
        case .linkRemoved(let index):
            links[index] = nil
            addresses = addresses.filter { $0.key.index != index }
            return true
        case .address(let address):
            let key = AddressKey(index: address.index, ip: address.ip)
            guard addresses[key] != address, addresses.count < Self.maximumAddresses || addresses[key] != nil else {
                return false
            }
            addresses[key] = address
            return true
        case .addressRemoved(let address):
            return addresses.removeValue(forKey: AddressKey(index: address.index, ip: address.ip)) != nil
        case .routes(let routes), .routesRemoved(let routes): return routes.contains(where: matters)
        case .done, .failed: return false
        }
    }

    /// Forgets the routes, which are about to be listed anew.
    mutating func removeRoutes() { routes = [] }

    /// Keeps routes of a listing, where they matter.
    mutating func add(_ listed: [RoutingMessage.Route]) {
        for route in listed where matters(route) && routes.count < Self.maximumRoutes { routes.append(route) }
    }

    private func matters(_ route: RoutingMessage.Route) -> Bool {
        route.destination.length == 0 || remote.map(route.destination.contains) ?? false
    }

    /// Every address with its link, in the order of the links and their addresses.
    var snapshot: [LinkAddress] {
        let inUse = addresses.values.filter { !$0.isUnproven && !$0.isDeprecated }
        return addresses.values.compactMap { address in
            guard let link = links[address.index] else { return nil }
            // A deprecated address serves where there is no better one.
            let isBest =
                !address.isDeprecated
                || !inUse.contains { $0.index == address.index && $0.ip.family == address.ip.family }
            return LinkAddress(
                interface: link.name, index: address.index, address: address.ip, mtu: link.mtu,
                routeMetric: metric(of: address), isUsable: link.isUp && !address.isUnproven && isBest)
        }
        .sorted { $0.place < $1.place }
    }

    private func metric(of address: RoutingMessage.Address) -> UInt32? {
        routes.lazy.filter { $0.index == address.index && $0.destination.address.family == address.ip.family }
            .map(\.metric).min()
    }
}

extension LinkAddress {
    /// Links by index, IPv4 before IPv6, then by number.
    fileprivate var place: (UInt32, UInt8, UInt64, UInt64) {
        (index, address.family.rawValue, address.high, address.low)
    }
}
