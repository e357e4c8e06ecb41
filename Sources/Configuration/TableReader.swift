internal import Primitives

/// Reads one table of a configuration file, strictly: a key it does not know is an error, and so is a wrong type.
struct TableReader {
    let source: String
    /// The table's path for messages, empty for the file itself.
    let name: String
    let line: Int
    private let entries: [String: TOMLNode]

    /// Opens a table and refuses keys other than `keys`.
    init(_ node: TOMLNode, name: String, source: String, keys: [String]) throws(ConfigurationError) {
        self.source = source
        self.name = name
        line = node.line
        guard case .table(let entries) = node.content else {
            throw ConfigurationError(
                source: source, line: node.line,
                message: "\(name) is \(node.kind); write [\(name)] and its keys below it")
        }
        self.entries = entries
        let unknown = entries.filter { !keys.contains($0.key) }.min {
            ($0.value.line, $0.key) < ($1.value.line, $1.key)
        }
        if let unknown { throw unknownKey(unknown.key, at: unknown.value.line, known: keys) }
    }

    func has(_ key: String) -> Bool { entries[key] != nil }

    /// An error about a key, at its line, or about the table when the key is absent.
    func error(_ key: String, _ message: String) -> ConfigurationError {
        ConfigurationError(
            source: source, line: entries[key]?.line ?? (name.isEmpty ? nil : line), message: "\(path(key)) \(message)")
    }

    private func path(_ key: String) -> String { name.isEmpty ? key : "\(name).\(key)" }

    private func unknownKey(_ key: String, at line: Int, known: [String]) -> ConfigurationError {
        let place = name.isEmpty ? "" : " in [\(name)]"
        let advice =
            known.filter { distance($0, key) <= 2 }.min { distance($0, key) < distance($1, key) }
            .map { "did you mean \"\($0)\"?" } ?? "known here: \(known.joined(separator: ", "))"
        return ConfigurationError(source: source, line: line, message: "unknown key \"\(key)\"\(place); \(advice)")
    }
}

// MARK: - Plain values

extension TableReader {
    func string(_ key: String) throws(ConfigurationError) -> Located<String>? {
        guard let node = entries[key] else { return nil }
        return try string(node, path(key), example: "\(key) = \"…\"")
    }

    func strings(_ key: String) throws(ConfigurationError) -> [Located<String>]? {
        guard let node = entries[key] else { return nil }
        guard case .array(let elements) = node.content else {
            throw error(key, "is \(node.kind); write \(key) = [\"…\", \"…\"]")
        }
        var strings: [Located<String>] = []
        for element in elements {
            strings.append(try string(element, "an element of \(path(key))", example: "\(key) = [\"…\", \"…\"]"))
        }
        return strings
    }

