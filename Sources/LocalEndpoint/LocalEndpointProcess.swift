public import Configuration
import EventLoop
import Logging
import Telemetry

/// `godwit connect`: one thread with the link to the gateway, the local ports, the control socket and signals.
public final class LocalEndpointProcess {
    private let options: LocalEndpointOptions
    private let reread: () throws -> LocalEndpointOptions

    /// Creates the process; nothing happens before `run`. SIGHUP asks `reread` for what the configuration is then.
    public init(_ options: LocalEndpointOptions, reread: @escaping () throws -> LocalEndpointOptions) {
        self.options = options
        self.reread = reread
    }

    /// Serves until it is told to stop.
    public func run() -> ProcessStatus {
        let log = Logger("connect", options: options.log, unixMilliseconds: { Clock.unixMilliseconds() })
        do {
            DescriptorLimit.raise()
            let loop = try EventLoop()
            let running = try RunningLocalEndpoint(options.configuration, log: log, on: loop) {
                try self.reread().configuration
            }
            loop.run()
            running.shutDown()
            return running.status
        } catch {
            log.error("\(error)")
            return .failed
        }
    }
}
