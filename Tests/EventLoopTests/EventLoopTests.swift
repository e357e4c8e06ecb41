import EventLoop
import Glibc
import Primitives
import Testing

/// Writes down what was called.
final class CallRecorder: TimerHandler, TurnHandler, SignalHandler, MailboxReceiver {
    var fired: [TimerHandle] = []
    var times: [Instant] = []
    var turns = 0
    var signals: [ProcessSignal] = []
    var messages: [Int] = []
    var onFire: (TimerHandle) -> Void = { _ in }
    var onMessage: (Int) -> Void = { _ in }

    func timerFired(_ timer: TimerHandle, at now: Instant) {
        fired.append(timer)
        times.append(now)
        onFire(timer)
    }

    func turnEnded(at now: Instant) { turns += 1 }
    func signalReceived(_ signal: ProcessSignal) { signals.append(signal) }

    func receive(_ message: Int) {
        messages.append(message)
        onMessage(message)
    }
}

@Suite("Event loop")
struct EventLoopTests {
    @Test("a stop from before ends the run at once")
    func earlyStop() throws {
        let loop = try EventLoop()
        loop.stop()
        loop.run()
        #expect(loop.turnCount == 0)
    }

    @Test("timers fire in the order of their deadlines and never early")
    func timersFireInOrder() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let start = loop.now
        let delays: [Int64] = [7, 1, 4, 3, 9, 1]
        let timers = delays.map { delay in
            let timer = loop.addTimer(recorder)
            loop.arm(timer, at: start + .milliseconds(delay))
            return timer
        }
        #expect(loop.run { recorder.fired.count == timers.count })
        #expect(recorder.fired == [1, 5, 3, 2, 0, 4].map { timers[$0] })
        for (timer, time) in zip(recorder.fired, recorder.times) {
            let index = try #require(timers.firstIndex(of: timer))
            #expect(time >= start + .milliseconds(delays[index]))
        }
    }

    @Test("a deadline that was moved counts, one that was taken away does not")
    func rearmAndDisarm() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let (moved, cancelled, last) = (loop.addTimer(recorder), loop.addTimer(recorder), loop.addTimer(recorder))
        loop.arm(moved, at: loop.now + .seconds(100))
        loop.arm(cancelled, at: loop.now + .milliseconds(1))
        loop.arm(last, at: loop.now + .milliseconds(4))
        loop.arm(moved, at: loop.now + .milliseconds(2))
        loop.disarm(cancelled)
        #expect(loop.run { recorder.fired.contains(last) })
        #expect(recorder.fired == [moved, last])
    }

    @Test("a timer that fires may remove another one that is due in the same turn")
    func removeWhileDue() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let (first, second) = (loop.addTimer(recorder), loop.addTimer(recorder))
        loop.arm(first, at: loop.now)
        loop.arm(second, at: loop.now)
        recorder.onFire = { timer in if timer == first { loop.removeTimer(second) } }
        #expect(loop.run { !recorder.fired.isEmpty })
        loop.settle()
        #expect(recorder.fired == [first])
    }

    @Test("a timer that arms itself for the past starves neither other timers nor the turn")
    func selfArmingTimer() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let (greedy, modest) = (loop.addTimer(recorder), loop.addTimer(recorder))
        recorder.onFire = { timer in if timer == greedy { loop.arm(greedy, at: .origin) } }
        loop.arm(greedy, at: loop.now)
        loop.arm(modest, at: loop.now + .milliseconds(2))
        loop.addTurnHandler(recorder)
        #expect(loop.run { recorder.fired.contains(modest) })
        #expect(recorder.turns > 1)
        loop.removeTimer(greedy)
    }

    @Test("turn handlers are called once per turn, after all ready descriptors, at one time")
    func oneTurnPerWakeUp() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let first = try Mailbox<Int>()
        let second = try Mailbox<Int>()
        let readers = [first, second].map { MailboxEvents($0, on: loop, receiver: recorder) }
        defer { for reader in readers { reader.cancel() } }
        var turnsSeen: [UInt64] = []
        var timesSeen: [Instant] = []
        recorder.onMessage = { _ in
            turnsSeen.append(loop.turnCount)
            timesSeen.append(loop.now)
        }
        first.post(1)
        first.post(2)
        second.post(3)
        loop.addTurnHandler(recorder)
        #expect(loop.run { recorder.messages.count == 3 })
        #expect(Set(turnsSeen).count == 1)
        #expect(Set(timesSeen).count == 1)
        #expect(recorder.turns == Int(loop.turnCount))
    }

    @Test("a deadline that moved later costs no turn when the former one comes")
    func movedDeadline() throws {
        let loop = try EventLoop()
        let recorder = CallRecorder()
        let mailbox = try Mailbox<Int>()
        let reader = MailboxEvents(mailbox, on: loop, receiver: recorder)
        defer { reader.cancel() }
        let timer = loop.addTimer(recorder)
        loop.arm(timer, at: loop.now + .milliseconds(20))
        recorder.onMessage = { _ in loop.arm(timer, at: loop.now + .milliseconds(60)) }
        recorder.onFire = { _ in loop.stop() }
        mailbox.post(1)
        loop.run()
        #expect(recorder.fired == [timer])
        #expect(loop.turnCount == 2)
    }

    @Test("a regular file, which the system cannot wait for, counts as ready")
    func regularFile() throws {
        let loop = try EventLoop()
        let path = temporaryPath()
        defer { removeTemporary(path) }
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        let bytes = pattern(100_000)
        #expect(
            unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
        lseek(descriptor, 0, SEEK_SET)
        let recorder = StreamRecorder()
        let stream = try ByteStream(reading: descriptor, writing: dup(descriptor), on: loop, handler: recorder)
        stream.isReading = true
        #expect(loop.run { recorder.hasEnded })
        #expect(recorder.bytes == bytes)
        let turns = loop.turnCount
        loop.settle()
        #expect(loop.turnCount < turns + 5, "the loop must not spin at the end of the file")
        stream.close()
    }

    @Test("signals become events")
    func signals() async {
        await #expect(processExitsWith: .success) {
            let loop = try EventLoop()
            let recorder = CallRecorder()
            let events = try SignalEvents(ProcessSignal.allCases, on: loop, handler: recorder)
            for signal in ProcessSignal.allCases { kill(getpid(), signal.rawValue) }
            guard loop.run(until: { recorder.signals.count == ProcessSignal.allCases.count }) else { exit(1) }
            events.cancel()
            exit(Set(recorder.signals) == Set(ProcessSignal.allCases) ? 0 : 2)
        }
    }

    @Test("the clock of the loop never goes back and unix time is plausible")
    func clock() throws {
        let loop = try EventLoop()
        let before = loop.now
        loop.settle(for: .milliseconds(2))
        #expect(loop.now >= before + .milliseconds(2))
        #expect(Clock.unixTime() > 1_700_000_000)
        #expect(Clock.timeAsleep() >= .zero)
    }
}
