internal import CSockets
internal import Glibc
public import Primitives

/// Datagrams for several receivers that leave with as few system calls as possible, preallocated.
///
/// Write into `space()`, then `append`; hand it to `UDPSocket.flush` at the end of the turn. What the kernel does not take
/// stays at the front and goes out with the next flush, exactly once.
@safe
public struct SendQueue: ~Copyable {
    /// Bytes that a queue holds: four of the largest batches.
    public static let capacity = 4 * 65_536
    /// Most entries that a queue holds: what one system call takes.
    public static let maximumEntries = 64

    /// Owned: unmapped in deinit.
    private let memory: UnsafeMutablePointer<UInt8>
    /// Owned: freed in deinit. Entries from `head` to `tail` are initialised.
    private let entries: UnsafeMutablePointer<gw_outgoing>
    private var head = 0
    private var tail = 0
    private var used = 0

    /// Allocates the queue.
    public init() {
        // Zeroed by the system, page by page as they are written to: while little is sent, that is the first one.
        let pages = unsafe mmap(nil, Self.capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let pages = unsafe pages, unsafe pages != MAP_FAILED else {
            // As Swift's own allocations do: this is at the start of a worker, before any peer has been heard.
            fatalError("cannot map \(Self.capacity) bytes for datagrams: raise the limit of this process's memory")
        }
        unsafe memory = pages.bindMemory(to: UInt8.self, capacity: Self.capacity)
        unsafe entries = .allocate(capacity: Self.maximumEntries)
    }

    deinit {
        unsafe munmap(memory, Self.capacity)
        unsafe entries.deallocate()
    }

    /// Whether nothing waits.
    public var isEmpty: Bool { head == tail }
    /// Entries that wait.
    public var count: Int { tail - head }
    /// Whether one more entry of the largest size fits.
    public var hasRoom: Bool { tail < Self.maximumEntries && Self.capacity - used >= UDPSocket.maximumDatagramSize }

    /// The free bytes at the end, to be filled before `append`.
    @_lifetime(&self)
    public mutating func space() -> MutableSpan<UInt8> {
        // The memory lives as long as the queue, the part lies within it, and the result borrows the queue.
        let span = unsafe MutableSpan(_unsafeStart: memory + used, count: Self.capacity - used)
        return unsafe _overrideLifetime(span, mutating: &self)
    }

    /// Lends `space()` to a call, for queues that are properties of classes.
    public mutating func withSpace<Result>(_ body: (inout MutableSpan<UInt8>) -> Result) -> Result {
        var span = space()
        return body(&span)
    }

    /// Appends the first `byteCount` bytes of `space()` as one datagram or several of `segmentSize`.
    public mutating func append(
        byteCount: Int, segmentSize: Int, to: NetworkAddress, from: NetworkAddress?, ecn: ECN
    ) {
        precondition(tail < Self.maximumEntries && byteCount >= 0 && byteCount <= Self.capacity - used, "queue is full")
        let outgoing = unsafe gw_outgoing(
            bytes: memory + used, length: UInt32(byteCount), segment: UInt16(clamping: max(0, segmentSize)),
            ecn: ecn.rawValue, to: gw_address(to), from: from.map { gw_address($0) } ?? .none)
        unsafe (entries + tail).initialize(to: outgoing)
        tail += 1
        used += byteCount
    }

    /// The entries that wait; valid until the queue is changed.
    var pending: UnsafeMutablePointer<gw_outgoing> { unsafe entries + head }

    /// Forgets entries from the front.
    mutating func removeFirst(_ count: Int) {
        head += min(count, tail - head)
        guard head == tail else { return }
        head = 0
        tail = 0
        used = 0
    }

    /// Forgets bytes from the front of the first entry, which the kernel has taken.
    mutating func removeFirst(bytes: Int) {
        guard !isEmpty else { return }
        let taken = min(bytes, unsafe Int(pending.pointee.length))
        unsafe pending.pointee.bytes = pending.pointee.bytes.map { unsafe $0 + taken }
        unsafe pending.pointee.length -= UInt32(taken)
    }
}

extension UDPSocket {
    /// What came of a `flush`.
    public enum FlushOutcome: Hashable, Sendable {
        /// The queue is empty.
        case sent
        /// The socket's buffer is full; the handler hears of room, and the queue is to be flushed again.
        case blocked
        /// One entry could not be sent and was dropped; the others wait for another flush.
        case tooLarge(to: NetworkAddress)
        /// One entry could not be sent and was dropped; the others wait for another flush.
        case failed(SystemError)
    }

    /// Sends what waits in `queue`. After a failure call it again for the rest.
    public func flush(_ queue: inout SendQueue) -> FlushOutcome {
        while !queue.isEmpty {
            let count = sendablePrefix(of: queue)
            if count > 1 {
                let sent = unsafe gw_udp_send_many(bound.descriptor, queue.pending, Int32(count))
                if sent > 0 {
                    queue.removeFirst(Int(sent))
                    continue
                }
            }
            // The first one alone: its own error, or its own fallback.
            let to = unsafe queue.pending.pointee.to.networkAddress ?? localAddress
            switch unsafe send(queue.pending.pointee) {
            case .sent:
                queue.removeFirst(1)
            case .blocked(let accepted):
                queue.removeFirst(bytes: accepted)
                return .blocked
            case .tooLarge:
                queue.removeFirst(1)
                return .tooLarge(to: to)
            case .failed(let error, _):
                queue.removeFirst(1)
                return .failed(error)
            }
        }
        return .sent
    }

    /// How many entries from the front one system call can take as they are.
    private func sendablePrefix(of queue: borrowing SendQueue) -> Int {
        var count = 0
        while count < queue.count {
            let entry = unsafe queue.pending + count
            guard isOpen, unsafe segmentsInKernel || !entry.pointee.isSeveral, unsafe entry.pointee.canBeSegmented
            else { break }
            count += 1
        }
        return count
    }
}
