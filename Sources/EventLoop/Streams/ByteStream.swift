internal import CSockets
internal import Glibc
public import Primitives

/// What is called when a stream is ready.
public protocol ByteStreamHandler: AnyObject {
    /// Bytes, the end or an error can be read. Called every turn until it is read or reading is paused.
    func streamReadable(_ stream: ByteStream)
    /// A write that was blocked can go on.
    func streamWritable(_ stream: ByteStream)
    /// The peer has reset the stream while nothing was read or written. The next read or write tells how.
    func streamBroken(_ stream: ByteStream)
}

/// A stream of bytes on a loop: a TCP connection, a Unix-domain connection, or a pair of pipes.
///
///     open ──read: endOfStream──► half-closed (remote) ──shutdownWrite──► finished ──close──► closed
///       └────shutdownWrite──────► half-closed (local) ──endOfStream─────►
///     any ──abort──► closed, and the peer of a socket gets a reset
///
/// Calls never block. A failed stream is closed by its owner, as is every other.
public final class ByteStream: FileDescriptorHandler {
    /// What a stream runs over.
    public enum Kind: Hashable, Sendable {
        /// A TCP connection.
        case tcp
        /// A Unix-domain socket.
        case local
        /// Descriptors that were handed to the process, such as standard input and output.
        case pipe
    }

    /// What came of a read.
    public enum ReadOutcome: Hashable, Sendable {
        /// So many bytes, at least one, were written to the front of the regions.
        case bytes(Int)
        /// The peer has finished sending.
        case endOfStream
        /// Nothing is there now.
        case wouldBlock
        /// The stream is broken.
        case failed(SystemError)
    }

    /// What came of a write.
    public enum WriteOutcome: Hashable, Sendable {
        /// So many bytes from the front were taken. When it was not all of them, the handler hears of room.
        case bytes(Int)
        /// No room now; the handler hears of it.
        case wouldBlock
        /// The stream is broken.
        case failed(SystemError)
    }

    /// What comes behind the bytes of a write.
    public enum Following: Hashable, Sendable {
        /// Perhaps more, perhaps nothing for a while: the bytes go at once.
        case anything
        /// `shutdownWrite`, before the turn ends, when all of them are taken: TCP sends bytes and end in one segment.
        case end
    }

    /// What the stream runs over.
    public let kind: Kind
    /// The address of the peer of a TCP connection.
    public let remoteAddress: NetworkAddress?
    /// Whether the stream was not closed or aborted.
    public private(set) var isOpen = true
    /// Whether `shutdownWrite` was called.
    public private(set) var hasFinishedWriting = false
    /// Whether a read has returned the end of the stream.
    public private(set) var hasReachedEnd = false
    /// Bytes read and written since the connection began; nil where others have used it before.
    public private(set) var counts: (read: UInt64, written: UInt64)? = (0, 0)

    private let readDescriptor: Int32
    private let writeDescriptor: Int32
    private let isSocket: Bool
    /// Whether the handler is being told of bytes to read, and all that were there are read.
    private var readiness = Readiness.untold
    /// Whether the last write was not taken whole.
    private var isBlocked = false
    /// Flags to give back to descriptors that other processes share.
    private let savedFlags: (read: Int32, write: Int32)?
    private var handler: (any ByteStreamHandler)?
    private var readEvents: FileDescriptorEvents?
    /// The same object as `readEvents` for a socket.
    private var writeEvents: FileDescriptorEvents?

    /// Seconds of silence after which a TCP peer is asked whether it is still there.
    static let keepAliveIdle: Int32 = 60

    /// Takes over a connected, non-blocking socket, which is tuned if it is one of TCP. Nothing is read before `isReading` is set.
    init(socket: Int32, kind: Kind, remoteAddress: NetworkAddress?, on loop: EventLoop) {
        self.kind = kind
        self.remoteAddress = remoteAddress
        readDescriptor = socket
        writeDescriptor = socket
        isSocket = true
        savedFlags = nil
        let events = FileDescriptorEvents(socket, on: loop, handler: self)
        readEvents = events
        writeEvents = events
    }

