import Configuration
import Primitives
import Testing

@Suite("local.toml")
struct LocalConfigurationTests {
    static let invite = Invite(token: .generate(), gateway: HostPort(.name("gw.example"), port: 443), pins: [])

    func read(_ text: String) throws -> LocalConfiguration {
        try LocalConfiguration(text: text, source: "conf/local.toml", surroundings: surroundings) { path in
            #expect(path == "conf/invites")
            return Self.invite.text
        }
    }

    @Test("the annotated example says what the contract says")
    func example() throws {
        let configuration = try read(try ConfigurationFile.read(exampleFile("local.toml")))
        #expect(configuration.gateways == [Self.invite])
        #expect(configuration.control == "/run/user/1/godwit.sock")
        #expect(configuration.forwards.map(\.listen.description) == ["127.0.0.1:2222"])
        #expect(configuration.forwards.map(\.destination.description) == ["build.internal:22"])
        #expect(configuration.socks.map(\.listen.description) == ["127.0.0.1:1080"])
        #expect(configuration.http.map(\.listen.description) == ["127.0.0.1:8118"])
        #expect(configuration.paths == .init())
        #expect(configuration.failover == .init())
        #expect(configuration.congestion == .standard)
        #expect(configuration.status == nil)
    }

    @Test("an empty file is the defaults")
    func defaults() throws {
        let configuration = try read("")
        #expect(configuration.gateways.isEmpty)
        #expect(configuration.control == "/run/user/1/godwit.sock")
        #expect(configuration.paths.returnAfter == .seconds(3))
        #expect(Surroundings(variables: [:], userID: 0).localControlSocket == "/run/godwit.sock")
        #expect(Surroundings(variables: [:], userID: 7).localControlSocket == "/tmp/godwit-7/godwit.sock")
    }

    @Test("every key is taken over")
    func values() throws {
        let configuration = try read(
            """
            gateways = ["\(Self.invite.text)"]
            control = "/x.sock"
            congestion = "newreno"
            forward = [{ listen = "127.0.0.1:1", to = "a:2" }, { listen = "[::1]:1", to = "[::2]:3" }]
            socks = [{ listen = "0.0.0.0:1080", user = "me", password = "secret" }]
            http = [{ listen = "0.0.0.0:8118" }]
            paths = { prefer = ["a"], metered = [], ignore = ["b*"], return_after = "1m" }
            failover = { give_up_after = "3s", return_after = "1m", standby = "connected" }
            status = { listen = "127.0.0.1:9434" }
            """)
        #expect(configuration.congestion == .newReno)
        #expect(configuration.failover.giveUpAfter == .seconds(3))
        #expect(configuration.failover.returnAfter == .seconds(60))
        #expect(configuration.failover.standby == .connected)
        #expect(configuration.control == "/x.sock")
        #expect(configuration.forwards.count == 2)
        #expect(configuration.socks.first?.credentials?.password == "secret")
        #expect(configuration.socks.first?.isOpenToOthers == false)
        #expect(configuration.http.first?.isOpenToOthers == true)
        #expect(configuration.paths.prefer == ["a"])
        #expect(configuration.paths.metered.isEmpty)
        #expect(configuration.paths.returnAfter == .seconds(60))
        #expect(configuration.status?.port == 9434)
        #expect(configuration.listeners.count == 5)
    }

    @Test(
        "what is wrong is named with its line and with what to write",
        arguments: [
            ("gateways = [\n\n\"godwit://x\"]", 3, "gateways: the invite has no token"),
            ("gateways = []\ngateways_file = \"invites\"", 2, "gateways_file and gateways are both there"),
            ("[[forward]]\nto = \"a:1\"", 1, "forward.listen is missing"),
            ("[[forward]]\nlisten = \"127.0.0.1:1\"", 1, "forward.to is missing"),
            ("[[forward]]\nlisten = \"127.0.0.1:1\"\nto = \"a\"", 3, "forward.to \"a\" is no host and port"),
            ("[[socks]]\n", 1, "socks.listen is missing"),
            ("[socks]\nlisten = \"127.0.0.1:1\"", 1, "socks is a table; write [[socks]]"),
            ("[[socks]]\nlisten = \"127.0.0.1:1\"\nuser = \"a\"", 3, "socks.user stands alone"),
            ("[[http]]\nlisten = \"127.0.0.1:1\"\npassword = \"a\"", 3, "http.password stands alone"),
            ("[[http]]\nlisten = \"127.0.0.1:1\"\npassword = \"a\"\nuser = \"a:b\"", 4, "http.user cannot be used"),
            ("[paths]\nprefer = [\"a b\"]", 2, "no interface pattern"),
            ("[paths]\nreturn_after = 3", 2, "paths.return_after is an integer"),
            ("congestion = \"vegas\"", 1, "write \"newreno\" or \"cubic\" or \"bbr\""),
            ("[failover]\nstandby = \"hot\"", 2, "write \"ticket\" or \"connected\""),
            ("[failover]\ngive_up_after = \"0s\"", 2, "failover.give_up_after"),
            (
                "[[http]]\nlisten = \"127.0.0.1:1\"\n[[socks]]\nlisten = \"127.0.0.1:1\"", nil,
                "127.0.0.1:1 is listened on twice"
            ),
        ] as [(String, Int?, String)])
    func faults(text: String, line: Int?, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try read(text) }
        #expect(error?.line == line, "\(error?.description ?? "")")
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("\n") == false)
    }
}
