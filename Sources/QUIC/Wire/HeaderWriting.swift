import Cryptography

/// Where the parts of a packet that is being written stand in its buffer; sealing it needs them.
struct PacketLayout: Equatable {
    /// The first byte of the packet.
    var start: Int
    /// The length field that is filled in when the packet is sealed; nil in a short header.
    var lengthField: Range<Int>?
    /// Where the packet number stands.
    var packetNumber: Range<Int>
    /// The end of the packet with its tag, once it is finished.
    var end: Int

    /// Bytes that `finishPacket` may add: the tag, and padding of a payload shorter than a packet number can be.
    static let sealingOverhead = CipherSuite.tagLength + PacketNumber.maximumLength - 1

    /// Where the payload starts.
    var payloadStart: Int { packetNumber.upperBound }
}

/// Bytes that are kept for the length field of a long header.
enum LengthFieldWidth: Int, Hashable {
    /// Enough for 16,383 bytes of packet number, payload and tag.
    case two = 2
    /// Enough for anything a datagram can carry.
    case four = 4
}

/// What goes into the header of an Initial, 0-RTT or Handshake packet.
struct LongHeaderFields {
    var version: Version
    /// `.initial`, `.zeroRTT` or `.handshake`.
    var type: PacketType
    var destinationConnectionID: ConnectionID
    var sourceConnectionID: ConnectionID
    /// Goes into Initial packets only.
    var token: [UInt8] = []
    var packetNumber: UInt64
    /// Bytes of the packet number, 1 to 4.
    var packetNumberLength: Int
    var lengthWidth: LengthFieldWidth = .two
    var fixedBit: FixedBit = .set

    /// Bytes that the header takes.
    var encodedSize: Int {
        let token = type == .initial ? Varint.width(of: UInt64(token.count)) + token.count : 0
        return 1 + 4 + 1 + destinationConnectionID.count + 1 + sourceConnectionID.count + token + lengthWidth.rawValue
            + packetNumberLength
    }
}

/// What goes into the header of a 1-RTT packet.
struct ShortHeaderFields {
    var destinationConnectionID: ConnectionID
    var packetNumber: UInt64
    /// Bytes of the packet number, 1 to 4.
    var packetNumberLength: Int
    var keyPhase: KeyPhase
    var spin: SpinBit = .zero
    var fixedBit: FixedBit = .set

    /// Bytes that the header takes.
    var encodedSize: Int { 1 + destinationConnectionID.count + packetNumberLength }
}

extension ByteWriter {
    /// Writes the header of an Initial, 0-RTT or Handshake packet; the length field is filled in by sealing the packet.
    @_lifetime(self: copy self)
    mutating func writeLongHeader(_ fields: LongHeaderFields) -> PacketLayout {
        let start = position
        let type: LongPacketType =
            switch fields.type {
            case .initial: .initial
            case .zeroRTT: .zeroRTT
            case .handshake: .handshake
            case .oneRTT: preconditionFailure("a 1-RTT packet has no long header")
            }
        let lengthBits = UInt8(truncatingIfNeeded: fields.packetNumberLength - 1)
        write(FirstByte.longHeader | fields.fixedBit.bits | type.bits(in: fields.version) | lengthBits)
        writeVersionAndConnectionIDs(fields.version, fields.destinationConnectionID, fields.sourceConnectionID)
        if fields.type == .initial {
            writeVarint(UInt64(fields.token.count))
            write(fields.token.span)
        }
        let lengthField = reserve(fields.lengthWidth.rawValue)
        let packetNumber = position..<position + fields.packetNumberLength
        write(fields.packetNumber, width: fields.packetNumberLength)
        return PacketLayout(start: start, lengthField: lengthField, packetNumber: packetNumber, end: position)
    }

    /// Writes the header of a 1-RTT packet.
    @_lifetime(self: copy self)
    mutating func writeShortHeader(_ fields: ShortHeaderFields) -> PacketLayout {
        let start = position
        let lengthBits = UInt8(truncatingIfNeeded: fields.packetNumberLength - 1)
        write(fields.fixedBit.bits | fields.spin.bits | fields.keyPhase.bits | lengthBits)
        write(fields.destinationConnectionID)
        let packetNumber = position..<position + fields.packetNumberLength
        write(fields.packetNumber, width: fields.packetNumberLength)
        return PacketLayout(start: start, lengthField: nil, packetNumber: packetNumber, end: position)
    }

    /// Ends a packet after its last frame: pads it as far as header protection needs, makes room for the tag and fills in
    /// the length field. `PacketLayout.sealingOverhead` bytes must remain.
    @_lifetime(self: copy self)
    mutating func finishPacket(_ packet: inout PacketLayout) {
        // RFC 9001 §5.4.2: packet number and payload are at least four bytes, so that there is a whole sample.
        let padding = packet.packetNumber.lowerBound + PacketNumber.maximumLength - position
        if padding > 0 { write(repeating: UInt8(truncatingIfNeeded: FrameType.padding.rawValue), count: padding) }
        _ = reserve(CipherSuite.tagLength)
        packet.end = position
        guard let field = packet.lengthField else { return }
        // RFC 9000 §17.2: the length of packet number, payload and tag, as a varint of the width that was kept.
        precondition(position - packet.packetNumber.lowerBound < 1 << (8 * field.count - 2), "length field too narrow")
        let prefix = UInt64(field.count.trailingZeroBitCount) << UInt64(8 * field.count - 2)
        bytes.fill(field, with: prefix | UInt64(position - packet.packetNumber.lowerBound))
    }

    /// Writes a Version Negotiation packet (RFC 9000 §17.2.1). The connection IDs are those of the packet it answers,
    /// exchanged, of at most 255 bytes each; `unusedBits` are the seven bits that receivers ignore.
    @_lifetime(self: copy self)
    mutating func writeVersionNegotiation(
        destination: Span<UInt8>, source: Span<UInt8>, versions: [VersionNumber], unusedBits: UInt8
    ) {
        // RFC 9000 §17.2.1: the bit at 0x40 is set, so that it can be told from other protocols (RFC 7983).
        write(FirstByte.longHeader | FirstByte.fixedBit | unusedBits & 0x3f)
        write(UInt64(VersionNumber.negotiation.rawValue), width: 4)
        write(UInt8(truncatingIfNeeded: destination.count))
        write(destination)
        write(UInt8(truncatingIfNeeded: source.count))
        write(source)
        for version in versions { write(UInt64(version.rawValue), width: 4) }
    }

    /// Writes a Retry packet (RFC 9000 §17.2.5) but for its integrity tag, which `RetryIntegrity` appends.
    @_lifetime(self: copy self)
    mutating func writeRetryWithoutTag(
        version: Version, destination: ConnectionID, source: ConnectionID, token: Span<UInt8>, unusedBits: UInt8
    ) {
        let type = LongPacketType.retry.bits(in: version)
        write(FirstByte.longHeader | FirstByte.fixedBit | type | unusedBits & 0x0f)
        writeVersionAndConnectionIDs(version, destination, source)
        write(token)
    }

    @_lifetime(self: copy self)
    private mutating func writeVersionAndConnectionIDs(
        _ version: Version, _ destination: ConnectionID, _ source: ConnectionID
    ) {
        write(UInt64(version.rawValue), width: 4)
        write(UInt8(truncatingIfNeeded: destination.count))
        write(destination)
        write(UInt8(truncatingIfNeeded: source.count))
        write(source)
    }
}
