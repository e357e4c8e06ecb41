internal import CEvent
internal import CSockets
internal import Glibc
public import Primitives

/// What is called when a timer's deadline has come.
public protocol TimerHandler: AnyObject {
    /// The deadline of `timer` is reached; the timer is disarmed.
    func timerFired(_ timer: TimerHandle, at now: Instant)
}

/// What is called once per wake-up, after everything that the wake-up brought.
public protocol TurnHandler: AnyObject {
    /// All ready descriptors, messages and timers of this wake-up were handled: the place to drain outputs.
    func turnEnded(at now: Instant)
}

/// What is called when the machine, or this process, stood still for a while.
public protocol SuspensionHandler: AnyObject {
    /// About so much time has passed in which nothing ran; called before the timers of that time.
    func wokeUp(after pause: Interval, at now: Instant)
}

/// One thread's loop around one `event_base` of libevent: readiness, timers, signals.
///
/// It belongs to the thread that created it; the only way in from another thread is a `Mailbox`. One wake-up is one *turn*:
///
///     wait ─► read the clock ─► ready descriptors, messages ─► due timers ─► turn handlers
///       ▲                                                                          ▼
///       └──────── set the alarm ◄─── register what descriptors are watched for ────┘
///
/// The timers of the whole loop stand in one heap behind a single descriptor of the system's, the alarm. It is set only when
/// there is a deadline sooner than what it is set to: most deadlines are moved later again and again and never come, and an
/// alarm that rings too soon is cheaper than a system call in each turn.
@safe
public final class EventLoop {
    /// The time of this turn: the clock is read once per wake-up, and again where datagrams come in.
    public private(set) var now: Instant
    /// The `event_base`; it lives as long as the loop.
    let base: OpaquePointer
    /// Number of turns so far.
    public private(set) var turnCount: UInt64 = 0

    private var timers = TimerQueue()
    /// By the timer's slot.
    private var timerHandlers: [(any TimerHandler)?] = []
    private var turnHandlers: [any TurnHandler] = []
    private var suspensionHandlers: [any SuspensionHandler] = []
    var suspension = SuspensionDetector()
    /// Found at the beginning of this turn.
    private var pause: Interval?
    /// Descriptors that the system cannot wait for, such as regular files: they are always ready.
    private var alwaysReady: [FileDescriptorEvents] = []
    /// Descriptors that will be watched for a hang-up alone.
    private(set) lazy var lateHangUps = LateHangUps(on: self)
    /// Descriptors whose interest has changed in this turn.
    private var registrations: [FileDescriptorEvents] = []

    // Set once in init, when there is a `self` to hand to libevent.
    private var alarmEvent: OpaquePointer?
    private var nextTurn: OpaquePointer?
    private var turnEnd: OpaquePointer?
    private let alarm: Int32
    /// When the alarm will ring: never later than the first deadline.
    private var alarmTime: Instant?
    private(set) var isInTurn = false
    private var isStopping = false
    private var wantsTurnSoon = false

    /// Creates a loop for the calling thread.
    public init() throws(SystemError) {
        gw_ignore_broken_pipes()
        guard let base = unsafe gw_base_new() else { throw SystemError(.createEventLoop, code: ENOMEM) }
        unsafe self.base = base
        alarm = gw_alarm_open()
        now = Clock.monotonic()
        _ = try check(alarm, .createEventLoop)
        // Unretained: the events are freed in deinit, before the loop is gone.
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe alarmEvent = gw_event_new(base, alarm, Int32(GW_READ_EDGE), alarmRang, context)
        unsafe nextTurn = gw_event_new(base, -1, Int32(GW_TIMER), nextTurnReached, context)
        unsafe turnEnd = gw_event_new(base, -1, Int32(GW_TIMER), turnEndReached, context)
        guard let alarmEvent = unsafe alarmEvent, unsafe nextTurn != nil, unsafe turnEnd != nil,
            unsafe gw_event_add(alarmEvent) == 0
        else { throw SystemError(.createEventLoop, code: ENOMEM) }
    }

    deinit {
        if let alarmEvent = unsafe alarmEvent { unsafe gw_event_free(alarmEvent) }
        if let nextTurn = unsafe nextTurn { unsafe gw_event_free(nextTurn) }
        if let turnEnd = unsafe turnEnd { unsafe gw_event_free(turnEnd) }
        if alarm >= 0 { gw_close(alarm) }
        unsafe gw_base_free(base)
    }

    /// Runs turns until `stop` is called; a `stop` from before ends the run at once.
    public func run() {
        now = Clock.monotonic()
        if !isStopping {
            prepareWait()
            unsafe gw_base_run(base)
        }
        isStopping = false
    }

    /// Ends the run at the end of this turn.
    public func stop() { isStopping = true }

    /// Asks for another turn without waiting, for work that was cut short by a budget.
    public func turnSoon() { wantsTurnSoon = true }

    /// Reads the clock again within a turn, which can take milliseconds on a busy machine: for what must not be dated before it came.
    public func readClock() { now = max(now, Clock.monotonic()) }

    /// Adds what is called at the end of each turn; handlers are called in the order in which they were added.
    public func addTurnHandler(_ handler: any TurnHandler) { turnHandlers.append(handler) }

    /// Removes a handler that was added.
    public func removeTurnHandler(_ handler: any TurnHandler) { turnHandlers.removeAll { $0 === handler } }

