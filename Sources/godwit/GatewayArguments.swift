internal import ArgumentParser
internal import Configuration
internal import Driver
internal import Gateway

/// The arguments of `godwit gateway`.
struct GatewayArguments: ParsableArguments {
    @OptionGroup var file: GatewayConfigurationArgument

    @Flag(help: "Only tell whether the configuration, the certificate and the users are right.")
    var check = false

    @Flag(help: "Have a new process take over from the gateway that runs with this configuration; no tunnel ends.")
    var replace = false

    @Flag(help: "Work in one process: tunnels end when it is killed, and SIGUSR2 replaces nothing.")
    var alone = false

    @OptionGroup var log: LogArguments

    func options(_ surroundings: Surroundings) throws -> GatewayOptions {
        GatewayOptions(
            configuration: try file.load(surroundings), surroundings: surroundings, log: log.options,
            keeping: alone ? .alone : .kept)
    }
}
