internal import Primitives

/// The head of one netlink message, and what stands behind it.
///
/// ```
///  0               4       6       8               12              16
///  ├───────────────┼───────┼───────┼───────────────┼───────────────┼──────
///  │ length        │ type  │ flags │ sequence      │ port          │ body …
/// ```
/// Numbers are in the machine's byte order; messages and attributes begin at multiples of four bytes (RFC 3549 §2.3.2).
struct NetlinkMessage: Hashable {
    /// Bytes of the head.
    static let headSize = 16

    /// What kind of message it is.
    var type: UInt16
    /// Whether it belongs to an answer of several messages, and more.
    var flags: UInt16
    /// The number of the request that it answers; a notification has that of whoever caused it.
    var sequence: UInt32
    /// Where its body stands.
    var body: Range<Int>

    /// Part of an answer of several messages (NLM_F_MULTI).
    var isAnswer: Bool { flags & 0x2 != 0 }
    /// What was being listed changed meanwhile (NLM_F_DUMP_INTR).
    var isInterrupted: Bool { flags & 0x10 != 0 }

    /// The message at `offset`, or `nil` where no whole one stands.
    init?(_ bytes: Span<UInt8>, at offset: Int) {
        guard let length = bytes.nativeUInt32(at: offset), let type = bytes.nativeUInt16(at: offset + 4),
            let flags = bytes.nativeUInt16(at: offset + 6), let sequence = bytes.nativeUInt32(at: offset + 8),
            length >= Self.headSize, Int(length) <= bytes.count - offset
        else { return nil }
        self.type = type
        self.flags = flags
        self.sequence = sequence
        body = offset + Self.headSize..<offset + Int(length)
    }

    /// Where the next message begins.
    var end: Int { body.upperBound.roundedUpToFour }
}

/// One attribute of a message: length and type in four bytes, then its value (RFC 3549 §2.3.3.2).
struct NetlinkAttribute: Hashable {
    /// Bytes of the head.
    static let headSize = 4

    /// What it says.
    var type: UInt16
    /// Where its value stands.
    var value: Range<Int>

    /// The attribute at `offset` within `bytes` up to `limit`, or `nil` where no whole one stands.
    init?(_ bytes: Span<UInt8>, at offset: Int, before limit: Int) {
        guard limit <= bytes.count, let length = bytes.nativeUInt16(at: offset),
            let type = bytes.nativeUInt16(at: offset + 2), length >= Self.headSize, Int(length) <= limit - offset
        else { return nil }
        // The two highest bits are flags.
        self.type = type & 0x3fff
        value = offset + Self.headSize..<offset + Int(length)
    }

    /// All attributes of `range`, up to the first that is broken.
    static func all(_ bytes: Span<UInt8>, in range: Range<Int>) -> [NetlinkAttribute] {
        var found: [NetlinkAttribute] = []
        var offset = range.lowerBound
        while let attribute = NetlinkAttribute(bytes, at: offset, before: range.upperBound) {
            found.append(attribute)
            offset = attribute.value.upperBound.roundedUpToFour
        }
        return found
    }
}

extension Int {
    /// The next multiple of four. Offsets within a buffer are far from overflow.
    fileprivate var roundedUpToFour: Int { (self + 3) & ~3 }
}

extension Span<UInt8> {
    /// Two bytes as a number in the machine's order, or `nil` where they are not there.
    func nativeUInt16(at offset: Int) -> UInt16? {
        guard offset >= 0, offset <= count - 2 else { return nil }
        return UInt16(littleEndian: UInt16(self[offset]) | UInt16(self[offset + 1]) << 8)
    }

    /// Four bytes as a number in the machine's order, or `nil` where they are not there.
    func nativeUInt32(at offset: Int) -> UInt32? {
        guard offset >= 0, offset <= count - 4 else { return nil }
        var number: UInt32 = 0
        for position in 0..<4 { number |= UInt32(self[offset + position]) << (8 * UInt32(position)) }
        return UInt32(littleEndian: number)
    }

    /// Eight bytes as a number, most significant first.
    fileprivate func bigEndianUInt64(at offset: Int) -> UInt64? {
        guard offset >= 0, offset <= count - 8 else { return nil }
        var number: UInt64 = 0
        for position in 0..<8 { number = number << 8 | UInt64(self[offset + position]) }
        return number
    }

    /// The address that fills `range`; its size is its family.
    func ipAddress(in range: Range<Int>) -> IPAddress? {
        switch range.count {
        case 4: nativeUInt32(at: range.lowerBound).map { IPAddress(ipv4: UInt32(bigEndian: $0)) }
        case 16:
            if let high = bigEndianUInt64(at: range.lowerBound), let low = bigEndianUInt64(at: range.lowerBound + 8) {
                IPAddress(ipv6High: high, low: low)
            } else {
                nil
            }
        default: nil
        }
    }
}