    private func string(_ node: TOMLNode, _ what: String, example: String) throws(ConfigurationError) -> Located<String>
    {
        guard case .string(let value) = node.content else {
            throw ConfigurationError(
                source: source, line: node.line, message: "\(what) is \(node.kind); write \(example)")
        }
        return Located(value, source: source, line: node.line)
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let node = entries[key] else { return nil }
        guard case .integer(let value) = node.content else {
            throw error(key, "is \(node.kind); write an integer, as in \(key) = \(range.lowerBound)")
        }
        guard range.contains(value) else {
            throw error(key, "= \(value) is out of range; write \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func boolean(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let node = entries[key] else { return nil }
        guard case .boolean(let value) = node.content else {
            throw error(key, "is \(node.kind); write \(key) = true or \(key) = false")
        }
        return value
    }

    /// A table below this one, with its keys checked.
    func table(_ key: String, keys: [String]) throws(ConfigurationError) -> TableReader? {
        guard let node = entries[key] else { return nil }
        return try TableReader(node, name: path(key), source: source, keys: keys)
    }

    /// The tables of an array `[[key]]`, with their keys checked.
    func tables(_ key: String, keys: [String]) throws(ConfigurationError) -> [TableReader] {
        guard let node = entries[key] else { return [] }
        guard case .array(let elements) = node.content else {
            throw error(key, "is \(node.kind); write [[\(key)]] once for each")
        }
        var tables: [TableReader] = []
        for element in elements {
            tables.append(try TableReader(element, name: path(key), source: source, keys: keys))
        }
        return tables
    }
}

// MARK: - Values with a unit or a form

extension TableReader {
    func interval(_ key: String, in range: ClosedRange<Interval>) throws(ConfigurationError) -> Interval? {
        guard let text = try string(key) else { return nil }
        guard let value = Interval.configured(text.value) else {
            throw error(key, "= \"\(text.value)\" is no duration; write a number and d, h, m, s or ms, as in \"30s\"")
        }
        guard range.contains(value) else {
            let (low, high) = (range.lowerBound.configurationText, range.upperBound.configurationText)
            throw error(key, "= \"\(text.value)\" is out of range; write \"\(low)\" to \"\(high)\"")
        }
        return value
    }

    func byteCount(_ key: String, in range: ClosedRange<ByteCount>) throws(ConfigurationError) -> ByteCount? {
        guard let text = try string(key) else { return nil }
        guard let value = ByteCount.configured(text.value) else {
            throw error(key, "= \"\(text.value)\" is no size; write a number and B, KiB, MiB or GiB, as in \"16MiB\"")
        }
        guard range.contains(value) else {
            let (low, high) = (range.lowerBound.configurationText, range.upperBound.configurationText)
            throw error(key, "= \"\(text.value)\" is out of range; write \"\(low)\" to \"\(high)\"")
        }
        return value
    }

    func congestion(_ key: String) throws(ConfigurationError) -> CongestionAlgorithm? {
        guard let text = try string(key) else { return nil }
        guard let algorithm = CongestionAlgorithm(rawValue: text.value) else {
            let known = CongestionAlgorithm.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
            throw text.error("\(path(key)) = \"\(text.value)\" is not known; write \(known)")
        }
        return algorithm
    }

    /// An address and port to listen on; the port may be 0 (the kernel chooses).
    func listenAddress(_ key: String) throws(ConfigurationError) -> NetworkAddress? {
        guard let text = try string(key) else { return nil }
        return try TableReader.address(text, path(key))
    }

    /// As `listenAddress`, where an empty string turns the listener off.
    func optionalListenAddress(_ key: String) throws(ConfigurationError) -> NetworkAddress? {
        guard let text = try string(key), !text.value.isEmpty else { return nil }
        return try TableReader.address(text, path(key))
    }

    /// One or more addresses to listen on, all different.
    func listenAddresses(_ key: String) throws(ConfigurationError) -> [NetworkAddress]? {
        guard let texts = try strings(key) else { return nil }
        guard !texts.isEmpty else { throw error(key, "is empty; write \(key) = [\"0.0.0.0:4433\", \"[::]:4433\"]") }
        var addresses: [NetworkAddress] = []
        for text in texts {
            let address = try TableReader.address(text, path(key))
            guard !addresses.contains(address) || address.port == 0 else {
                throw text.error("\(path(key)) names \(address) twice; remove one")
            }
            addresses.append(address)
        }
        return addresses
    }

    /// A required host and port.
    func hostPort(_ key: String, example: String) throws(ConfigurationError) -> HostPort {
        guard let text = try string(key) else { throw error(key, "is missing; write \(key) = \"\(example)\"") }
        return try TableReader.hostPort(text, path(key), example: example)
    }

    func hostPorts(_ key: String, example: String) throws(ConfigurationError) -> [HostPort] {
        var hosts: [HostPort] = []
        for text in try strings(key) ?? [] {
            hosts.append(try TableReader.hostPort(text, path(key), example: example))
        }
        return hosts
    }

    static func address(_ text: Located<String>, _ what: String) throws(ConfigurationError) -> NetworkAddress {
        guard let address = NetworkAddress(text.value) else {
            throw text.error(
                "\(what) \"\(text.value)\" is no address and port; write \"127.0.0.1:4433\" or \"[::1]:4433\"")
        }
        return address
    }

    private static func hostPort(
        _ text: Located<String>, _ what: String, example: String
    ) throws(ConfigurationError) -> HostPort {
        guard let host = HostPort(text.value) else {
            throw text.error("\(what) \"\(text.value)\" is no host and port; write \"\(example)\"")
        }
        return host
    }
}

/// The Levenshtein distance between two short texts.
private func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let substitution = diagonal + (x == y ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substitution, row[j] + 1, diagonal + 1)
        }
    }
    return row[b.count]
}
