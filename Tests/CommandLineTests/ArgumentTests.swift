import ArgumentParser
import Configuration
import Gateway
import LocalEndpoint
import Logging
import Primitives
import Telemetry
import Testing

@testable import godwit

let token = String(repeating: "A", count: 43)
let surroundings = Surroundings(variables: ["XDG_RUNTIME_DIR": "/run/user/7"], userID: 7)

/// A folder of its own for one test.
func withFolder(_ body: (String) throws -> Void) throws {
    let folder = "/tmp/godwit-test-\(Token.generate().text)"
    try ConfigurationFile.makeFolder(folder)
    defer { try? FileRemoval.remove(folder) }
    try body(folder)
}

@Suite("Arguments")
struct ArgumentTests {
    func connect(_ arguments: [String], _ surroundings: Surroundings = surroundings) throws -> LocalConfiguration {
        try ConnectArguments.parse(arguments).options(surroundings).configuration
    }

    @Test("connect takes invites and listeners")
    func connects() throws {
        let configuration = try connect([
            "godwit://\(token)@a", "godwit://\(token)@b:1", "-L", "2222:build.internal:22", "-L", "*:80:[::1]:80", "-D",
            "1080", "-D1081",
            "--http", "[::1]:8118",
        ])
        #expect(configuration.gateways.map(\.gateway.description) == ["a:443", "b:1"])
        #expect(configuration.forwards.map(\.listen.description) == ["127.0.0.1:2222", "0.0.0.0:80"])
        #expect(configuration.forwards.map(\.destination.description) == ["build.internal:22", "[::1]:80"])
        #expect(configuration.socks.map(\.listen.description) == ["127.0.0.1:1080", "127.0.0.1:1081"])
        #expect(configuration.http.map(\.listen.description) == ["[::1]:8118"])
        #expect(configuration.control == "/run/user/7/godwit.sock")
    }

    @Test("an invite comes from a file or the environment, so that it shows in no process list")
    func secrets() throws {
        try withFolder { folder in
            let file = folder + "/invites"
            try ConfigurationFile.write("# mine\ngodwit://\(token)@file\n", to: file, mode: 0o600, existing: .keep)
            var withVariable = surroundings
            withVariable.variables["GODWIT_INVITE"] = "godwit://\(token)@one\n godwit://\(token)@two"
            #expect(try connect(["--invite-file", file]).gateways.map(\.gateway.description) == ["file:443"])
            #expect(try connect([], withVariable).gateways.map(\.gateway.description) == ["one:443", "two:443"])
            #expect(
                try connect(["--invite-file", file], withVariable).gateways.map(\.gateway.description) == ["file:443"])
        }
    }

    @Test("flags add to the file, and gateways on the command line replace the file's")
    func merging() throws {
        try withFolder { folder in
            let file = folder + "/local.toml"
            let text =
                "gateways = [\"godwit://\(token)@toml\"]\ncontrol = \"c.sock\"\n[[socks]]\nlisten = \"127.0.0.1:1080\"\n"
            try ConfigurationFile.write(text, to: file, mode: 0o600, existing: .keep)
            let plain = try connect(["--config", file, "-D", "1081"])
            #expect(plain.gateways.map(\.gateway.description) == ["toml:443"])
            #expect(plain.socks.map(\.listen.port) == [1080, 1081])
            #expect(plain.control == folder + "/c.sock")
            let replaced = try connect(["--config", file, "godwit://\(token)@arg", "--control", "/x"])
            #expect(replaced.gateways.map(\.gateway.description) == ["arg:443"])
            #expect(replaced.control == "/x")
            #expect(throws: ConfigurationError.self) { try connect(["--config", file, "-D", "1080"]) }
        }
    }

    @Test("the user's own file is read where nothing else is said")
    func defaultFile() throws {
        try withFolder { folder in
            try ConfigurationFile.makeFolder(folder + "/godwit")
            let file = folder + "/godwit/local.toml"
            try ConfigurationFile.write(
                "gateways = [\"godwit://\(token)@own\"]", to: file, mode: 0o600, existing: .keep)
            var own = surroundings
            own.variables["XDG_CONFIG_HOME"] = folder
            #expect(try connect([], own).gateways.map(\.gateway.description) == ["own:443"])
            #expect(throws: ConfigurationError.self) { try connect(["-D", "1080"], own) }
            #expect(try PipeArguments.parse(["a", "1"]).options(own).configuration.gateways.count == 1)
        }
    }

    @Test("without a gateway there is an error that says where to get one")
    func noGateway() {
        let error = #expect(throws: ConfigurationError.self) { try connect(["-D", "1080"]) }
        #expect(error?.description.contains("names no gateway") == true)
    }

    @Test("pipe takes a host, a port and perhaps an invite")
    func pipes() throws {
        let plain = try PipeArguments.parse(["build.internal", "22"]).options(surroundings)
        #expect(plain.destination.description == "build.internal:22")
        #expect(plain.configuration.gateways.isEmpty)
        let own = try PipeArguments.parse(["2001:db8::1", "22", "godwit://\(token)@a"]).options(surroundings)
        #expect(own.destination.description == "[2001:db8::1]:22")
        #expect(own.configuration.gateways.count == 1)
        for wrong in [["a b", "22"], ["a", "0"]] {
            #expect(throws: CommandFailure.self) { try PipeArguments.parse(wrong).options(surroundings) }
        }
        #expect(throws: (any Error).self) { try PipeArguments.parse(["a", "ssh"]) }
        #expect(throws: (any Error).self) { try PipeArguments.parse(["a", "65536"]) }
    }

    @Test("status asks the local endpoint, then the gateway")
    func status() throws {
        let options = try StatusArguments.parse(["--json"]).options(surroundings)
        #expect(options.controlSockets == ["/run/user/7/godwit.sock", "/run/user/7/godwit-gateway.sock"])
        #expect(options.format == .json)
        #expect(
            try StatusArguments.parse(["--control", "/x"]).options(surroundings)
                == StatusOptions(controlSockets: ["/x"], format: .table))
    }

    @Test("the log has a level and a format")
    func log() throws {
        let log = try ConnectArguments.parse(["--log-level", "debug", "--log-format", "json"]).log.options
        #expect(log.level == .debug)
        #expect(log.format == .json)
        #expect(throws: (any Error).self) { try ConnectArguments.parse(["--log-level", "loud"]) }
    }
}

