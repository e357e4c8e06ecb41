/// A host as a user or a protocol names it: an address, or a DNS name that is still to be resolved.
public enum Host: Hashable, Sendable, LosslessStringConvertible {
    /// An IP address.
    case address(IPAddress)
    /// A DNS name in lower case, without the root's trailing dot.
    case name(String)

    /// Reads an address (IPv6 with or without brackets) or a DNS name; `nil` when it is neither.
    ///
    /// Names that resolvers take for old spellings of IPv4 addresses (`127.1`, `0x7f000001`, `2130706433`) are refused, so
    /// that a text has one meaning; letters outside of ASCII need their `xn--` form (RFC 5891).
    public init?(_ description: String) {
        var text = Array(description.utf8)[...]
        if text.first == UInt8(ascii: "["), text.last == UInt8(ascii: "]"), text.count > 2 {
            text = text.dropFirst().dropLast()
            guard let address = IPAddress(utf8: text), address.family == .ipv6 else { return nil }
            self = .address(address)
        } else if let address = IPAddress(utf8: text) {
            self = .address(address)
        } else {
            guard let name = Host.normalizedName(text) else { return nil }
            self = .name(name)
        }
    }

    /// Bytes in the longest DNS name as text, RFC 1035 §2.3.4 less length octets; longer ones are refused.
    public static var longestName: Int { 253 }

    /// Bytes in the longest label of a name, RFC 1035 §2.3.4; longer ones are refused.
    static var longestLabel: Int { 63 }

    /// The address or the name, without brackets.
    public var description: String {
        switch self {
        case .address(let address): address.description
        case .name(let name): name
        }
    }

    private static func normalizedName(_ text: ArraySlice<UInt8>) -> String? {
        let name = text.last == UInt8(ascii: ".") ? text.dropLast() : text
        guard !name.isEmpty, name.count <= longestName else { return nil }
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy(isLabel), let last = labels.last, !looksNumeric(last) else { return nil }
        return String(decoding: name, as: UTF8.self).lowercased()
    }

    /// RFC 1123 §2.1 letters, digits and inner hyphens; the underscore too, which many internal names have.
    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        guard let first = label.first, let last = label.last, label.count <= longestLabel else { return false }
        let hyphen = UInt8(ascii: "-")
        return first != hyphen && last != hyphen
            && label.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), hyphen, UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Whether inet_aton would read it as a number: digits only, or hexadecimal with `0x`. No top-level domain is.
    private static func looksNumeric(_ label: ArraySlice<UInt8>) -> Bool {
        if label.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) { return true }
        return label.first == UInt8(ascii: "0") && (label.dropFirst().first ?? 0) | 0x20 == UInt8(ascii: "x")
    }
}

/// A host and a port, as in an authority (RFC 3986 §3.2): `build.internal:22`, `192.0.2.1:80`, `[2001:db8::1]:443`.
public struct HostPort: Hashable, Sendable, LosslessStringConvertible {
    /// The host.
    public var host: Host
    /// The port, in host order.
    public var port: UInt16

    /// Creates it from its parts.
    public init(_ host: Host, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `HOST:PORT`, IPv6 in brackets; `nil` without a host or with a port outside of 1 to 65,535.
    public init?(_ description: String) {
        guard let colon = description.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let digits = Array(description.utf8[description.utf8.index(after: colon)...])
        guard let port = IPAddress.decimal(digits[...], atMost: 65_535), port > 0 else { return nil }
        let text = description[..<colon]
        // RFC 3986 §3.2.2: IPv6 stands in brackets, else its last group could not be told from the port.
        guard text.utf8.first == UInt8(ascii: "[") || !text.utf8.contains(UInt8(ascii: ":")),
            let host = Host(String(text))
        else { return nil }
        self.init(host, port: UInt16(port))
    }

    /// `HOST:PORT`, IPv6 in brackets.
    public var description: String {
        if case .address(let address) = host, address.family == .ipv6 { return "[\(address)]:\(port)" }
        return "\(host):\(port)"
    }
}
