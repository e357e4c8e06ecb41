/// Reads TOML 1.0 (toml.io) into nodes that know their lines.
///
/// A text is read once from front to end. Values of kinds that no configuration key takes, floats and dates, are recognised and not kept.
struct TOMLParser {
    private let text: [UInt8]
    private var position = 0
    private var line = 1

    /// Depth of nested arrays and inline tables; a deeper one is an error.
    private static let deepestNesting = 64

    init(_ text: String) {
        self.text = Array(text.utf8)
        // A byte order mark is no part of the text.
        if self.text.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    }

    /// The root table.
    mutating func document() throws(TOMLFault) -> TOMLNode {
        let root = TOMLTable(.header, line: 1)
        var table = root
        while true {
            try skipBlankLines()
            guard next != nil else { return root.node }
            if skip("[") {
                table = try header(in: root)
            } else {
                try entry(in: table, depth: 0)
            }
            try endOfLine()
        }
    }

    private mutating func header(in root: TOMLTable) throws(TOMLFault) -> TOMLTable {
        let isArray = skip("[")
        let path = try keyPath()
        guard skip("]"), !isArray || skip("]") else { throw fault("a header ends with \(isArray ? "]]" : "]")") }
        return isArray ? try root.append(path, line: line) : try root.open(path, line: line)
    }

    private mutating func entry(in table: TOMLTable, depth: Int) throws(TOMLFault) {
        let start = line
        let path = try keyPath()
        guard skip("=") else { throw fault("there is no = after the key \(path.joined(separator: "."))") }
        skipSpaces()
        try table.set(path, to: try value(depth: depth), line: start)
    }

    // MARK: Keys

    private mutating func keyPath() throws(TOMLFault) -> [String] {
        var keys: [String] = []
        repeat {
            skipSpaces()
            keys.append(try key())
            skipSpaces()
        } while skip(".")
        return keys
    }

    private mutating func key() throws(TOMLFault) -> String {
        if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") {
            guard !startsMultiline else { throw fault("a key cannot span lines") }
            return try string()
        }
        let start = position
        while let byte = next, TOMLParser.isBareKey(byte) { position += 1 }
        guard position > start else { throw fault("a key is expected; comments start with #, strings stand in quotes") }
        return String(decoding: text[start..<position], as: UTF8.self)
    }

    private static func isBareKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    // MARK: Values

    private mutating func value(depth: Int) throws(TOMLFault) -> TOMLNode {
        guard depth < TOMLParser.deepestNesting else { throw fault("values are nested too deeply") }
        let start = line
        let content: TOMLNode.Content
        switch next {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): content = .string(try string())
        case UInt8(ascii: "["): content = .array(try array(depth: depth))
        case UInt8(ascii: "{"): content = try inlineTable(depth: depth)
        default: content = try scalar()
        }
        return TOMLNode(content: content, line: start)
    }

    private mutating func array(depth: Int) throws(TOMLFault) -> [TOMLNode] {
        position += 1
        var elements: [TOMLNode] = []
        while true {
            try skipBlankLines()
            if skip("]") { return elements }
            elements.append(try value(depth: depth + 1))
            try skipBlankLines()
            if skip("]") { return elements }
            guard skip(",") else { throw fault("an array has a comma between values and ends with ]") }
        }
    }

    private mutating func inlineTable(depth: Int) throws(TOMLFault) -> TOMLNode.Content {
        position += 1
        let table = TOMLTable(.header, line: line)
        skipSpaces()
        if skip("}") { return table.node.content }
        while true {
            try entry(in: table, depth: depth + 1)
            skipSpaces()
            if skip("}") { return table.node.content }
            guard skip(",") else {
                throw fault("a table in braces has a comma between entries and ends with } on the same line")
            }
        }
    }

    private mutating func scalar() throws(TOMLFault) -> TOMLNode.Content {
        let start = position
        while let byte = next, TOMLParser.isBareKey(byte) || "+.:".utf8.contains(byte) { position += 1 }
        // A date and its time may have a blank between them.
        if position - start == 10, text[start + 4] == UInt8(ascii: "-"), next == UInt8(ascii: " "),
            position + 1 < text.count, (0x30...0x39).contains(text[position + 1])
        {
            position += 1
            while let byte = next, TOMLParser.isBareKey(byte) || "+.:".utf8.contains(byte) { position += 1 }
        }
        let word = String(decoding: text[start..<position], as: UTF8.self)
        guard let content = TOMLScalar.content(of: word) else {
            throw fault(word.isEmpty ? "a value is missing" : "\(word.prefix(40)) is no value; strings stand in quotes")
        }
        return content
    }
}

