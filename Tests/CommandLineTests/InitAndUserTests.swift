import ArgumentParser
import Configuration
import Cryptography
import Foundation
import Gateway
import Primitives
import Testing

@testable import godwit

enum FileRemoval {
    static func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }
}

@Suite("init and user")
struct InitAndUserTests {
    func setup(_ arguments: [String]) throws -> GatewaySetup {
        try #require(try Godwit.parseAsRoot(["init"] + arguments) as? InitCommand).setup(environment: ["USER": "me"])
    }

    func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("init makes a gateway that its own configuration accepts, and an invite that opens it")
    func makesGateway() throws {
        try withFolder { folder in
            let setup = try setup([
                "--dir", folder + "/new", "--name", "gw.example", "--listen", "127.0.0.1:4433", "--listen",
                "[::1]:4433",
            ])
            let invite = try setup.write(now: 1_795_230_245)
            #expect(invite.gateway.description == "gw.example:4433")
            #expect(invite.pins.count == 1)
            let configuration = try GatewayConfiguration.load(setup.configuration, surroundings: surroundings)
            #expect(configuration.listen.map(\.description) == ["127.0.0.1:4433", "[::1]:4433"])
            #expect(configuration.name == invite.gateway)
            let material = try GatewayMaterial(configuration)
            #expect(material.users.user(for: invite.token)?.name == "me")
            #expect(material.identity.certificate.publicKeyHash == invite.pins.first?.digest)
            #expect(material.warnings(at: 1_795_230_245).isEmpty)
            #expect(material.warnings(at: 4_000_000_000).count == 1)
            #expect(try mode(configuration.key) == 0o600)
            #expect(try mode(configuration.users) == 0o600)
            #expect(try !ConfigurationFile.read(configuration.users).contains(invite.token.text))
        }
    }

