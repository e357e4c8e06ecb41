/// A connection ID of 0 to 20 bytes (RFC 9000 §5.1), held inline.
public struct ConnectionID: Hashable, Sendable {
    /// The longest connection ID that QUIC version 1 allows (RFC 9000 §17.2).
    public static let maximumLength = 20

    var first: UInt64 = 0
    var second: UInt64 = 0
    var third: UInt32 = 0
    /// Number of bytes, 0 to 20.
    public private(set) var count: Int = 0

    /// The connection ID without bytes.
    public static let empty = ConnectionID()

    init() {}

    /// Takes the bytes of a connection ID; nil when there are more than 20.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count <= Self.maximumLength else { return nil }
        first = Self.word(bytes, from: 0)
        second = Self.word(bytes, from: 8)
        third = UInt32(truncatingIfNeeded: Self.word(bytes, from: 16) >> 32)
        count = bytes.count
    }

    /// Takes the bytes of a connection ID; nil when there are more than 20.
    public init?(_ bytes: [UInt8]) {
        self.init(bytes.span)
    }

    /// A connection ID of `count` (at most 20) random bytes.
    public static func random(count: Int, using generator: inout some RandomNumberGenerator) -> ConnectionID {
        var id = ConnectionID()
        for _ in 0..<min(count, maximumLength) { id.append(UInt8.random(in: .min ... .max, using: &generator)) }
        return id
    }

    /// Up to eight bytes, left-aligned.
    private static func word(_ bytes: Span<UInt8>, from start: Int) -> UInt64 {
        var word: UInt64 = 0
        var shift: UInt64 = 56
        for index in start..<max(start, min(start + 8, bytes.count)) {
            word |= UInt64(bytes[index]) << shift
            shift &-= 8
        }
        return word
    }

    private mutating func append(_ byte: UInt8) {
        switch count {
        case 0..<8: first |= UInt64(byte) << UInt64(56 - 8 * count)
        case 8..<16: second |= UInt64(byte) << UInt64(56 - 8 * (count - 8))
        default: third |= UInt32(byte) << UInt32(24 - 8 * (count - 16))
        }
        count += 1
    }

    /// The byte at `index`, which is below `count`.
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "connection ID index out of range")
        switch index {
        case 0..<8: return UInt8(truncatingIfNeeded: first >> UInt64(56 - 8 * index))
        case 8..<16: return UInt8(truncatingIfNeeded: second >> UInt64(56 - 8 * (index - 8)))
        default: return UInt8(truncatingIfNeeded: third >> UInt32(24 - 8 * (index - 16)))
        }
    }

    /// The bytes, most significant first.
    public var bytes: [UInt8] { (0..<count).map { self[$0] } }
}

extension ConnectionID: CustomStringConvertible {
    /// Lower-case hexadecimal.
    public var description: String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

extension ByteWriter {
    /// Appends the bytes of a connection ID without a length.
    @_lifetime(self: copy self)
    mutating func write(_ id: ConnectionID) {
        write(id.first >> UInt64(8 * (8 - min(id.count, 8))), width: min(id.count, 8))
        guard id.count > 8 else { return }
        write(id.second >> UInt64(8 * (16 - min(id.count, 16))), width: min(id.count, 16) - 8)
        guard id.count > 16 else { return }
        write(UInt64(id.third) >> UInt64(8 * (20 - id.count)), width: id.count - 16)
    }
}
