/// The header of an Initial, 0-RTT or Handshake packet as far as it can be read before header protection is removed
/// (RFC 9000 §17.2). Ranges and offsets count from the start of the datagram.
struct LongHeader: Equatable {
    var version: Version
    /// `.initial`, `.zeroRTT` or `.handshake`.
    var type: PacketType
    var destinationConnectionID: ConnectionID
    var sourceConnectionID: ConnectionID
    /// The token of an Initial packet; empty for the others.
    var token: Range<Int>
    /// The whole packet, to the end that its length field names.
    var packet: Range<Int>
    /// Where the protected packet number starts.
    var packetNumberOffset: Int
}

/// The header of a 1-RTT packet as far as it can be read before header protection is removed (RFC 9000 §17.3).
/// Ranges and offsets count from the start of the datagram.
struct ShortHeader: Equatable {
    var destinationConnectionID: ConnectionID
    /// The whole packet: the rest of the datagram.
    var packet: Range<Int>
    /// Where the protected packet number starts.
    var packetNumberOffset: Int
}

/// A Retry packet (RFC 9000 §17.2.5), the whole rest of its datagram. Ranges count from the start of the datagram.
struct RetryPacket: Equatable {
    var version: Version
    var destinationConnectionID: ConnectionID
    var sourceConnectionID: ConnectionID
    var token: Range<Int>
    /// The whole packet with its integrity tag.
    var packet: Range<Int>
}

/// A Version Negotiation packet (RFC 9000 §17.2.1).
struct VersionNegotiationPacket: Equatable {
    var destinationConnectionID: ConnectionID
    var sourceConnectionID: ConnectionID
    var supportedVersions: [VersionNumber]
}

/// A packet with a long header of a version that is not spoken here, of which only the invariants are known (RFC 8999 §5.1).
/// Ranges count from the start of the datagram; its connection IDs are up to 255 bytes long.
struct UnknownVersionPacket: Equatable {
    var version: VersionNumber
    var destinationConnectionID: Range<Int>
    var sourceConnectionID: Range<Int>
}

/// Why bytes of a datagram are no packet, and all that follows them is dropped.
enum PacketDefect: Error, Equatable {
    /// The datagram ends before the header or the length it announces does.
    case truncated
    /// The fixed bit is not set (RFC 9000 §17.2).
    case fixedBitClear
    /// A connection ID is longer than its version allows (RFC 9000 §17.2).
    case connectionIDTooLong
    /// A coalesced packet is for another connection than the first one (RFC 9000 §12.2).
    case foreignConnectionID
    /// A Retry packet without a token (RFC 9000 §17.2.5.2), or a version list that is empty or ends inside a version.
    case malformed
}
