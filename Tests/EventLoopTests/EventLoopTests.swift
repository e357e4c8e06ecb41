import EventLoop
import Primitives
import Testing

@Suite("Event loop")
struct EventLoopTests {
    @Test("a stop from before ends the run at once")
    func earlyStop() throws {
        let loop = try EventLoop()
        loop.stop()
        loop.run()
        #expect(loop.turnCount == 0)
    }

    @Test("a timer fires at its deadline and not before")
    func timerFires() throws {
        final class Recorder: TimerHandler {
            var firedAt: Instant?
            func timerFired(_ timer: TimerHandle, at now: Instant) { firedAt = now }
        }
        let loop = try EventLoop()
        let recorder = Recorder()
        let timer = loop.addTimer(recorder)
        let deadline = loop.now + .milliseconds(5)
        loop.arm(timer, at: deadline)
        #expect(loop.run { recorder.firedAt != nil })
        let firedAt = try #require(recorder.firedAt)
        #expect(firedAt >= deadline)
        #expect(loop.deadline(of: timer) == nil)
    }
}
