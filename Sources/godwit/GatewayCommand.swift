internal import ArgumentParser
internal import Configuration
internal import EventLoop
internal import Gateway
internal import LocalEndpoint

/// `godwit gateway`: serves until it is told to stop.
struct GatewayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Run the gateway in the foreground.",
        discussion:
            "SIGTERM stops it once its tunnels have ended or ten seconds have passed; SIGHUP reads users and rules again; SIGUSR2 has a new process, of the program as it is on the disk now, take over."
    )

    @OptionGroup var arguments: GatewayArguments

    func run() throws {
        let options = try arguments.options(.process())
        guard !arguments.replace else { return try replace(options) }
        guard arguments.check else { return try end(GatewayProcess(options).run()) }
        let material = try GatewayMaterial(options.configuration)
        for warning in material.warnings(at: Clock.unixTime()) { note("warning: \(warning)") }
        note("\(options.configuration.source) is right")
    }

    private func replace(_ options: GatewayOptions) throws {
        switch ReplacementClient(control: options.configuration.control).run() {
        case .answer(let text): print(text, terminator: "")
        case .failure(let message): throw CommandFailure(message, .failed)
        }
    }
}
