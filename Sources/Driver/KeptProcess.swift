import EventLoop
import Glibc
public import Keeper
public import Logging

/// Whether a role's process works under a keeper.
public enum Keeping: Hashable, Sendable {
    /// A small parent process keeps sockets and tunnels; the one that works may be killed or replaced.
    case kept
    /// It works alone: its tunnels end with it.
    case alone
}

/// The keeper's side of a process that runs a role: starts this same program again to do the work.
public final class KeptProcess: KeeperObserver {
    private let log: Logger

    /// Creates it; nothing happens before `run`.
    public init(log: Logger) { self.log = log }

    /// Keeps the process that works until that ends in order; tells its exit status.
    public func run() throws -> Int32 {
        let loop = try EventLoop()
        return try KeeperProcess(arguments: CommandLine.arguments, on: loop, observer: self).run()
    }

    /// For the keeper.
    public func keeper(_ event: KeeperEvent) {
        switch event {
        case .crashLoop, .cannotStart, .replacementFailed: log.error("\(event)")
        case .workerDied, .oldWorkerKilled, .replacementRefused: log.warning("\(event)")
        case .recovered, .replacementBegan, .replacementDone: log.notice("\(event)")
        }
    }
}
