internal import ArgumentParser
internal import Configuration
internal import EventLoop
internal import Primitives

/// `godwit user`: who may use a gateway.
struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Add, list and remove a gateway's users.",
        discussion: "A running gateway takes changes over without dropping anyone else.",
        subcommands: [Add.self, List.self, Remove.self])

    /// Changes the users in one step, while other changes wait; a gateway that is running sees that the file has changed.
    static func change(
        _ configuration: GatewayConfiguration, _ body: (inout UsersFile) throws(UsersError) -> Void
    ) throws {
        let path = configuration.users
        let failure = try ConfigurationFile.withLock(on: path) { () throws(ConfigurationError) -> CommandFailure? in
            var users = try UsersFile.load(path)
            do throws(UsersError) {
                try body(&users)
            } catch {
                return CommandFailure("\(path): \(error)", error.status)
            }
            do throws(ConfigurationError) {
                try users.save(path, existing: .replace)
            } catch {
                return CommandFailure(error.description, .failed)
            }
            return nil
        }
        if let failure { throw failure }
    }

    /// `godwit user add NAME`.
    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a user and print an invite on standard output; it is a secret and shown only now.")

        @Argument(help: "The user's name: letters, digits, dots, -, _ and @.")
        var user: String

        @Option(
            help: ArgumentHelp(
                "How clients reach the gateway (default: what the configuration says).", valueName: "host[:port]"))
        var name: GatewayName?

        @OptionGroup var file: GatewayConfigurationArgument

        func run() throws {
            let configuration = try file.load(.process())
            let port = configuration.name?.port ?? configuration.listen.first?.port ?? Invite.defaultPort
            let token = Token.generate()
            // Everything that can fail comes before the user is there.
            let invite = try configuration.invite(
                token, identity: try configuration.identity(), name: name?.withDefaultPort(port))
            let now = Clock.unixTime()
            try UserCommand.change(configuration) { (users) throws(UsersError) in
                try users.add(user, token: token, created: now)
            }
            print(invite.text)
        }
    }

    /// `godwit user list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the users.")

        @OptionGroup var file: GatewayConfigurationArgument

        func run() throws {
            let users = try UsersFile.load(try file.load(.process()).users).users
            let width = users.map(\.name.count).max() ?? 0
            for user in users {
                print("\(user.name)\(String(repeating: " ", count: width - user.name.count))  \(user.created)")
            }
        }
    }

    /// `godwit user remove NAME`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a user: the invite is void, and a running gateway ends the user's connections.")

        @Argument(help: "The user's name.")
        var user: String

        @OptionGroup var file: GatewayConfigurationArgument

        func run() throws {
            try UserCommand.change(try file.load(.process())) { (users) throws(UsersError) in
                try users.remove(user)
            }
        }
    }
}

extension UsersError {
    var status: ProcessStatus {
        switch self {
        case .unusableName: .wrongUsage
        case .exists, .unknown: .failed
        }
    }
}
