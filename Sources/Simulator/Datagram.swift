public import Primitives

/// A UDP datagram on the virtual network: payload, addresses and the ECN bits of its IP header.
public struct Datagram: Hashable, Sendable {
    /// The sender's address as the receiver of this copy sees it; address translation rewrites it.
    public var source: NetworkAddress
    /// The address the datagram is meant for; address translation rewrites it.
    public var destination: NetworkAddress
    /// The ECN bits; links may mark or clear them.
    public var ecn: ECN
    /// The UDP payload.
    public var bytes: [UInt8]

    /// Creates a datagram.
    public init(
        from source: NetworkAddress, to destination: NetworkAddress, ecn: ECN = .notCapable, bytes: [UInt8]
    ) {
        self.source = source
        self.destination = destination
        self.ecn = ecn
        self.bytes = bytes
    }

    /// Bytes of the IP packet that carries the datagram: the payload, 8 of UDP, and 20 (IPv4) or 40 (IPv6) of IP.
    ///
    /// Rates, queues and MTUs of links are stated in this size.
    public var packetSize: Int {
        bytes.count + 8 + (destination.ip.family == .ipv4 ? 20 : 40)
    }
}

/// What a link carries and a translator rewrites: a datagram of the virtual network, or a packet of a real one.
public protocol LinkPacket {
    /// Where it comes from.
    var source: NetworkAddress { get set }
    /// Where it is to go.
    var destination: NetworkAddress { get set }
    /// The ECN bits of its IP header.
    var ecn: ECN { get set }
    /// Bytes of the IP packet.
    var packetSize: Int { get }
    /// Bits of payload that corruption may flip without a checksum noticing.
    var payloadBitCount: Int { get }
    /// Flips the bit of the payload at `index`, counted from 0, and sees to it that no checksum notices.
    mutating func flipPayloadBit(_ index: Int)
}

extension Datagram: LinkPacket {
    public var payloadBitCount: Int { bytes.count * 8 }
    public mutating func flipPayloadBit(_ index: Int) { bytes[index / 8] ^= 1 << UInt8(index % 8) }
}

/// Why the network did not deliver a datagram.
public enum DropReason: UInt8, Hashable, Sendable, CaseIterable {
    /// The link lost it at random, in a burst, or because the scenario named it.
    case lost
    /// The queue in front of the link was full.
    case queueFull
    /// The IP packet was larger than the link carries.
    case aboveMTU
    /// The link was down when the datagram entered or left it.
    case linkDown
    /// The link swallowed it although it looked up.
    case blackholed
    /// The link drops datagrams that carry an ECN-capable codepoint.
    case ecnCapable
    /// An interceptor of the scenario took it.
    case intercepted
    /// No host or translator has the destination address.
    case noRoute
    /// The translator has no mapping for the destination, or the mapping has expired.
    case noMapping
    /// The translator has a mapping, but its inside never sent to this source.
    case filtered
    /// The receiving host was asleep.
    case asleep
}

/// Why a host's operating system refused to send, as errno would say it.
public enum SendFailure: UInt8, Hashable, Sendable {
    /// The source address is not (or no longer) on this host: EADDRNOTAVAIL.
    case addressNotAvailable
    /// The interface of the source address is down: ENETUNREACH.
    case networkUnreachable
    /// The packet is larger than the interface carries and must not be fragmented: EMSGSIZE.
    case messageTooLong
}
