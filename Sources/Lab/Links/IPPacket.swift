public import Primitives
public import Simulator

/// An IPv4 or IPv6 packet as a network interface hands it out, with what links and translators read and rewrite.
///
/// Whatever is changed, the checksums of IP, UDP, TCP and ICMP are brought along (RFC 1624), so that the receiver's kernel
/// finds nothing wrong. An ICMP error has the ends of the flow that it is about (RFC 5508 §4): they stand in the packet that
/// it quotes.
public struct IPPacket: LinkPacket, Hashable, Sendable {
    /// The transport protocols whose header is understood.
    enum Transport: UInt8 {
        case icmp = 1
        case tcp = 6
        case udp = 17
    }

    /// The whole packet.
    public private(set) var bytes: [UInt8]
    let family: IPAddress.Family
    /// Bytes of the IP header, options included.
    let headerSize: Int
    /// Nil for other protocols, for fragments, and where the packet is too short for the header.
    let transport: Transport?
    /// In an ICMP error about a UDP or TCP packet: where the quoted packet starts, and its ports.
    private let quoted: (header: Int, ports: Int)?

    /// Reads the headers; nil for what is no complete IP packet.
    public init?(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return nil }
        self.bytes = bytes
        switch first >> 4 {
        case 4:
            family = .ipv4
            headerSize = Int(first & 0x0F) * 4
            guard headerSize >= Self.ipv4HeaderSize, bytes.count >= headerSize else { return nil }
            // RFC 791 §3.1: fragments but the first have no transport header, and the first not the whole payload.
            let isFragment = (UInt16(bytes[6]) << 8 | UInt16(bytes[7])) & 0x3FFF != 0
            transport = isFragment ? nil : Self.transport(bytes[9], available: bytes.count - headerSize)
            quoted = transport == .icmp ? Self.quoted(bytes, message: headerSize) : nil
        case 6:
            family = .ipv6
            headerSize = Self.ipv6HeaderSize
            guard bytes.count >= headerSize else { return nil }
            let transport = Self.transport(bytes[6], available: bytes.count - headerSize)
            self.transport = transport == .icmp ? nil : transport
            quoted = nil
        default:
            return nil
        }
    }

    static let ipv4HeaderSize = 20
    static let ipv6HeaderSize = 40
    static let udpHeaderSize = 8

    private static func transport(_ number: UInt8, available: Int) -> Transport? {
        switch Transport(rawValue: number) {
        case .udp: available >= udpHeaderSize ? .udp : nil
        case .tcp: available >= 20 ? .tcp : nil
        case .icmp: available >= 8 ? .icmp : nil
        case nil: nil
        }
    }

    /// Reads which packet an ICMP message is about (RFC 792); nil unless it is an error that quotes UDP or TCP.
    private static func quoted(_ bytes: [UInt8], message: Int) -> (header: Int, ports: Int)? {
        let header = message + 8
        guard [3, 11, 12].contains(bytes[message]), bytes.count >= header + ipv4HeaderSize else { return nil }
        let ports = header + Int(bytes[header] & 0x0F) * 4
        let isLegible = bytes[header] >> 4 == 4 && ports >= header + ipv4HeaderSize && bytes.count >= ports + 4
        return isLegible && [6, 17].contains(bytes[header + 9]) ? (header, ports) : nil
    }

    public static func == (a: IPPacket, b: IPPacket) -> Bool { a.bytes == b.bytes }

    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }

    public var packetSize: Int { bytes.count }

    public var ecn: ECN {
        get {
            switch family {
            case .ipv4: ECN(rawValue: bytes[1] & 3) ?? .notCapable
            case .ipv6: ECN(rawValue: bytes[1] >> 4 & 3) ?? .notCapable
            }
        }
        set {
            switch family {
            case .ipv4: replace(at: 0, with: [bytes[0], bytes[1] & ~3 | newValue.rawValue], .header)
            case .ipv6: bytes[1] = bytes[1] & 0xCF | newValue.rawValue << 4
            }
        }
    }

    public var source: NetworkAddress {
        get { NetworkAddress(address(at: family == .ipv4 ? 12 : 8), port: port(.source)) }
        set {
            setAddress(newValue.ip, at: family == .ipv4 ? 12 : 8)
            setQuotedAddress(newValue.ip, .source)
            setPort(newValue.port, .source)
        }
    }

    public var destination: NetworkAddress {
        get { NetworkAddress(address(at: family == .ipv4 ? 16 : 24), port: port(.destination)) }
        set {
            setAddress(newValue.ip, at: family == .ipv4 ? 16 : 24)
            setQuotedAddress(newValue.ip, .destination)
            setPort(newValue.port, .destination)
        }
    }

    /// Only UDP payload is corrupted.
    public var payloadBitCount: Int {
        transport == .udp ? (bytes.count - headerSize - Self.udpHeaderSize) * 8 : 0
    }

    public mutating func flipPayloadBit(_ index: Int) {
        let position = headerSize + Self.udpHeaderSize + index / 8
        // The checksum is one of words of 16 bits, counted from the start of the transport header.
        let even = position - (position - headerSize) % 2
        let flipped = bytes[position] ^ 1 << UInt8(index % 8)
        if even == position {
            let rest = position + 1 < bytes.count ? [bytes[position + 1]] : []
            replace(at: even, with: [flipped] + rest, .payload)
        } else {
            replace(at: even, with: [bytes[even], flipped], .payload)
        }
    }
}

