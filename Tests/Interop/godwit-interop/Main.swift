import ArgumentParser

/// Bare QUIC with strangers: see Tests/Interop/run.
@main
struct GodwitInterop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "godwit-interop", abstract: "Client and server of the interoperability tests' application.",
        subcommands: [ClientCommand.self, ServerCommand.self, HoldCommand.self])
}
