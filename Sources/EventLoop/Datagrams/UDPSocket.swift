internal import CSockets
internal import Glibc
public import Primitives

/// What is called when a UDP socket is ready.
public protocol UDPSocketHandler: AnyObject {
    /// Datagrams wait; they are taken with `receive`, as many as the handler's budget allows, the rest in a later turn.
    func socketReadable(_ socket: UDPSocket)
    /// A send that was blocked can be tried again.
    func socketWritable(_ socket: UDPSocket)
    /// The network says that datagrams of this socket do not arrive (ICMP); only while the socket reports such errors.
    /// Anybody who knows the addresses and ports can make one up.
    func socket(_ socket: UDPSocket, heardOf error: SystemError)
}

extension UDPSocketHandler {
    /// Nothing follows from it.
    public func socket(_ socket: UDPSocket, heardOf error: SystemError) {}
}

/// A UDP socket on a loop: receives and sends in batches, with ECN and local addresses.
///
/// Errors of single datagrams are results, never the end of the socket. `close` ends it and lets go of the handler.
public final class UDPSocket: FileDescriptorHandler {
    /// What came of a `receive`.
    public enum ReceiveOutcome: Hashable, Sendable {
        /// The batch holds entries, possibly none, and more may wait.
        case more
        /// The batch holds what there was.
        case drained
    }

    /// Counters since the socket was made.
    public struct Statistics: Hashable, Sendable {
        /// Errors that the kernel reported from the network (ICMP) and that were passed over.
        public var networkErrors: UInt64 = 0
        /// Datagrams longer than a batch entry, dropped.
        public var truncated: UInt64 = 0
        /// Sends that found the socket's buffer full.
        public var blockedSends: UInt64 = 0
    }

    /// The address that the socket is bound to.
    public let localAddress: NetworkAddress
    /// The socket's options and buffers, as made.
    public let bound: BoundDatagramSocket
    /// Counters since the socket was made.
    public internal(set) var statistics = Statistics()
    /// Whether batches are cut by the kernel; becomes `false` when the kernel refuses.
    public internal(set) var segmentsInKernel: Bool

    /// Bytes of an entry above which the next call takes a single one: its buffer is still in the processor's cache
    /// then, which saves more than a larger batch does (10 % of the receiving side, measured). Small entries, of many
    /// peers or without the kernel's joining, come in full batches.
    static let largeEntry = 16_384

    /// Errors taken in one turn.
    static let networkErrorsPerTurn = 16

    let isWildcard: Bool
    private var lastEntryWasLarge = false
    private(set) var isOpen = true
    /// Whether the last send was blocked.
    private var isBlocked = false
    private let loop: EventLoop
    private var handler: (any UDPSocketHandler)?
    private var events: FileDescriptorEvents?

    /// Takes over a bound socket and reads from it from now on.
    public init(_ bound: BoundDatagramSocket, on loop: EventLoop, handler: any UDPSocketHandler) {
        self.bound = bound
        self.loop = loop
        self.handler = handler
        localAddress = bound.localAddress
        isWildcard = bound.localAddress.ip.isUnspecified
        if case .whereAvailable = bound.options.sending { segmentsInKernel = true } else { segmentsInKernel = false }
        let events = FileDescriptorEvents(bound.descriptor, on: loop, handler: self)
        events.watch(.read)
        self.events = events
    }

    /// Binds a socket and reads from it from now on.
    public convenience init(
        _ address: NetworkAddress, options: BoundDatagramSocket.Options = .init(), on loop: EventLoop,
        handler: any UDPSocketHandler
    ) throws(SystemError) {
        self.init(try BoundDatagramSocket(address, options: options), on: loop, handler: handler)
    }

    /// Closes the socket.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        events?.cancel()
        events = nil
        handler = nil
        bound.close()
    }

    /// Stops and resumes reading, for back-pressure.
    public var isReading: Bool {
        get { events?.interest.contains(.read) ?? false }
        set { if newValue { events?.watch(also: .read) } else { events?.ignore(.read) } }
    }

    /// Whether errors that the network reports (ICMP) are told to the handler; they are not at first. While they are, one
    /// of them may also fail a send.
    public var reportsNetworkErrors = false {
        didSet {
            guard isOpen, reportsNetworkErrors != oldValue else { return }
            // Where the system does not know it nothing is told, as before.
            _ = gw_udp_report_network_errors(
                bound.descriptor, Int32(localAddress.ip.family.rawValue), reportsNetworkErrors ? 1 : 0)
        }
    }

    private func takeNetworkErrors() {
        for _ in 0..<Self.networkErrorsPerTurn where reportsNetworkErrors && isOpen {
            var to = gw_address.none
            let code = unsafe gw_udp_take_network_error(bound.descriptor, &to)  // writes nothing but `to`
            guard code > 0 else { return }
            handler?.socket(
                self, heardOf: SystemError(.connect, .address(to.networkAddress ?? localAddress), code: code))
        }
    }

    /// Fills `batch` with what waits, with one system call, and has the loop read the clock: what came while a long turn went on
    /// must not be dated before it came. A round-trip time that is measured too short stays the path's shortest one for long.
    public func receive(into batch: inout ReceiveBatch) -> ReceiveOutcome {
        batch.count = 0
        guard isOpen else { return .drained }
        batch.boundAddress = localAddress
        let limit = lastEntryWasLarge ? 1 : batch.capacity
        let result = unsafe gw_udp_receive(bound.descriptor, batch.storage, Int32(limit))  // the batch's own memory
        guard result >= 0 else {
            // What the network reports fails one call, here or of a send, and wakes the loop until it is taken.
            takeNetworkErrors()
            if -result == EAGAIN || -result == ENOMEM { return .drained }
            // ECONNREFUSED and its like tell of an earlier datagram: no reason to stop reading (RFC 9000 §14.2.1).
            statistics.networkErrors &+= 1
            return .more
        }
        loop.readClock()
        batch.count = Int(result)
        statistics.truncated &+= UInt64(unsafe gw_receive_batch_drop_truncated(batch.storage, Int32(result)))
        lastEntryWasLarge = batch.count > 0 && batch[batch.count - 1].byteCount >= Self.largeEntry
        return batch.count == limit ? .more : .drained
    }

    /// Asks for `socketWritable` once there is room again; done by the sends that are blocked.
    func watchForRoom() {
        statistics.blockedSends &+= 1
        isBlocked = true
        events?.watch(also: .write)
    }

    /// Reads, for the loop.
    public func descriptorReadable() { handler?.socketReadable(self) }

    /// Writes what was blocked, for the loop.
    public func descriptorWritable() {
        isBlocked = false
        handler?.socketWritable(self)
        // A send that was blocked again keeps the interest as it stands.
        if !isBlocked { events?.ignore(.write) }
    }

    /// Not watched.
    public func descriptorHungUp() {}
}

@available(*, unavailable)
extension UDPSocket: Sendable {}