    /// Takes over a socket that has connected. Nothing is read before `isReading` is set.
    convenience init(dialled socket: Int32, to remoteAddress: NetworkAddress, on loop: EventLoop) {
        Self.tune(socket)
        self.init(socket: socket, kind: .tcp, remoteAddress: remoteAddress, on: loop)
    }

    /// Sets what every TCP connection has: of a listening socket, all that it accepts.
    static func tune(_ socket: Int32) {
        gw_tcp_tune(socket, keepAliveIdle)
        gw_tcp_keep_urgent_bytes(socket)
    }

    /// Takes over descriptors of the process, such as 0 and 1: made non-blocking now, given back as they were and closed
    /// by `close`. Nothing is read before `isReading` is set.
    public init(
        reading: Int32, writing: Int32, on loop: EventLoop, handler: any ByteStreamHandler
    ) throws(SystemError) {
        let readFlags = try check(gw_make_nonblocking(reading), .adopt, .descriptor(reading))
        let writeFlags = reading == writing ? readFlags : gw_make_nonblocking(writing)
        guard writeFlags >= 0 else {
            gw_restore_flags(reading, readFlags)
            throw SystemError(.adopt, .descriptor(writing), code: -writeFlags)
        }
        kind = .pipe
        remoteAddress = nil
        readDescriptor = reading
        writeDescriptor = writing
        isSocket = reading == writing && gw_is_socket(writing) != 0
        savedFlags = (readFlags, writeFlags)
        self.handler = handler
        let events = FileDescriptorEvents(reading, on: loop, handler: self)
        readEvents = events
        writeEvents = reading == writing ? events : FileDescriptorEvents(writing, on: loop, handler: self)
    }

    /// Who hears of readiness; kept until the stream is closed.
    public func setHandler(_ handler: any ByteStreamHandler) {
        if isOpen { self.handler = handler }
    }

    /// The socket, for whoever keeps it beyond this process; stays the stream's. Nil for pipes and when the stream is closed.
    public var socketDescriptor: Int32? { isSocket && isOpen ? readDescriptor : nil }

    /// Takes over a connected TCP socket that another process used before. Nothing is read before `isReading` is set.
    ///
    /// - Parameter hasFinishedWriting: Whether that process has shut down writing.
    public convenience init(adoptingTCP descriptor: Int32, hasFinishedWriting: Bool, on loop: EventLoop) {
        var address = gw_address.none
        // The pointer is used during the call only.
        let result = unsafe gw_peer_address(descriptor, &address)
        Self.tune(descriptor)
        self.init(
            socket: descriptor, kind: .tcp, remoteAddress: result >= 0 ? address.networkAddress : nil, on: loop)
        self.hasFinishedWriting = hasFinishedWriting
        counts = nil
    }

    /// The local address of a TCP connection.
    public var localAddress: NetworkAddress? {
        guard kind == .tcp, isOpen else { return nil }
        var address = gw_address.none
        // The pointer is used during the call only.
        return unsafe gw_local_address(readDescriptor, &address) >= 0 ? address.networkAddress : nil
    }

    /// The user at the other end of a Unix-domain connection.
    public var peerUser: UInt32? {
        guard kind == .local, isOpen else { return nil }
        var user: UInt32 = 0
        // The pointer is used during the call only.
        return unsafe gw_peer_user(readDescriptor, &user) >= 0 ? user : nil
    }

    // MARK: Reading

    /// Whether the handler hears of bytes to read; off for back-pressure. Off from the start and after the end.
    public var isReading: Bool {
        get { readEvents?.interest.contains(.read) ?? false }
        set {
            guard isOpen, newValue != isReading, !(newValue && hasReachedEnd) else { return }
            if newValue { readEvents?.watch(also: .read) } else { readEvents?.ignore(.read) }
        }
    }

    /// Reads into one region, then another, with one call: the free parts of a ring. The second may be empty.
    public func read(
        into first: inout MutableSpan<UInt8>, _ second: inout MutableSpan<UInt8>
    ) -> ReadOutcome {
        // The pointers are used during the call only.
        unsafe first.withUnsafeMutableBytes { first in
            unsafe second.withUnsafeMutableBytes { second in unsafe read(into: first, second) }
        }
    }

