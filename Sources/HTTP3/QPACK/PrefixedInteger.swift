/// Integers that begin inside a byte (RFC 7541 §5.1, RFC 9204 §4.1.1).
enum PrefixedInteger {
    /// Largest value that is accepted; RFC 9204 §4.1.1 asks for 62 bits.
    static let maximum: UInt64 = 1 << 62 - 1

    /// Takes an integer whose first `prefix` (1 to 8) bits are the lowest of the byte at `position`; nil when the input
    /// ends first or the value is too large.
    static func decode(_ input: Span<UInt8>, at position: inout Int, prefix: Int) -> UInt64? {
        guard position < input.count else { return nil }
        let mask = UInt64(1) << UInt64(prefix) - 1
        var value = UInt64(input[position]) & mask
        position += 1
        guard value == mask else { return value }
        var shift: UInt64 = 0
        while position < input.count {
            let byte = input[position]
            position += 1
            let bits = UInt64(byte & 0x7f)
            // Continuations beyond 62 bits may only add zeros, and not for ever.
            guard shift < 63, bits <= maximum >> shift else { return nil }
            value += bits << shift
            guard value <= maximum else { return nil }
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        return nil
    }

    /// Appends `value` with its first bits in the lowest `prefix` bits of a byte whose other bits are `pattern`.
    static func encode(_ value: UInt64, prefix: Int, pattern: UInt8, to bytes: inout [UInt8]) {
        let mask = UInt64(1) << UInt64(prefix) - 1
        guard value >= mask else {
            bytes.append(pattern | UInt8(value))
            return
        }
        bytes.append(pattern | UInt8(mask))
        var rest = value - mask
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
