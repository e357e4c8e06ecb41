import EventLoop
import Glibc
import Primitives
import Testing

/// Keeps the answers of resolutions.
final class AnswerRecorder: ResolutionHandler {
    var addresses: [IPAddress.Family: [IPAddress]] = [:]
    var errors: [IPAddress.Family: ResolutionError] = [:]
    var count: Int { addresses.count + errors.count }

    func resolution(
        _ resolution: Resolution, of family: IPAddress.Family, answered result: Result<[IPAddress], ResolutionError>
    ) {
        #expect(addresses[family] == nil && errors[family] == nil, "each family is answered once")
        switch result {
        case .success(let found): addresses[family] = found
        case .failure(let error): errors[family] = error
        }
    }
}

@Suite("Resolver")
struct ResolverTests {
    static let v4 = [IPAddress(ipv4: 0xc000_0201), IPAddress(ipv4: 0xc000_0202)]
    static let v6 = [IPAddress(ipv6High: 0x2001_0db8_0000_0000, low: 1)]

    /// Asks a name server with the given table for a name.
    func ask(_ name: String, _ answers: [String: NameServer.Answer] = [:]) throws -> AnswerRecorder {
        let loop = try EventLoop()
        let server = try NameServer(on: loop)
        server.answers = answers
        let resolver = try Resolver(on: loop, configuration: server.configuration)
        let recorder = AnswerRecorder()
        let resolution = resolver.resolve(name, handler: recorder)
        #expect(recorder.count == 0, "nobody is called before resolve has returned")
        #expect(loop.run { recorder.count == 2 })
        resolution.cancel()
        resolver.close()
        server.close()
        return recorder
    }

    @Test("both families are asked for and answered")
    func bothFamilies() throws {
        let recorder = try ask("host.example", ["host.example": .addresses(Self.v4 + Self.v6)])
        #expect(recorder.addresses == [.ipv4: Self.v4, .ipv6: Self.v6])
    }

    @Test("a name with one family has no addresses of the other, which is no error")
    func oneFamily() throws {
        let recorder = try ask("host.example", ["host.example": .addresses(Self.v4)])
        #expect(recorder.addresses == [.ipv4: Self.v4, .ipv6: []])
    }

    @Test("a name that does not exist is told apart from a server that fails")
    func negativeAnswers() throws {
        let missing = try ask("missing.example")
        #expect(missing.errors[.ipv4] == .nameNotFound("missing.example"))
        #expect(missing.errors[.ipv6] == .nameNotFound("missing.example"))
        let failing = try ask("broken.example", ["broken.example": .serverFailure])
        guard case .serverFailure("broken.example", _) = failing.errors[.ipv4] else {
            Issue.record("a server failure is reported as such, not as \(failing.errors)")
            return
        }
    }

    @Test(
        "literals need no server",
        arguments: [
            ("192.0.2.1", IPAddress(ipv4: 0xc000_0201)), ("::1", IPAddress(ipv6High: 0, low: 1)),
            ("2001:db8::1", IPAddress(ipv6High: 0x2001_0db8_0000_0000, low: 1)),
        ])
    func literals(name: String, address: IPAddress) throws {
        let recorder = try ask(name)
        #expect(recorder.addresses[address.family] == [address])
        #expect(recorder.addresses.values.reduce(0) { $0 + $1.count } == 1)
    }

    @Test(
        "what cannot be a host name is an error at once",
        arguments: [
            "", ".", "a..b", "white space", "nul\0byte", "straße.example", String(repeating: "x", count: 64),
            Array(repeating: "label", count: 50).joined(separator: "."), "semi;colon",
        ])
    func invalidNames(name: String) throws {
        let recorder = try ask(name)
        #expect(recorder.errors == [.ipv4: .invalidName(name), .ipv6: .invalidName(name)])
    }

    @Test("a server that is silent is an error in time")
    func silence() throws {
        let loop = try EventLoop()
        let server = try NameServer(on: loop)
        server.answers = ["quiet.example": .silence]
        var configuration = server.configuration
        configuration.timeout = .milliseconds(40)
        let resolver = try Resolver(on: loop, configuration: configuration)
        let recorder = AnswerRecorder()
        _ = resolver.resolve("quiet.example", handler: recorder)
        #expect(loop.run { recorder.count == 2 })
        #expect(recorder.errors == [.ipv4: .timedOut("quiet.example"), .ipv6: .timedOut("quiet.example")])
        // The next name is asked for as if nothing had been.
        server.answers["host.example"] = .addresses(Self.v4)
        let second = AnswerRecorder()
        _ = resolver.resolve("host.example", handler: second)
        #expect(loop.run { second.count == 2 })
        #expect(second.addresses[.ipv4] == Self.v4)
        resolver.close()
        server.close()
    }