    @Test("keys go from one gateway to another, readable by their owner only; both then work with the same ones")
    func sharedKeys() throws {
        try withFolder { folder in
            for name in ["a", "b"] {
                _ = try setup([
                    "--dir", "\(folder)/\(name)", "--name", "\(name).example", "--listen", "127.0.0.1:4433",
                ]).write(now: 0)
            }
            func run(_ arguments: [String]) throws {
                var command = try Godwit.parseAsRoot(["gateway", "keys"] + arguments)
                try command.run()
            }
            func keys(_ name: String) throws -> GatewayKeys {
                let file = "\(folder)/\(name)/gateway.toml"
                return try GatewayMaterial.keys(of: try GatewayConfiguration.load(file, surroundings: surroundings))
            }
            #expect(try keys("a").ticketSecret != keys("b").ticketSecret)
            let file = folder + "/keys"
            try run(["export", file, "--config", folder + "/a/gateway.toml"])
            #expect(try mode(file) == 0o600)
            #expect(throws: ConfigurationError.self) {
                try run(["export", file, "--config", folder + "/a/gateway.toml"])
            }
            let configuration = folder + "/b/gateway.toml"
            #expect(throws: ConfigurationError.self) { try run(["import", file, "--config", configuration]) }
            let text = try ConfigurationFile.read(configuration)
            try ConfigurationFile.write(
                "ticket_secret = \"tickets.key\"\n" + text, to: configuration, mode: 0o644, existing: .replace)
            try run(["import", file, "--config", configuration])
            #expect(try mode(folder + "/b/tickets.key") == 0o600)
            #expect(try keys("a").ticketSecret == keys("b").ticketSecret)
        }
    }

    @Test("gateway and its subcommands are told apart, each with its own options")
    func gatewayCommands() throws {
        let drain = try #require(
            try Godwit.parseAsRoot(["gateway", "drain", "--config", "x", "--deadline", "1m30s"])
                as? GatewayCommand.Drain)
        #expect(drain.deadline == .seconds(90) && drain.file.path == "x")
        #expect(try Godwit.parseAsRoot(["gateway", "--config", "x"]) is GatewayCommand)
        for wrong in ["5x", "8d", "", "-1s"] {
            #expect(throws: (any Error).self) { try Godwit.parseAsRoot(["gateway", "drain", "--deadline", wrong]) }
        }
    }

    @Test("init replaces nothing unless told to")
    func keeps() throws {
        try withFolder { folder in
            let arguments = ["--dir", folder, "--name", "gw.example:1", "--listen", "127.0.0.1:4433"]
            let first = try setup(arguments).write(now: 0)
            #expect(first.gateway.port == 1)
            for name in ["gateway.key", "gateway.crt", "users.toml", "gateway.toml"] {
                let before = try ConfigurationFile.read("\(folder)/\(name)")
                #expect(throws: ConfigurationError.self) { try setup(arguments).write(now: 0) }
                #expect(try ConfigurationFile.read("\(folder)/\(name)") == before)
            }
            let second = try setup(arguments + ["--force"]).write(now: 0)
            #expect(second.pins != first.pins)
            #expect(second.token != first.token)
            // One file alone is reason enough to write none.
            try FileRemoval.remove("\(folder)/gateway.key")
            #expect(throws: ConfigurationError.self) { try setup(arguments).write(now: 0) }
            #expect(!ConfigurationFile.exists("\(folder)/gateway.key"))
        }
    }

    @Test("init uses a certificate that is there, and refuses a key of another one")
    func givenCertificate() throws {
        try withFolder { folder in
            _ = try setup(["--dir", folder + "/a", "--name", "a", "--listen", "127.0.0.1:1"]).write(now: 0)
            _ = try setup(["--dir", folder + "/b", "--name", "b", "--listen", "127.0.0.1:1"]).write(now: 0)
            let given = [
                "--dir", folder + "/c", "--name", "c", "--listen", "127.0.0.1:1", "--certificate",
                folder + "/a/gateway.crt",
            ]
            let setup = try setup(given + ["--key", folder + "/a/gateway.key"])
            _ = try setup.write(now: 0)
            let configuration = try GatewayConfiguration.load(setup.configuration, surroundings: surroundings)
            #expect(configuration.certificate == folder + "/a/gateway.crt")
            #expect(!ConfigurationFile.exists(folder + "/c/gateway.key"))
            let wrong = try self.setup(given + ["--key", folder + "/b/gateway.key", "--force"])
            let error = #expect(throws: ConfigurationError.self) { try wrong.write(now: 0) }
            #expect(error?.source == folder + "/b/gateway.key")
        }
    }

    @Test("a user's name for init is one that users can have")
    func userNames() {
        #expect(InitCommand.userName(["USER": "ann"]) == "ann")
        #expect(InitCommand.userName(["SUDO_USER": "ann", "USER": "root"]) == "ann")
        #expect(InitCommand.userName(["USER": "root"]) == "user")
        #expect(InitCommand.userName(["USER": "a b"]) == "user")
        #expect(InitCommand.userName([:]) == "user")
    }

    @Test("a user is added with an invite of their own and removed again")
    func users() throws {
        try withFolder { folder in
            let setup = try setup(["--dir", folder, "--name", "gw.example", "--listen", "127.0.0.1:4433"])
            _ = try setup.write(now: 0)
            func user(_ arguments: [String]) throws {
                var command = try Godwit.parseAsRoot(["user"] + arguments + ["--config", setup.configuration])
                try command.run()
            }
            func names() throws -> [String] { try UsersFile.load(folder + "/users.toml").users.map(\.name) }
            try user(["add", "laptop"])
            #expect(try names() == ["me", "laptop"])
            #expect(throws: CommandFailure.self) { try user(["add", "laptop"]) }
            #expect(throws: CommandFailure.self) { try user(["add", "a b"]) }
            try user(["list"])
            try user(["remove", "me"])
            #expect(throws: CommandFailure.self) { try user(["remove", "me"]) }
            #expect(try names() == ["laptop"])
            #expect(try mode(folder + "/users.toml") == 0o600)
        }
    }

    @Test("a rule that cannot be read is blamed with its line")
    func badRule() throws {
        try withFolder { folder in
            let setup = try setup(["--dir", folder, "--name", "gw.example", "--listen", "127.0.0.1:4433"])
            _ = try setup.write(now: 0)
            let text = try ConfigurationFile.read(setup.configuration)
            let edited = text.replacingOccurrences(of: "deny  = []", with: "deny  = [\"nonsense\"]")
            try ConfigurationFile.write(edited, to: setup.configuration, mode: 0o644, existing: .replace)
            let configuration = try GatewayConfiguration.load(setup.configuration, surroundings: surroundings)
            let error = #expect(throws: ConfigurationError.self) { try GatewayMaterial(configuration) }
            #expect(error?.line == 13)
        }
    }
}
