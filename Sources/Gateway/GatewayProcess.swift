public import Configuration
import Driver
import EventLoop
import Keeper
import Logging
import Primitives
import Telemetry

/// `godwit gateway`: workers, signals, the control socket.
public final class GatewayProcess {
    /// How long tunnels may go on after SIGTERM or SIGINT.
    static let drainLimit = Interval.seconds(10)
    /// The longest time that `drain` may be given.
    static let longestDrain = Interval.seconds(7 * 86_400)

    /// The time in a command `drain MILLISECONDS`; nil for anything else.
    static func drainLimit(in line: String) -> Interval? {
        let words = line.split(separator: " ")
        guard words.count == 2, words[0] == "drain", let milliseconds = Int64(words[1]),
            (0...longestDrain.milliseconds).contains(milliseconds)
        else { return nil }
        return .milliseconds(milliseconds)
    }

    /// How long CONNECTION_CLOSE has to leave after that.
    static let closeLimit = Interval.milliseconds(300)
    /// How long CONNECTION_CLOSE has to leave when another process takes over.
    static let releaseTime = Interval.milliseconds(5)
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

    /// Serves until it is told to stop: with a keeper above it, a process of its own, where the options want that.
    public func run() -> ProcessStatus {
        do {
            if let keeper = try KeeperLink.fromEnvironment() { return try serve(keeper) }
            return options.keeping == .kept ? try keep() : try serve(nil)
        } catch let error as ConfigurationError {
            log.error("\(error)")
            return .wrongUsage
        } catch {
            log.error("\(error)")
            return .failed
        }
    }

    private func serve(_ keeper: KeeperLink?) throws -> ProcessStatus {
        DescriptorLimit.raise()
        let loop = try EventLoop()
        let running = try RunningGateway(options, keeper: keeper, log: log, on: loop)
        loop.run()
        running.shutDown()
        return .done
    }

    private func keep() throws -> ProcessStatus {
        // What is wrong is told once, by this process.
        _ = try GatewayMaterial(options.configuration)
        let status = try KeptProcess(log: log).run()
        return ProcessStatus(rawValue: status) ?? .failed
    }
}
