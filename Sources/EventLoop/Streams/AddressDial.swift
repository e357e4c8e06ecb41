internal import Glibc
public import Primitives

/// What is called when a dial that was under way has ended.
public protocol AddressDialHandler: AnyObject {
    /// The connection is there; the handler owns the stream, which nobody reads yet.
    func dial(_ dial: AddressDial, connected stream: ByteStream)
    /// No connection came about.
    func dial(_ dial: AddressDial, failed error: DialError)
}

/// Opens a TCP connection to one address that is known.
public final class AddressDial {
    /// The address that is dialled.
    public let address: NetworkAddress

    private let loop: EventLoop
    private var handler: (any AddressDialHandler)?
    private var attempt: TCPConnectAttempt?
    private var limit: TimerHandle?

    /// How a dial begins.
    public enum Beginning {
        /// The connection is there already, as one within this machine is; the caller owns the stream, which nobody reads yet.
        case connected(ByteStream)
        /// The handler will hear of exactly one outcome.
        case underWay(AddressDial)
    }

    /// Starts to connect. Errors that are known at once are thrown, and the handler hears nothing.
    public static func begin(
        to address: NetworkAddress, on loop: EventLoop, timeout: Interval = TCPDial.defaultTimeout,
        handler: any AddressDialHandler
    ) throws(DialError) -> Beginning {
        let dial = AddressDial(address, on: loop, handler: handler)
        do throws(SystemError) {
            switch try TCPConnectAttempt.begin(to: address, on: loop, handler: dial) {
            case .connected(let stream): return .connected(stream)
            case .underWay(let attempt):
                dial.await(attempt, atMost: timeout)
                return .underWay(dial)
            }
        } catch {
            throw DialError(error, of: address)
        }
    }

    private init(_ address: NetworkAddress, on loop: EventLoop, handler: any AddressDialHandler) {
        self.address = address
        self.loop = loop
        self.handler = handler
    }

    private func await(_ attempt: TCPConnectAttempt, atMost timeout: Interval) {
        self.attempt = attempt
        let limit = loop.addTimer(self)
        self.limit = limit
        loop.arm(limit, at: loop.now + timeout)
    }

    /// Gives it up; the handler hears nothing more.
    public func cancel() {
        _ = leave()
        attempt?.cancel()
        attempt = nil
    }

    /// Ends the waiting and returns the handler; nil when the dial has ended already.
    private func leave() -> (any AddressDialHandler)? {
        if let limit { loop.removeTimer(limit) }
        limit = nil
        defer { handler = nil }
        return handler
    }
}

extension AddressDial: TCPConnectAttemptHandler {
    /// For the attempt.
    public func attempt(_ attempt: TCPConnectAttempt, connected stream: ByteStream) {
        self.attempt = nil
        guard let handler = leave() else { return stream.close() }
        handler.dial(self, connected: stream)
    }

    /// For the attempt.
    public func attempt(_ attempt: TCPConnectAttempt, failed error: SystemError) {
        self.attempt = nil
        leave()?.dial(self, failed: DialError(error, of: address))
    }
}

extension AddressDial: TimerHandler {
    /// For the loop: the time is up.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        attempt?.cancel()
        attempt = nil
        leave()?.dial(self, failed: .timedOut(host: address.ip.description, port: address.port))
    }
}

extension DialError {
    /// Why the only attempt failed.
    init(_ error: SystemError, of address: NetworkAddress) {
        self =
            switch error.code {
            case ECONNREFUSED: .refused(address)
            case ETIMEDOUT: .timedOut(host: address.ip.description, port: address.port)
            default: error.isPathFailure ? .unreachable(error) : .failed(error)
            }
    }
}

@available(*, unavailable)
extension AddressDial: Sendable {}
