/// A version of QUIC that is spoken here.
///
/// Everything in which versions differ hangs off this type: type bits here, salts, labels and the Retry key in Protection.
public enum Version: UInt32, Hashable, Sendable, CaseIterable {
    /// QUIC version 1 (RFC 9000).
    case v1 = 0x0000_0001
    /// QUIC version 2 (RFC 9369).
    case v2 = 0x6b33_43cf

    /// The version as it stands on the wire.
    public var number: VersionNumber { VersionNumber(rawValue: rawValue) }
}

/// A version as it stands on the wire; a peer may send any value (RFC 8999 §5.4).
public struct VersionNumber: RawRepresentable, Hashable, Sendable {
    /// The 32 bits on the wire.
    public let rawValue: UInt32

    /// Creates a version number from the 32 bits on the wire.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Marks a Version Negotiation packet (RFC 8999 §6).
    public static let negotiation = VersionNumber(rawValue: 0)

    /// The version that is spoken here; nil for any other.
    public var known: Version? { Version(rawValue: rawValue) }

    /// Whether the number is reserved to exercise version negotiation (RFC 9000 §15): 0x?a?a?a?a.
    public var isReserved: Bool { rawValue & 0x0f0f_0f0f == 0x0a0a_0a0a }

    /// A reserved number whose free bits are random.
    public static func reserved(using generator: inout some RandomNumberGenerator) -> VersionNumber {
        VersionNumber(rawValue: generator.next() & 0xf0f0_f0f0 | 0x0a0a_0a0a)
    }
}
