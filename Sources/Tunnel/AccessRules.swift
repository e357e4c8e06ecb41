public import Primitives

/// Which destinations a gateway's users may reach.
///
/// The rules are checked twice: for what was asked, before a name is resolved, and for the resolved address that will be
/// dialled, so that a name cannot lead to what its owner may not reach (DNS rebinding). A deny rule wins over every allow
/// rule. What is not allowed is denied.
///
/// Addresses that are not of the public internet need more than a rule for everything or for a name: `private_networks`, or
/// a rule with a block that lies in the same kind of range (`10.8.0.0/16:22`; `0.0.0.0/0` does not count).
public struct AccessRules: Sendable {
    /// Whether addresses outside of the public internet are reachable like others.
    public enum PrivateNetworks: Hashable, Sendable {
        /// Only by a rule with a block of them.
        case onlyByBlock
        /// As all others.
        case allowed
    }

    private let allow: [AccessRule]
    private let deny: [AccessRule]
    private let privateNetworks: PrivateNetworks
    private let ownAddresses: Set<IPAddress>

    /// Reads the rules of a configuration.
    ///
    /// - Parameter ownAddresses: The gateway's own addresses, which are treated as private ones are.
    /// - Throws: the first rule that cannot be read, and what to write.
    public init(
        allow: [String], deny: [String] = [], privateNetworks: PrivateNetworks = .onlyByBlock,
        ownAddresses: Set<IPAddress> = []
    ) throws(AccessRuleError) {
        self.allow = try Self.rules(allow)
        self.deny = try Self.rules(deny)
        self.privateNetworks = privateNetworks
        self.ownAddresses = Set(ownAddresses.map(\.effective))
    }

    private static func rules(_ texts: [String]) throws(AccessRuleError) -> [AccessRule] {
        var rules: [AccessRule] = []
        for text in texts { rules.append(try AccessRule(parsing: text)) }
        return rules
    }

    /// What the rules say.
    public enum Verdict: Hashable, Sendable {
        /// It may be reached, or, of a name, may depend on what it resolves to.
        case allowed
        /// A deny rule forbids it.
        case deniedByRule
        /// No allow rule is about it.
        case notAllowed
        /// The address is not of the public internet.
        case privateAddress
    }

    /// The verdict on what was asked, before resolving: a name that is allowed here must be checked again for its address.
    public func verdict(on destination: Destination) -> Verdict {
        switch destination.host {
        case .address(let address):
            return verdict(on: destination, resolvedTo: address)
        case .name(let name):
            let port = destination.port
            if deny.contains(where: { $0.matches(port: port) && $0.matches(name: name) }) { return .deniedByRule }
            // A block may still allow the address that the name has.
            let mayBeAllowed = allow.contains { $0.matches(port: port) && ($0.matches(name: name) || $0.isBlock) }
            return mayBeAllowed ? .allowed : .notAllowed
        }
    }

    /// The verdict on the address that will be dialled for what was asked.
    public func verdict(on destination: Destination, resolvedTo resolved: IPAddress) -> Verdict {
        let port = destination.port
        // IPv4 inside IPv6 (mapped, NAT64, 6to4, Teredo) ends up at the IPv4 address: that one counts.
        let address = resolved.effective
        func matches(_ rule: AccessRule) -> Bool {
            guard rule.matches(port: port) else { return false }
            if rule.matches(address) || rule.matches(resolved) { return true }
            guard case .name(let name) = destination.host else { return false }
            return rule.matches(name: name)
        }
        if deny.contains(where: matches) { return .deniedByRule }
        let matching = allow.filter(matches)
        guard !matching.isEmpty else { return .notAllowed }
        switch address.purpose {
        case .global where !ownAddresses.contains(address):
            return .allowed
        // No TCP connection leads there, or it leads to this machine under another name.
        case .unspecified, .multicast, .broadcast:
            return .privateAddress
        case .global, .loopback, .linkLocal, .privateUse, .uniqueLocal, .carrierShared, .documentation, .benchmarking,
            .metadataService, .reserved:
            if privateNetworks == .allowed { return .allowed }
            return matching.contains { $0.opens(address) } ? .allowed : .privateAddress
        }
    }
}

extension AccessRule {
    var isBlock: Bool {
        guard case .block = hosts else { return false }
        return true
    }

    /// Whether the rule means this address of a private range, and not just everything around it: its block begins in a range
    /// of the same kind, or is the very address.
    func opens(_ address: IPAddress) -> Bool {
        guard case .block(let block) = hosts, block.contains(address) else { return false }
        guard address.purpose != .global else { return block.address == address }
        return block.address.purpose == address.purpose
    }
}
