internal import CSockets
internal import Glibc
public import Primitives

/// What is called when a connection was accepted.
public protocol StreamListenerHandler: AnyObject {
    /// A new stream, which nobody reads yet; the handler owns it.
    func listener(_ listener: StreamListener, accepted stream: ByteStream)
    /// No connection can be accepted for want of descriptors or memory; the listener tries again by itself.
    func listener(_ listener: StreamListener, pausedBy error: SystemError)
}

/// A listening TCP or Unix-domain socket on a loop.
public final class StreamListener: FileDescriptorHandler, TimerHandler {
    /// Connections that the kernel keeps ready before it turns new ones away.
    public static let backlog: Int32 = 1024
    /// Most connections accepted in one wake-up, so that a flood of them leaves time for the rest; others wait a turn.
    public static let acceptsPerTurn = 64
    /// How long the listener waits when there is no descriptor left for a connection.
    public static let exhaustionPause = Interval.milliseconds(100)

    /// The address that a TCP listener is bound to, with the port that the system chose.
    public let localAddress: NetworkAddress?
    /// The path that a Unix-domain listener is bound to.
    public let path: String?

    /// The socket, for whoever keeps it beyond this process; stays the listener's.
    public let descriptor: Int32
    private let loop: EventLoop
    private var handler: (any StreamListenerHandler)?
    private var events: FileDescriptorEvents?
    private var pause: TimerHandle?

    /// Listens for TCP connections; port 0 lets the system choose one. An IPv6 wildcard takes no IPv4 connections.
    public convenience init(
        tcp address: NetworkAddress, on loop: EventLoop, handler: any StreamListenerHandler
    ) throws(SystemError) {
        var local = gw_address(address)
        // The pointers are used during the calls only.
        let descriptor = try check(unsafe gw_tcp_listen(&local, Self.backlog), .bind, .address(address))
        _ = unsafe gw_local_address(descriptor, &local)
        self.init(
            descriptor, localAddress: local.networkAddress ?? address, path: nil, on: loop, handler: handler)
    }

    /// Listens at a path that only the user may connect to (mode 0600).
    ///
    /// A socket that another process left behind is replaced when nobody answers there; one that answers is an
    /// EADDRINUSE. The directory must belong to the user or to root and must not be open to writing by all.
    public convenience init(
        path: String, on loop: EventLoop, handler: any StreamListenerHandler
    ) throws(SystemError) {
        try UnixSocketPath.makeFree(path)
        let descriptor = try check(unsafe gw_unix_listen(path, Self.backlog), .bind, .path(path))  // copies the path
        self.init(descriptor, localAddress: nil, path: path, on: loop, handler: handler)
    }

    /// Takes over a socket on which another process listened before; `path` is that of a Unix-domain socket.
    public convenience init(
        adopting descriptor: Int32, path: String? = nil, on loop: EventLoop, handler: any StreamListenerHandler
    ) {
        self.init(
            descriptor, localAddress: path == nil ? Self.address(of: descriptor) : nil, path: path, on: loop,
            handler: handler)
    }

    /// The address of a socket on which another process listened before; nil when it has none.
    public static func address(of descriptor: Int32) -> NetworkAddress? {
        var local = gw_address.none
        // The pointer is used during the call only.
        return unsafe gw_local_address(descriptor, &local) >= 0 ? local.networkAddress : nil
    }

    /// Closes a socket on which another process listened before, and nobody is to listen any more.
    public static func close(left descriptor: Int32) { gw_close(descriptor) }

    private init(
        _ descriptor: Int32, localAddress: NetworkAddress?, path: String?, on loop: EventLoop,
        handler: any StreamListenerHandler
    ) {
        self.descriptor = descriptor
        self.localAddress = localAddress
        self.path = path
        self.loop = loop
        self.handler = handler
        // Linux hands these options on to every connection that is accepted (tcp(7), socket(7)).
        if path == nil { ByteStream.tune(descriptor) }
        let events = FileDescriptorEvents(descriptor, on: loop, handler: self)
        events.watch(.read)
        self.events = events
    }

    /// Stops listening here and leaves the socket to whoever keeps it; a Unix-domain path stays.
    public func leave() { end() }

    /// Stops listening; a Unix-domain path is removed.
    public func close() {
        if end(), let path { UnixSocketPath.remove(path) }
    }

    /// Tells whether it listened.
    @discardableResult
    private func end() -> Bool {
        guard let events else { return false }
        events.cancel()
        self.events = nil
        handler = nil
        if let pause { loop.removeTimer(pause) }
        pause = nil
        gw_close(descriptor)
        return true
    }

    /// Whether connections are accepted now; off, they wait in the kernel.
    public var isAccepting: Bool {
        get { events?.interest.contains(.read) ?? false }
        set { events?.watch(newValue ? .read : []) }
    }

    /// For the loop.
    public func descriptorReadable() {
        for _ in 0..<Self.acceptsPerTurn {
            guard let handler, acceptOne(for: handler) else { return }
        }
    }

    /// Accepts one connection; `false` when there was none or no more can be had now.
    private func acceptOne(for handler: any StreamListenerHandler) -> Bool {
        var peer = gw_address.none
        let accepted = unsafe gw_accept(descriptor, &peer)  // the pointer is used during the call only
        guard accepted < 0 else {
            let stream = ByteStream(
                socket: accepted, kind: path == nil ? .tcp : .local, remoteAddress: peer.networkAddress, on: loop)
            handler.listener(self, accepted: stream)
            return true
        }
        switch -accepted {
        case EAGAIN:
            return false
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            pauseAccepting(SystemError(.accept, subject, code: -accepted), handler)
            return false
        default:
            // The connection was gone before it was accepted: Linux hands its error on.
            return true
        }
    }

    private var subject: SystemError.Subject {
        if let path { return .path(path) }
        return localAddress.map { .address($0) } ?? .none
    }

    private func pauseAccepting(_ error: SystemError, _ handler: any StreamListenerHandler) {
        // The connection stays in the backlog and would wake the loop again at once.
        isAccepting = false
        let timer = pause ?? loop.addTimer(self)
        pause = timer
        loop.arm(timer, at: loop.now + Self.exhaustionPause)
        handler.listener(self, pausedBy: error)
    }

    /// For the loop: the pause is over.
    public func timerFired(_ timer: TimerHandle, at now: Instant) { isAccepting = true }

    /// Not watched.
    public func descriptorWritable() {}
    /// Not watched.
    public func descriptorHungUp() {}
}

@available(*, unavailable)
extension StreamListener: Sendable {}
