internal import ArgumentParser
internal import Configuration
internal import EventLoop
internal import Gateway
internal import LocalEndpoint
internal import Primitives

/// `godwit gateway`: serves until it is told to stop.
struct GatewayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Run the gateway in the foreground.",
        discussion:
            "SIGTERM stops it once its tunnels have ended or ten seconds have passed; SIGHUP reads users and rules again; SIGUSR2 has a new process, of the program as it is on the disk now, take over.",
        subcommands: [Drain.self, Keys.self])

    @OptionGroup var arguments: GatewayArguments

    func run() throws {
        let options = try arguments.options(.process())
        guard !arguments.replace else { return try replace(options) }
        guard arguments.check else { return try end(GatewayProcess(options).run()) }
        let material = try GatewayMaterial(options.configuration)
        for warning in material.warnings(at: Clock.unixTime()) { note("warning: \(warning)") }
        note("\(options.configuration.source) is right")
    }

    /// `godwit gateway drain`.
    struct Drain: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have a running gateway take no more tunnels, and end with those that it has.",
            discussion: "Clients with another gateway use that for new tunnels.")

        @OptionGroup var file: GatewayConfigurationArgument

        @Option(
            help: ArgumentHelp("How long tunnels may go on; then they are reset.", valueName: "time"),
            transform: { text in
                guard let interval = Interval.configured(text), interval <= .seconds(7 * 86_400) else {
                    throw ValidationError("write a time such as 90s, 10m or 1h30m, of seven days at most")
                }
                return interval
            })
        var deadline = Interval.seconds(600)

        func run() throws {
            switch DrainClient(control: try file.load(.process()).control).run(within: deadline) {
            case .answer(let text): print(text, terminator: "")
            case .failure(let message): throw CommandFailure(message, .failed)
            }
        }
    }

    /// `godwit gateway keys`: what several gateways of one owner share.
    struct Keys: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy the keys that several gateways of one owner share.",
            discussion:
                "A file of keys is a secret. A gateway that runs takes other keys over when it is started again.",
            subcommands: [Export.self, Import.self])
    }

    /// `godwit gateway keys export FILE`.
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write this gateway's keys to a new file.")

        @Argument(help: "The file; it must not exist.")
        var path: String

        @OptionGroup var file: GatewayConfigurationArgument

        func run() throws {
            try GatewayMaterial.keys(of: try file.load(.process())).save(path, existing: .keep)
        }
    }

    /// `godwit gateway keys import FILE`.
    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take over the keys of another gateway, to where ticket_secret of the configuration says.")

        @Argument(help: "A file that `godwit gateway keys export` wrote.")
        var path: String

        @OptionGroup var file: GatewayConfigurationArgument

        func run() throws {
            let configuration = try file.load(.process())
            guard let target = configuration.ticketSecret else {
                throw ConfigurationError(
                    source: configuration.source,
                    message:
                        "ticket_secret is missing; write ticket_secret = \"tickets.key\", where keys are to be kept")
            }
            try GatewayKeys.load(path).save(target, existing: .replace)
        }
    }

    private func replace(_ options: GatewayOptions) throws {
        switch ReplacementClient(control: options.configuration.control).run() {
        case .answer(let text): print(text, terminator: "")
        case .failure(let message): throw CommandFailure(message, .failed)
        }
    }
}
