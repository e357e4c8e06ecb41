internal import CSockets
public import EventLoop
internal import Glibc
public import Primitives

/// What is called when a keeper has something to tell.
public protocol KeeperObserver: AnyObject {
    /// It happened just now.
    func keeper(_ event: KeeperEvent)
}

/// The parent of a worker: it holds what must outlive the worker and starts another one when it dies. It knows no protocol
/// and reads nothing from the network.
///
/// ```
///              ┌────── pause ◄── killed ──┐
///              ▼                          │
///   start ► working ──────────────────────┤── exits ──► the keeper exits with its status
///              │  ▲                       │
///        SIGUSR2  └ new one died          │
///              ▼    or is late            │
///          preparing (old, new) ──────────┘ old one died: the new one is the worker
///              │ new one is ready: "let go" to the old one
///              ▼
///          handing over (old, new) ── old one says so, dies, or is late ──► working (new)
/// ```
/// A worker that asks with `ready` gets everything, but a new one beside an old one only when the old one has let go.
/// SIGTERM and SIGINT go to all workers, SIGHUP and SIGUSR1 to the one that works once it serves.
public final class KeeperProcess: WorkerProcessHandler, SignalHandler, TimerHandler {
    private enum State {
        case pausing
        case working(WorkerProcess)
        case preparing(old: WorkerProcess, new: WorkerProcess)
        case handingOver(old: WorkerProcess, new: WorkerProcess)
        case ended(Int32)
    }

    /// Seconds that a new worker may take to be ready before the old one goes on without it.
    public static let mostPreparation = 30
    /// Seconds that an old worker may take to let go, and then to end, before it is killed.
    public static let mostLettingGo = 5
    /// Before another attempt to start a worker where the system refused.
    private static let startRetry = Interval.seconds(1)

    private let loop: EventLoop
    private let path: String
    private let arguments: [String]
    private weak var observer: (any KeeperObserver)?
    private let shelf: DescriptorShelf
    private let pages: ProgramPages
    private var state = State.pausing
    private var schedule = RestartSchedule()
    private var timer: TimerHandle?
    /// The program of the worker that works or worked last.
    private var program: Int32
    private var hasServed = false
    private var isEnding = false

    /// Prepares a keeper.
    ///
    /// - Parameters:
    ///   - arguments: Of the worker, its name first.
    ///   - program: The path of its program; nil is the one of this process. What stands there is looked up again for a replacement.
    ///   - observer: Stays the caller's.
    public init(
        arguments: [String], program: String? = nil, on loop: EventLoop, observer: any KeeperObserver
    ) throws(SystemError) {
        self.loop = loop
        self.arguments = arguments
        self.observer = observer
        pages = ProgramPages(on: loop)
        path = program ?? Self.ownPath
        self.program = try check(unsafe gw_program_open(path), .spawn, .path(path))  // the path is copied
        let passed = NotifySocket.passedDescriptors()
        shelf = DescriptorShelf(passed, notify: try NotifySocket.fromEnvironment(), on: loop)
        timer = loop.addTimer(self)
        if !passed.isEmpty { observer.keeper(.recovered(descriptors: passed.count)) }
    }

    /// Keeps workers until one ends in order.
    ///
    /// - Returns: The status to exit with.
    public func run() throws(SystemError) -> Int32 {
        DescriptorLimit.raise()
        let signals = try SignalEvents(ProcessSignal.allCases, on: loop, handler: self)
        let worker = try start(program)
        state = .working(worker)
        loop.run()
        signals.cancel()
        shelf.clear()
        if let timer { loop.removeTimer(timer) }
        gw_close(program)
        guard case .ended(let status) = state else { return EXIT_FAILURE }
        return status
    }

    /// The path of this program, as it was started: a newer one may stand there by now.
    private static var ownPath: String {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        // The call writes into the array.
        let length = unsafe readlink("/proc/self/exe", &bytes, bytes.count)
        return length > 0 ? String(decoding: bytes.prefix(length), as: UTF8.self) : "/proc/self/exe"
    }

    private func start(_ program: Int32) throws(SystemError) -> WorkerProcess {
        // The link of a descriptor is the file that was opened, whatever stands at its path.
        let copy = try check(unsafe gw_program_open("/proc/self/fd/\(program)"), .spawn)
        let worker = try WorkerProcess(program: copy, arguments: arguments, on: loop)
        worker.setHandler(self)
        return worker
    }

    // MARK: What workers say

    func worker(_ worker: WorkerProcess, said message: KeeperMessage, descriptors: [Int32]) {
        switch message {
        // Only the one that works: who has let go closes what is no longer its own.
        case .protect(let keys) where workers.first === worker: shelf.put(keys, descriptors)
        case .release(let keys) where workers.first === worker: shelf.remove(keys)
        case .ready: isReady(worker)
        case .serving:
            worker.servingSince = loop.now
            pages.wereUsed()
            if !hasServed { shelf.tellReady() }
            hasServed = true
        case .released:
            guard case .handingOver(let old, let new) = state, old === worker else { return }
            old.end(within: .seconds(Int64(Self.mostLettingGo)))
            handOver(to: new)
        case .protect, .release, .inherit, .inheritedAll, .letGo:
            for descriptor in descriptors { gw_close(descriptor) }
        }
    }

