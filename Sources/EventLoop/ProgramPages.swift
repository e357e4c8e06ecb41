internal import CSockets
public import Primitives

/// Gives the pages of the program back that only starts, handshakes, the opening of tunnels and the end of connections need, when
/// these have been over for a while: most of the code that has run once, and the tables of libraries, are in memory for nothing then.
///
/// What a page holds comes back from its file, which the system goes on to cache, when it is used again.
public final class ProgramPages: TimerHandler {
    /// How long nothing rare must have happened. The search for the path's MTU is over by then.
    public static let quietTime = Interval.seconds(5)

    private let loop: EventLoop
    private var timer: TimerHandle?

    /// Creates it for the calling thread's loop; the pages are those of the whole process.
    public init(on loop: EventLoop) {
        self.loop = loop
        timer = loop.addTimer(self)
    }

    /// Something rare has happened, from which to wait.
    public func wereUsed() {
        if let timer { loop.arm(timer, at: loop.now + Self.quietTime) }
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) { Self.release() }

    /// Gives the pages back now.
    public static func release() { gw_release_program_pages() }
}

@available(*, unavailable)
extension ProgramPages: Sendable {}
