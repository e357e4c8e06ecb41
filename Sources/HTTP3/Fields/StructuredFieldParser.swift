/// A cursor over the text of a structured field (RFC 8941 §4.2); every method is total.
struct StructuredFieldParser {
    private let text: [UInt8]
    private var position = 0

    /// Most parameters of one item; more are refused. Bounds the work that one field can cause.
    static let maximumParameterCount = 32

    init(_ text: String) { self.text = Array(text.utf8) }

    var isAtEnd: Bool { position == text.count }
    private var next: UInt8? { position < text.count ? text[position] : nil }

    mutating func skip(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    mutating func skipSpaces() {
        while skip(0x20) {}
    }

    mutating func skipOptionalWhitespace() {
        while skip(0x20) || skip(0x09) {}
    }

    /// RFC 8941 §4.2.3.
    mutating func parseItem() -> StructuredItem? {
        guard let value = parseBareItem() else { return nil }
        var parameters = Parameters()
        while skip(UInt8(ascii: ";")) {
            skipSpaces()
            guard parameters.all.count < Self.maximumParameterCount, let key = parseKey() else { return nil }
            var value = BareItem.boolean(true)
            if skip(UInt8(ascii: "=")) {
                guard let written = parseBareItem() else { return nil }
                value = written
            }
            parameters[key] = value
        }
        return StructuredItem(value, parameters: parameters)
    }

    /// RFC 8941 §4.2.3.3.
    private mutating func parseKey() -> String? {
        guard let first = next, Self.isLowercase(first) || first == UInt8(ascii: "*") else { return nil }
        return take {
            Self.isLowercase($0) || Self.isDigit($0) || "_-.*".utf8.contains($0)
        }
    }

    /// RFC 8941 §4.2.3.1.
    private mutating func parseBareItem() -> BareItem? {
        switch next {
        case UInt8(ascii: "?"):
            position += 1
            if skip(UInt8(ascii: "1")) { return .boolean(true) }
            return skip(UInt8(ascii: "0")) ? .boolean(false) : nil
        case UInt8(ascii: "\""): return parseString()
        case UInt8(ascii: ":"): return parseBytes()
        case let byte? where byte == UInt8(ascii: "-") || Self.isDigit(byte): return parseNumber()
        case let byte? where byte == UInt8(ascii: "*") || Self.isLowercase(byte | 0x20):
            return .token(
                take { FieldValidation.isTokenCharacter($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") })
        default: return nil
        }
    }

    /// RFC 8941 §4.2.4: up to 15 digits, or up to 12 before and 3 after a point.
    private mutating func parseNumber() -> BareItem? {
        let sign: Int64 = skip(UInt8(ascii: "-")) ? -1 : 1
        let whole = take(Self.isDigit)
        guard !whole.isEmpty, whole.utf8.count <= 15, let value = Int64(whole) else { return nil }
        guard skip(UInt8(ascii: ".")) else { return .integer(sign * value) }
        var fraction = take(Self.isDigit)
        guard 1...3 ~= fraction.utf8.count, whole.utf8.count <= 12 else { return nil }
        while fraction.utf8.count < 3 { fraction += "0" }
        guard let thousandths = Int64(fraction) else { return nil }
        return .decimal(thousandths: sign * (value * 1000 + thousandths))
    }

    /// RFC 8941 §4.2.5.
    private mutating func parseString() -> BareItem? {
        position += 1
        var content: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return .string(String(decoding: content, as: UTF8.self))
            case UInt8(ascii: "\\"):
                guard let escaped = next, escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    return nil
                }
                position += 1
                content.append(escaped)
            case 0x20...0x7e: content.append(byte)
            default: return nil
            }
        }
        return nil
    }

    /// RFC 8941 §4.2.7.
    private mutating func parseBytes() -> BareItem? {
        position += 1
        let encoded = take { $0 != UInt8(ascii: ":") }
        guard skip(UInt8(ascii: ":")), let bytes = Base64.decode(encoded) else { return nil }
        return .bytes(bytes)
    }

    private mutating func take(_ isWanted: (UInt8) -> Bool) -> String {
        let start = position
        while position < text.count, isWanted(text[position]) { position += 1 }
        return String(decoding: text[start..<position], as: UTF8.self)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
    private static func isLowercase(_ byte: UInt8) -> Bool { UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte }
}
