import Configuration
import EventLoop
import Primitives

/// Where a gateway is reached over each family of addresses, as it tells clients that came over the other one.
struct GatewayAddresses: Hashable, Sendable {
    var ipv4: NetworkAddress?
    var ipv6: NetworkAddress?

    /// What the configuration says, else what is listened on and can be reached from everywhere.
    ///
    /// - Parameters:
    ///   - listen: the addresses that the sockets are bound to.
    ///   - own: the addresses of this machine, in the system's order.
    init(configured: [NetworkAddress]?, listen: [NetworkAddress], own: [IPAddress]) {
        let known = configured ?? listen.compactMap { Self.reachable($0, own) }
        ipv4 = known.first { $0.ip.family == .ipv4 }
        ipv6 = known.first { $0.ip.family == .ipv6 }
    }

    private static func reachable(_ bound: NetworkAddress, _ own: [IPAddress]) -> NetworkAddress? {
        let ip = bound.ip.isUnspecified ? own.first { $0.family == bound.ip.family && $0.isGlobal } : bound.ip
        return ip.flatMap { $0.isGlobal ? NetworkAddress($0, port: bound.port) : nil }
    }
}
