internal import Primitives

/// A message of the routing socket, as far as links need it. Constants are those of `linux/rtnetlink.h`.
enum RoutingMessage: Hashable {
    /// A link is there, or changed.
    case link(Link)
    case linkRemoved(index: UInt32)
    /// An address is there, or changed.
    case address(Address)
    case addressRemoved(Address)
    /// A route is there, or changed; one for each of its next hops.
    case routes([Route])
    /// A route is gone.
    case routesRemoved([Route])
    /// The answer is complete.
    case done
    /// The request failed, with a positive error number.
    case failed(code: Int32)

    /// A network interface.
    struct Link: Hashable {
        var index: UInt32
        /// `nil` where the message does not say.
        var name: String?
        /// Bytes of the largest IP packet; `nil` where the message does not say.
        var mtu: Int?
        /// Up, running and with a carrier.
        var isUp: Bool
    }

    /// An address of a link.
    struct Address: Hashable {
        var index: UInt32
        var ip: IPAddress
        /// IFA_F_…
        var flags: UInt32

        /// Duplicate address detection has not been passed (RFC 4862 §5.4), so nothing may be sent from it.
        var isUnproven: Bool {
            let (tentative, optimistic, failed): (UInt32, UInt32, UInt32) = (0x40, 0x04, 0x08)
            return flags & failed != 0 || flags & tentative != 0 && flags & optimistic == 0
        }
        /// New connections shall use another one (RFC 4862 §5.5.4).
        var isDeprecated: Bool { flags & 0x20 != 0 }
    }

    /// A way to a network through a link.
    struct Route: Hashable {
        var destination: IPPrefix
        var index: UInt32
        var metric: UInt32
    }

    /// What `message` of `bytes` says; `nil` when it concerns nothing here or is broken.
    init?(_ message: NetlinkMessage, of bytes: Span<UInt8>) {
        switch message.type {
        case 2:  // NLMSG_ERROR
            guard let code = bytes.nativeUInt32(at: message.body.lowerBound), message.body.count >= 4 else {
                return nil
            }
            self = .failed(code: 0 &- Int32(bitPattern: code))
        case 3: self = .done  // NLMSG_DONE
        case 16:  // RTM_NEWLINK
            guard let link = Link(message, of: bytes) else { return nil }
            self = .link(link)
        case 17:  // RTM_DELLINK
            guard let link = Link(message, of: bytes) else { return nil }
            self = .linkRemoved(index: link.index)
        case 20:  // RTM_NEWADDR
            guard let address = Address(message, of: bytes) else { return nil }
            self = .address(address)
        case 21:  // RTM_DELADDR
            guard let address = Address(message, of: bytes) else { return nil }
            self = .addressRemoved(address)
        case 24: self = .routes(Route.all(message, of: bytes))  // RTM_NEWROUTE
        case 25: self = .routesRemoved(Route.all(message, of: bytes))  // RTM_DELROUTE
        default: return nil
        }
    }
}

extension RoutingMessage.Link {
    /// `struct ifinfomsg`: family, padding, type, index at 4, flags at 8, change mask.
    init?(_ message: NetlinkMessage, of bytes: Span<UInt8>) {
        let start = message.body.lowerBound
        guard message.body.count >= 16, let index = bytes.nativeUInt32(at: start + 4),
            let flags = bytes.nativeUInt32(at: start + 8), bytes[start] == 0
            // A message of another family (a bridge's port) is not about the link itself.
        else { return nil }
        self.index = index
        // IFF_UP, IFF_RUNNING, IFF_LOWER_UP
        let needed: UInt32 = 0x1 | 0x40 | 0x1_0000
        isUp = flags & needed == needed
        for attribute in NetlinkAttribute.all(bytes, in: start + 16..<message.body.upperBound) {
            switch attribute.type {
            case 3: name = bytes.text(in: attribute.value)  // IFLA_IFNAME
            case 4: mtu = bytes.number(in: attribute.value).map { Int($0) }  // IFLA_MTU
            default: break
            }
        }
    }
}

