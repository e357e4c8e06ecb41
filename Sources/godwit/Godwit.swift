internal import ArgumentParser

/// The command line.
struct Godwit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "godwit",
        abstract: "TCP connections that survive changes of network, through one QUIC connection to a gateway.",
        discussion: """
            On a server: `godwit init --name HOST`, then `godwit gateway`. It prints an invite; with it on a laptop: \
            `godwit connect INVITE -D 1080`.

            Exit status: 0 done, 1 failed at run time, 2 wrong usage or configuration, 3 cannot authenticate, \
            4 gateway unreachable.
            """,
        version: VersionCommand.version,
        subcommands: [
            InitCommand.self, UserCommand.self, GatewayCommand.self, ConnectCommand.self,
            PipeCommand.self, StatusCommand.self, PathsCommand.self, DemoCommand.self, BenchCommand.self,
            VersionCommand.self,
        ])
}
