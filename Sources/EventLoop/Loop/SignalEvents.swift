internal import CEvent
internal import Glibc

/// The signals that a process of Godwit answers.
public enum ProcessSignal: Int32, Hashable, Sendable, CaseIterable {
    /// SIGHUP: read the configuration again.
    case hangUp = 1
    /// SIGINT: end, from the keyboard.
    case interrupt = 2
    /// SIGUSR1: replace the local socket.
    case user1 = 10
    /// SIGUSR2: hand over to a successor.
    case user2 = 12
    /// SIGTERM: end.
    case terminate = 15
}

/// What is called when a signal arrived.
public protocol SignalHandler: AnyObject {
    /// The signal arrived, one or more times since the last call.
    func signalReceived(_ signal: ProcessSignal)
}

/// The arrival of signals as events of a loop. Only one loop of a process may watch signals.
@safe
public final class SignalEvents {
    private let loop: EventLoop
    private var handler: (any SignalHandler)?
    private var events: [OpaquePointer]

    /// Watches `signals` from now on; their default action no longer takes place.
    public init(
        _ signals: [ProcessSignal], on loop: EventLoop, handler: any SignalHandler
    ) throws(SystemError) {
        self.loop = loop
        self.handler = handler
        unsafe events = []
        // Unretained: `cancel` or deinit frees the events.
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        for signal in signals {
            let event = unsafe gw_event_new(
                loop.base, signal.rawValue, Int32(GW_SIGNAL), signalArrived, context)
            guard let event = unsafe event, unsafe gw_event_add(event) == 0 else {
                throw SystemError(.watchSignal, code: errno)
            }
            unsafe events.append(event)
        }
    }

    deinit { cancel() }

    /// Ends the watching; the signals have their default action again.
    public func cancel() {
        while let event = unsafe events.popLast() { unsafe gw_event_free(event) }
        handler = nil
    }

    fileprivate func arrived(_ number: Int32) {
        loop.enterTurn()
        if let signal = ProcessSignal(rawValue: number) { handler?.signalReceived(signal) }
    }
}

@available(*, unavailable)
extension SignalEvents: Sendable {}

private func signalArrived(_ number: Int32, _: Int16, _ context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    // The object is alive: it frees the event before it goes.
    unsafe Unmanaged<SignalEvents>.fromOpaque(context).takeUnretainedValue().arrived(number)
}
