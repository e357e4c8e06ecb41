/// The text of a Swift file, taken apart into code and comments so that rules do not trip over words in prose or strings.
///
/// In both parts every other byte is a space and line ends are kept: a place in one is the same place in the file.
struct SourceText: Sendable {
    /// The code without comments and without the contents of string literals; interpolated code is kept.
    let code: [UInt8]
    /// The comments.
    let comments: [UInt8]
    /// Identifiers, keywords and numbers of the code, in order.
    let words: [Token]
    /// The same, each once.
    let vocabulary: Set<String>

    init(_ text: String) {
        var scanner = Scanner(bytes: Array(text.utf8))
        scanner.scan()
        code = scanner.code
        comments = scanner.comments
        words = Self.words(of: scanner.code)
        vocabulary = Set(words.map(\.text))
    }

    /// Lines, counted as an editor does.
    var lineCount: Int { code.reduce(0) { $0 + ($1 == UInt8(ascii: "\n") ? 1 : 0) } }

    /// The code, line by line.
    var codeLines: [String] { Self.lines(code) }
    /// The comments, line by line.
    var commentLines: [String] { Self.lines(comments) }

    private static func lines(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Tells code, comments and string literals apart.
private struct Scanner {
    let bytes: [UInt8]
    var code: [UInt8]
    var comments: [UInt8]
    private var position = 0
    private var contexts: [Context] = [.code(openParentheses: 0)]

    private enum Context {
        case code(openParentheses: Int)
        case string(quotes: Int, hashes: Int)
    }

    init(bytes: [UInt8]) {
        self.bytes = bytes
        let blank = bytes.map { $0 == UInt8(ascii: "\n") ? $0 : UInt8(ascii: " ") }
        code = blank
        comments = blank
    }

    mutating func scan() {
        while position < bytes.count {
            switch contexts[contexts.count - 1] {
            case .code(let open): scanCode(openParentheses: open)
            case .string(let quotes, let hashes): scanString(quotes: quotes, hashes: hashes)
            }
        }
    }

    /// The byte some places ahead; 0 after the end.
    private func ahead(_ offset: Int = 0) -> UInt8 {
        position + offset < bytes.count ? bytes[position + offset] : 0
    }

    private mutating func keepCode(_ count: Int) {
        for _ in 0..<count where position < bytes.count {
            code[position] = bytes[position]
            position += 1
        }
    }

    private mutating func keepComment(_ count: Int) {
        for _ in 0..<count where position < bytes.count {
            comments[position] = bytes[position]
            position += 1
        }
    }

    private mutating func scanCode(openParentheses open: Int) {
        switch ahead() {
        case UInt8(ascii: "/") where ahead(1) == UInt8(ascii: "/"):
            while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { keepComment(1) }
        case UInt8(ascii: "/") where ahead(1) == UInt8(ascii: "*"):
            scanBlockComment()
        case UInt8(ascii: "\""), UInt8(ascii: "#"):
            guard let (quotes, hashes) = stringStart() else { return keepCode(1) }
            keepCode(quotes + hashes)
            contexts.append(.string(quotes: quotes, hashes: hashes))
        case UInt8(ascii: "("):
            contexts[contexts.count - 1] = .code(openParentheses: open + 1)
            keepCode(1)
        case UInt8(ascii: ")") where open == 0 && contexts.count > 1:
            // The parenthesis that closes an interpolation belongs to the string around it.
            contexts.removeLast()
            keepCode(1)
        case UInt8(ascii: ")"):
            contexts[contexts.count - 1] = .code(openParentheses: max(0, open - 1))
            keepCode(1)
        default:
            keepCode(1)
        }
    }

    private mutating func scanBlockComment() {
        var depth = 0
        repeat {
            if ahead() == UInt8(ascii: "/"), ahead(1) == UInt8(ascii: "*") {
                depth += 1
                keepComment(2)
            } else if ahead() == UInt8(ascii: "*"), ahead(1) == UInt8(ascii: "/") {
                depth -= 1
                keepComment(2)
            } else {
                keepComment(1)
            }
        } while depth > 0 && position < bytes.count
    }

    private func stringStart() -> (quotes: Int, hashes: Int)? {
        var hashes = 0
        while ahead(hashes) == UInt8(ascii: "#") { hashes += 1 }
        guard ahead(hashes) == UInt8(ascii: "\"") else { return nil }
        let isMultiline = (1...2).allSatisfy { ahead(hashes + $0) == UInt8(ascii: "\"") }
        return (isMultiline ? 3 : 1, hashes)
    }

    private func hashesFollow(_ hashes: Int, at offset: Int) -> Bool {
        (0..<hashes).allSatisfy { ahead(offset + $0) == UInt8(ascii: "#") }
    }

    private mutating func scanString(quotes: Int, hashes: Int) {
        switch ahead() {
        case UInt8(ascii: "\\") where hashesFollow(hashes, at: 1):
            guard ahead(1 + hashes) == UInt8(ascii: "(") else {
                position += 2 + hashes
                return
            }
            position += 1 + hashes
            keepCode(1)
            contexts.append(.code(openParentheses: 0))
        case UInt8(ascii: "\"")
        where (0..<quotes).allSatisfy({ ahead($0) == UInt8(ascii: "\"") }) && hashesFollow(hashes, at: quotes):
            keepCode(quotes + hashes)
            contexts.removeLast()
        default:
            position += 1
        }
    }
}

// MARK: - Words

/// A word of code and where it stands.
struct Token: Sendable {
    var text: String
    /// The line, counted from 1.
    var line: Int
    /// The index of its first byte in the code.
    var start: Int
    /// The index after its last byte.
    var end: Int
}

extension SourceText {
    private static func words(of code: [UInt8]) -> [Token] {
        var found: [Token] = []
        var line = 1
        var index = 0
        while index < code.count {
            guard code[index].isWordByte else {
                if code[index] == UInt8(ascii: "\n") { line += 1 }
                index += 1
                continue
            }
            let start = index
            while index < code.count, code[index].isWordByte { index += 1 }
            let text = String(decoding: code[start..<index], as: UTF8.self)
            found.append(Token(text: text, line: line, start: start, end: index))
        }
        return found
    }

    /// The byte before an index, spaces not skipped.
    func byte(before index: Int) -> UInt8? { index > 0 ? code[index - 1] : nil }

    /// The first byte at or after an index.
    func byte(at index: Int) -> UInt8? { index < code.count ? code[index] : nil }

    /// What stands between the parenthesis at `index` and the one that closes it; nil if there is none at `index`.
    func arguments(at index: Int) -> String? {
        guard byte(at: index) == UInt8(ascii: "(") else { return nil }
        var depth = 0
        for end in index..<code.count {
            if code[end] == UInt8(ascii: "(") { depth += 1 }
            if code[end] == UInt8(ascii: ")") { depth -= 1 }
            if depth == 0 { return String(decoding: code[(index + 1)..<end], as: UTF8.self) }
        }
        return nil
    }
}

extension UInt8 {
    var isWordByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }
}
