internal import TOMLKit

/// A value of a TOML file, with its line.
struct TOMLNode {
    enum Content {
        case table([String: TOMLNode])
        case array([TOMLNode])
        case string(String)
        case integer(Int)
        case boolean(Bool)
        /// A kind of value that no key of ours takes, with its name.
        case other(String)
    }

    let content: Content
    let line: Int

    /// What the value is, with its article, for messages.
    var kind: String {
        switch content {
        case .table: "a table"
        case .array: "an array"
        case .string: "a string"
        case .integer: "an integer"
        case .boolean: "true or false"
        case .other(let name): name
        }
    }

    /// Bytes in the longest text that is parsed; a longer one is an error.
    static let longestText = 1 << 20

    /// Parses a text; a syntax error names its line.
    static func parse(_ text: String, source: String) throws(ConfigurationError) -> TOMLNode {
        guard text.utf8.count <= longestText else {
            throw ConfigurationError(source: source, message: "larger than 1 MiB; give a TOML configuration file")
        }
        // The parser hands strings over as C strings: what follows a NUL would vanish without an error.
        guard !text.utf8.contains(0), !text.contains("\\u0000"), !text.contains("\\U00000000") else {
            throw ConfigurationError(source: source, message: "contains a NUL character; remove it")
        }
        do {
            let root = try TOMLTable(string: text)
            return TOMLNode(root, at: [], lines: TOMLLineIndex(text))
        } catch let error as TOMLParseError {
            throw ConfigurationError(
                source: source, line: error.source.begin.line, message: "not valid TOML: \(error.description)")
        } catch {
            throw ConfigurationError(source: source, message: "not valid TOML: \(error)")
        }
    }

    private init(content: Content, line: Int) {
        self.content = content
        self.line = line
    }

    private init(_ value: any TOMLValueConvertible, at path: [String], lines: TOMLLineIndex) {
        self.init(content: TOMLNode.content(of: value, at: path, lines: lines), line: lines.line(of: path))
    }

    private static func content(
        of value: any TOMLValueConvertible, at path: [String], lines: TOMLLineIndex
    ) -> Content {
        if let table = value.table {
            var entries: [String: TOMLNode] = [:]
            for key in table.keys {
                guard let entry = table[key] else { continue }
                entries[key] = TOMLNode(entry, at: path + [key], lines: lines)
            }
            return .table(entries)
        }
        if let array = value.array {
            return .array(array.enumerated().map { TOMLNode($0.element, at: path + [String($0.offset)], lines: lines) })
        }
        if let string = value.string { return .string(string) }
        if let integer = value.int { return .integer(integer) }
        if let boolean = value.bool { return .boolean(boolean) }
        return .other(value.double != nil ? "a number with a fraction" : "a date or time")
    }
}
