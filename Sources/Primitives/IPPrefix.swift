/// A block of addresses in CIDR notation (RFC 4632, RFC 4291 §2.3): `10.8.0.0/16`, `2001:db8::/32`.
public struct IPPrefix: Hashable, Sendable, LosslessStringConvertible {
    /// The first address of the block: every bit behind the prefix is zero.
    public let address: IPAddress
    /// How many leading bits are common to the block: 0 to 32 or 0 to 128.
    public let length: Int

    /// The block of `length` leading bits in which an address lies; a length outside of the family's range is clamped.
    public init(containing address: IPAddress, length: Int) {
        let bits = address.family == .ipv4 ? 32 : 128
        self.length = max(0, min(length, bits))
        switch address.family {
        case .ipv4:
            let mask = IPPrefix.mask(self.length + 32)
            self.address = IPAddress(ipv4: UInt32(truncatingIfNeeded: address.low & mask))
        case .ipv6:
            self.address = IPAddress(
                ipv6High: address.high & IPPrefix.mask(self.length), low: address.low & IPPrefix.mask(self.length - 64))
        }
    }

    /// Reads `ADDRESS/LENGTH`, or an address alone, which is a block of one.
    ///
    /// An address with bits behind its prefix (`10.8.0.1/16`) is `nil`: it says two things at once.
    public init?(_ description: String) {
        let parts = description.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        let bits = address.family == .ipv4 ? 32 : 128
        var length = bits
        if parts.count == 2 {
            guard let number = IPAddress.decimal(Array(parts[1].utf8)[...], atMost: UInt64(bits)) else { return nil }
            length = Int(number)
        }
        self.init(containing: address, length: length)
        guard self.address == address else { return nil }
    }

    /// Whether an address of the same family lies in the block; IPv4-mapped addresses are IPv6, see `IPAddress.effective`.
    public func contains(_ other: IPAddress) -> Bool {
        other.family == address.family && IPPrefix(containing: other, length: length).address == address
    }

    /// `ADDRESS/LENGTH`.
    public var description: String { "\(address)/\(length)" }

    /// A 64-bit word of which the first `length` bits are set; below 0 none, above 64 all.
    private static func mask(_ length: Int) -> UInt64 {
        length <= 0 ? 0 : UInt64.max << UInt64(max(0, 64 - length))
    }
}