    /// Reads into a region.
    public func read(into region: inout MutableSpan<UInt8>) -> ReadOutcome {
        // The pointers are used during the call only.
        unsafe region.withUnsafeMutableBytes { region in
            unsafe read(into: region, UnsafeMutableRawBufferPointer(start: nil, count: 0))
        }
    }

    /// Reads into one region, then another, with one call. The regions must be valid during the call.
    @unsafe
    public func read(
        into first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer
    ) -> ReadOutcome {
        guard isOpen else { return .failed(closedError(.read)) }
        if hasReachedEnd { return .endOfStream }
        guard first.count + second.count > 0, readiness != .exhausted else { return .wouldBlock }
        let result = unsafe gw_read(readDescriptor, first.baseAddress, first.count, second.baseAddress, second.count)
        guard result >= 0 else {
            return -result == Int(EAGAIN) ? .wouldBlock : .failed(error(.read, code: Int32(-result)))
        }
        guard result == 0 else {
            counts?.read += UInt64(result)
            if result < first.count + second.count { tookEverything() }
            return .bytes(result)
        }
        hasReachedEnd = true
        // A stream at its end stays readable: watch only for what may still come, the reset.
        readEvents?.ignore(.read)
        watchForReset()
        return .endOfStream
    }

    /// What is known of the bytes that wait.
    private enum Readiness: Hashable {
        /// Nothing, or nothing that is new.
        case untold
        /// There are some: the handler is being told.
        case told
        /// There were some, and all were read: what comes meanwhile is told in the next turn.
        case exhausted
    }

    /// A read was not filled: another one would find nothing, unless the end stands behind the bytes.
    private func tookEverything() {
        guard kind == .tcp, readiness == .told, readEvents?.hasPeerFinished == false else { return }
        readiness = .exhausted
    }

    /// From now on, and whenever nothing is read or written for a moment, a reset by the peer of a socket is reported.
    public func watchForReset() {
        if isSocket { readEvents?.watch(also: .hangUp) }
    }

    // MARK: Writing

    /// Writes bytes, then others, with one call. Either may be empty.
    public func write(_ first: Span<UInt8>, _ second: Span<UInt8>) -> WriteOutcome {
        // The pointers are used during the call only.
        unsafe first.withUnsafeBytes { first in
            unsafe second.withUnsafeBytes { second in unsafe write(first, second) }
        }
    }

