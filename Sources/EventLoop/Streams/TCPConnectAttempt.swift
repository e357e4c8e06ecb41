internal import CSockets
public import Primitives

/// What is called when an attempt to connect has ended.
public protocol TCPConnectAttemptHandler: AnyObject {
    /// The attempt succeeded; the handler owns the stream, which nobody reads yet.
    func attempt(_ attempt: TCPConnectAttempt, connected stream: ByteStream)
    /// The attempt failed.
    func attempt(_ attempt: TCPConnectAttempt, failed error: SystemError)
}

/// One attempt to open a TCP connection to one address. It has no time limit of its own.
public final class TCPConnectAttempt: FileDescriptorHandler {
    /// The address that is connected to.
    public let remoteAddress: NetworkAddress

    private let descriptor: Int32
    private let loop: EventLoop
    private var handler: (any TCPConnectAttemptHandler)?
    private var events: FileDescriptorEvents?

    /// How a connection begins.
    public enum Beginning {
        /// It is there already, as one within this machine is; the caller owns the stream, which nobody reads yet.
        case connected(ByteStream)
        /// The handler will hear of it.
        case underWay(TCPConnectAttempt)
    }

    /// Starts to connect, and asks once whether that was all. Errors that are known at once, such as a missing route, are thrown.
    public static func begin(
        to address: NetworkAddress, on loop: EventLoop, handler: any TCPConnectAttemptHandler
    ) throws(SystemError) -> Beginning {
        var remote = gw_address(address)
        // The pointers are used during the calls only.
        let descriptor = try check(unsafe gw_tcp_connect(&remote), .connect, .address(address))
        switch unsafe gw_tcp_connected(descriptor, &remote) {
        case 0: return .underWay(TCPConnectAttempt(descriptor, to: address, on: loop, handler: handler))
        case 1: return .connected(ByteStream(dialled: descriptor, to: address, on: loop))
        case let result:
            gw_close(descriptor)
            throw SystemError(.connect, .address(address), code: -result)
        }
    }

    /// Starts to connect; the handler hears of the outcome. Errors that are known at once, such as a missing route, are thrown.
    public convenience init(
        to address: NetworkAddress, on loop: EventLoop, handler: any TCPConnectAttemptHandler
    ) throws(SystemError) {
        var remote = gw_address(address)
        // The pointer is used during the call only.
        let descriptor = try check(unsafe gw_tcp_connect(&remote), .connect, .address(address))
        self.init(descriptor, to: address, on: loop, handler: handler)
    }

    private init(
        _ descriptor: Int32, to address: NetworkAddress, on loop: EventLoop, handler: any TCPConnectAttemptHandler
    ) {
        self.descriptor = descriptor
        remoteAddress = address
        self.loop = loop
        self.handler = handler
        let events = FileDescriptorEvents(descriptor, on: loop, handler: self)
        events.watch(.write)
        self.events = events
    }

    /// Gives the attempt up; the handler hears nothing more.
    public func cancel() {
        guard leave() != nil else { return }
        gw_close(descriptor)
    }

    /// Ends the watching and returns the handler; `nil` when the attempt has ended already.
    private func leave() -> (any TCPConnectAttemptHandler)? {
        guard let events, let handler else { return nil }
        events.cancel()
        self.events = nil
        self.handler = nil
        return handler
    }

    /// For the loop: the outcome is known.
    public func descriptorWritable() {
        let code = gw_take_error(descriptor)
        guard let handler = leave() else { return }
        guard code == 0 else {
            gw_close(descriptor)
            return handler.attempt(
                self, failed: SystemError(.connect, .address(remoteAddress), code: code))
        }
        handler.attempt(self, connected: ByteStream(dialled: descriptor, to: remoteAddress, on: loop))
    }

    /// Not watched.
    public func descriptorReadable() {}
    /// Not watched.
    public func descriptorHungUp() {}
}

@available(*, unavailable)
extension TCPConnectAttempt: Sendable {}
