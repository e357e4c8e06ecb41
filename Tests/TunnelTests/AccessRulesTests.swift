import Primitives
import Testing

@testable import Tunnel

@Suite("Access rules")
struct AccessRulesTests {
    private func verdict(
        _ destination: String, _ resolved: String? = nil, allow: [String] = ["*:*"], deny: [String] = [],
        privateNetworks: AccessRules.PrivateNetworks = .onlyByBlock, own: [String] = []
    ) throws -> AccessRules.Verdict {
        let rules = try AccessRules(
            allow: allow, deny: deny, privateNetworks: privateNetworks,
            ownAddresses: Set(own.compactMap { IPAddress($0) }))
        let asked = try #require(Destination(destination))
        guard let resolved else { return rules.verdict(on: asked) }
        return rules.verdict(on: asked, resolvedTo: try #require(IPAddress(resolved)))
    }

    static let privateAddresses = [
        "127.0.0.1", "127.255.255.254", "::1", "169.254.1.1", "fe80::1", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "fc00::1", "fd12::1", "100.64.0.1", "169.254.169.254", "fd00:ec2::254", "100.100.100.200",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1",
        "2002:a00:1::", "2002:7f00:1::1", "::10.0.0.1", "198.18.0.1", "192.0.0.1", "240.0.0.1", "192.0.2.1",
        "2001:db8::1",
        "0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255",
    ]

    @Test("a rule for everything does not open what is not of the public internet", arguments: privateAddresses)
    func defaultDeny(address: String) throws {
        #expect(try verdict("x.example:80", address) == .privateAddress)
        #expect(try verdict("x.example:80", address, allow: ["x.example:80"]) == .privateAddress)
        #expect(try verdict("x.example:80", address, allow: ["0.0.0.0/0:*", "[::/0]:*"]) == .privateAddress)
    }

    @Test(
        "public addresses are allowed",
        arguments: ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
    func global(address: String) throws {
        #expect(try verdict("x.example:80", address) == .allowed)
        #expect(try verdict("x.example:80", address, allow: []) == .notAllowed)
        #expect(try verdict("x.example:80", address, allow: ["x.example:443"]) == .notAllowed)
    }

    @Test("private_networks opens private ranges, but not what leads nowhere")
    func privateNetworks() throws {
        for address in ["127.0.0.1", "10.0.0.1", "fd12::1", "169.254.169.254", "100.64.0.1", "::ffff:10.0.0.1"] {
            #expect(try verdict("x.example:80", address, privateNetworks: .allowed) == .allowed)
        }
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            #expect(try verdict("x.example:80", address, privateNetworks: .allowed) == .privateAddress)
        }
    }

    static let blocks: [(String, String, AccessRules.Verdict)] = [
        ("10.8.0.0/16:22", "10.8.1.2", .allowed), ("10.0.0.0/8:22", "10.8.1.2", .allowed),
        ("10.8.0.0/16:22", "10.9.1.2", .notAllowed), ("10.8.1.2:22", "10.8.1.2", .allowed),
        ("10.8.1.2:22", "::ffff:10.8.1.2", .allowed), ("127.0.0.1:22", "127.0.0.1", .allowed),
        ("[::1]:22", "::1", .allowed), ("[fd00::/8]:22", "fd12::1", .allowed), ("fd00::/8:22", "fd12::1", .allowed),
        ("[fd00::]/8:22", "fd12::1", .allowed), ("169.254.169.254:22", "169.254.169.254", .allowed),
        // A block that is wider than its private range does not mean it.
        ("169.254.0.0/16:22", "169.254.169.254", .privateAddress), ("8.0.0.0/5:22", "10.8.1.2", .privateAddress),
        ("192.0.0.0/8:22", "192.168.1.1", .privateAddress), ("0.0.0.0:22", "0.0.0.0", .privateAddress),
    ]

    @Test("a block that lies in the private range opens it", arguments: blocks)
    func explicit(rule: String, address: String, expected: AccessRules.Verdict) throws {
        #expect(try verdict("x.example:22", address, allow: [rule]) == expected)
    }

    @Test("deny wins, by name, by block and by port")
    func deny() throws {
        #expect(try verdict("x.example:25", "1.1.1.1", deny: ["*:25"]) == .deniedByRule)
        #expect(try verdict("x.example:26", "1.1.1.1", deny: ["*:25"]) == .allowed)
        #expect(try verdict("x.example:25", "1.1.1.1", allow: ["x.example:25"], deny: ["x.example:*"]) == .deniedByRule)
        #expect(try verdict("a.x.example:25", "1.1.1.1", deny: ["*.x.example:*"]) == .deniedByRule)
        #expect(try verdict("x.example:25", "1.1.1.1", deny: ["1.0.0.0/8:*"]) == .deniedByRule)
        #expect(try verdict("x.example:25", "::ffff:1.1.1.1", deny: ["1.1.1.1:25"]) == .deniedByRule)
        #expect(
            try verdict("x.example:25", "10.0.0.1", deny: ["10.0.0.0/8:*"], privateNetworks: .allowed) == .deniedByRule)
        #expect(try verdict("x.example:25", deny: ["x.example:25"]) == .deniedByRule)
    }

