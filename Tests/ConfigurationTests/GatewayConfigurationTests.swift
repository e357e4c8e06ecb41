import Configuration
import Primitives
import Testing

/// The folder `Config` of the repository.
func exampleFile(_ name: String, _ file: String = #filePath) -> String {
    file.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/Config/" + name
}

let surroundings = Surroundings(variables: ["XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/home/a"], userID: 1)

@Suite("gateway.toml")
struct GatewayConfigurationTests {
    func read(_ text: String) throws -> GatewayConfiguration {
        try GatewayConfiguration(text: text, source: "/etc/godwit/gateway.toml", surroundings: surroundings)
    }

    @Test("the annotated example says what the contract says")
    func example() throws {
        let configuration = try GatewayConfiguration.load(exampleFile("gateway.toml"), surroundings: surroundings)
        #expect(configuration.listen.map(\.description) == ["0.0.0.0:4433", "[::]:4433"])
        #expect(configuration.certificate == exampleFile("gateway.crt"))
        #expect(configuration.key == exampleFile("gateway.key"))
        #expect(configuration.users == exampleFile("users.toml"))
        #expect(configuration.name?.description == "gateway.example.org:443")
        #expect(configuration.workers == nil)
        #expect(configuration.congestion == .standard)
        #expect(configuration.control == "/run/godwit/gateway.sock")
        #expect(configuration.destinations.allow.map(\.value) == ["*:*"])
        #expect(configuration.destinations.deny.isEmpty)
        #expect(!configuration.destinations.privateNetworks)
        var limits = GatewayConfiguration.Limits()
        limits.memoryPerUser = .mebibytes(512)
        #expect(configuration.limits == limits)
        #expect(configuration.resumption == .init())
        #expect(configuration.metrics?.description == "127.0.0.1:9433")
        #expect(configuration.origins.map(\.name.description) == ["mirror.internal:80"])
        #expect(configuration.origins.first?.replicas.map(\.description) == ["10.0.0.5:80", "10.0.0.6:80"])
        #expect(configuration.origins.first?.check == .tcp)
        let origin = try #require(configuration.origins.first)
        #expect(origin == GatewayConfiguration.Origin(name: origin.name, replicas: origin.replicas))
    }

    @Test("a check of replicas is a connection or a path, with its times")
    func checks() throws {
        let configuration = try read(
            """
            listen = ["127.0.0.1:1"]
            [[origin]]
            name = "a:80"
            replicas = ["[::1]:80"]
            check = "http:/health?deep=1"
            check_interval = "500ms"
            check_timeout = "250ms"
            stall_limit = "3s"
            """)
        let origin = try #require(configuration.origins.first)
        #expect(origin.check == .http(path: "/health?deep=1"))
        #expect(origin.checkInterval == .milliseconds(500))
        #expect(origin.checkTimeout == .milliseconds(250))
        #expect(origin.stallLimit == .seconds(3))
    }

    @Test("only listen is needed; the rest has defaults")
    func defaults() throws {
        let configuration = try read("listen = [\"127.0.0.1:0\"]")
        #expect(configuration.certificate == "/etc/godwit/gateway.crt")
        #expect(configuration.users == "/etc/godwit/users.toml")
        #expect(configuration.control == "/run/user/1/godwit-gateway.sock")
        #expect(configuration.limits.connectionsPerUser == 16)
        #expect(configuration.limits.memory == .mebibytes(1_024) && configuration.limits.memoryPerUser == nil)
        #expect(configuration.resumption.linger == .seconds(86_400))
        #expect(configuration.resumption.buffer == .mebibytes(16))
        #expect(configuration.metrics == nil)
        #expect(configuration.addresses == nil)
        #expect(configuration.congestion == .standard)
        #expect(configuration.destinations.allow.map(\.value) == ["*:*"])
    }