// MARK: - Addresses and ports

extension IPPacket {
    private enum End {
        case source, destination
    }

    private func address(at offset: Int) -> IPAddress {
        switch family {
        case .ipv4: IPAddress(ipv4: UInt32(truncatingIfNeeded: number(at: offset, size: 4)))
        case .ipv6: IPAddress(ipv6High: number(at: offset, size: 8), low: number(at: offset + 8, size: 8))
        }
    }

    private func number(at offset: Int, size: Int) -> UInt64 {
        bytes[offset..<(offset + size)].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func setAddress(_ address: IPAddress, at offset: Int) {
        guard address.family == family else { return }
        switch family {
        case .ipv4:
            replace(at: offset, with: Self.bigEndian(address.low, size: 4), .address)
        case .ipv6:
            replace(
                at: offset, with: Self.bigEndian(address.high, size: 8) + Self.bigEndian(address.low, size: 8), .address
            )
        }
    }

    private static func bigEndian(_ number: UInt64, size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: number >> UInt64((size - 1 - $0) * 8)) }
    }

    /// The quoted packet went the other way: who is told of the error is who sent it.
    private mutating func setQuotedAddress(_ address: IPAddress, _ end: End) {
        guard let quoted, address.family == family else { return }
        let offset = quoted.header + (end == .source ? 16 : 12)
        let checksum = (quoted.header + 10)..<(quoted.header + 12)
        let (oldAddress, oldChecksum) = (Array(bytes[offset..<(offset + 4)]), Array(bytes[checksum]))
        let newAddress = Self.bigEndian(address.low, size: 4)
        replace(at: offset, with: newAddress, .payload)
        update(checksumAt: checksum.lowerBound, from: oldAddress, to: newAddress)
        update(checksumAt: headerSize + 2, from: oldChecksum, to: Array(bytes[checksum]))
    }

    /// Where a port stands. RFC 5508 §3.1: the identifier of an echo stands for the port of the host that asks.
    private func portOffset(_ end: End) -> Int? {
        switch transport {
        case .udp, .tcp: return headerSize + (end == .source ? 0 : 2)
        case .icmp:
            if let quoted { return quoted.ports + (end == .source ? 2 : 0) }
            let type = bytes[headerSize]
            let isOfAsker = type == 8 && end == .source || type == 0 && end == .destination
            return isOfAsker ? headerSize + 4 : nil
        case nil: return nil
        }
    }

    private func port(_ end: End) -> UInt16 {
        portOffset(end).map { UInt16(truncatingIfNeeded: number(at: $0, size: 2)) } ?? 0
    }

    private mutating func setPort(_ port: UInt16, _ end: End) {
        guard let offset = portOffset(end) else { return }
        replace(at: offset, with: Self.bigEndian(UInt64(port), size: 2), .payload)
    }
}

// MARK: - Checksums