// MARK: - Strings

extension TOMLParser {
    private var startsMultiline: Bool {
        guard let quote = next else { return false }
        return text[position...].prefix(3).elementsEqual([quote, quote, quote])
    }

    /// Reads a string in one of the four notations.
    private mutating func string() throws(TOMLFault) -> String {
        guard let quote = next else { throw fault("a string is missing") }
        let isMultiline = startsMultiline
        position += isMultiline ? 3 : 1
        if isMultiline { skipNewline() }
        var bytes: [UInt8] = []
        while let byte = next {
            if byte == quote, !isMultiline || startsMultiline {
                position += isMultiline ? 3 : 1
                // Up to two more quotes may stand before the closing ones and belong to the string.
                var extra = 0
                while isMultiline, extra < 2, skip(Unicode.Scalar(quote)) {
                    bytes.append(quote)
                    extra += 1
                }
                return String(decoding: bytes, as: UTF8.self)
            }
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                try escape(into: &bytes, isMultiline ? .multiline : .single)
            } else if isMultiline, skipNewline() {
                bytes.append(UInt8(ascii: "\n"))
            } else {
                // Controls except the tab must be escaped; a line feed here is an unclosed string.
                guard byte >= 0x20 && byte != 0x7f || byte == 0x09 else { break }
                bytes.append(byte)
                position += 1
            }
        }
        throw fault("a string does not end with its quote, or has a control character in it")
    }

    private enum StringLines { case single, multiline }

    private mutating func escape(into bytes: inout [UInt8], _ lines: StringLines) throws(TOMLFault) {
        position += 1
        let letter = next
        position += 1
        switch letter {
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "n"): bytes.append(0x0a)
        case UInt8(ascii: "f"): bytes.append(0x0c)
        case UInt8(ascii: "r"): bytes.append(0x0d)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(letter ?? 0)
        case UInt8(ascii: "u"): try unicodeEscape(into: &bytes, digits: 4)
        case UInt8(ascii: "U"): try unicodeEscape(into: &bytes, digits: 8)
        default:
            position -= 1
            guard case .multiline = lines, skipContinuation() else {
                throw fault("a string has an unknown escape; write \\\\ for a backslash")
            }
        }
    }

    /// A backslash at the end of a line of a multi-line string swallows all blanks up to the next text.
    private mutating func skipContinuation() -> Bool {
        skipSpaces()
        guard skipNewline() else { return false }
        repeat { skipSpaces() } while skipNewline()
        return true
    }

    private mutating func unicodeEscape(into bytes: inout [UInt8], digits: Int) throws(TOMLFault) {
        let hexadecimal = text[min(position, text.count)...].prefix(digits)
        // A NUL would end a path or a name early wherever C reads it.
        guard hexadecimal.count == digits, hexadecimal.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(String(decoding: hexadecimal, as: UTF8.self), radix: 16), value != 0,
            let scalar = Unicode.Scalar(value)
        else { throw fault("\\u needs 4 and \\U 8 hexadecimal digits of a character other than NUL") }
        position += digits
        bytes += Array(String(scalar).utf8)
    }
}

// MARK: - Characters

extension TOMLParser {
    private var next: UInt8? { position < text.count ? text[position] : nil }

    private func fault(_ message: String) -> TOMLFault { TOMLFault(line: line, message: message) }

    private mutating func skip(_ expected: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: expected) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpaces() {
        while next == UInt8(ascii: " ") || next == UInt8(ascii: "\t") { position += 1 }
    }

    /// LF or CR LF.
    @discardableResult
    private mutating func skipNewline() -> Bool {
        let rest = text[min(position, text.count)...]
        let length = rest.first == 0x0a ? 1 : rest.starts(with: [0x0d, 0x0a]) ? 2 : 0
        position += length
        line += length > 0 ? 1 : 0
        return length > 0
    }

    private mutating func skipComment() throws(TOMLFault) {
        guard skip("#") else { return }
        while let byte = next, byte != 0x0a, !text[position...].starts(with: [0x0d, 0x0a]) {
            guard byte >= 0x20 && byte != 0x7f || byte == 0x09 else {
                throw fault("a comment has a control character in it")
            }
            position += 1
        }
    }

    private mutating func skipBlankLines() throws(TOMLFault) {
        repeat {
            skipSpaces()
            try skipComment()
        } while skipNewline()
    }

    private mutating func endOfLine() throws(TOMLFault) {
        skipSpaces()
        try skipComment()
        guard next == nil || skipNewline() else {
            throw fault("there is more behind the value; write one key = value a line, strings in quotes")
        }
    }
}
