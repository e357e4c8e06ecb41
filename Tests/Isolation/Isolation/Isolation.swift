import CIsolation

/// A thread that shares less with the others, for one call.
///
/// Programs are to be started by one with descriptors of its own: until a new program is loaded it has a copy of each, and what
/// another test closes meanwhile stays open there: its port is taken, and who connects to it is not refused.
public enum Isolation: Sendable {
    /// A network with a loopback that is down, and nothing else. Needs root.
    case network
    /// Its descriptors: 0, 1 and 2 of the process, and what it takes and opens.
    case descriptors

    /// The system has refused.
    public struct Refusal: Error {
        /// The errno.
        public var code: Int32

        /// Creates it of an errno.
        public init(code: Int32) { self.code = code }
    }

    private final class Body {
        let run: () throws -> Void
        var error: (any Error)?
        init(_ run: @escaping () throws -> Void) { self.run = run }
    }

    /// Runs `body` on the thread and waits for it. Expectations belong behind it, on the test's own thread.
    public func run<Result>(_ body: @escaping () throws -> Result) throws -> Result {
        var result: Result?
        let boxed = Body { result = try body() }
        let kind =
            switch self {
            case .network: ISOLATION_NETWORK
            case .descriptors: ISOLATION_DESCRIPTORS
            }
        // The box outlives the call, which waits for the thread.
        let status = withExtendedLifetime(boxed) {
            unsafe isolation_run(
                kind,
                { context in
                    guard let context = unsafe context else { return }
                    let boxed = unsafe Unmanaged<Body>.fromOpaque(context).takeUnretainedValue()
                    do { try boxed.run() } catch { boxed.error = error }
                }, Unmanaged.passUnretained(boxed).toOpaque())
        }
        if let error = boxed.error { throw error }
        guard let result else { throw Refusal(code: status) }
        return result
    }

    /// On a thread with descriptors of its own: one for what the process has under this number; closed in programs.
    public static func take(_ descriptor: Int32) throws -> Int32 {
        let taken = isolation_take(descriptor)
        guard taken >= 0 else { throw Refusal(code: -taken) }
        return taken
    }
}
