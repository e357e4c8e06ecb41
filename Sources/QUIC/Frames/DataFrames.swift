/// How a frame that carries payload says where it ends.
enum PayloadExtent: Hashable {
    /// By a Length field: other frames may follow.
    case lengthField
    /// By the end of the packet: it is the last frame.
    case endOfPacket
}

/// The head of a STREAM frame to be sent (RFC 9000 §19.8); the payload is written after it.
struct StreamFrameHeader: Equatable {
    var id: StreamID
    var offset: UInt64
    var fin: Fin
    var extent: PayloadExtent

    /// Bytes of the header but for its Length field.
    private var fixedSize: Int {
        1 + Varint.width(of: id.rawValue) + (offset > 0 ? Varint.width(of: offset) : 0)
    }

    /// Bytes that the header takes before a payload of `length` bytes.
    func encodedSize(length: Int) -> Int {
        fixedSize + (extent == .lengthField ? Varint.width(of: UInt64(length)) : 0)
    }

    /// The longest payload that fits together with the header into `space` bytes; nil when not even the header does.
    func payloadCapacity(in space: Int) -> Int? {
        PayloadExtent.payloadCapacity(in: space - fixedSize, extent: extent)
    }

    fileprivate var type: UInt8 {
        var bits = FrameType.stream.rawValue
        if offset > 0 { bits |= FrameType.StreamBits.offset }
        if extent == .lengthField { bits |= FrameType.StreamBits.length }
        if fin == .end { bits |= FrameType.StreamBits.fin }
        return UInt8(truncatingIfNeeded: bits)
    }
}

/// The head of a CRYPTO frame to be sent (RFC 9000 §19.6); the payload is written after it.
struct CryptoFrameHeader: Equatable {
    var offset: UInt64

    /// Bytes that the header takes before a payload of `length` bytes.
    func encodedSize(length: Int) -> Int {
        1 + Varint.width(of: offset) + Varint.width(of: UInt64(length))
    }

    /// The longest payload that fits together with the header into `space` bytes; nil when not even the header does.
    func payloadCapacity(in space: Int) -> Int? {
        PayloadExtent.payloadCapacity(in: space - 1 - Varint.width(of: offset), extent: .lengthField)
    }
}

/// The head of a DATAGRAM frame to be sent (RFC 9221 §4); the payload is written after it.
struct DatagramFrameHeader: Equatable {
    var extent: PayloadExtent

    /// Bytes that the header takes before a payload of `length` bytes.
    func encodedSize(length: Int) -> Int {
        1 + (extent == .lengthField ? Varint.width(of: UInt64(length)) : 0)
    }

    /// The longest payload that fits together with the header into `space` bytes; nil when not even the header does.
    func payloadCapacity(in space: Int) -> Int? {
        PayloadExtent.payloadCapacity(in: space - 1, extent: extent)
    }
}

extension PayloadExtent {
    /// The longest payload that fits with its Length field, if it has one, into `space` bytes.
    fileprivate static func payloadCapacity(in space: Int, extent: PayloadExtent) -> Int? {
        guard extent == .lengthField else { return space >= 0 ? space : nil }
        guard space >= 1 else { return nil }
        // A wider Length field is only worth it when the payload needs it.
        let narrowest = Varint.width(of: UInt64(space))
        var best = 0
        for width in [1, 2, 4, 8] where width <= narrowest {
            let largest = min(space - width, Int(1 << (8 * width - 2)) - 1)
            best = max(best, largest)
        }
        return best
    }
}

extension ByteWriter {
    /// Writes the head of a STREAM frame whose payload of `length` bytes follows.
    @_lifetime(self: copy self)
    mutating func write(_ header: StreamFrameHeader, length: Int) {
        write(header.type)
        writeVarint(header.id.rawValue)
        if header.offset > 0 { writeVarint(header.offset) }
        if header.extent == .lengthField { writeVarint(UInt64(length)) }
    }

    /// Writes the head of a CRYPTO frame whose payload of `length` bytes follows.
    @_lifetime(self: copy self)
    mutating func write(_ header: CryptoFrameHeader, length: Int) {
        write(UInt8(truncatingIfNeeded: FrameType.crypto.rawValue))
        writeVarint(header.offset)
        writeVarint(UInt64(length))
    }

    /// Writes the head of a DATAGRAM frame whose payload of `length` bytes follows.
    @_lifetime(self: copy self)
    mutating func write(_ header: DatagramFrameHeader, length: Int) {
        let lengthBit = header.extent == .lengthField ? FrameType.datagramLengthBit : 0
        write(UInt8(truncatingIfNeeded: FrameType.datagram.rawValue | lengthBit))
        if header.extent == .lengthField { writeVarint(UInt64(length)) }
    }

    /// Bytes that a NEW_TOKEN frame takes (RFC 9000 §19.7).
    static func newTokenSize(_ token: Span<UInt8>) -> Int {
        1 + Varint.width(of: UInt64(token.count)) + token.count
    }

    /// Writes a NEW_TOKEN frame; the token is not empty.
    @_lifetime(self: copy self)
    mutating func writeNewToken(_ token: Span<UInt8>) {
        write(UInt8(truncatingIfNeeded: FrameType.newToken.rawValue))
        writeVarint(UInt64(token.count))
        write(token)
    }
}
