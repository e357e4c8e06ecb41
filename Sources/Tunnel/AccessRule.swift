import Primitives

/// One rule of a gateway's destinations, as a configuration file writes it: `HOST:PORTS`.
///
/// HOST is `*`, a name, `*.` and a name (every name below it), an address or a block: `10.8.0.0/16`, `[2001:db8::/32]`.
/// PORTS is `*`, or ports and ranges with commas: `22,80,8000-8999`.
public struct AccessRule: Hashable, Sendable {
    /// Which hosts a rule is about.
    enum Hosts: Hashable, Sendable {
        /// All of them.
        case any
        /// One name.
        case name(String)
        /// Every name that ends in a dot and this one.
        case below(String)
        /// A block of addresses.
        case block(IPPrefix)
    }

    let hosts: Hosts
    let ports: [ClosedRange<UInt16>]

    /// Most ports and ranges in one rule; more are refused. Bounds what a check costs.
    static let maximumPortCount = 256

    /// Reads a rule.
    ///
    /// - Throws: what is wrong and what to write instead.
    public init(parsing text: String) throws(AccessRuleError) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            throw AccessRuleError(text, "has no ports: write \"\(text):*\" for all ports")
        }
        let host = String(text[..<colon])
        let ports = String(text[text.utf8.index(after: colon)...])
        hosts = try Self.hosts(host, in: text)
        self.ports = try Self.ports(ports, in: text)
    }

    private static func hosts(_ text: String, in rule: String) throws(AccessRuleError) -> Hosts {
        if text == "*" { return .any }
        if text.hasPrefix("*.") {
            guard case .name(let name) = Host(String(text.dropFirst(2))) else {
                throw AccessRuleError(rule, "has no name after \"*.\": write \"*.example.com:443\"")
            }
            return .below(name)
        }
        if text.contains("*") {
            throw AccessRuleError(rule, "has a * inside the host: write \"*.example.com:443\" or a block of addresses")
        }
        if let block = try block(text, in: rule) { return .block(block) }
        switch Host(text) {
        case .name(let name): return .name(name)
        case .address(let address):
            return .block(IPPrefix(containing: address, length: address.family == .ipv4 ? 32 : 128))
        case nil:
            throw AccessRuleError(
                rule, "has no host that can be read: write a name, an address, a block as 10.8.0.0/16, or *")
        }
    }

    /// A block in CIDR notation, with or without brackets around the whole or around the address; nil without a slash.
    private static func block(_ text: String, in rule: String) throws(AccessRuleError) -> IPPrefix? {
        guard text.contains("/") else {
            // RFC 3986 §3.2.2: an IPv6 address before a port stands in brackets.
            guard text.hasPrefix("[") || !text.contains(":") else {
                throw AccessRuleError(rule, "has an IPv6 address without brackets: write \"[2001:db8::1]:443\"")
            }
            return nil
        }
        let bare = text.filter { $0 != "[" && $0 != "]" }
        if let block = IPPrefix(bare) { return block }
        if let slash = bare.firstIndex(of: "/"), let address = IPAddress(bare[..<slash]),
            let length = Int(bare[bare.index(after: slash)...]), 0...(address.family == .ipv4 ? 32 : 128) ~= length
        {
            let block = IPPrefix(containing: address, length: length)
            throw AccessRuleError(rule, "has bits set behind its prefix: write \"\(block)\" for the block")
        }
        throw AccessRuleError(rule, "has no block that can be read: write \"10.8.0.0/16:*\" or \"[2001:db8::/32]:*\"")
    }

    private static func ports(_ text: String, in rule: String) throws(AccessRuleError) -> [ClosedRange<UInt16>] {
        if text == "*" { return [1...UInt16.max] }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= maximumPortCount else {
            throw AccessRuleError(rule, "has more than \(maximumPortCount) ports: write ranges, or several rules")
        }
        var ranges: [ClosedRange<UInt16>] = []
        for part in parts {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { port($0) }
            switch (bounds.count, bounds.first ?? nil, bounds.last ?? nil) {
            case (1, let port?, _): ranges.append(port...port)
            case (2, let low?, let high?) where low <= high: ranges.append(low...high)
            default:
                throw AccessRuleError(
                    rule, "has no ports that can be read in \"\(part)\": write \"22,80,8000-8999\" or *")
            }
        }
        return ranges
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard 1...5 ~= text.utf8.count, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let port = UInt16(text), port > 0
        else { return nil }
        return port
    }
}

extension AccessRule {
    func matches(port: UInt16) -> Bool { ports.contains { $0.contains(port) } }

    /// Whether the rule is about this host by its name.
    func matches(name: String) -> Bool {
        switch hosts {
        case .any: true
        case .name(let own): own == name
        case .below(let parent): name.hasSuffix("." + parent)
        case .block: false
        }
    }

    /// Whether the rule is about this address.
    func matches(_ address: IPAddress) -> Bool {
        switch hosts {
        case .any: true
        case .name, .below: false
        case .block(let block): block.contains(address)
        }
    }
}

/// A rule that cannot be read.
public struct AccessRuleError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One line: the rule, what is wrong with it, and what to write.
    public let description: String

    init(_ rule: String, _ problem: String) { description = "rule \"\(rule)\" \(problem)" }
}
