import Driver
import EventLoop
import Primitives
import QUIC

/// Asks a client whether it is still there, and tells when nothing came from it in time.
///
/// A client that was killed says no goodbye, and its connection would last until the idle timeout: so long it counts against
/// what its user may have, and so often can one be killed that its next process would find no room.
final class LivenessQuestion: TimerHandler {
    /// How long a client may be silent, once asked: longer than most gaps of a radio link, so that nobody who is there loses
    /// tunnels that cannot be resumed.
    static let limit = Interval.seconds(5)

    private let driven: DrivenConnection
    private let loop: EventLoop
    private let packetsBefore: UInt64
    /// Let go of when the question is over, which breaks the cycle.
    private var unanswered: (() -> Void)?
    private var timer: TimerHandle?

    /// Sends a PING; `unanswered` is called when no packet has come within `limit`.
    init(_ driven: DrivenConnection, on loop: EventLoop, within limit: Interval, unanswered: @escaping () -> Void) {
        self.driven = driven
        self.loop = loop
        self.unanswered = unanswered
        packetsBefore = driven.connection.liveness.packetsReceived
        timer = loop.addTimer(self)
        driven.connection.ping(at: loop.now)
        driven.needsService()
        if let timer { loop.arm(timer, at: loop.now + limit) }
    }

    var isOpen: Bool { unanswered != nil }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        let hasAnswered = driven.connection.liveness.packetsReceived != packetsBefore
        let unanswered = unanswered
        end()
        if !hasAnswered { unanswered?() }
    }

    func end() {
        if let timer { loop.removeTimer(timer) }
        timer = nil
        unanswered = nil
    }
}
