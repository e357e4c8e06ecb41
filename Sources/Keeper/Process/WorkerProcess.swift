internal import CSockets
internal import EventLoop
internal import Glibc
internal import Primitives

/// What is called when something happens to a worker.
protocol WorkerProcessHandler: AnyObject {
    func worker(_ worker: WorkerProcess, said message: KeeperMessage, descriptors: [Int32])
    func workerEnded(_ worker: WorkerProcess, _ end: WorkerEnd)
}

/// How a worker ended.
public enum WorkerEnd: Hashable, Sendable {
    /// It ended by itself, with this status.
    case exited(Int32)
    /// This signal killed it.
    case killed(Int32)
}

/// A worker as its parent sees it: a process, and a channel to it.
final class WorkerProcess: DescriptorChannelHandler, FileDescriptorHandler, TimerHandler {
    let identifier: Int32
    /// When it said that it does its work; nil before.
    var servingSince: Instant?
    var isServing: Bool { servingSince != nil }
    let channel: DescriptorChannel

    private let loop: EventLoop
    private let program: Int32
    private var deadline: TimerHandle?
    private var watch: FileDescriptorEvents?
    private weak var handler: (any WorkerProcessHandler)?

    /// The variable that tells a worker of its keeper: a descriptor and a process.
    static let variable = "GODWIT_KEEPER"

    /// Starts a program, whose descriptor belongs to the worker from now on.
    init(program: Int32, arguments: [String], on loop: EventLoop) throws(SystemError) {
        self.loop = loop
        self.program = program
        var ends: [Int32] = [-1, -1]
        // The call writes two descriptors.
        _ = try check(unsafe gw_channel_open(&ends), .spawn)
        let pid = Self.spawn(program, arguments, inherited: ends[1])
        gw_close(ends[1])
        let pidWatch = pid > 0 ? gw_process_watch(pid) : pid
        guard pid > 0, pidWatch >= 0 else {
            gw_close(ends[0])
            if pid > 0 { gw_process_signal(pid, SIGKILL) }
            throw SystemError(.spawn, code: -pidWatch)
        }
        identifier = pid
        channel = DescriptorChannel(ends[0], on: loop)
        let watch = FileDescriptorEvents(pidWatch, on: loop, handler: self)
        self.watch = watch
        watch.watch(.read)
        channel.setHandler(self)
    }

    private static func spawn(_ program: Int32, _ arguments: [String], inherited: Int32) -> Int32 {
        // Copies for the call, ended by nil, freed after it.
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe gw_spawn(program, &pointers, "\(variable)=\(inherited):\(getpid())", inherited)
    }

    func setHandler(_ handler: any WorkerProcessHandler) { self.handler = handler }

    /// Kills it when it has not ended by itself by then.
    func end(within bound: Interval) {
        guard deadline == nil, watch != nil else { return }
        let timer = loop.addTimer(self)
        loop.arm(timer, at: loop.now + bound)
        deadline = timer
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { signal(SIGKILL) }

    func signal(_ number: Int32) {
        if watch != nil { gw_process_signal(identifier, number) }
    }

    // MARK: Its end

    func descriptorReadable() {
        // What it said before it died is in the channel still.
        channel.receiveRest()
        var status: Int32 = 0
        // The call writes the status.
        guard unsafe gw_process_end(identifier, &status) != 0 else { return }
        forget()
        handler?.workerEnded(self, status < 0 ? .killed(-status) : .exited(status))
    }

    func descriptorWritable() {}
    func descriptorHungUp() {}

    private func forget() {
        channel.close()
        if let deadline { loop.removeTimer(deadline) }
        guard let watch else { return }
        let descriptor = watch.descriptor
        watch.cancel()
        self.watch = nil
        gw_close(descriptor)
        gw_close(program)
    }

    // MARK: Its words

    func channel(_ channel: DescriptorChannel, received message: KeeperMessage, descriptors: [Int32]) {
        handler?.worker(self, said: message, descriptors: descriptors)
    }

    /// A worker that talks nonsense or nothing any more is of no use; the end of the process follows.
    func channelEnded(_ channel: DescriptorChannel) { signal(SIGKILL) }
}
