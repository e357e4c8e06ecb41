internal import CSockets
internal import Glibc
public import Primitives

/// A system call that failed: what was tried, on what, and the system's reason.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried.
    public enum Operation: String, Hashable, Sendable {
        case createEventLoop = "create an event loop"
        case createNotifier = "create a wake-up descriptor"
        case startThread = "start a thread"
        case watchSignal = "watch a signal"
        case open = "open a socket"
        case bind = "listen"
        case steer = "steer datagrams between sockets"
        case accept = "accept a connection"
        case connect = "connect"
        case read = "read"
        case write = "write"
        case send = "send"
        case shutdown = "end the stream"
        case adopt = "use a descriptor"
        case inspect = "inspect a socket"
        case resolve = "set up name resolution"
        case route = "find a route"
        case listInterfaces = "list network interfaces"
        case watchLinks = "watch the network interfaces"
        case enterNetwork = "enter the network namespace"
        case shareMemory = "share memory between processes"
        case spawn = "start the worker process"
        case handOver = "hand over descriptors"
        case notify = "tell the service manager"
    }

    /// What it was tried on.
    public enum Subject: Hashable, Sendable {
        case none
        case address(NetworkAddress)
        case path(String)
        case descriptor(Int32)
    }

    /// What was tried.
    public var operation: Operation
    /// What it was tried on.
    public var subject: Subject
    /// The system's error number.
    public var code: Int32

    /// Creates an error from an error number.
    public init(_ operation: Operation, _ subject: Subject = .none, code: Int32) {
        self.operation = operation
        self.subject = subject
        self.code = code
    }

    /// The error number's name, such as `ECONNREFUSED`.
    public var name: String {
        guard let name = unsafe gw_error_name(code) else { return "errno \(code)" }
        return unsafe String(cString: name)  // a static string of the C library
    }

    /// One line: what failed, why, and what to do where that is known.
    public var description: String {
        let reason = unsafe String(cString: gw_error_text(code))  // a static string of the C library
        let subject =
            switch subject {
            case .none: ""
            case .address(let address): " \(preposition)\(address)"
            case .path(let path): " \(preposition)\(path)"
            case .descriptor(let descriptor): " \(preposition)descriptor \(descriptor)"
            }
        let advice = advice.map { "; \($0)" } ?? ""
        return "cannot \(operation.rawValue)\(subject): \(reason.lowercasedFirst) (\(name))\(advice)"
    }

    private var preposition: String {
        switch operation {
        case .bind: "on "
        case .connect, .send, .route: "to "
        case .read, .accept: "from "
        case .adopt: ""
        default: "at "
        }
    }

    /// What the user can do, where it is obvious.
    private var advice: String? {
        switch (operation, code) {
        case (.bind, EADDRINUSE): "another process listens there; choose another port or stop it"
        case (.bind, EACCES): "ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose a higher one"
        case (.bind, EADDRNOTAVAIL): "no interface of this machine has that address"
        case (.bind, EAFNOSUPPORT): "this machine has no support for that address family"
        case (.bind, ENOENT), (.bind, ENOTDIR): "make the folder first, or choose another path"
        case (_, ENAMETOOLONG): "a socket's path has at most 107 bytes; choose a shorter one"
        case (.connect, ECONNREFUSED): "nothing listens there"
        case (_, EMFILE), (_, ENFILE): "raise the limit on open files (ulimit -n)"
        case (_, ENETUNREACH), (_, EHOSTUNREACH): "there is no route; check the network"
        default: nil
        }
    }
}

extension SystemError {
    static var outOfMemory: Int32 { ENOMEM }
    static var noAddress: Int32 { EADDRNOTAVAIL }

    /// Whether a send failed because the network path is gone, rather than the socket.
    public var isPathFailure: Bool {
        switch code {
        case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL, ENODEV, ENONET, EPERM, EACCES, EINVAL: true
        default: false
        }
    }

    /// Whether the other machine says that nobody listens there.
    public var isRefusal: Bool { code == ECONNREFUSED }

    /// Whether the process or the system ran out of something that comes back by waiting.
    public var isExhaustion: Bool {
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: true
        default: false
        }
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}

/// Turns the convention of CSockets, a result or a negated errno, into a value or a typed error.
func check<Result: SignedInteger>(
    _ result: Result, _ operation: SystemError.Operation, _ subject: SystemError.Subject = .none
) throws(SystemError) -> Result {
    guard result >= 0 else { throw SystemError(operation, subject, code: Int32(-result)) }
    return result
}
