/// An IPv4 or IPv6 address without a port.
public struct IPAddress: Hashable, Sendable {
    /// Which protocol the address belongs to.
    public enum Family: UInt8, Hashable, Sendable {
        /// IPv4, RFC 791.
        case ipv4 = 4
        /// IPv6, RFC 8200.
        case ipv6 = 6
    }

    /// The protocol the address belongs to.
    public let family: Family
    /// For IPv6 the first 64 bits in network order; for IPv4 zero.
    public let high: UInt64
    /// For IPv6 the last 64 bits in network order; for IPv4 the 32-bit address.
    public let low: UInt64

    /// Creates an IPv4 address from its 32 bits, most significant first: `0x7f000001` is 127.0.0.1.
    @inlinable
    public init(ipv4 bits: UInt32) {
        family = .ipv4
        high = 0
        low = UInt64(bits)
    }

    /// Creates an IPv6 address from its 128 bits, most significant first.
    @inlinable
    public init(ipv6High high: UInt64, low: UInt64) {
        family = .ipv6
        self.high = high
        self.low = low
    }
}

/// A UDP or TCP transport address: IP address, port and, for link-local IPv6, the scope (interface index).
public struct NetworkAddress: Hashable, Sendable {
    /// The IP address.
    public var ip: IPAddress
    /// The port, in host order.
    public var port: UInt16
    /// The interface index of a link-local IPv6 address (RFC 4007), otherwise 0.
    public var scope: UInt32

    /// Creates a transport address.
    @inlinable
    public init(_ ip: IPAddress, port: UInt16, scope: UInt32 = 0) {
        self.ip = ip
        self.port = port
        self.scope = scope
    }
}

/// The two Explicit Congestion Notification bits of an IP packet (RFC 3168).
public enum ECN: UInt8, Hashable, Sendable {
    /// The sender does not take part.
    case notCapable = 0b00
    /// ECN-capable, codepoint 1.
    case ect1 = 0b01
    /// ECN-capable, codepoint 0.
    case ect0 = 0b10
    /// Congestion experienced.
    case congestionExperienced = 0b11
}
