@testable import EventLoop
import Primitives
import Testing

private final class PauseRecorder: SuspensionHandler, TimerHandler {
    var calls: [String] = []
    var pauses: [Interval] = []

    func wokeUp(after pause: Interval, at now: Instant) {
        calls.append("woke")
        pauses.append(pause)
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { calls.append("timer") }
}

@Suite("Suspension")
struct SuspensionTests {
    private let now = Instant.origin + .seconds(1000)

    @Test(
        "a sleep of a second or more counts, and a timer that is more than two seconds late",
        arguments: [
            (asleep: 0, late: nil, pause: nil), (999, nil, nil), (1000, nil, 1000), (90_000, nil, 90_000),
            (0, 2000, nil), (0, 2001, 2001), (0, -500, nil), (5000, 3000, 5000), (1000, 7000, 7000),
        ] as [(asleep: Int64, late: Int64?, pause: Int64?)])
    func table(asleep: Int64, late: Int64?, pause: Int64?) {
        var detector = SuspensionDetector(timeAsleep: .seconds(50))
        let deadline = late.map { now - .milliseconds($0) }
        let found = detector.turnBegan(
            at: now, timeAsleep: .seconds(50) + .milliseconds(asleep), nextDeadline: deadline)
        #expect(found == pause.map { .milliseconds($0) })
        // One sleep is told once.
        let again = detector.turnBegan(
            at: now, timeAsleep: .seconds(50) + .milliseconds(asleep), nextDeadline: nil)
        #expect(again == nil)
    }

    @Test("a pause is told before the timers of that time fire")
    func order() throws {
        let loop = try EventLoop()
        let recorder = PauseRecorder()
        loop.addSuspensionHandler(recorder)
        loop.suspension.overdueLimit = .zero
        let timer = loop.addTimer(recorder)
        loop.arm(timer, at: loop.now)
        #expect(loop.run { !recorder.calls.isEmpty })
        #expect(recorder.calls == ["woke", "timer"])
        #expect(recorder.pauses.allSatisfy { $0 > .zero })
        loop.removeSuspensionHandler(recorder)
        loop.arm(timer, at: loop.now)
        #expect(loop.run { recorder.calls.count == 3 })
        #expect(recorder.calls.last == "timer")
    }
}
