/// A value of a TOML file, with its line.
struct TOMLNode: Equatable, Sendable {
    enum Content: Equatable, Sendable {
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

    /// Parses a text; a fault names its line.
    static func parse(_ text: String, source: String) throws(ConfigurationError) -> TOMLNode {
        guard text.utf8.count <= longestText else {
            throw ConfigurationError(source: source, message: "larger than 1 MiB; give a TOML configuration file")
        }
        do throws(TOMLFault) {
            var parser = TOMLParser(text)
            return try parser.document()
        } catch {
            throw ConfigurationError(source: source, line: error.line, message: "not valid TOML: \(error.message)")
        }
    }
}

/// What is wrong with a text that is no TOML, and where.
struct TOMLFault: Error {
    let line: Int
    let message: String
}

/// A table while its text is read: it can still grow, by rules that depend on how it came to be.
final class TOMLTable {
    enum Origin {
        /// It was only named as the parent of another header, and may still have a header of its own.
        case implied
        /// It has a header, or is the root.
        case header
        /// It came from a dotted key and grows by dotted keys only.
        case dotted
    }

    enum Entry {
        case value(TOMLNode)
        case table(TOMLTable)
        case tables([TOMLTable])
    }

    var origin: Origin
    let line: Int
    var entries: [String: Entry] = [:]

    init(_ origin: Origin, line: Int) {
        self.origin = origin
        self.line = line
    }

    /// The finished table.
    var node: TOMLNode {
        let nodes = entries.mapValues { entry in
            switch entry {
            case .value(let node): node
            case .table(let table): table.node
            case .tables(let tables): TOMLNode(content: .array(tables.map(\.node)), line: tables.first?.line ?? line)
            }
        }
        return TOMLNode(content: .table(nodes), line: line)
    }
}

// MARK: - Which table a key belongs to, TOML 1.0 "Keys", "Table", "Array of Tables"

extension TOMLTable {
    /// The table that `[a.b]` opens.
    func open(_ path: [String], line: Int) throws(TOMLFault) -> TOMLTable {
        let (parent, name) = try parent(of: path, line: line)
        switch parent.entries[name] {
        case nil:
            let table = TOMLTable(.header, line: line)
            parent.entries[name] = .table(table)
            return table
        case .table(let table) where table.origin == .implied:
            table.origin = .header
            return table
        case .table, .value, .tables:
            throw TOMLFault(
                line: line, message: "[\(path.joined(separator: "."))] is defined twice; put its keys in one place")
        }
    }

    /// The table that `[[a.b]]` adds.
    func append(_ path: [String], line: Int) throws(TOMLFault) -> TOMLTable {
        let (parent, name) = try parent(of: path, line: line)
        let table = TOMLTable(.header, line: line)
        switch parent.entries[name] {
        case nil: parent.entries[name] = .tables([table])
        case .tables(let tables): parent.entries[name] = .tables(tables + [table])
        case .table, .value:
            throw TOMLFault(
                line: line,
                message: "[[\(path.joined(separator: "."))]] is defined as something else before; keep one of them")
        }
        return table
    }

    private func parent(of path: [String], line: Int) throws(TOMLFault) -> (TOMLTable, String) {
        var table = self
        for key in path.dropLast() {
            switch table.entries[key] {
            case nil:
                let child = TOMLTable(.implied, line: line)
                table.entries[key] = .table(child)
                table = child
            case .table(let child): table = child
            case .tables(let children):
                guard let last = children.last else { throw TOMLFault(line: line, message: "\(key) is no table") }
                table = last
            case .value:
                throw TOMLFault(line: line, message: "\(key) has a value, so it cannot be a table; rename one of them")
            }
        }
        return (table, path.last ?? "")
    }

    /// Sets the value of a key, which may be dotted.
    func set(_ path: [String], to node: TOMLNode, line: Int) throws(TOMLFault) {
        var table = self
        for key in path.dropLast() {
            switch table.entries[key] {
            case nil:
                let child = TOMLTable(.dotted, line: line)
                table.entries[key] = .table(child)
                table = child
            case .table(let child) where child.origin == .dotted: table = child
            case .table, .tables, .value:
                throw TOMLFault(line: line, message: "\(key) is defined elsewhere; put its keys in one place")
            }
        }
        let name = path.last ?? ""
        guard table.entries[name] == nil else {
            throw TOMLFault(line: line, message: "\(path.joined(separator: ".")) is there twice; remove one")
        }
        table.entries[name] = .value(node)
    }
}
