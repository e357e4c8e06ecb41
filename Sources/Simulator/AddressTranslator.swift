public import Primitives

/// How a network address translator treats its mappings (RFC 4787).
public struct TranslatorBehaviour: Hashable, Sendable {
    /// Whose datagrams a mapping lets in (RFC 4787 §5).
    public enum Filtering: Hashable, Sendable {
        /// Everybody's.
        case endpointIndependent
        /// Only those of an address and port the inside has sent to.
        case addressAndPortDependent
    }

    /// Whose datagrams a mapping lets in.
    public var filtering: Filtering
    /// How long a mapping lives after the last outbound datagram (RFC 4787 §4.3); nil for ever.
    public var idleLifetime: Interval?
    /// How long a mapping lives after it was made, whatever passes; nil for ever. Some carriers' translators do this.
    public var absoluteLifetime: Interval?

    /// Creates a behaviour; without arguments that of a patient home router.
    public init(
        filtering: Filtering = .addressAndPortDependent,
        idleLifetime: Interval? = nil,
        absoluteLifetime: Interval? = nil
    ) {
        self.filtering = filtering
        self.idleLifetime = idleLifetime
        self.absoluteLifetime = absoluteLifetime
    }
}

/// What changes when a translator forgets its mappings.
public enum Rebinding: Hashable, Sendable {
    /// New ports on the same outside address.
    case port
    /// New ports on the next outside address.
    case addressAndPort
}

/// A network address translator with endpoint-independent mapping (RFC 4787 §4.1).
///
/// Outside ports are handed out in ascending order and not used again until they wrap around.
public struct AddressTranslator {
    /// The first outside port handed out.
    static let firstPort: UInt16 = 40_000

    /// How mappings are treated.
    public let behaviour: TranslatorBehaviour
    /// The outside addresses in the order of use.
    public let outsideAddresses: [IPAddress]
    private var currentAddress = 0
    private var nextPort = AddressTranslator.firstPort
    private var mappings: [NetworkAddress: Mapping] = [:]
    private var insideOf: [NetworkAddress: NetworkAddress] = [:]

    private struct Mapping {
        var outside: NetworkAddress
        var created: Instant
        var refreshed: Instant
        var peers: Set<NetworkAddress> = []
    }

    /// Creates a translator; `outside` must name at least one address, the first is used first.
    public init(outside: [IPAddress], behaviour: TranslatorBehaviour) {
        precondition(!outside.isEmpty, "a translator needs an outside address: pass at least one")
        outsideAddresses = outside
        self.behaviour = behaviour
    }

    /// Whether packets to or from an address pass as they are: a translator of IPv4 has nothing to do with IPv6.
    private func isForeign(_ address: NetworkAddress) -> Bool {
        !outsideAddresses.contains { $0.family == address.ip.family }
    }

    /// Rewrites the source of a packet that goes out, making or refreshing its mapping.
    public mutating func translateOutbound<Packet: LinkPacket>(_ packet: Packet, at now: Instant) -> Packet {
        if isForeign(packet.source) { return packet }
        let inside = packet.source
        if let mapping = mappings[inside], isExpired(mapping, at: now) { forget(inside, mapping) }
        var mapping = mappings[inside] ?? Mapping(outside: allocate(), created: now, refreshed: now)
        mapping.refreshed = now
        mapping.peers.insert(packet.destination)
        mappings[inside] = mapping
        insideOf[mapping.outside] = inside
        var translated = packet
        translated.source = mapping.outside
        return translated
    }

    /// Rewrites the destination of a packet that comes in.
    public mutating func translateInbound<Packet: LinkPacket>(
        _ packet: Packet, at now: Instant
    ) throws(Dropped) -> Packet {
        if isForeign(packet.destination) { return packet }
        guard let inside = insideOf[packet.destination], let mapping = mappings[inside] else {
            throw Dropped(.noMapping)
        }
        if isExpired(mapping, at: now) {
            forget(inside, mapping)
            throw Dropped(.noMapping)
        }
        if behaviour.filtering == .addressAndPortDependent, !mapping.peers.contains(packet.source) {
            throw Dropped(.filtered)
        }
        var translated = packet
        translated.destination = inside
        return translated
    }

    /// Forgets every mapping; what goes out next gets a new one.
    public mutating func rebind(_ rebinding: Rebinding) {
        mappings.removeAll()
        insideOf.removeAll()
        if rebinding == .addressAndPort { currentAddress = (currentAddress + 1) % outsideAddresses.count }
    }

    /// The outside address that stands for an inside one at present.
    public func outside(of inside: NetworkAddress) -> NetworkAddress? { mappings[inside]?.outside }

    private func isExpired(_ mapping: Mapping, at now: Instant) -> Bool {
        if let lifetime = behaviour.idleLifetime, now - mapping.refreshed >= lifetime { return true }
        if let lifetime = behaviour.absoluteLifetime, now - mapping.created >= lifetime { return true }
        return false
    }

    private mutating func forget(_ inside: NetworkAddress, _ mapping: Mapping) {
        mappings[inside] = nil
        insideOf[mapping.outside] = nil
    }

    private mutating func allocate() -> NetworkAddress {
        let port = nextPort
        nextPort = port == .max ? Self.firstPort : port + 1
        return NetworkAddress(outsideAddresses[currentAddress], port: port)
    }
}
