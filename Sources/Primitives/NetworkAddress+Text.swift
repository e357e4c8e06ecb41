extension NetworkAddress: LosslessStringConvertible {
    /// Reads `1.2.3.4:443`, `[2001:db8::1]:443` or, with the interface's index, `[fe80::1%3]:443`.
    ///
    /// Names, interface names and ports outside of 0 to 65,535 are `nil`; so is IPv6 without brackets, whose port is ambiguous.
    public init?(_ description: String) {
        let text = Array(description.utf8)
        guard let colon = text.lastIndex(of: UInt8(ascii: ":")),
            let port = IPAddress.decimal(text[(colon + 1)...], atMost: 65_535)
        else { return nil }
        var host = text[..<colon]
        guard host.first == UInt8(ascii: "[") else {
            guard let bits = IPAddress.ipv4Bits(host) else { return nil }
            self.init(IPAddress(ipv4: bits), port: UInt16(port))
            return
        }
        guard host.last == UInt8(ascii: "]") else { return nil }
        host = host.dropFirst().dropLast()
        var scope: UInt64 = 0
        if let percent = host.firstIndex(of: UInt8(ascii: "%")) {
            // RFC 4007 §11.2: an implementation must support the decimal index as zone.
            guard let index = IPAddress.decimal(host[(percent + 1)...], atMost: UInt64(UInt32.max)), index > 0 else {
                return nil
            }
            scope = index
            host = host[..<percent]
        }
        guard let ip = IPAddress(utf8: host), ip.family == .ipv6 else { return nil }
        self.init(ip, port: UInt16(port), scope: UInt32(scope))
    }

    /// Address and port, IPv6 in brackets: `1.2.3.4:443`, `[fe80::1%3]:443`.
    public var description: String {
        switch ip.family {
        case .ipv4: "\(ip):\(port)"
        case .ipv6: scope == 0 ? "[\(ip)]:\(port)" : "[\(ip)%\(scope)]:\(port)"
        }
    }
}
