internal import CSockets
internal import Synchronization

/// What is called, on the loop's thread, with messages that other threads posted.
public protocol MailboxReceiver<Message>: AnyObject {
    associatedtype Message: Sendable
    /// One message; messages of one sender come in the order in which they were posted.
    func receive(_ message: Message)
}

/// What became of a posted message.
public enum PostOutcome: Hashable, Sendable {
    /// It will be received.
    case posted
    /// The mailbox holds as many messages as it may; the message is gone.
    case full
    /// Nobody will read it: the receiver is gone.
    case closed
}

/// The only crossing point between threads: a queue that wakes the loop of its receiver.
public final class Mailbox<Message: Sendable>: Sendable {
    /// Most messages that wait; it bounds the memory of a receiver that does not keep up. More are refused as `.full`.
    public static var defaultCapacity: Int { 65_536 }

    private struct State {
        var messages: [Message] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let capacity: Int
    let notifier: Int32

    /// Creates a mailbox that nobody reads yet.
    public init(capacity: Int = Mailbox.defaultCapacity) throws(SystemError) {
        notifier = try check(gw_notifier_open(), .createNotifier)
        self.capacity = capacity
    }

    deinit { gw_close(notifier) }

    /// Hands a message to the receiver; callable from every thread.
    @discardableResult
    public func post(_ message: Message) -> PostOutcome {
        let (outcome, isFirst) = state.withLock { state -> (PostOutcome, Bool) in
            if state.isClosed { return (.closed, false) }
            if state.messages.count >= capacity { return (.full, false) }
            state.messages.append(message)
            return (.posted, state.messages.count == 1)
        }
        // Those behind the first find the receiver woken already.
        if isFirst { gw_notifier_signal(notifier) }
        return outcome
    }

    func takeAll() -> [Message] {
        gw_notifier_drain(notifier)
        return state.withLock { state in
            let messages = state.messages
            state.messages = []
            return messages
        }
    }

    /// Refuses further messages and drops those that wait.
    public func close() {
        state.withLock { state in
            state.isClosed = true
            state.messages = []
        }
    }
}

/// The receiving side of a mailbox on a loop.
public final class MailboxEvents<Message: Sendable>: FileDescriptorHandler {
    private let mailbox: Mailbox<Message>
    private var receiver: (any MailboxReceiver<Message>)?
    private var events: FileDescriptorEvents?

    /// Delivers the messages of `mailbox` on the loop's thread until `cancel`.
    public init(_ mailbox: Mailbox<Message>, on loop: EventLoop, receiver: any MailboxReceiver<Message>) {
        self.mailbox = mailbox
        self.receiver = receiver
        events = FileDescriptorEvents(mailbox.notifier, on: loop, handler: self)
        events?.watch(.read)
    }

    /// Closes the mailbox and lets go of the receiver.
    public func cancel() {
        mailbox.close()
        events?.cancel()
        events = nil
        receiver = nil
    }

    /// Delivers everything that was posted up to now.
    public func descriptorReadable() {
        for message in mailbox.takeAll() { receiver?.receive(message) }
    }

    /// Not watched.
    public func descriptorWritable() {}
    /// Not watched.
    public func descriptorHungUp() {}
}

@available(*, unavailable)
extension MailboxEvents: Sendable {}
