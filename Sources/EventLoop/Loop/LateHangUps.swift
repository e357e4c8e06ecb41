import Primitives

/// Descriptors that are wanted for a hang-up alone, until they are watched for it.
///
/// That comes after the last byte or before the first one, mostly for a moment: a descriptor that is closed or read meanwhile was
/// never registered, which saves three system calls and a wake-up.
final class LateHangUps: TimerHandler {
    /// How long a descriptor waits at most; at least half of it.
    static let delay = Interval.milliseconds(50)

    private unowned let loop: EventLoop
    private var timer: TimerHandle?
    /// First to go first.
    private var waiting: ArraySlice<(since: Instant, events: FileDescriptorEvents)> = []

    init(on loop: EventLoop) { self.loop = loop }

    func append(_ events: FileDescriptorEvents) {
        waiting.append((loop.now, events))
        if waiting.count == 1 { arm() }
    }

    private func arm() {
        guard let first = waiting.first else { return }
        let timer = timer ?? loop.addTimer(self)
        self.timer = timer
        loop.arm(timer, at: first.since + Self.delay)
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        while let first = waiting.first, now - first.since >= Self.delay / 2 {
            waiting.removeFirst()
            first.events.registerHangUp()
        }
        arm()
    }
}
