public import Configuration
import Driver
import EventLoop
import Keeper
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

    /// Serves until it is told to stop: with a keeper above it, a process of its own, where the options want that.
    public func run() -> ProcessStatus {
        let log = Logger("connect", options: options.log, unixMilliseconds: { Clock.unixMilliseconds() })
        do {
            if let keeper = try KeeperLink.fromEnvironment() { return try serve(keeper, log) }
            guard options.keeping == .kept else { return try serve(nil, log) }
            return ProcessStatus(rawValue: try KeptProcess(log: log).run()) ?? .failed
        } catch {
            log.error("\(error)")
            return .failed
        }
    }

    private func serve(_ keeper: KeeperLink?, _ log: Logger) throws -> ProcessStatus {
        DescriptorLimit.raise()
        let loop = try EventLoop()
        let running = try RunningLocalEndpoint(options.configuration, keeper: keeper, log: log, on: loop) {
            try self.reread().configuration
        }
        loop.run()
        running.shutDown()
        return running.status
    }
}
