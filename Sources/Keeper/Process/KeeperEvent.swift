public import EventLoop

/// What a keeper tells its user.
public enum KeeperEvent: Hashable, Sendable, CustomStringConvertible {
    /// Descriptors came from the service manager: the keeper before this one has died.
    case recovered(descriptors: Int)
    /// A worker was killed or trapped; another one is started at once or after a pause.
    case workerDied(WorkerEnd, pauseMilliseconds: Int, heldDescriptors: Int)
    /// Workers die as soon as they are started.
    case crashLoop(deaths: Int, pauseMilliseconds: Int)
    /// A worker could not be started.
    case cannotStart(SystemError)
    /// A new worker is started, to take over from the one that works.
    case replacementBegan
    /// A replacement was asked for while no worker was ready to be replaced.
    case replacementRefused
    /// The new worker has taken over.
    case replacementDone
    /// The new worker ended or said nothing; the old one goes on.
    case replacementFailed(WorkerEnd?)
    /// The old worker did not let go in time and was killed.
    case oldWorkerKilled

    /// One line.
    public var description: String {
        switch self {
        case .recovered(let count):
            "the service manager kept \(count) descriptors of a keeper that died; going on with them"
        case .workerDied(let end, let pause, let held):
            "the worker \(end); \(held) descriptors are kept, another worker starts \(pause == 0 ? "at once" : "in \(pause) ms")"
        case .crashLoop(let deaths, let pause):
            "\(deaths) workers in a row died right after their start; trying again every \(pause) ms or later: "
                + "see the lines before for the cause, tunnels are kept meanwhile"
        case .cannotStart(let error): "\(error); trying again"
        case .replacementBegan: "a new worker starts, to take over from the old one"
        case .replacementRefused:
            "no worker can be replaced while one is starting; send SIGUSR2 again when it serves"
        case .replacementDone: "the new worker has taken over"
        case .replacementFailed(let end):
            "the new worker \(end.map { "\($0)" } ?? "was not ready in time"); the old one goes on, try again when the cause is gone"
        case .oldWorkerKilled:
            "the old worker did not let go in time and was killed; the new one goes on with its tunnels"
        }
    }
}

extension WorkerEnd: CustomStringConvertible {
    /// A predicate: "ended with status 1", "was killed by signal 9".
    public var description: String {
        switch self {
        case .exited(let status): "ended with status \(status)"
        case .killed(let signal): "was killed by signal \(signal)"
        }
    }
}
