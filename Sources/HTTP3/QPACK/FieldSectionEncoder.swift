/// Encodes field sections with the static table and literals (RFC 9204 §4.5); never refers to a dynamic table.
enum FieldSectionEncoder {
    /// The encoded field section of `fields`.
    static func encode(_ fields: [Field]) -> [UInt8] {
        // RFC 9204 §4.5.1: Required Insert Count 0, Delta Base 0.
        var bytes: [UInt8] = [0, 0]
        for field in fields { encode(field, to: &bytes) }
        return bytes
    }

    private static func encode(_ field: Field, to bytes: inout [UInt8]) {
        // RFC 9204 §7.1.3: what must never be indexed is always sent as a literal with the N bit.
        let isSecret = field.sensitivity == .neverIndexed
        if !isSecret, let index = StaticTable.index(of: field.name, value: field.value) {
            // RFC 9204 §4.5.2: Indexed Field Line, static.
            PrefixedInteger.encode(UInt64(index), prefix: 6, pattern: 0xc0, to: &bytes)
            return
        }
        if let index = StaticTable.index(ofName: field.name) {
            // RFC 9204 §4.5.4: Literal Field Line with Name Reference, static.
            PrefixedInteger.encode(UInt64(index), prefix: 4, pattern: isSecret ? 0x70 : 0x50, to: &bytes)
        } else {
            // RFC 9204 §4.5.6: Literal Field Line with Literal Name.
            encodeString(field.name, prefix: 3, pattern: isSecret ? 0x30 : 0x20, to: &bytes)
        }
        encodeString(field.value, prefix: 7, pattern: 0, to: &bytes)
    }

    private static func encodeString(_ text: String, prefix: Int, pattern: UInt8, to bytes: inout [UInt8]) {
        let plain = text.utf8.count
        let compressed = HuffmanCode.encodedCount(text.utf8)
        if compressed < plain {
            let huffman = UInt8(1) << UInt8(prefix)
            PrefixedInteger.encode(UInt64(compressed), prefix: prefix, pattern: pattern | huffman, to: &bytes)
            HuffmanCode.encode(text.utf8, to: &bytes)
        } else {
            PrefixedInteger.encode(UInt64(plain), prefix: prefix, pattern: pattern, to: &bytes)
            bytes += text.utf8
        }
    }
}
