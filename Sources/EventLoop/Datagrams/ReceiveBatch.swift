internal import CSockets
public import Primitives

/// Preallocated buffers for received datagrams, shared by all sockets of a worker.
///
/// Each entry is one datagram, or several of one sender that the kernel joined (GRO), all of `segmentSize` bytes but the
/// last. The bytes are handed out mutable, to be opened in place; they are valid until the batch is filled again, which
/// the compiler enforces.
@safe
public struct ReceiveBatch: ~Copyable {
    /// What one entry holds.
    public struct Entry: Hashable, Sendable {
        /// Where it came from.
        public var from: NetworkAddress
        /// The local address that it was sent to.
        public var to: NetworkAddress
        /// The ECN field of its IP header.
        public var ecn: ECN
        /// Bytes of all its datagrams together.
        public var byteCount: Int
        /// Bytes of each datagram but the last, which may be shorter.
        public var segmentSize: Int

        /// How many datagrams it holds; an empty datagram counts, too.
        public var datagramCount: Int {
            byteCount <= segmentSize ? 1 : (byteCount + segmentSize - 1) / segmentSize
        }

        /// Where a datagram stands among the entry's bytes.
        public func range(ofDatagram index: Int) -> Range<Int> {
            let start = min(index * segmentSize, byteCount)
            return start..<min(start + segmentSize, byteCount)
        }
    }

    /// Bytes of one entry: what the largest UDP datagram, or the largest sum of joined ones, takes.
    public static let entrySize = 65_536
    /// Entries that a batch has by default: the most that one system call brings.
    public static let defaultCapacity = 8

    /// Entries that the last `receive` brought.
    public internal(set) var count = 0
    /// Most entries that one call brings.
    public let capacity: Int
    /// Owned: freed in deinit.
    let storage: OpaquePointer
    /// What stands for the local address where the kernel did not tell it, and gives the port.
    var boundAddress = NetworkAddress(.unspecified(.ipv4), port: 0)

    /// Allocates the buffers.
    public init(capacity: Int = ReceiveBatch.defaultCapacity) throws(SystemError) {
        let capacity = max(1, capacity)
        guard let storage = unsafe gw_receive_batch_new(Int32(capacity), Self.entrySize) else {
            throw SystemError(.open, code: SystemError.outOfMemory)
        }
        unsafe self.storage = storage
        self.capacity = capacity
    }

    deinit { unsafe gw_receive_batch_free(storage) }

    /// What the entry at `index` holds.
    public subscript(index: Int) -> Entry {
        precondition(index >= 0 && index < count, "no such entry in the batch")
        let entry = unsafe gw_receive_batch_entry(storage, Int32(index)).pointee  // index was checked
        let length = min(Int(entry.length), Self.entrySize)
        var to = boundAddress
        if let local = entry.to.networkAddress {
            to.ip = local.ip
            to.scope = local.scope
        }
        return Entry(
            from: entry.from.networkAddress ?? boundAddress, to: to, ecn: ECN(rawValue: entry.ecn & 3) ?? .notCapable,
            byteCount: length, segmentSize: entry.segment == 0 ? max(length, 1) : Int(entry.segment))
    }

    /// All bytes of the entry at `index`.
    @_lifetime(&self)
    public mutating func bytes(at index: Int) -> MutableSpan<UInt8> {
        bytes(at: index, 0..<self[index].byteCount)
    }

    /// Lends the bytes of one datagram to a call, for batches that are properties of classes.
    public mutating func withDatagram<Result>(
        _ datagram: Int, at index: Int, _ body: (inout MutableSpan<UInt8>) -> Result
    ) -> Result {
        withBytes(self[index].range(ofDatagram: datagram), at: index, body)
    }

    /// Lends bytes of the entry at `index` to a call, for batches that are properties of classes: a datagram, or all.
    ///
    /// For every datagram of an entry: it does not look at the entry's addresses again.
    public mutating func withBytes<Result>(
        _ range: Range<Int>, at index: Int, _ body: (inout MutableSpan<UInt8>) -> Result
    ) -> Result {
        precondition(index >= 0 && index < count, "no such entry in the batch")
        precondition(range.lowerBound >= 0 && range.upperBound <= Self.entrySize, "outside the entry")
        var span = bytes(at: index, range)
        return body(&span)
    }

    /// The bytes of one datagram of the entry at `index`.
    @_lifetime(&self)
    public mutating func datagram(_ datagram: Int, at index: Int) -> MutableSpan<UInt8> {
        bytes(at: index, self[index].range(ofDatagram: datagram))
    }

    @_lifetime(&self)
    private mutating func bytes(at index: Int, _ range: Range<Int>) -> MutableSpan<UInt8> {
        // The storage lives as long as the batch, the range lies within the entry, and the result borrows the batch.
        let start = unsafe gw_receive_batch_bytes(storage, Int32(index)) + range.lowerBound
        let span = unsafe MutableSpan(_unsafeStart: start, count: range.count)
        return unsafe _overrideLifetime(span, mutating: &self)
    }
}
