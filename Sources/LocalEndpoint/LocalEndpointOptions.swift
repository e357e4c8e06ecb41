public import Configuration
public import Driver
public import Primitives
public import Telemetry

/// What the command line asks of a local endpoint.
public struct LocalEndpointOptions: Hashable, Sendable {
    /// The configuration: the file's, and what the command line adds to it; at least one gateway.
    public var configuration: LocalConfiguration
    /// How the log is written.
    public var log: LogOptions
    /// Whether another process keeps what must outlive this one.
    public var keeping: Keeping

    /// Creates options from their parts.
    public init(configuration: LocalConfiguration, log: LogOptions, keeping: Keeping = .alone) {
        self.configuration = configuration
        self.log = log
        self.keeping = keeping
    }
}

/// What the command line asks of `godwit pipe`: standard input and output to one destination.
public struct PipeOptions: Hashable, Sendable {
    /// Where the pipe leads.
    public var destination: HostPort
    /// The control socket of a local endpoint that may be running, and the gateways for a connection of its own if none is.
    public var configuration: LocalConfiguration
    /// How the log is written.
    public var log: LogOptions

    /// Creates options from their parts.
    public init(destination: HostPort, configuration: LocalConfiguration, log: LogOptions) {
        self.destination = destination
        self.configuration = configuration
        self.log = log
    }
}

/// What the command line asks of `godwit status`.
public struct StatusOptions: Hashable, Sendable {
    /// How the status is written.
    public enum Format: Hashable, Sendable {
        /// A table for people.
        case table
        /// One JSON object.
        case json
    }

    /// Control sockets to ask, the first that answers is shown.
    public var controlSockets: [String]
    /// How the status is written.
    public var format: Format

    /// Creates options from their parts.
    public init(controlSockets: [String], format: Format) {
        self.controlSockets = controlSockets
        self.format = format
    }
}