@Suite("Exit statuses")
struct ExitStatusTests {
    func end(_ arguments: [String]) -> Ending? {
        do {
            var command = try Godwit.parseAsRoot(arguments)
            try command.run()
            return nil
        } catch {
            return Ending(error)
        }
    }

    @Test(
        "wrong usage is 2 and one line",
        arguments: [
            ["nonsense"], ["init", "--listen", "x"], ["init", "--key", "a"], ["init", "extra"], ["user", "add"],
            ["user", "add", "a", "--config", "/nonexistent"],
            ["user", "list", "--nonsense"],
        ])
    func usage(arguments: [String]) throws {
        let ending = try #require(end(arguments))
        #expect(ending.status == .wrongUsage)
        #expect(ending.output.isEmpty)
        #expect(ending.message.hasPrefix("godwit: "))
        #expect(!ending.message.contains("\n"))
    }

    @Test(
        "a value that cannot be read is answered with what to write",
        arguments: [
            (["gateway", "--log-level", "loud"], "trace, debug, info, notice, warning, error, critical"),
            (["connect", "--log-format", "yaml"], "'text' and 'json'"),
            (["pipe", "a", "ssh"], "a number from 1 to 65535"),
            (["pipe", "a", "65536"], "a number from 1 to 65535"),
            (["pipe", "a", "0"], "1 to 65535"),
            (["pipe", "b\u{fc}cher.example", "80"], "xn--"),
            (["connect", "-L", "1:b\u{fc}cher.example:80"], "xn--"),
            (["connect", "-L", "22"], "[BIND:]PORT:HOST:HOSTPORT"),
            (["paths", "use", "eth0"], "an address, as in 192.0.2.7"),
            (["paths", "add", "1.2.3"], "an address, as in 192.0.2.7"),
            (["paths", "remove", "::1%lo"], "an address, as in 192.0.2.7"),
        ])
    func choices(arguments: [String], wanted: String) throws {
        let ending = try #require(end(arguments))
        #expect(ending.status == .wrongUsage)
        #expect(ending.message.contains(wanted))
        #expect(!ending.message.contains("\n"))
    }

    @Test(
        "help, version and completion go to standard output",
        arguments: [["--help"], ["init", "--help"], ["--version"], ["--generate-completion-script", "bash"]])
    func help(arguments: [String]) throws {
        let ending = try #require(end(arguments))
        #expect(ending.status == .done)
        #expect(ending.message.isEmpty)
        #expect(!ending.output.isEmpty)
    }

    @Test("statuses are the numbers of the contract")
    func numbers() {
        let statuses: [ProcessStatus] = [.done, .failed, .wrongUsage, .notAuthenticated, .unreachable]
        #expect(statuses.map(\.rawValue) == [0, 1, 2, 3, 4])
    }
}
