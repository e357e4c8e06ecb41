internal import CSockets
internal import Glibc
internal import Synchronization

/// What a thread with a loop of its own is known by to the others; everything else about it stays on that thread.
public final class WorkerHandle<Message: Sendable>: Sendable {
    private let mailbox: Mailbox<WorkerMessage<Message>>
    private let thread: Mutex<pthread_t?>

    fileprivate init(mailbox: Mailbox<WorkerMessage<Message>>, thread: pthread_t) {
        self.mailbox = mailbox
        self.thread = Mutex(thread)
    }

    /// Hands a message to the worker.
    @discardableResult
    public func post(_ message: Message) -> PostOutcome { mailbox.post(.message(message)) }

    /// Asks the worker's loop to end after the messages posted before.
    public func stop() { mailbox.post(.stop) }

    /// Waits until the worker's thread has ended. Only the first call waits.
    public func join() {
        let taken = thread.withLock { thread -> pthread_t? in
            let taken = thread
            thread = nil
            return taken
        }
        // The thread was created joinable and is joined once.
        if let taken { _ = pthread_join(taken, nil) }
    }
}

/// A thread with a loop inside.
public enum Worker {
    /// Starts a thread called `name`, creates its loop and what receives its messages there, and runs the loop until it
    /// is stopped.
    ///
    /// Returns once `make` has returned on the new thread, with its error where it threw. Signals are left to the thread
    /// that watches them.
    public static func start<Message: Sendable>(
        named name: String, receiving: Message.Type = Message.self,
        _ make: @escaping @Sendable (EventLoop) throws(SystemError) -> any MailboxReceiver<Message>
    ) throws(SystemError) -> WorkerHandle<Message> {
        let mailbox = try Mailbox<WorkerMessage<Message>>()
        let launch = try Launch(name: name) { launch in
            runWorker(mailbox: mailbox, launch: launch, make: make)
        }
        let thread = try launch.start()
        let handle = WorkerHandle(mailbox: mailbox, thread: thread)
        if let error = launch.waitForOutcome() {
            handle.join()
            throw error
        }
        return handle
    }

    private static func runWorker<Message: Sendable>(
        mailbox: Mailbox<WorkerMessage<Message>>, launch: Launch,
        make: (EventLoop) throws(SystemError) -> any MailboxReceiver<Message>
    ) {
        do throws(SystemError) {
            let loop = try EventLoop()
            let worker = WorkerReceiver(loop: loop, receiver: try make(loop))
            let events = MailboxEvents(mailbox, on: loop, receiver: worker)
            launch.succeeded()
            loop.run()
            events.cancel()
        } catch {
            mailbox.close()
            launch.failed(error)
        }
    }
}

enum WorkerMessage<Message: Sendable>: Sendable {
    case message(Message)
    case stop
}

private final class WorkerReceiver<Message: Sendable>: MailboxReceiver {
    private let loop: EventLoop
    private let receiver: any MailboxReceiver<Message>

    init(loop: EventLoop, receiver: any MailboxReceiver<Message>) {
        self.loop = loop
        self.receiver = receiver
    }

    func receive(_ message: WorkerMessage<Message>) {
        switch message {
        case .message(let message): receiver.receive(message)
        case .stop: loop.stop()
        }
    }
}

/// What the starting and the started thread share until the start has succeeded or failed.
private final class Launch: Sendable {
    private let name: String
    private let body: @Sendable (Launch) -> Void
    private let outcome = Mutex<SystemError?>(nil)
    private let notifier: Int32

    init(name: String, body: @escaping @Sendable (Launch) -> Void) throws(SystemError) {
        self.name = name
        self.body = body
        notifier = try check(gw_notifier_open(), .createNotifier)
    }

    deinit { gw_close(notifier) }

    func start() throws(SystemError) -> pthread_t {
        var thread = pthread_t()
        // Retained here, released by the thread that takes it over.
        let context = unsafe Unmanaged.passRetained(self)
        let result = unsafe pthread_create(&thread, nil, workerThread, context.toOpaque())
        guard result == 0 else {
            unsafe context.release()
            throw SystemError(.startThread, code: result)
        }
        return thread
    }

    func run() {
        unsafe gw_begin_thread(name)  // copies the name
        body(self)
    }

    func succeeded() { gw_notifier_signal(notifier) }

    func failed(_ error: SystemError) {
        outcome.withLock { $0 = error }
        gw_notifier_signal(notifier)
    }

    func waitForOutcome() -> SystemError? {
        gw_notifier_wait(notifier)
        return outcome.withLock { $0 }
    }
}

private func workerThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    // Takes over the reference that `start` retained.
    if let context = unsafe context { unsafe Unmanaged<Launch>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}
