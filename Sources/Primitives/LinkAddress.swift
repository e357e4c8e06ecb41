/// One address of one network interface of this machine: what a network path can start from.
public struct LinkAddress: Hashable, Sendable {
    /// The interface's name, such as "wlan0".
    public var interface: String
    /// The interface's index in the system.
    public var index: UInt32
    /// The address, without a port.
    public var address: IPAddress
    /// Bytes of the largest IP packet that the interface carries.
    public var mtu: Int
    /// The lowest metric of a default route through the interface for the address's family; `nil`: none is known. The
    /// system prefers the lowest.
    public var routeMetric: UInt32?
    /// Whether packets may leave from it: the interface is up and has a carrier, the address has passed duplicate address
    /// detection and is not deprecated (RFC 4862 §5.5.4).
    public var isUsable: Bool

    /// Creates a link address from its parts.
    public init(
        interface: String, index: UInt32, address: IPAddress, mtu: Int, routeMetric: UInt32?, isUsable: Bool
    ) {
        self.interface = interface
        self.index = index
        self.address = address
        self.mtu = mtu
        self.routeMetric = routeMetric
        self.isUsable = isUsable
    }

    /// The address as a socket is bound to it: link-local IPv6 addresses need their interface (RFC 4007 §6).
    public func networkAddress(port: UInt16) -> NetworkAddress {
        NetworkAddress(address, port: port, scope: address.isLinkLocal ? index : 0)
    }
}
