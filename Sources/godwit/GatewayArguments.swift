internal import ArgumentParser
internal import Configuration
internal import Gateway

/// The arguments of `godwit gateway`.
struct GatewayArguments: ParsableArguments {
    @OptionGroup var file: GatewayConfigurationArgument

    @Flag(help: "Only tell whether the configuration, the certificate and the users are right.")
    var check = false

    @OptionGroup var log: LogArguments

    func options(_ surroundings: Surroundings) throws -> GatewayOptions {
        GatewayOptions(
            configuration: try file.load(surroundings), surroundings: surroundings, log: log.options)
    }
}