    @Test("a cancelled resolution is heard of no more, and neither are those of a closed resolver")
    func cancel() throws {
        let loop = try EventLoop()
        let server = try NameServer(on: loop)
        server.answers = ["host.example": .addresses(Self.v4)]
        let resolver = try Resolver(on: loop, configuration: server.configuration)
        let recorder = AnswerRecorder()
        resolver.resolve("host.example", handler: recorder).cancel()
        resolver.resolve("192.0.2.1", handler: recorder).cancel()
        _ = resolver.resolve("host.example", handler: recorder)
        resolver.close()
        loop.settle()
        #expect(recorder.count == 0)
        server.close()
    }

    @Test("without a name server the error says so")
    func noNameServer() throws {
        let loop = try EventLoop()
        var configuration = Resolver.Configuration()
        configuration.resolverFile = "/nonexistent"
        configuration.hostsFile = "/nonexistent"
        let resolver = try Resolver(on: loop, configuration: configuration)
        let recorder = AnswerRecorder()
        _ = resolver.resolve("host.example", handler: recorder)
        #expect(loop.run { recorder.count == 2 })
        #expect(recorder.errors[.ipv4] == .noNameServer("host.example"))
        resolver.close()
    }

    // MARK: Files

    func write(_ text: String, to path: String) throws {
        let descriptor = unsafe open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        let bytes = Array(text.utf8)
        let written = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        try #require(written == bytes.count)
    }

    @Test("the hosts file comes before the servers and is read again when it has changed")
    func hostsFile() throws {
        let loop = try EventLoop()
        let server = try NameServer(on: loop)
        server.answers = ["www.example": .addresses(Self.v4)]
        var configuration = server.configuration
        let path = temporaryPath("hosts")
        defer { removeTemporary(path) }
        configuration.hostsFile = path
        try write(
            """
            # a comment
            10.0.0.1\tintern.example Intern   # another
            2001:db8::1 intern.example
            not-an-address intern.example
            10.0.0.2
            """, to: configuration.hostsFile)
        let resolver = try Resolver(on: loop, configuration: configuration)
        func addresses(_ name: String) throws -> [IPAddress.Family: [IPAddress]] {
            let recorder = AnswerRecorder()
            _ = resolver.resolve(name, handler: recorder)
            #expect(loop.run { recorder.count == 2 })
            return recorder.addresses
        }
        let ten = IPAddress(ipv4: 0x0a00_0001)
        #expect(try addresses("INTERN.example.") == [.ipv4: [ten], .ipv6: Self.v6])
        #expect(try addresses("intern") == [.ipv4: [ten], .ipv6: []])
        #expect(try addresses("www.example")[.ipv4] == Self.v4)
        #expect(Set(server.questions) == ["www.example"])
        try write("10.0.0.9 intern.example another.example", to: configuration.hostsFile)
        #expect(try addresses("intern.example")[.ipv4] == [IPAddress(ipv4: 0x0a00_0009)])
        resolver.close()
        server.close()
    }

    @Test("localhost is this machine without asking anybody (RFC 6761 §6.3)")
    func localhost() throws {
        for name in ["localhost", "LocalHost.", "deep.localhost"] {
            let recorder = try ask(name, ["localhost": .addresses(Self.v4), "deep.localhost": .addresses(Self.v4)])
            #expect(recorder.addresses == [.ipv4: [.loopback(.ipv4)], .ipv6: [.loopback(.ipv6)]])
        }
    }

    @Test("new name servers in the system's file are asked at once")
    func resolverFile() throws {
        let loop = try EventLoop()
        var configuration = Resolver.Configuration()
        configuration.hostsFile = "/nonexistent"
        let path = temporaryPath("resolv.conf")
        defer { removeTemporary(path) }
        configuration.resolverFile = path
        try write("", to: configuration.resolverFile)
        let server = try NameServer(on: loop)
        server.answers = ["host.example": .addresses(Self.v4)]
        let resolver = try Resolver(on: loop, configuration: configuration)
        let before = AnswerRecorder()
        _ = resolver.resolve("host.example", handler: before)
        #expect(loop.run { before.count == 2 })
        #expect(before.errors[.ipv4] == .noNameServer("host.example"))
        try write("nameserver \(server.address)\n", to: configuration.resolverFile)
        let after = AnswerRecorder()
        _ = resolver.resolve("host.example", handler: after)
        #expect(loop.run { after.count == 2 })
        #expect(after.addresses[.ipv4] == Self.v4)
        resolver.close()
        server.close()
    }
}
