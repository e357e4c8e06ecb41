internal import ArgumentParser
internal import Configuration
internal import LocalEndpoint
internal import Primitives

/// Reads a local address.
private func localAddress(_ text: String) throws -> IPAddress {
    guard let address = IPAddress(text[...]) else {
        throw ValidationError("write an address, as in 192.0.2.7 or 2001:db8::7")
    }
    return address
}

/// `godwit paths`: which way a running local endpoint goes to its gateway.
struct PathsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "paths", abstract: "Show and choose the network paths of the running local endpoint.",
        discussion: "The local endpoint chooses by itself; what is chosen here holds until that path fails.",
        subcommands: [List.self, Add.self, Use.self, Remove.self], defaultSubcommand: List.self)

    /// `--control`, for all of them.
    struct Control: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "The control socket to ask (default: that of this user's local endpoint).", valueName: "path"))
        var control: String?

        func run(_ command: PathCommand) throws {
            let path = control ?? Surroundings.process().localControlSocket
            switch PathClient(control: path).run(command) {
            case .answer(let text): print(text, terminator: "")
            case .failure(let sentence): throw CommandFailure(sentence, .failed)
            }
        }
    }

    /// `godwit paths list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the paths, the other addresses of this machine, and the last handovers.")

        @Flag(help: "Write one JSON object.")
        var json = false

        @OptionGroup var control: Control

        func run() throws { try control.run(.list(json ? .json : .table)) }
    }

    /// `godwit paths add ADDRESS`.
    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an address of this machine a standby path, or validate it again.")

        @Argument(
            help: "A local address, also one of an interface that is ignored.", transform: { try localAddress($0) })
        var address: IPAddress

        @OptionGroup var control: Control

        func run() throws { try control.run(.add(address)) }
    }

    /// `godwit paths use ADDRESS`.
    struct Use: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Move the connection to an address of this machine; tunnels go on.")

        @Argument(help: "A local address.", transform: { try localAddress($0) })
        var address: IPAddress

        @OptionGroup var control: Control

        func run() throws { try control.run(.use(address)) }
    }

    /// `godwit paths remove ADDRESS`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give the path from an address up; it is not used again until it is added.")

        @Argument(help: "A local address.", transform: { try localAddress($0) })
        var address: IPAddress

        @OptionGroup var control: Control

        func run() throws { try control.run(.remove(address)) }
    }
}
