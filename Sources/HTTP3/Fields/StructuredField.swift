/// A value of a structured field (RFC 9651, RFC 8941): what stands between the punctuation.
public enum BareItem: Hashable, Sendable {
    /// `?1` and `?0`.
    case boolean(Bool)
    /// A number of up to 15 digits.
    case integer(Int64)
    /// A number with up to three digits after the point, in thousandths.
    case decimal(thousandths: Int64)
    /// Text in quotes.
    case string(String)
    /// A word.
    case token(String)
    /// Bytes, in base64 between colons.
    case bytes([UInt8])
}

/// Parameters of an item, in order; a key that comes twice counts where it came first with its last value.
public struct Parameters: Hashable, Sendable, ExpressibleByArrayLiteral {
    /// A key with its value.
    public struct Parameter: Hashable, Sendable {
        /// The key.
        public var key: String
        /// The value; `true` when none was written.
        public var value: BareItem
    }

    /// The parameters in order.
    public private(set) var all: [Parameter] = []

    /// Creates parameters.
    public init(arrayLiteral elements: (String, BareItem)...) {
        for (key, value) in elements { self[key] = value }
    }

    /// The value of a key.
    public subscript(key: String) -> BareItem? {
        get { all.first { $0.key == key }?.value }
        set {
            let index = all.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): all[index].value = value
            case (let index?, nil): all.remove(at: index)
            case (nil, let value?): all.append(Parameter(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}

/// An item with its parameters (RFC 8941 §3.3).
public struct StructuredItem: Hashable, Sendable {
    /// The item.
    public var value: BareItem
    /// Its parameters.
    public var parameters: Parameters

    /// Creates an item.
    public init(_ value: BareItem, parameters: Parameters = []) {
        self.value = value
        self.parameters = parameters
    }

    /// Parses a field that is one item; nil when it is not one (such a field is to be ignored, RFC 8941 §4.2).
    public init?(parsing text: String) {
        var parser = StructuredFieldParser(text)
        parser.skipSpaces()
        guard let item = parser.parseItem() else { return nil }
        parser.skipSpaces()
        guard parser.isAtEnd else { return nil }
        self = item
    }

    /// Parses a field that is a list of items; nil when it is not one. Inner lists are not understood.
    public static func parseList(_ text: String) -> [StructuredItem]? {
        var parser = StructuredFieldParser(text)
        var items: [StructuredItem] = []
        parser.skipSpaces()
        while !parser.isAtEnd {
            guard items.count < maximumListCount, let item = parser.parseItem() else { return nil }
            items.append(item)
            parser.skipOptionalWhitespace()
            guard !parser.isAtEnd else { break }
            guard parser.skip(UInt8(ascii: ",")) else { return nil }
            parser.skipOptionalWhitespace()
            // RFC 8941 §4.2.1: no comma at the end.
            guard !parser.isAtEnd else { return nil }
        }
        return items
    }

    /// Most items in a list; a longer list is refused. Bounds the work that one field can cause.
    static let maximumListCount = 64

    /// The item as a field value (RFC 8941 §4.1.3).
    public var serialized: String {
        var text = value.serialized
        for parameter in parameters.all {
            text += ";" + parameter.key
            if parameter.value != .boolean(true) { text += "=" + parameter.value.serialized }
        }
        return text
    }
}

extension BareItem {
    /// The item as it stands in a field value (RFC 8941 §4.1.3.1). Characters that a string cannot hold become `?`.
    var serialized: String {
        switch self {
        case .boolean(let value): return value ? "?1" : "?0"
        case .integer(let value): return String(value)
        case .decimal(let thousandths):
            let magnitude = thousandths.magnitude
            let fraction = String(magnitude % 1000 + 1000).dropFirst()
            return (thousandths < 0 ? "-" : "") + String(magnitude / 1000) + "." + fraction
        case .string(let text):
            var quoted = "\""
            for scalar in text.unicodeScalars {
                switch scalar {
                case "\"", "\\": quoted += "\\" + String(scalar)
                case " "..."~": quoted.unicodeScalars.append(scalar)
                default: quoted += "?"
                }
            }
            return quoted + "\""
        case .token(let word): return word
        case .bytes(let bytes): return ":" + Base64.encode(bytes) + ":"
        }
    }
}
