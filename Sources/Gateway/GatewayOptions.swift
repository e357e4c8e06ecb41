public import Configuration
public import Driver
public import Telemetry

/// What the command line asks of a gateway.
public struct GatewayOptions: Hashable, Sendable {
    /// The configuration, read and checked.
    public var configuration: GatewayConfiguration
    /// What the configuration may depend on; SIGHUP reads `configuration.source` again with it.
    public var surroundings: Surroundings
    /// How the log is written.
    public var log: LogOptions
    /// Whether another process keeps what must outlive this one.
    public var keeping: Keeping

    /// Creates options from their parts.
    public init(
        configuration: GatewayConfiguration, surroundings: Surroundings, log: LogOptions, keeping: Keeping = .alone
    ) {
        self.configuration = configuration
        self.surroundings = surroundings
        self.log = log
        self.keeping = keeping
    }
}
