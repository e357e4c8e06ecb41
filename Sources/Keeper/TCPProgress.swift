internal import CSockets
internal import Glibc

/// Where the payload of a TCP stream begins in the kernel's counters, and which socket it is.
public struct TCPOrigin: Hashable, Sendable {
    /// What the kernel counted as consumed when the payload had read its first byte.
    public var received: UInt64
    /// What the kernel counted as written when the payload wrote its first byte. It may be one below zero, and wraps.
    public var written: UInt64
    /// The socket's number in this system.
    public var cookie: UInt64

    /// Creates an origin.
    public init(received: UInt64, written: UInt64, cookie: UInt64) {
        self.received = received
        self.written = written
        self.cookie = cookie
    }
}

/// How far a TCP stream has come, exactly, as only the kernel knows after the process that used it was killed.
///
/// - consumed: `tcpi_bytes_received` − SIOCINQ − 1 once the peer's FIN has arrived.
/// - written: `tcpi_bytes_acked` + SIOCOUTQ − 1 once a FIN was sent. The SYN of a connection that this side opened counts
///   as well; the origin takes care of that.
///
/// Nobody may read or write the stream meanwhile. Only TCP has such counters: pipes and Unix-domain sockets do not.
public struct TCPProgress: Hashable, Sendable {
    /// Bytes of payload that were read.
    public var consumed: UInt64
    /// Bytes of payload that were written, sent or not.
    public var written: UInt64
    /// Whether the peer's FIN has arrived, read or not.
    public var hasPeerFinished: Bool
    /// Whether writing was shut down.
    public var hasFinished: Bool

    /// Why there is no answer.
    public enum Fault: Error, Hashable, Sendable {
        /// The connection was reset or timed out.
        case broken
        /// Not a TCP connection, or not one yet.
        case notConnected
        /// It is not the socket of the origin.
        case otherSocket
        /// The counters never stood still for long enough.
        case unsettled
        /// The counters are below those of the origin.
        case impossible
    }

    /// Where the payload of a connected stream begins, of which `consumed` and `written` bytes have been read and written.
    ///
    /// From now on urgent bytes stay in their place in the stream: else a peer could make bytes disappear between
    /// the kernel's count and ours.
    public static func origin(
        of descriptor: Int32, consumed: UInt64 = 0, written: UInt64 = 0
    ) throws(Fault) -> TCPOrigin {
        guard gw_tcp_keep_urgent_bytes(descriptor) >= 0 else { throw .notConnected }
        let now = try Counters(of: descriptor)
        guard now.consumed >= consumed else { throw .impossible }
        return TCPOrigin(received: now.consumed - consumed, written: now.written &- written, cookie: now.cookie)
    }

    /// Who opened a connection, which decides whether its SYN counts.
    public enum Opening: Hashable, Sendable {
        /// This side connected.
        case dialled
        /// It was accepted.
        case accepted
    }

    /// The same as `origin(of:consumed:written:)` for who has counted from the beginning of the connection, urgent bytes as well,
    /// at one system call instead of six.
    ///
    /// - Parameters:
    ///   - headRead: Bytes that were read before the payload's first, such as the request of a proxy protocol.
    ///   - headWritten: Bytes that were written before the payload's first.
    public static func origin(
        of descriptor: Int32, opened: Opening, headRead: UInt64 = 0, headWritten: UInt64 = 0
    ) throws(Fault) -> TCPOrigin {
        var cookie: UInt64 = 0
        // The call writes the cookie.
        guard unsafe gw_socket_cookie(descriptor, &cookie) >= 0 else { throw .notConnected }
        let handshake: UInt64 = opened == .dialled ? 1 : 0
        return TCPOrigin(received: headRead, written: handshake + headWritten, cookie: cookie)
    }

    /// How far a stream has come since its origin.
    public init(of descriptor: Int32, since origin: TCPOrigin) throws(Fault) {
        let now = try Counters(of: descriptor)
        guard !now.isBroken else { throw .broken }
        self = try TCPProgress(now, since: origin)
    }

    /// How far a stream was that broke after the peer's FIN had been read. A FIN that was sent counts as written.
    public static func atBreak(of descriptor: Int32, since origin: TCPOrigin) throws(Fault) -> TCPProgress {
        var now = try Counters(of: descriptor)
        if now.hasFinished {
            now.hasFinished = false
            now.written &+= 1
        }
        return try TCPProgress(now, since: origin)
    }

    private init(_ now: Counters, since origin: TCPOrigin) throws(Fault) {
        guard now.cookie == origin.cookie else { throw .otherSocket }
        guard now.consumed >= origin.received else { throw .impossible }
        consumed = now.consumed - origin.received
        written = now.written &- origin.written
        guard written <= .max / 2 else { throw .impossible }
        hasPeerFinished = now.hasPeerFinished
        hasFinished = now.hasFinished
    }

    /// The kernel's view.
    private struct Counters {
        var consumed: UInt64
        /// With the SYN, where that counts.
        var written: UInt64
        var hasPeerFinished: Bool
        var hasFinished: Bool
        var isBroken = false
        var cookie: UInt64 = 0

        init(of descriptor: Int32) throws(Fault) {
            var raw = gw_tcp_counters()
            // Both calls write into the values they are given and keep nothing.
            let result = unsafe gw_tcp_count(descriptor, &raw)
            guard result >= 0 else { throw -result == EAGAIN ? .unsettled : .notConnected }
            switch Int(raw.state) {
            case TCP_ESTABLISHED: (hasPeerFinished, hasFinished) = (false, false)
            case TCP_CLOSE_WAIT: (hasPeerFinished, hasFinished) = (true, false)
            case TCP_FIN_WAIT1, TCP_FIN_WAIT2: (hasPeerFinished, hasFinished) = (false, true)
            case TCP_CLOSING, TCP_LAST_ACK, TCP_TIME_WAIT: (hasPeerFinished, hasFinished) = (true, true)
            case TCP_CLOSE:
                // Ended in order both ways, or reset and the error taken; in order everything was acknowledged.
                let isAcknowledged = raw.unacknowledged == 0 && raw.received > 0 && raw.acknowledged > 0
                isBroken = raw.has_error != 0 || !isAcknowledged
                (hasPeerFinished, hasFinished) = (true, !isBroken)
            default: throw .notConnected
            }
            let peerEnd: UInt64 = hasPeerFinished ? 1 : 0
            let end: UInt64 = hasFinished ? 1 : 0
            let unread = UInt64(raw.unread) + peerEnd
            guard raw.received >= unread else { throw isBroken ? .broken : .impossible }
            consumed = raw.received - unread
            written = raw.acknowledged + UInt64(raw.unacknowledged) &- end
            guard unsafe gw_socket_cookie(descriptor, &cookie) >= 0 else { throw .notConnected }
        }
    }
}
