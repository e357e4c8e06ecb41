/// How a command ended, as scripts see it.
public enum ProcessStatus: Int32, Hashable, Sendable {
    /// Done.
    case done = 0
    /// Failed at run time.
    case failed = 1
    /// Wrong usage or configuration.
    case wrongUsage = 2
    /// The gateway does not accept the token, or is not the one the pin or name asks for.
    case notAuthenticated = 3
    /// No gateway could be reached.
    case unreachable = 4
}