    /// Adds what is called after the machine slept.
    public func addSuspensionHandler(_ handler: any SuspensionHandler) {
        if suspensionHandlers.isEmpty { suspension = SuspensionDetector(timeAsleep: Clock.timeAsleep()) }
        suspensionHandlers.append(handler)
    }

    /// Removes a handler that was added.
    public func removeSuspensionHandler(_ handler: any SuspensionHandler) {
        suspensionHandlers.removeAll { $0 === handler }
    }

    // MARK: Timers

    /// Creates a timer, not armed. The loop keeps `handler` until the timer is removed.
    public func addTimer(_ handler: any TimerHandler) -> TimerHandle {
        let handle = timers.add()
        let slot = Int(handle.slot)
        if slot == timerHandlers.count { timerHandlers.append(handler) } else { timerHandlers[slot] = handler }
        return handle
    }

    /// Sets or moves a timer's deadline; one in the past is due in this turn or, when its timers have run, in the next.
    public func arm(_ timer: TimerHandle, at deadline: Instant) {
        // Never before now: a timer that keeps arming itself for the past stands behind the others that are due.
        timers.arm(timer, at: max(deadline, now))
    }

    /// Sets, moves or takes away a timer's deadline.
    public func arm(_ timer: TimerHandle, at deadline: Instant?) {
        if let deadline { arm(timer, at: deadline) } else { timers.disarm(timer) }
    }

    /// Takes a timer's deadline away.
    public func disarm(_ timer: TimerHandle) { timers.disarm(timer) }

    /// The deadline of a timer, or `nil` while it is not armed.
    public func deadline(of timer: TimerHandle) -> Instant? { timers.deadline(of: timer) }

    /// Removes a timer and lets go of its handler.
    public func removeTimer(_ timer: TimerHandle) {
        if timers.remove(timer) { timerHandlers[Int(timer.slot)] = nil }
    }

    // MARK: The turn

    /// Called first by every callback that comes from libevent: begins the turn unless it has begun.
    func enterTurn() {
        guard !isInTurn else { return }
        isInTurn = true
        turnCount &+= 1
        now = max(now, Clock.monotonic())
        if !suspensionHandlers.isEmpty {
            pause = suspension.turnBegan(at: now, timeAsleep: Clock.timeAsleep(), nextDeadline: timers.nextDeadline)
        }
        // The events of this wake-up are queued already: the end of the turn goes behind them.
        unsafe gw_event_activate(turnEnd)
    }

    fileprivate func rang() {
        alarmTime = nil
        // What it was set for may have moved: then it is set anew, and nothing else.
        if !isInTurn, let deadline = timers.nextDeadline, deadline > Clock.monotonic() { return prepareWait() }
        enterTurn()
    }

    fileprivate func finishTurn() {
        wantsTurnSoon = false
        serveAlwaysReady()
        if let pause {
            self.pause = nil
            for handler in suspensionHandlers { handler.wokeUp(after: pause, at: now) }
        }
        let end = timers.nextSequence
        while let timer = timers.takeDue(at: now, armedBefore: end) {
            timerHandlers[Int(timer.slot)]?.timerFired(timer, at: now)
        }
        for handler in turnHandlers { handler.turnEnded(at: now) }
        for descriptor in registrations { descriptor.register() }
        registrations.removeAll(keepingCapacity: true)
        isInTurn = false
        if isStopping {
            unsafe gw_base_stop(base)
        } else {
            prepareWait()
        }
    }

    private func prepareWait() {
        let deadline = wantsTurnSoon || alwaysReady.contains { !$0.interest.isEmpty } ? now : timers.nextDeadline
        guard let deadline else { return }
        if deadline <= now {
            if let nextTurn = unsafe nextTurn { unsafe gw_event_add_next(nextTurn) }
        } else if alarmTime.map({ deadline < $0 }) ?? true {
            gw_alarm_set(alarm, deadline.nanoseconds)
            alarmTime = deadline
        }
    }

    // MARK: Descriptors

    /// Has a descriptor registered when this turn ends.
    func addRegistration(_ descriptor: FileDescriptorEvents) { registrations.append(descriptor) }

    // Those that cannot be waited for.

    func addAlwaysReady(_ descriptor: FileDescriptorEvents) {
        if !alwaysReady.contains(where: { $0 === descriptor }) { alwaysReady.append(descriptor) }
    }

    func removeAlwaysReady(_ descriptor: FileDescriptorEvents) { alwaysReady.removeAll { $0 === descriptor } }

    private func serveAlwaysReady() {
        for descriptor in alwaysReady { descriptor.deliverAlwaysReady() }
    }
}

@available(*, unavailable)
extension EventLoop: Sendable {}

// C callbacks are functions at file scope: a closure written where an actor is implied would check for that actor's
// thread and trap on every other.

private func alarmRang(_: Int32, _: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    // The loop is alive: its deinit frees the event.
    unsafe Unmanaged<EventLoop>.fromOpaque(context).takeUnretainedValue().rang()
}

private func nextTurnReached(_: Int32, _: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    // The loop is alive: its deinit frees the event.
    unsafe Unmanaged<EventLoop>.fromOpaque(context).takeUnretainedValue().enterTurn()
}

private func turnEndReached(_: Int32, _: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    // The loop is alive: its deinit frees the event.
    unsafe Unmanaged<EventLoop>.fromOpaque(context).takeUnretainedValue().finishTurn()
}