    private func isReady(_ worker: WorkerProcess) {
        switch state {
        case .working(let current) where current === worker: giveEverything(to: worker)
        case .preparing(let old, let new) where new === worker:
            state = .handingOver(old: old, new: new)
            old.channel.send(.letGo)
            arm(.seconds(Int64(Self.mostLettingGo)))
        case .pausing, .working, .preparing, .handingOver, .ended: break
        }
    }

    private func giveEverything(to worker: WorkerProcess) {
        let keys = shelf.keys
        worker.channel.send(KeeperMessage.inherit, keys, descriptors: keys.compactMap { shelf.descriptors[$0] })
        worker.channel.send(.inheritedAll)
    }

    /// The new worker is the worker; nobody waits for the end of the old one.
    private func handOver(to new: WorkerProcess) {
        disarm()
        state = .working(new)
        giveEverything(to: new)
        observer?.keeper(.replacementDone)
    }

    // MARK: The end of workers

    func workerEnded(_ worker: WorkerProcess, _ end: WorkerEnd) {
        switch state {
        case .working(let current) where current === worker: workingOneEnded(worker, end)
        case .preparing(let old, let new) where new === worker:
            disarm()
            state = .working(old)
            observer?.keeper(.replacementFailed(end))
        case .preparing(let old, let new) where old === worker:
            disarm()
            state = .working(new)
            observer?.keeper(.workerDied(end, pauseMilliseconds: 0, heldDescriptors: shelf.keys.count))
        case .handingOver(let old, let new) where old === worker: handOver(to: new)
        case .handingOver(let old, let new) where new === worker:
            // The old one is about to end and takes nothing back: it is as good as dead, but for its last words.
            old.channel.receiveRest()
            disarm()
            old.signal(SIGKILL)
            state = .working(new)
            workingOneEnded(new, end)
        case .pausing, .working, .preparing, .handingOver, .ended: break
        }
    }

    private func workingOneEnded(_ worker: WorkerProcess, _ end: WorkerEnd) {
        switch end {
        case .exited(let status) where isEnding || worker.isServing || !hasServed || status == 0: finish(status)
        case .killed(let signal) where isEnding: finish(128 + signal)
        case .exited, .killed: restart(after: worker, end)
        }
    }

    private func restart(after worker: WorkerProcess, _ end: WorkerEnd) {
        let pause = schedule.pause(afterServing: worker.servingSince.map { loop.now - $0 } ?? .zero)
        let milliseconds = Int(pause.nanoseconds / 1_000_000)
        observer?.keeper(.workerDied(end, pauseMilliseconds: milliseconds, heldDescriptors: shelf.keys.count))
        if schedule.isLoop {
            observer?.keeper(.crashLoop(deaths: schedule.quickDeaths, pauseMilliseconds: milliseconds))
        }
        state = .pausing
        if pause == .zero { startAgain() } else { arm(pause) }
    }

    private func startAgain() {
        do throws(SystemError) { state = .working(try start(program)) } catch {
            observer?.keeper(.cannotStart(error))
            arm(Self.startRetry)
        }
    }

    private func finish(_ status: Int32) {
        disarm()
        state = .ended(status)
        loop.stop()
    }

    // MARK: Signals

    /// For the loop.
    public func signalReceived(_ signal: ProcessSignal) {
        switch signal {
        case .user2: replace()
        case .terminate, .interrupt:
            isEnding = true
            if case .pausing = state { finish(EXIT_SUCCESS) }
            for worker in workers { worker.signal(signal.rawValue) }
        case .hangUp, .user1:
            // One that does not serve yet has read nothing that is older than the signal, and may not hear signals yet.
            if let worker = workers.first, worker.isServing { worker.signal(signal.rawValue) }
        }
    }

    /// The one that works first.
    private var workers: [WorkerProcess] {
        switch state {
        case .pausing, .ended: []
        case .working(let worker): [worker]
        case .preparing(let old, let new), .handingOver(let old, let new): [old, new]
        }
    }

    private func replace() {
        guard !isEnding else { return }
        // One that was not given everything yet has nothing to let go of.
        guard case .working(let old) = state, old.isServing else {
            observer?.keeper(.replacementRefused)
            return
        }
        do throws(SystemError) {
            let fresh = try check(unsafe gw_program_open(path), .spawn, .path(path))  // the path is copied
            let new: WorkerProcess
            do throws(SystemError) { new = try start(fresh) } catch {
                gw_close(fresh)
                throw error
            }
            gw_close(program)
            program = fresh
            state = .preparing(old: old, new: new)
            observer?.keeper(.replacementBegan)
            arm(.seconds(Int64(Self.mostPreparation)))
        } catch { observer?.keeper(.cannotStart(error)) }
    }

    // MARK: Time

    private func arm(_ delay: Interval) {
        if let timer { loop.arm(timer, at: loop.now + delay) }
    }

    private func disarm() {
        if let timer { loop.disarm(timer) }
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        switch state {
        case .pausing: startAgain()
        case .preparing(let old, let new):
            state = .working(old)
            new.signal(SIGKILL)
            observer?.keeper(.replacementFailed(nil))
        case .handingOver(let old, _):
            observer?.keeper(.oldWorkerKilled)
            old.signal(SIGKILL)
        case .working, .ended: break
        }
    }
}

@available(*, unavailable)
extension KeeperProcess: Sendable {}
