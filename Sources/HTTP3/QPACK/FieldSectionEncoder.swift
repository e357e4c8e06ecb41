/// Encodes field sections with the static table and literals (RFC 9204 §4.5); never refers to a dynamic table.
enum FieldSectionEncoder {
    /// The encoded field section of `fields`.
    static func encode(_ fields: [Field]) -> [UInt8] {
        var bytes = prefix
        for field in fields { encode(field, to: &bytes) }
        return bytes
    }

    /// RFC 9204 §4.5.1: Required Insert Count 0, Delta Base 0.
    private static let prefix: [UInt8] = [0, 0]

    fileprivate static func encode(_ field: Field, to bytes: inout [UInt8]) {
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
        // What is secret is random for the most part: a code for text would cost much and save little.
        if isSecret {
            encodePlain(field.value, prefix: 7, pattern: 0, to: &bytes)
        } else {
            encodeString(field.value, prefix: 7, pattern: 0, to: &bytes)
        }
    }

    private static func encodeString(_ text: String, prefix: Int, pattern: UInt8, to bytes: inout [UInt8]) {
        let compressed = HuffmanCode.encodedCount(text.utf8)
        if compressed < text.utf8.count {
            let huffman = UInt8(1) << UInt8(prefix)
            PrefixedInteger.encode(UInt64(compressed), prefix: prefix, pattern: pattern | huffman, to: &bytes)
            HuffmanCode.encode(text.utf8, to: &bytes)
        } else {
            encodePlain(text, prefix: prefix, pattern: pattern, to: &bytes)
        }
    }

    private static func encodePlain(_ text: String, prefix: Int, pattern: UInt8, to bytes: inout [UInt8]) {
        PrefixedInteger.encode(UInt64(text.utf8.count), prefix: prefix, pattern: pattern, to: &bytes)
        bytes += text.utf8
    }
}

/// An encoder that keeps what it has made of the fields before the first secret: answers differ from one another behind
/// them, if at all.
struct RepeatingFieldEncoder {
    private var leading: ArraySlice<Field> = []
    private var encoded: [UInt8] = []

    /// The encoded field section of `fields`.
    mutating func encode(_ fields: [Field]) -> [UInt8] {
        let end = fields.firstIndex { $0.sensitivity == .neverIndexed } ?? fields.count
        if encoded.isEmpty || leading != fields[..<end] {
            leading = fields[..<end]
            encoded = FieldSectionEncoder.encode(Array(leading))
        }
        var bytes = encoded
        for field in fields[end...] { FieldSectionEncoder.encode(field, to: &bytes) }
        return bytes
    }
}
