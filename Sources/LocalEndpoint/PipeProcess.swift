public import Configuration
import EventLoop
import Logging
import Telemetry

/// `godwit pipe HOST PORT`: standard input and output as one tunnel, for `ssh -o ProxyCommand`.
public final class PipeProcess {
    private let options: PipeOptions

    /// Creates the process; nothing happens before `run`.
    public init(_ options: PipeOptions) { self.options = options }

    /// Serves until the tunnel is over.
    public func run() -> ProcessStatus {
        let log = Logger("pipe", options: options.log, unixMilliseconds: { Clock.unixMilliseconds() })
        do {
            let loop = try EventLoop()
            let running = try RunningPipe(options, log: log, on: loop)
            loop.run()
            running.shutDown()
            return running.status
        } catch {
            log.error("\(error)")
            return .failed
        }
    }
}