    @Test("every key is taken over")
    func values() throws {
        let configuration = try read(
            """
            listen = ["[::1]:1", "127.0.0.1:2"]
            certificate = "/tls/a.crt"
            key = "~/a.key"
            users = "$HOME/u.toml"
            addresses = ["[2001:db8::5]:443", "203.0.113.5:4433"]
            workers = 3
            control = "${XDG_RUNTIME_DIR}/g.sock"
            congestion = "bbr"
            [destinations]
            allow = [
              "10.0.0.0/8:22", # one
              "a:*",
            ]
            deny = ["*:25"]
            private_networks = true
            [limits]
            connections_per_user = 1
            tunnels_per_user = 2
            memory = "64MiB"
            memory_per_user = "8MiB"
            [resumption]
            linger = "0s"
            buffer = "64KiB"
            [metrics]
            listen = ""
            """)
        #expect(configuration.certificate == "/tls/a.crt")
        #expect(configuration.key == "/home/a/a.key")
        #expect(configuration.users == "/home/a/u.toml")
        #expect(configuration.workers == 3)
        #expect(configuration.congestion == .bbr)
        #expect(configuration.control == "/run/user/1/g.sock")
        #expect(configuration.destinations.allow.map(\.value) == ["10.0.0.0/8:22", "a:*"])
        #expect(configuration.destinations.allow.map(\.line) == [11, 12])
        #expect(configuration.addresses?.map(\.description) == ["[2001:db8::5]:443", "203.0.113.5:4433"])
        #expect(configuration.destinations.privateNetworks)
        #expect(configuration.limits.connectionsPerUser == 1)
        #expect(configuration.limits.tunnelsPerUser == 2)
        #expect(configuration.limits.memory == .mebibytes(64) && configuration.limits.memoryPerUser == .mebibytes(8))
        #expect(configuration.resumption.linger == .zero)
        #expect(configuration.metrics == nil)
    }