    /// Writes bytes.
    public func write(_ bytes: Span<UInt8>, before following: Following = .anything) -> WriteOutcome {
        // The pointers are used during the call only.
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe write(bytes, UnsafeRawBufferPointer(start: nil, count: 0), before: following)
        }
    }

    /// Writes bytes, then others, with one call. The regions must be valid during the call.
    @unsafe
    public func write(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, before following: Following = .anything
    ) -> WriteOutcome {
        guard isOpen, !hasFinishedWriting else { return .failed(closedError(.write)) }
        let total = first.count + second.count
        guard total > 0 else { return .bytes(0) }
        let result = unsafe hand(first, second, before: following)
        guard result >= 0 || -result == Int(EAGAIN) else {
            return .failed(error(.write, code: Int32(-result)))
        }
        counts?.written += UInt64(max(0, result))
        if result < total {
            isBlocked = true
            writeEvents?.watch(also: .write)
        }
        return result < 0 ? .wouldBlock : .bytes(result)
    }

    @unsafe
    private func hand(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, before following: Following
    ) -> Int {
        let descriptor = writeDescriptor
        let (head, tail) = (first.baseAddress, second.baseAddress)
        guard isSocket else { return unsafe gw_write(descriptor, head, first.count, tail, second.count) }
        switch following {
        case .anything: return unsafe gw_send(descriptor, head, first.count, tail, second.count)
        case .end: return unsafe gw_send_before_end(descriptor, head, first.count, tail, second.count)
        }
    }

    /// Tells the peer that no more bytes will follow; reading goes on.
    public func shutdownWrite() throws(SystemError) {
        guard isOpen, !hasFinishedWriting else { return }
        hasFinishedWriting = true
        writeEvents?.ignore(.write)
        if isSocket {
            let result = gw_shutdown_write(writeDescriptor)
            if result < 0 { throw error(.shutdown, code: -result) }
        } else if readDescriptor != writeDescriptor {
            closeWriteDescriptor()
        }
    }

    // MARK: The end

    /// Closes the stream in an orderly way. Bytes that were written still go out.
    public func close() {
        guard leave() else { return }
        if let savedFlags { gw_restore_flags(readDescriptor, savedFlags.read) }
        if kind == .tcp { gw_close_in_order(readDescriptor) } else { gw_close(readDescriptor) }
    }

    /// Closes the stream such that the peer of a TCP connection gets a reset.
    public func abort() {
        guard kind == .tcp else { return close() }
        if leave() { gw_abort(readDescriptor) }
    }

    // MARK: Another loop

    /// A socket that one loop has let go of, until another one takes it up.
    public struct Remains: Sendable {
        let descriptor: Int32
        let kind: Kind
        let remoteAddress: NetworkAddress?
        let hasFinishedWriting: Bool
        let hasReachedEnd: Bool
        let counts: (read: UInt64, written: UInt64)?
    }

    /// Lets the loop go of a socket, which stays open; nil for pipes and for a stream that is closed.
    public func surrender() -> Remains? {
        guard isSocket, savedFlags == nil, leave() else { return nil }
        return Remains(
            descriptor: readDescriptor, kind: kind, remoteAddress: remoteAddress,
            hasFinishedWriting: hasFinishedWriting, hasReachedEnd: hasReachedEnd, counts: counts)
    }

    /// Takes up a socket that another loop has let go of. Nothing is read before `isReading` is set.
    public convenience init(_ remains: Remains, on loop: EventLoop) {
        self.init(
            socket: remains.descriptor, kind: remains.kind, remoteAddress: remains.remoteAddress, on: loop)
        hasFinishedWriting = remains.hasFinishedWriting
        hasReachedEnd = remains.hasReachedEnd
        counts = remains.counts
    }

    /// Ends the watching; `false` when the stream is closed already.
    private func leave() -> Bool {
        guard isOpen else { return false }
        isOpen = false
        handler = nil
        readEvents?.cancel()
        readEvents = nil
        if readDescriptor != writeDescriptor, !hasFinishedWriting { closeWriteDescriptor() }
        writeEvents = nil
        return true
    }

    private func closeWriteDescriptor() {
        writeEvents?.cancel()
        writeEvents = nil
        if let savedFlags { gw_restore_flags(writeDescriptor, savedFlags.write) }
        gw_close(writeDescriptor)
    }

    private func error(_ operation: SystemError.Operation, code: Int32) -> SystemError {
        SystemError(operation, remoteAddress.map { .address($0) } ?? .none, code: code)
    }

    private func closedError(_ operation: SystemError.Operation) -> SystemError {
        error(operation, code: operation == .read ? EBADF : EPIPE)
    }

    // MARK: Readiness

    /// For the loop.
    public func descriptorReadable() {
        readiness = .told
        handler?.streamReadable(self)
        readiness = .untold
    }

    /// For the loop.
    public func descriptorWritable() {
        isBlocked = false
        handler?.streamWritable(self)
        // A write that was not taken whole keeps the interest as it stands.
        if !isBlocked { writeEvents?.ignore(.write) }
    }

    /// For the loop.
    public func descriptorHungUp() {
        // Reported once.
        readEvents?.ignore(.hangUp)
        if hasFinishedWriting {
            // With both directions at their end the connection is over, as it should be; without an error the peer has
            // ended in order, and what it sent before waits to be read.
            guard !hasReachedEnd, gw_has_error(readDescriptor) == 1 else { return }
        }
        handler?.streamBroken(self)
    }
}

@available(*, unavailable)
extension ByteStream: Sendable {}
