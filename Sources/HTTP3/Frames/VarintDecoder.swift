/// A variable-length integer (RFC 9000 §16) that may arrive in several pieces.
struct VarintDecoder: Equatable {
    private var value: UInt64 = 0
    /// Bytes still missing; 0 before the first one.
    private var missing = 0

    /// Whether some but not all bytes of an integer have been taken.
    var isPartial: Bool { missing != 0 }

    /// Takes bytes of `input` from `position` on and returns the integer once its last byte was taken; nil when the
    /// input ends first. Then the next integer may follow.
    mutating func decode(_ input: Span<UInt8>, at position: inout Int) -> UInt64? {
        while position < input.count {
            let byte = input[position]
            position += 1
            if missing == 0 {
                value = UInt64(byte & 0x3f)
                missing = 1 << Int(byte >> 6) - 1
            } else {
                value = value << 8 | UInt64(byte)
                missing -= 1
            }
            if missing == 0 { return value }
        }
        return nil
    }
}

extension [UInt8] {
    /// Appends a variable-length integer in its shortest form; `value` is below 2^62.
    mutating func appendVarint(_ value: UInt64) {
        switch value {
        case 0..<1 << 6: append(UInt8(value))
        case 1 << 6..<1 << 14: appendBigEndian(value | 1 << 14, width: 2)
        case 1 << 14..<1 << 30: appendBigEndian(value | 2 << 30, width: 4)
        default: appendBigEndian(value | 3 << 62, width: 8)
        }
    }

    private mutating func appendBigEndian(_ value: UInt64, width: Int) {
        for index in (0..<width).reversed() { append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    }
}
