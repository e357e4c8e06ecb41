internal import ArgumentParser
internal import Configuration
internal import Driver
internal import LocalEndpoint
internal import Primitives

/// Which gateways to use, and the file with everything else.
struct LocalFileArguments: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The local endpoint's configuration (default, where nothing else is given: ~/.config/godwit/local.toml).",
            valueName: "file"))
    var path: String?

    @Option(
        help: ArgumentHelp(
            "A file with invites, one a line, so that they do not show in a process list.", valueName: "file"))
    var inviteFile: String?

    @Option(help: ArgumentHelp("The control socket, instead of the configured one.", valueName: "path"))
    var control: String?

    /// What the command line, the environment and the file come to; gateways of the first of them that names any.
    func configuration(
        invites: [String], defaultFile: DefaultFile, surroundings: Surroundings
    ) throws(ConfigurationError) -> LocalConfiguration {
        var configuration = LocalConfiguration(surroundings: surroundings)
        if let path = path ?? defaultFile.path(surroundings) {
            configuration = try LocalConfiguration.load(path, surroundings: surroundings)
        }
        var gateways: [Invite] = []
        for text in invites { gateways += try Invite.list(text, source: "command line") }
        if let inviteFile { gateways += try Invite.list(ConfigurationFile.read(inviteFile), source: inviteFile) }
        if gateways.isEmpty, let text = surroundings.variables["GODWIT_INVITE"], !text.isEmpty {
            let lines = text.split(whereSeparator: \.isWhitespace).joined(separator: "\n")
            gateways = try Invite.list(lines, source: "GODWIT_INVITE")
        }
        if !gateways.isEmpty { configuration.gateways = gateways }
        if let control { configuration.control = control }
        return configuration
    }

    /// Whether the user's own file is read where none is named.
    enum DefaultFile {
        case read
        case overlook

        func path(_ surroundings: Surroundings) -> String? {
            guard self == .read else { return nil }
            let folders = [
                surroundings.variables["XDG_CONFIG_HOME"], surroundings.variables["HOME"].map { $0 + "/.config" },
                "/etc",
            ]
            return folders.compactMap { $0 }.map { $0 + "/godwit/local.toml" }.first(where: ConfigurationFile.exists)
        }
    }
}

/// The arguments of `godwit connect`.
struct ConnectArguments: ParsableArguments {
    @Argument(
        help: "Invites, in order of preference; they show in process lists, --invite-file and GODWIT_INVITE do not.")
    var invites: [String] = []

    @OptionGroup var file: LocalFileArguments

    @Option(
        name: .customShort("L", allowingJoined: true),
        help: ArgumentHelp(
            "A local port that leads to HOST:HOSTPORT; repeatable.", valueName: "[bind:]port:host:hostport"),
        transform: { try ForwardSpec($0) })
    var forwards: [ForwardSpec] = []

    @Option(
        name: .customShort("D", allowingJoined: true),
        help: ArgumentHelp("A SOCKS5 proxy; repeatable.", valueName: "[bind:]port"), transform: { try ListenSpec($0) })
    var socks: [ListenSpec] = []

    @Option(
        name: .customLong("http"), help: ArgumentHelp("An HTTP proxy; repeatable.", valueName: "[bind:]port"),
        transform: { try ListenSpec($0) })
    var http: [ListenSpec] = []

    @Flag(help: "Work in one process: tunnels end when it is killed, and SIGUSR2 replaces nothing.")
    var alone = false

    @OptionGroup var log: LogArguments

    func options(_ surroundings: Surroundings) throws -> LocalEndpointOptions {
        let namesNothing =
            invites.isEmpty && file.inviteFile == nil && forwards.isEmpty && socks.isEmpty && http.isEmpty
        var configuration = try file.configuration(
            invites: invites, defaultFile: namesNothing ? .read : .overlook, surroundings: surroundings)
        configuration.forwards += forwards.map { .init(listen: $0.listen, destination: $0.destination) }
        configuration.socks += socks.map { .init(listen: $0.listen) }
        configuration.http += http.map { .init(listen: $0.listen) }
        guard !configuration.gateways.isEmpty else {
            throw ConfigurationError(
                source: configuration.source,
                message:
                    "names no gateway; give the invite that `godwit init` or `godwit user add` printed, or --invite-file FILE"
            )
        }
        try configuration.checkListeners()
        return LocalEndpointOptions(
            configuration: configuration, log: log.options, keeping: alone ? .alone : .kept)
    }
}

/// The arguments of `godwit pipe`.
struct PipeArguments: ParsableArguments {
    @Argument(help: "The host to reach: a name or an address.")
    var host: String

    @Argument(
        help: "Its port.",
        transform: { text in
            guard let port = UInt16(text) else { throw ValidationError("write a number from 1 to 65535") }
            return port
        })
    var port: UInt16

    @Argument(help: "Invites, for a connection of its own where no `godwit connect` is running.")
    var invites: [String] = []

    @OptionGroup var file: LocalFileArguments

    @OptionGroup var log: PipeLogArguments

    func options(_ surroundings: Surroundings) throws -> PipeOptions {
        guard let host = Host(host), port > 0 else {
            throw CommandFailure(
                "\(self.host) \(port): no host and port; write a name (of other scripts in its xn-- form) or an address, "
                    + "and 1 to 65535", .wrongUsage)
        }
        let configuration = try file.configuration(
            invites: invites, defaultFile: invites.isEmpty && file.inviteFile == nil ? .read : .overlook,
            surroundings: surroundings)
        return PipeOptions(destination: HostPort(host, port: port), configuration: configuration, log: log.options)
    }
}

/// The arguments of `godwit status`.
struct StatusArguments: ParsableArguments {
    @Flag(help: "Write one JSON object.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "The control socket to ask (default: that of this user's local endpoint, else of the gateway).",
            valueName: "path"))
    var control: String?

    func options(_ surroundings: Surroundings) -> StatusOptions {
        StatusOptions(
            controlSockets: control.map { [$0] } ?? [
                surroundings.localControlSocket, surroundings.gatewayControlSocket,
            ],
            format: json ? .json : .table)
    }
}