    @Test("names match whole or below, in any case")
    func names() throws {
        #expect(try verdict("X.Example:80", "1.1.1.1", allow: ["x.eXample:80"]) == .allowed)
        #expect(try verdict("a.b.example:80", "1.1.1.1", allow: ["*.b.example:80"]) == .allowed)
        #expect(try verdict("b.example:80", "1.1.1.1", allow: ["*.b.example:80"]) == .notAllowed)
        #expect(try verdict("ab.example:80", "1.1.1.1", allow: ["*.b.example:80"]) == .notAllowed)
        // An address is not allowed by the name that it may have.
        #expect(try verdict("1.1.1.1:80", "1.1.1.1", allow: ["one.example:80"]) == .notAllowed)
    }

    @Test("before resolving, a name is refused only when no address can save it")
    func beforeResolving() throws {
        #expect(try verdict("x.example:80") == .allowed)
        #expect(try verdict("x.example:80", allow: ["y.example:80"]) == .notAllowed)
        #expect(try verdict("x.example:80", allow: ["10.0.0.0/8:80"]) == .allowed)
        #expect(try verdict("x.example:80", allow: ["10.0.0.0/8:81"]) == .notAllowed)
        #expect(try verdict("10.0.0.1:80") == .privateAddress)
    }

    @Test("the gateway's own addresses are private to it")
    func ownAddresses() throws {
        #expect(try verdict("x.example:80", "203.0.114.5", own: ["203.0.114.5"]) == .privateAddress)
        #expect(try verdict("x.example:80", "::ffff:203.0.114.5", own: ["203.0.114.5"]) == .privateAddress)
        #expect(try verdict("x.example:80", "203.0.114.5", privateNetworks: .allowed, own: ["203.0.114.5"]) == .allowed)
        #expect(try verdict("x.example:80", "203.0.114.5", allow: ["203.0.114.5:80"], own: ["203.0.114.5"]) == .allowed)
        #expect(
            try verdict("x.example:80", "203.0.114.5", allow: ["203.0.0.0/16:80"], own: ["203.0.114.5"])
                == .privateAddress)
    }

    @Test("ports and ranges")
    func ports() throws {
        let rule = try AccessRule(parsing: "*:22,80,8000-8999")
        for (port, matches) in [
            (22, true), (80, true), (8000, true), (8999, true), (23, false), (7999, false), (9000, false),
        ]
            as [(UInt16, Bool)]
        {
            #expect(rule.matches(port: port) == matches)
        }
    }

    static let wrong: [(String, String)] = [
        ("example.com", "write \"example.com:*\""), ("", "write \":*\""), (":80", "has no host"),
        ("*:", "has no ports"),
        ("*:0", "has no ports"), ("*:65536", "has no ports"), ("*:80,", "has no ports"), ("*:90-80", "has no ports"),
        ("*:1-2-3", "has no ports"), ("*:http", "has no ports"), ("*: 80", "has no ports"),
        ("a*.example:80", "a * inside"),
        ("*.:80", "has no name after"), ("*.10.0.0.0/8:80", "has no name after"),
        ("10.8.0.1/16:22", "write \"10.8.0.0/16\""),
        ("[2001:db8::1/32]:22", "write \"2001:db8::/32\""), ("10.0.0.0/33:22", "has no block"),
        ("10.0.0/8:22", "has no block"),
        ("2001:db8::1:22", "without brackets"), ("[2001:db8::g]:22", "has no host"), ("a b:22", "has no host"),
        ("127.1:22", "has no host"), ("*:" + (1...300).map(String.init).joined(separator: ","), "more than 256"),
    ]

    @Test("a rule that cannot be read says what to write", arguments: wrong)
    func errors(rule: String, hint: String) {
        let error = #expect(throws: AccessRuleError.self) { try AccessRule(parsing: rule) }
        #expect(error?.description.hasPrefix("rule \"\(rule)\" ") ?? false)
        #expect(error?.description.contains(hint) ?? false, "\(error?.description ?? "nothing")")
    }

    @Test("random rules never trap")
    func randomRules() {
        var generator = SeededGenerator(seed: 44)
        let alphabet = Array("*.:/[]-,0129ab ".utf8)
        for _ in 0..<5000 {
            let count = Int.random(in: 0..<16, using: &generator)
            let text = String(
                decoding: (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }, as: UTF8.self)
            _ = try? AccessRule(parsing: text)
        }
    }
}
