internal import ArgumentParser
internal import Configuration
internal import EventLoop
internal import Gateway

/// `godwit gateway`: serves until it is told to stop.
struct GatewayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Run the gateway in the foreground.",
        discussion:
            "SIGTERM stops it once its tunnels have ended or ten seconds have passed; SIGHUP reads users and rules again."
    )

    @OptionGroup var arguments: GatewayArguments

    func run() throws {
        let options = try arguments.options(.process())
        guard arguments.check else { return try end(GatewayProcess(options).run()) }
        let material = try GatewayMaterial(options.configuration)
        for warning in material.warnings(at: Clock.unixTime()) { note("warning: \(warning)") }
        note("\(options.configuration.source) is right")
    }
}
