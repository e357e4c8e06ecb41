internal import ArgumentParser
internal import Configuration
internal import LocalEndpoint

/// `godwit pipe`: standard input and output as one tunnel.
struct PipeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipe", abstract: "Connect standard input and output to a host, as ssh's ProxyCommand.",
        discussion: """
            `ssh -o ProxyCommand='godwit pipe %h %p' HOST`. It uses the tunnel of a running `godwit connect`, else a \
            connection of its own to the gateways of the invites, of GODWIT_INVITE, or of the configuration.
            """)

    @OptionGroup var arguments: PipeArguments

    func run() throws { try end(PipeProcess(try arguments.options(.process())).run()) }
}
