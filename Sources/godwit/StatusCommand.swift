internal import ArgumentParser
internal import Configuration
internal import LocalEndpoint

/// `godwit status`: what a running local endpoint or gateway is doing.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show gateway, connection, paths and tunnels of the running process.")

    @OptionGroup var arguments: StatusArguments

    func run() throws {
        switch StatusClient(arguments.options(.process())).run() {
        case .answer(let text): print(text, terminator: "")
        case .failure(let message): throw CommandFailure(message, .failed)
        }
    }
}
