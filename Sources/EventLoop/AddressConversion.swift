internal import CSockets
public import Primitives

// The one place where addresses change between Primitives and the system; CSockets does the part to `sockaddr`.

extension gw_address {
    /// The system's form of an address.
    init(_ address: NetworkAddress) {
        self.init(
            high: address.ip.high, low: address.ip.low, scope: address.scope, port: address.port,
            family: address.ip.family.rawValue)
    }

    /// The system's form of "no address": the kernel chooses.
    static var none: gw_address { gw_address(high: 0, low: 0, scope: 0, port: 0, family: 0) }

    /// The address, or `nil` where the system gave none or one of another family.
    var networkAddress: NetworkAddress? {
        switch family {
        case 4: NetworkAddress(IPAddress(ipv4: UInt32(truncatingIfNeeded: low)), port: port)
        case 6: NetworkAddress(IPAddress(ipv6High: high, low: low), port: port, scope: scope)
        default: nil
        }
    }
}

extension IPAddress {
    /// The address that means "every local address" of a family.
    public static func unspecified(_ family: Family) -> IPAddress {
        switch family {
        case .ipv4: IPAddress(ipv4: 0)
        case .ipv6: IPAddress(ipv6High: 0, low: 0)
        }
    }

    /// The address of this machine for itself, 127.0.0.1 or `::1`.
    public static func loopback(_ family: Family) -> IPAddress {
        switch family {
        case .ipv4: IPAddress(ipv4: 0x7f00_0001)
        case .ipv6: IPAddress(ipv6High: 0, low: 1)
        }
    }
}
