extension IPAddress {
    /// What a range of addresses is set aside for (RFC 6890 and the IANA special-purpose registries).
    public enum Purpose: Hashable, Sendable, CaseIterable {
        /// 0.0.0.0/8 and `::`; Linux connects 0.0.0.0 to this machine.
        case unspecified
        /// 127.0.0.0/8 and `::1`.
        case loopback
        /// 169.254.0.0/16 and fe80::/10.
        case linkLocal
        /// 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16, RFC 1918.
        case privateUse
        /// fc00::/7, RFC 4193.
        case uniqueLocal
        /// 100.64.0.0/10, between a provider and its carrier-grade NAT, RFC 6598.
        case carrierShared
        /// 224.0.0.0/4 and ff00::/8.
        case multicast
        /// 255.255.255.255.
        case broadcast
        /// Ranges for examples: RFC 5737, RFC 3849, RFC 9637.
        case documentation
        /// 198.18.0.0/15 and 2001:2::/48, RFC 2544 and RFC 5180.
        case benchmarking
        /// Addresses at which clouds hand credentials to their own machines.
        case metadataService
        /// Set aside for protocols or not handed out.
        case reserved
        /// Everything else: the public internet.
        case global
    }

    /// What the address itself is for; an IPv4 address inside an IPv6 one is not looked at, see `embeddedIPv4`.
    public var purpose: Purpose {
        switch family {
        case .ipv4: IPAddress.purpose(ofIPv4: UInt32(truncatingIfNeeded: low))
        case .ipv6: ipv6Purpose
        }
    }

    /// The IPv4 address that packets to this IPv6 address may end up at, or `nil`.
    ///
    /// Access rules must hold for it too: a gateway behind a translator reaches 127.0.0.1 or 10.0.0.1 under these names.
    public var embeddedIPv4: IPAddress? {
        guard family == .ipv6 else { return nil }
        let last = UInt32(truncatingIfNeeded: low)
        switch (high, low >> 32) {
        // RFC 4291 §2.5.5.2: IPv4-mapped, ::ffff:0:0/96; the kernel itself speaks IPv4 for these.
        case (0, 0xffff): return IPAddress(ipv4: last)
        // RFC 2765 §2.1: IPv4-translated, ::ffff:0:0:0/96.
        case (0, 0xffff_0000): return IPAddress(ipv4: last)
        // RFC 4291 §2.5.5.1: IPv4-compatible, ::/96, long deprecated; `::` and `::1` are not of them.
        case (0, 0) where last > 1: return IPAddress(ipv4: last)
        // RFC 6052 §2.1: the well-known NAT64 prefix 64:ff9b::/96.
        case (0x0064_ff9b_0000_0000, 0): return IPAddress(ipv4: last)
        default: break
        }
        switch high >> 32 {
        // RFC 8215: local-use NAT64 64:ff9b:1::/48, in its usual /96 form.
        case 0x0064_ff9b where high >> 16 & 0xffff == 1: return IPAddress(ipv4: last)
        // RFC 3056 §2: 6to4, 2002:V4ADDR::/48.
        case 0x2002_0000...0x2002_ffff: return IPAddress(ipv4: UInt32(truncatingIfNeeded: high >> 16))
        // RFC 4380 §4: Teredo, 2001::/32 with the client's address inverted in the last 32 bits.
        case 0x2001_0000: return IPAddress(ipv4: ~last)
        default: return nil
        }
    }

    /// The embedded IPv4 address where there is one, else the address itself.
    public var effective: IPAddress { embeddedIPv4 ?? self }

    /// Whether it is an address of the public internet, also after looking at an embedded IPv4 address.
    public var isGlobal: Bool { effective.purpose == .global }

    /// Whether it belongs to this machine: 127.0.0.0/8, `::1`.
    public var isLoopback: Bool { purpose == .loopback }
    /// Whether it is 0.0.0.0 or `::`, "any address" of a listener.
    public var isUnspecified: Bool { high == 0 && low == 0 }
    /// Whether it is valid on one link only: 169.254.0.0/16, fe80::/10.
    public var isLinkLocal: Bool {
        family == .ipv4 ? low >> 16 == 0xa9fe : high >> 54 == 0xfe80 >> 6
    }
    /// Whether it names a group of hosts.
    public var isMulticast: Bool { purpose == .multicast }
    /// Whether it is IPv4-mapped, ::ffff:0:0/96.
    public var isIPv4Mapped: Bool { family == .ipv6 && high == 0 && low >> 32 == 0xffff }
}

extension IPAddress {
    /// RFC 6890 §2.2.2 and its registry. Rows are tried in order: an exception stands before the range it is in.
    private static func purpose(ofIPv4 address: UInt32) -> Purpose {
        switch address {
        // Amazon, Google, Azure, OpenStack; Amazon ECS and EKS; Alibaba; Azure's host agent.
        case 0xa9fe_a9fe, 0xa9fe_aa02, 0xa9fe_aa17, 0x6464_64c8, 0xa83f_8110: .metadataService
        case 0x0000_0000...0x00ff_ffff: .unspecified
        case 0x0a00_0000...0x0aff_ffff, 0xac10_0000...0xac1f_ffff, 0xc0a8_0000...0xc0a8_ffff: .privateUse
        case 0x6440_0000...0x647f_ffff: .carrierShared
        case 0x7f00_0000...0x7fff_ffff: .loopback
        case 0xa9fe_0000...0xa9fe_ffff: .linkLocal
        // 192.0.0.0/24 protocol assignments; 192.88.99.0/24, the anycast 6to4 relay that RFC 7526 withdrew.
        case 0xc000_0000...0xc000_00ff, 0xc058_6300...0xc058_63ff: .reserved
        case 0xc000_0200...0xc000_02ff, 0xc633_6400...0xc633_64ff, 0xcb00_7100...0xcb00_71ff: .documentation
        case 0xc612_0000...0xc613_ffff: .benchmarking
        case 0xe000_0000...0xefff_ffff: .multicast
        case 0xffff_ffff: .broadcast
        case 0xf000_0000...0xffff_fffe: .reserved
        default: .global
        }
    }

    private var ipv6Purpose: Purpose {
        switch (high, low) {
        case (0, 0): return .unspecified
        case (0, 1): return .loopback
        // fd00:ec2::254 and fd20:ce::254: the metadata services of Amazon and Google over IPv6.
        case (0xfd00_0ec2_0000_0000, 0x254), (0xfd20_00ce_0000_0000, 0x254): return .metadataService
        default: break
        }
        switch high >> 32 {
        case 0xff00_0000...0xffff_ffff: return .multicast
        case 0xfe80_0000...0xfebf_ffff: return .linkLocal
        case 0xfc00_0000...0xfdff_ffff: return .uniqueLocal
        case 0x2001_0db8, 0x3fff_0000...0x3fff_0fff: return .documentation
        case 0x2001_0002 where high >> 16 & 0xffff == 0: return .benchmarking
        // RFC 6890: 2001::/23 belongs to protocols (Teredo, ORCHID, anycast services).
        case 0x2001_0000...0x2001_01ff: return .reserved
        // Only 2000::/3 has been handed out as global unicast.
        case 0x2000_0000...0x3fff_ffff: return .global
        default: return .reserved
        }
    }
}
