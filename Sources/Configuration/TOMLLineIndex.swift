/// Where in a TOML text each key and array element stands: the parser gives positions for syntax errors only.
///
/// A path is the keys from the root, with the index for an element of an array: `origin`, `0`, `replicas`. The scan expects a
/// text that the parser has accepted; on any other it may miss entries but reads no further than the text.
struct TOMLLineIndex {
    private var lines: [[String]: Int] = [:]
    private var lastElement: [[String]: Int] = [:]
    private let text: [UInt8]
    private var position = 0
    private var line = 1

    /// Depth of nested arrays and inline tables that is followed; deeper values keep the line of their parent.
    private static let deepestNesting = 64

    init(_ text: String) {
        self.text = Array(text.utf8)
        scan()
    }

    /// The line of a path, or of its nearest parent that has one.
    func line(of path: [String]) -> Int {
        var path = path
        while !path.isEmpty {
            if let line = lines[path] { return line }
            path.removeLast()
        }
        return 1
    }

    private mutating func note(_ path: [String]) {
        if lines[path] == nil { lines[path] = line }
    }
}

// MARK: - Statements

extension TOMLLineIndex {
    private mutating func scan() {
        var table: [String] = []
        while true {
            skipBlank()
            guard next != nil else { return }
            let start = position
            if skip("[") {
                table = header()
                skipLine()
            } else {
                entry(in: table, depth: 0)
            }
            // Whatever was read, go on: a text that makes no progress is not TOML.
            if position == start { advance() }
        }
    }

    /// `[a.b]` or `[[a.b]]`: the path of the table that the following entries belong to.
    private mutating func header() -> [String] {
        let isArray = skip("[")
        let keys = keyPath()
        var path: [String] = []
        for (depth, key) in keys.enumerated() {
            path.append(key)
            note(path)
            if isArray, depth == keys.count - 1 { lastElement[path, default: -1] += 1 }
            if let index = lastElement[path] {
                path.append(String(index))
                note(path)
            }
        }
        return path
    }

    private mutating func entry(in table: [String], depth: Int) {
        var path = table
        for key in keyPath() {
            path.append(key)
            note(path)
        }
        skipSpaces()
        guard skip("=") else { return skipLine() }
        skipSpaces()
        value(at: path, depth: depth)
    }

    private mutating func value(at path: [String], depth: Int) {
        guard depth < TOMLLineIndex.deepestNesting, let first = next else { return }
        switch first {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): _ = string(first)
        case UInt8(ascii: "["): array(at: path, depth: depth)
        case UInt8(ascii: "{"): inlineTable(at: path, depth: depth)
        default:
            while let byte = next, !",]}#\n".utf8.contains(byte) { advance() }
        }
    }

    private mutating func array(at path: [String], depth: Int) {
        advance()
        var index = 0
        while true {
            skipBlank()
            guard next != nil, !skip("]") else { return }
            let start = position
            let element = path + [String(index)]
            note(element)
            value(at: element, depth: depth + 1)
            skipBlank()
            if skip(",") { index += 1 }
            if position == start { advance() }
        }
    }

    private mutating func inlineTable(at path: [String], depth: Int) {
        advance()
        while true {
            skipBlank()
            guard next != nil, !skip("}") else { return }
            let start = position
            entry(in: path, depth: depth + 1)
            skipBlank()
            _ = skip(",")
            if position == start { advance() }
        }
    }
}

// MARK: - Characters, keys and strings

extension TOMLLineIndex {
    private var next: UInt8? { position < text.count ? text[position] : nil }

    private mutating func advance() {
        if next == UInt8(ascii: "\n") { line += 1 }
        position = min(position + 1, text.count)
    }

    private mutating func skip(_ expected: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: expected) else { return false }
        advance()
        return true
    }

    private mutating func skipSpaces() {
        while next == UInt8(ascii: " ") || next == UInt8(ascii: "\t") { advance() }
    }

    private mutating func skipBlank() {
        while let byte = next {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): advance()
            case UInt8(ascii: "#"): skipLine()
            default: return
            }
        }
    }

    private mutating func skipLine() {
        while let byte = next, byte != UInt8(ascii: "\n") { advance() }
    }

    private mutating func keyPath() -> [String] {
        var keys: [String] = []
        repeat {
            skipSpaces()
            keys.append(key())
            skipSpaces()
        } while skip(".")
        return keys
    }

    private mutating func key() -> String {
        if let quote = next, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") { return string(quote) }
        let start = position
        while let byte = next, TOMLLineIndex.isBareKey(byte) { advance() }
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

    /// Skips a string in one of TOML's four notations and returns what is between the quotes.
    private mutating func string(_ quote: UInt8) -> String {
        let delimiter = text[position...].prefix(3).elementsEqual([quote, quote, quote]) ? 3 : 1
        position += delimiter
        let start = position
        while let byte = next {
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                advance()
                advance()
            } else if byte == quote, isRepeated(quote, delimiter) {
                let content = String(decoding: text[start..<position], as: UTF8.self)
                position += delimiter
                // TOML 1.0: up to two more quotes may belong to the content of a multi-line string.
                while delimiter == 3, next == quote { position += 1 }
                return content
            } else {
                advance()
            }
        }
        return String(decoding: text[start...], as: UTF8.self)
    }

    private func isRepeated(_ byte: UInt8, _ count: Int) -> Bool {
        let following = text[position...].prefix(count)
        return following.count == count && following.allSatisfy { $0 == byte }
    }
}