extension RoutingMessage.Address {
    /// `struct ifaddrmsg`: family, prefix length, flags, scope, index at 4.
    init?(_ message: NetlinkMessage, of bytes: Span<UInt8>) {
        let start = message.body.lowerBound
        guard message.body.count >= 8, let index = bytes.nativeUInt32(at: start + 4) else { return nil }
        var local: IPAddress?
        var other: IPAddress?
        var flags = UInt32(bytes[start + 2])
        for attribute in NetlinkAttribute.all(bytes, in: start + 8..<message.body.upperBound) {
            switch attribute.type {
            case 1: other = bytes.ipAddress(in: attribute.value)  // IFA_ADDRESS
            case 2: local = bytes.ipAddress(in: attribute.value)  // IFA_LOCAL
            case 8: flags = bytes.number(in: attribute.value) ?? flags  // IFA_FLAGS
            default: break
            }
        }
        // On a link between two points IFA_ADDRESS is the other one's; without IFA_LOCAL it is the own one.
        guard let ip = local ?? other else { return nil }
        self.index = index
        self.ip = ip
        self.flags = flags
    }
}

extension RoutingMessage.Route {
    /// `struct rtmsg`: family, destination length, source length, service, table, protocol, scope, type, flags at 8.
    static func all(_ message: NetlinkMessage, of bytes: Span<UInt8>) -> [RoutingMessage.Route] {
        let start = message.body.lowerBound
        guard message.body.count >= 12, let flags = bytes.nativeUInt32(at: start + 8),
            let family = IPAddress.Family(system: bytes[start])
        else { return [] }
        let (unicast, localTable): (UInt8, UInt32) = (1, 255)
        // Dead, without a carrier, or a cached copy of another one.
        let unusable: UInt32 = 0x1 | 0x10 | 0x200
        guard bytes[start + 7] == unicast, bytes[start + 2] == 0, flags & unusable == 0 else { return [] }
        var table = UInt32(bytes[start + 4])
        var destination = IPAddress.unspecified(family)
        var metric: UInt32 = 0
        var indices: [UInt32] = []
        for attribute in NetlinkAttribute.all(bytes, in: start + 12..<message.body.upperBound) {
            switch attribute.type {
            case 1: destination = bytes.ipAddress(in: attribute.value) ?? destination  // RTA_DST
            case 4: indices += bytes.number(in: attribute.value).map { [$0] } ?? []  // RTA_OIF
            case 6: metric = bytes.number(in: attribute.value) ?? metric  // RTA_PRIORITY
            case 9: indices += nextHops(bytes, in: attribute.value)  // RTA_MULTIPATH
            case 15: table = bytes.number(in: attribute.value) ?? table  // RTA_TABLE
            default: break
            }
        }
        guard table != localTable, destination.family == family else { return [] }
        let prefix = IPPrefix(containing: destination, length: Int(bytes[start + 1]))
        return indices.map { RoutingMessage.Route(destination: prefix, index: $0, metric: metric) }
    }

    /// The links of `struct rtnexthop`: length, flags, hops, index at 4, attributes.
    private static func nextHops(_ bytes: Span<UInt8>, in range: Range<Int>) -> [UInt32] {
        var indices: [UInt32] = []
        var offset = range.lowerBound
        while offset <= range.upperBound - 8, let length = bytes.nativeUInt16(at: offset), length >= 8,
            Int(length) <= range.upperBound - offset, let index = bytes.nativeUInt32(at: offset + 4)
        {
            let unusable: UInt8 = 0x1 | 0x10
            if bytes[offset + 2] & unusable == 0 { indices.append(index) }
            offset += (Int(length) + 3) & ~3
        }
        return indices
    }
}

extension IPAddress.Family {
    /// The family of the system's AF_INET and AF_INET6.
    fileprivate init?(system number: UInt8) {
        switch number {
        case 2: self = .ipv4
        case 10: self = .ipv6
        default: return nil
        }
    }
}

extension Span<UInt8> {
    /// The number that fills `range`.
    fileprivate func number(in range: Range<Int>) -> UInt32? {
        range.count == 4 ? nativeUInt32(at: range.lowerBound) : nil
    }

    /// The text up to a zero byte or the end of `range`.
    fileprivate func text(in range: Range<Int>) -> String {
        var characters: [UInt8] = []
        for position in range where position < count {
            if self[position] == 0 { break }
            characters.append(self[position])
        }
        return String(decoding: characters, as: UTF8.self)
    }
}