    @Test(
        "what is wrong is named with its line and with what to write",
        arguments: [
            ("", nil, "listen is missing; write listen ="),
            ("lisen = []", 1, "unknown key \"lisen\"; did you mean \"listen\"?"),
            ("\n\ncolour = 1", 3, "unknown key \"colour\"; known here: name, listen"),
            ("listen = \"127.0.0.1:1\"", 1, "listen is a string; write listen ="),
            ("listen = []", 1, "listen is empty"), ("listen = [1]", 1, "an element of listen is an integer"),
            ("listen = [\n \"127.0.0.1:1\",\n \"localhost:1\"]", 3, "listen \"localhost:1\" is no address and port"),
            ("listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", 1, "names 127.0.0.1:1 twice"),
            ("\(ok)addresses = [\"0.0.0.0:443\"]", 2, "addresses names 0.0.0.0:443, which nobody can reach"),
            ("\(ok)addresses = [\"192.0.2.1:1\", \"192.0.2.2:1\"]", 2, "addresses names two of one family"),
            ("\(ok)workers = \"3\"", 2, "workers is a string; write an integer"),
            ("\(ok)workers = -1", 2, "workers = -1 is out of range; write 0 to 256"),
            ("\(ok)workers = 1.5", 2, "workers is a number with a fraction"),
            ("\(ok)key = \"\"", 2, "key is empty; write a path"),
            ("\(ok)key = \"$NOPE/x\"", 2, "key uses $NOPE, which is not set"),
            ("\(ok)limits = 3", 2, "limits is an integer; write [limits]"),
            ("\(ok)[limits]\n\nmemory = \"1\"", 4, "limits.memory = \"1\" is no size"),
            ("\(ok)[limits]\nmemory = \"1MiB\"", 3, "limits.memory = \"1MiB\" is out of range; write \"16MiB\" to"),
            ("\(ok)[limits]\nmemroy = \"1GiB\"", 3, "unknown key \"memroy\" in [limits]; did you mean \"memory\"?"),
            ("\(ok)[resumption]\nlinger = \"1 day\"", 3, "resumption.linger = \"1 day\" is no duration"),
            ("\(ok)[resumption]\nlinger = \"1000d\"", 3, "out of range; write \"0s\" to"),
            ("\(ok)[metrics]\nlisten = \"9433\"", 3, "metrics.listen \"9433\" is no address and port"),
            ("\(ok)[destinations]\nprivate_networks = \"no\"", 3, "is a string; write private_networks = true or"),
            ("\(ok)origin = 1", 2, "origin is an integer; write [[origin]]"),
            ("\(ok)[[origin]]\nname = \"a:1\"", 2, "origin.replicas is missing"),
            ("\(ok)[[origin]]\nreplicas = [\"a:1\"]", 2, "origin.name is missing"),
            ("\(ok)[[origin]]\nname = \"a:1\"\nreplicas = [\"a:1\", \"a:1\"]", 4, "names one twice"),
            ("\(oneOrigin)check = \"ping\"", 5, "origin.check = \"ping\" is no check; write \"tcp\""),
            ("\(oneOrigin)check = \"http:health\"", 5, "is no check"),
            ("\(oneOrigin)check = \"http:/a b\"", 5, "is no check"),
            ("\(oneOrigin)check = \"http:/a\\r\\nX: y\"", 5, "is no check"),
            ("\(oneOrigin)check = 1", 5, "origin.check is an integer"),
            ("\(oneOrigin)check_interval = \"0s\"", 5, "origin.check_interval = \"0s\" is out of range"),
            ("\(oneOrigin)check_timeout = \"2h\"", 5, "origin.check_timeout = \"2h\" is out of range"),
            ("\(oneOrigin)stall_limit = 10", 5, "origin.stall_limit is an integer"),
            ("\(oneOrigin)stall = \"10s\"", 5, "unknown key \"stall\""),
            (
                "\(ok)[[origin]]\nname = \"a:1\"\nreplicas = [\"a:1\"]\n\n[[origin]]\nname = \"b:1\"\nreplicas = [\n\"b\"]",
                9, "origin.replicas \"b\" is no host and port"
            ),
            (
                "\(ok)[[origin]]\nname = \"a:1\"\nreplicas = [\"a:1\"]\n[[origin]]\nname = \"a:1\"\nreplicas = [\"b:1\"]",
                6, "is there twice"
            ),
            ("\(ok)key = 'a", 2, "not valid TOML"), ("\(ok)key = \"a\"\nkey = \"b\"", 3, "not valid TOML"),
            ("\(ok)\n\n= 3", 4, "not valid TOML"),
            ("\(ok)key = \"a\\u0000b\"", 2, "a character other than NUL"),
            ("\(ok)created = 2026-01-01", 2, "unknown key \"created\""),
            ("\(ok)users = 2026-01-01", 2, "users is a date or time"),
        ] as [(String, Int?, String)])
    func faults(text: String, line: Int?, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try read(text) }
        #expect(error?.line == line, "\(error?.description ?? "")")
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("\n") == false)
        #expect(error?.description.hasPrefix("/etc/godwit/gateway.toml:") == true)
    }

    private static let oneOrigin = "\(ok)[[origin]]\nname = \"a:1\"\nreplicas = [\"a:1\"]\n"
    private static let ok = "listen = [\"127.0.0.1:1\"]\n"

    @Test("a damaged file is an error, never a trap")
    func damaged() throws {
        var generator = SeededGenerator(seed: 4)
        let whole = Array(try ConfigurationFile.read(exampleFile("gateway.toml")).utf8)
        let alphabet = Array("[]{}=\"'#.,\\\n\u{0}x1".utf8)
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...5, using: &generator) {
                let position = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[position] = alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
            }
            _ = try? read(String(decoding: bytes, as: UTF8.self))
        }
        #expect(throws: ConfigurationError.self) { try read("a = " + String(repeating: "[", count: 10_000)) }
        #expect(throws: ConfigurationError.self) { try read(String(repeating: "a", count: 2 << 20)) }
    }
}
