public import ArgumentParser
internal import Configuration
public import Logging
internal import Primitives
public import Telemetry

extension Logger.Level: @retroactive ExpressibleByArgument {}
extension LogFormat: ExpressibleByArgument {}

/// `--log-level` and `--log-format`.
struct LogArguments: ParsableArguments {
    @Option(help: "The least level that is logged.")
    var logLevel = Logger.Level.info

    @Option(help: "How the log is written to standard error, one line an event.")
    var logFormat = LogFormat.text

    var options: LogOptions { LogOptions(level: logLevel, format: logFormat) }
}

/// The same of `godwit pipe`, whose standard error is the terminal of an ssh session: silent but for errors.
struct PipeLogArguments: ParsableArguments {
    @Option(help: "The least level that is logged.")
    var logLevel = Logger.Level.error

    @Option(help: "How the log is written to standard error, one line an event.")
    var logFormat = LogFormat.text

    var options: LogOptions { LogOptions(level: logLevel, format: logFormat) }
}

/// `--config` of a gateway.
struct GatewayConfigurationArgument: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The gateway's configuration (default: ./gateway.toml, else /etc/godwit/gateway.toml).", valueName: "file"))
    var path: String?

    func load(_ surroundings: Surroundings) throws -> GatewayConfiguration {
        try GatewayConfiguration.load(path ?? Self.defaultPath, surroundings: surroundings)
    }

    private static var defaultPath: String {
        let here = "gateway.toml"
        let system = "/etc/godwit/gateway.toml"
        return !ConfigurationFile.exists(here) && ConfigurationFile.exists(system) ? system : here
    }
}

/// How clients reach a gateway: `HOST` or `HOST:PORT`.
struct GatewayName: ExpressibleByArgument, Hashable {
    let host: Primitives.Host
    let port: UInt16?

    init?(argument: String) {
        if let pair = HostPort(argument) {
            (host, port) = (pair.host, pair.port)
        } else if let host = Primitives.Host(argument) {
            (self.host, port) = (host, nil)
        } else {
            return nil
        }
    }

    func withDefaultPort(_ port: UInt16) -> HostPort { HostPort(host, port: self.port ?? port) }
}

/// Writes a line to standard error, for what is not the result of a command.
func note(_ line: String) {
    StandardError.write("\(line)\n")
}
