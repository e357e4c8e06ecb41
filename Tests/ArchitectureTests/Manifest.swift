/// What Package.swift says about the rooms.
struct Manifest: Sendable {
    /// Rooms and package products each room depends on.
    let dependencies: [String: Set<String>]

    /// The constants of the manifest that stand for products of other packages.
    private static let products = ["deque", "heap", "toml", "logging", "argumentParser"]

    init(_ text: String) {
        var dependencies: [String: Set<String>] = [:]
        for opening in ["room(", ".executableTarget("] {
            var rest = Substring(text)
            while let start = rest.firstRange(of: opening) {
                rest = rest[start.upperBound...]
                let arguments = Self.untilClosed(rest)
                // The declaration of the function `room` itself names no target.
                guard let (name, others) = Self.names(in: arguments) else { continue }
                dependencies[name] = others
            }
        }
        self.dependencies = dependencies
    }

    private static func untilClosed(_ text: Substring) -> Substring {
        var depth = 1
        for index in text.indices {
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" { depth -= 1 }
            if depth == 0 { return text[..<index] }
        }
        return text
    }

    private static func names(in arguments: Substring) -> (String, Set<String>)? {
        let parts = arguments.split(separator: "\"", omittingEmptySubsequences: false)
        guard parts.count > 1 else { return nil }
        let quoted = parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }
        let plain = parts.indices.filter { $0 % 2 == 0 }.map { parts[$0] }.joined(separator: " ")
        let words = plain.split { !$0.isLetter }.map(String.init)
        return (quoted[0], Set(quoted.dropFirst()).union(products.filter(words.contains)))
    }
}

extension Substring {
    /// The first place of a text, searched plainly.
    fileprivate func firstRange(of wanted: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(wanted) { return start..<index(start, offsetBy: wanted.count) }
            start = index(after: start)
        }
        return nil
    }
}