extension IPPacket {
    /// What a changed part of the packet is covered by.
    private enum Coverage {
        /// The header's checksum.
        case header
        /// The header's checksum and, as a part of the pseudo-header, the transport's.
        case address
        /// The transport's checksum.
        case payload
    }

    /// Replaces bytes from an offset that is even within its checksum, and brings the checksums along.
    private mutating func replace(at offset: Int, with new: [UInt8], _ coverage: Coverage) {
        let old = Array(bytes[offset..<(offset + new.count)])
        bytes.replaceSubrange(offset..<(offset + new.count), with: new)
        if coverage != .payload, family == .ipv4 { update(checksumAt: 10, from: old, to: new) }
        switch (transport, coverage) {
        case (_, .header), (nil, _): break
        case (.udp, _):
            // RFC 768: a checksum of zero is none.
            guard number(at: headerSize + 6, size: 2) != 0 else { return }
            update(checksumAt: headerSize + 6, from: old, to: new)
            if number(at: headerSize + 6, size: 2) == 0 { bytes.replaceSubrange(udpChecksum, with: [0xFF, 0xFF]) }
        case (.tcp, _): update(checksumAt: headerSize + 16, from: old, to: new)
        // RFC 792: no pseudo-header.
        case (.icmp, .payload): update(checksumAt: headerSize + 2, from: old, to: new)
        case (.icmp, .address): break
        }
    }

    private var udpChecksum: Range<Int> { (headerSize + 6)..<(headerSize + 8) }

    /// RFC 1624 §3, equation 3: HC' = ~(~HC + ~m + m').
    private mutating func update(checksumAt offset: Int, from old: [UInt8], to new: [UInt8]) {
        let sum = UInt64(~UInt16(truncatingIfNeeded: number(at: offset, size: 2)))
        let total = sum + Self.words(of: old.map { ~$0 }, padding: 0xFF) + Self.words(of: new, padding: 0)
        bytes.replaceSubrange(offset..<(offset + 2), with: Self.bigEndian(UInt64(~Self.folded(total)), size: 2))
    }

    /// The sum of words of 16 bits; `padding` stands for the byte behind an odd number of them.
    private static func words(of bytes: some Collection<UInt8>, padding: UInt8) -> UInt64 {
        var sum: UInt64 = 0
        var high: UInt8?
        for byte in bytes {
            if let first = high {
                sum += UInt64(first) << 8 | UInt64(byte)
                high = nil
            } else {
                high = byte
            }
        }
        return high.map { sum + (UInt64($0) << 8 | UInt64(padding)) } ?? sum
    }

    private static func folded(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum > 0xFFFF { sum = (sum >> 16) + (sum & 0xFFFF) }
        return UInt16(truncatingIfNeeded: sum)
    }

    /// The checksum of RFC 1071 over some bytes.
    static func checksum(_ bytes: some Collection<UInt8>) -> UInt16 { ~folded(words(of: bytes, padding: 0)) }
}

// MARK: - Too large

extension IPPacket {
    /// The ICMP error with which a router refuses this packet as larger than `mtu` bytes (RFC 792, RFC 1191 §4).
    ///
    /// Nil for IPv6, whose errors the emulator does not write.
    public func refusal(mtu: Int) -> IPPacket? {
        guard family == .ipv4 else { return nil }
        var message: [UInt8] = [3, 4, 0, 0, 0, 0] + Self.bigEndian(UInt64(mtu), size: 2)
        // RFC 792: the header and at least 8 bytes of what it carries.
        message += bytes.prefix(headerSize + 8)
        message.replaceSubrange(2..<4, with: Self.bigEndian(UInt64(Self.checksum(message)), size: 2))
        let size = Self.ipv4HeaderSize + message.count
        // In the name of the receiver: routers of the emulation have no addresses of their own.
        var header: [UInt8] = [0x45, 0] + Self.bigEndian(UInt64(size), size: 2) + [0, 0, 0, 0, 64, 1, 0, 0]
        header += bytes[16..<20] + bytes[12..<16]
        header.replaceSubrange(10..<12, with: Self.bigEndian(UInt64(Self.checksum(header)), size: 2))
        return IPPacket(header + message)
    }
}
