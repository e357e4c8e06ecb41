/// Decodes field sections against the static table only (RFC 9204 §4.5): the dynamic table's capacity is 0, so nothing
/// ever blocks.
enum FieldSectionDecoder {
    /// What a field section was.
    enum Outcome: Equatable {
        /// Its fields, in order.
        case fields([FieldLine])
        /// It measures more than the limit; decoding stopped there.
        case tooLarge
    }

    /// Decodes `input`, of which the fields may measure `limit` bytes as RFC 9114 §4.2.2 counts them.
    ///
    /// - Throws: QPACK_DECOMPRESSION_FAILED, a connection error.
    static func decode(_ input: Span<UInt8>, limit: Int) throws(HTTP3Error) -> Outcome {
        var position = 0
        try decodePrefix(input, at: &position)
        var fields: [FieldLine] = []
        var size = 0
        while position < input.count {
            guard let field = try decodeField(input, at: &position, room: limit - size) else { return .tooLarge }
            size += field.name.count + field.value.count + FieldLine.overhead
            guard size <= limit else { return .tooLarge }
            fields.append(field)
        }
        return .fields(fields)
    }

    /// RFC 9204 §4.5.1: with a table that can have no entries, the encoded Required Insert Count is 0.
    private static func decodePrefix(_ input: Span<UInt8>, at position: inout Int) throws(HTTP3Error) {
        guard let insertCount = PrefixedInteger.decode(input, at: &position, prefix: 8) else {
            throw failure("a field section without a prefix")
        }
        guard insertCount == 0 else { throw failure("a field section that needs the dynamic table") }
        // RFC 9204 §4.5.1.2: a negative Base is invalid when the Required Insert Count is 0.
        guard position < input.count, input[position] & 0x80 == 0 else {
            throw failure("a field section with a negative Base")
        }
        guard PrefixedInteger.decode(input, at: &position, prefix: 7) != nil else {
            throw failure("a field section with an incomplete Base")
        }
    }

    /// Takes one field line; nil when its strings alone exceed `room`.
    private static func decodeField(
        _ input: Span<UInt8>, at position: inout Int, room: Int
    ) throws(HTTP3Error) -> FieldLine? {
        let first = input[position]
        if first & 0x80 != 0 {
            // RFC 9204 §4.5.2: Indexed Field Line, 1 T index(6+).
            guard first & 0x40 != 0 else { throw failure("a reference to the dynamic table") }
            let entry = try staticEntry(input, at: &position, prefix: 6)
            return FieldLine(name: Array(entry.name.utf8), value: Array(entry.value.utf8))
        }
        let name: [UInt8]
        if first & 0x40 != 0 {
            // RFC 9204 §4.5.4: Literal Field Line with Name Reference, 01 N T index(4+).
            guard first & 0x10 != 0 else { throw failure("a name in the dynamic table") }
            name = Array(try staticEntry(input, at: &position, prefix: 4).name.utf8)
        } else if first & 0x20 != 0 {
            // RFC 9204 §4.5.6: Literal Field Line with Literal Name, 001 N H length(3+).
            guard let literal = try decodeString(input, at: &position, prefix: 3, room: room) else { return nil }
            name = literal
        } else {
            // RFC 9204 §4.5.3, §4.5.5: post-base forms always mean the dynamic table.
            throw failure("a post-base reference to the dynamic table")
        }
        guard let value = try decodeString(input, at: &position, prefix: 7, room: room - name.count) else { return nil }
        return FieldLine(name: name, value: value)
    }

    private static func staticEntry(
        _ input: Span<UInt8>, at position: inout Int, prefix: Int
    ) throws(HTTP3Error) -> (name: String, value: String) {
        guard let index = PrefixedInteger.decode(input, at: &position, prefix: prefix),
            index < UInt64(StaticTable.entries.count)
        else { throw failure("an index outside the static table") }
        return StaticTable.entries[Int(index)]
    }

    /// Takes a string literal (RFC 9204 §4.1.2) whose length has a prefix of `prefix` bits below the H bit; nil when it is
    /// longer than `room`.
    private static func decodeString(
        _ input: Span<UInt8>, at position: inout Int, prefix: Int, room: Int
    ) throws(HTTP3Error) -> [UInt8]? {
        guard position < input.count else { throw failure("a field section that ends inside a field") }
        let isHuffman = input[position] >> UInt8(prefix) & 1 == 1
        guard let length = PrefixedInteger.decode(input, at: &position, prefix: prefix),
            length <= UInt64(input.count - position)
        else { throw failure("a field section that ends inside a string") }
        let range = position..<position + Int(length)
        position = range.upperBound
        let bytes = input.extracting(range)
        if isHuffman {
            // The shortest code has 5 bits and the longest 30: what must exceed the room need not be decoded.
            guard range.count * 8 / HuffmanCode.maximumLength <= max(0, room) else { return nil }
            guard let text = HuffmanCode.decode(bytes, limit: range.count * 8 / 5) else {
                throw failure("an invalid Huffman encoding")
            }
            return text.count <= room ? text : nil
        }
        guard range.count <= room else { return nil }
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        for index in bytes.indices { text.append(bytes[index]) }
        return text
    }

    private static func failure(_ reason: String) -> HTTP3Error { HTTP3Error(.qpackDecompressionFailed, reason) }
}
