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

    /// Starts to connect. Errors that are known at once, such as a missing route, are thrown.
    public init(
        to address: NetworkAddress, on loop: EventLoop, handler: any TCPConnectAttemptHandler
    ) throws(SystemError) {
        var remote = gw_address(address)
        // The pointer is used during the call only.
        descriptor = try check(unsafe gw_tcp_connect(&remote), .connect, .address(address))
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
        handler.attempt(
            self, connected: ByteStream(socket: descriptor, kind: .tcp, remoteAddress: remoteAddress, on: loop))
    }

    /// Not watched.
    public func descriptorReadable() {}
    /// Not watched.
    public func descriptorHungUp() {}
}

@available(*, unavailable)
extension TCPConnectAttempt: Sendable {}
