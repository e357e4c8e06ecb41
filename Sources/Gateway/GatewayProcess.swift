public import Configuration
import EventLoop
import Logging
import Primitives
import Telemetry

/// `godwit gateway`: workers, signals, the control socket.
public final class GatewayProcess {
    /// How long tunnels may go on after SIGTERM or SIGINT.
    static let drainLimit = Interval.seconds(10)
    /// How long CONNECTION_CLOSE has to leave after that.
    static let closeLimit = Interval.milliseconds(300)
    /// How often it is looked whether the users have changed.
    static let usersPoll = Interval.milliseconds(500)
    /// How often it is looked whether tunnels are left meanwhile.
    static let drainPoll = Interval.milliseconds(100)

    let options: GatewayOptions
    let log: Logger

    /// Creates the process; nothing happens before `run`.
    public init(_ options: GatewayOptions) {
        self.options = options
        log = Logger("gateway", options: options.log, unixMilliseconds: { Clock.unixMilliseconds() })
    }

    /// Serves until it is told to stop.
    public func run() -> ProcessStatus {
        do {
            DescriptorLimit.raise()
            let loop = try EventLoop()
            let running = try RunningGateway(options, log: log, on: loop)
            loop.run()
            running.shutDown()
            return .done
        } catch let error as ConfigurationError {
            log.error("\(error)")
            return .wrongUsage
        } catch {
            log.error("\(error)")
            return .failed
        }
    }
}
