/// Where rings keep their bytes, when that is not the heap, and who follows what lies where: memory that outlives the
/// process, with a journal that says what to find in it.
///
/// The order of calls is what a journal needs, whenever the process may be killed:
/// - New memory is allocated and filled, then `ringChanged` is told, then the old memory is freed.
/// - `ringChanged` has returned before bytes that were released can be overwritten.
///
/// One object serves one ring. Where a ring ends is not told: its bytes come from a reader that knows how many it has handed out.
open class RingMemory {
    /// For subclasses.
    public init() {}

    /// Memory for `capacity` bytes, aligned to 16; nil when there is none, and then the ring uses the heap.
    @unsafe
    open func allocate(capacity: Int) -> UnsafeMutableRawPointer? { nil }

    /// Takes back what `allocate` gave for `capacity` bytes.
    @unsafe
    open func deallocate(_ base: UnsafeMutableRawPointer, capacity: Int) {}

    /// What the ring holds from now on, and where.
    open func ringChanged(_ layout: RingLayout) {}
}

@available(*, unavailable)
extension RingMemory: Sendable {}

/// Where the bytes of a ring lie.
@safe
public struct RingLayout {
    /// The first byte of the memory; nil while the ring has none.
    public var base: UnsafeMutableRawPointer?
    /// Bytes of memory.
    public var capacity: Int
    /// The offset of the first byte that is held.
    public var start: UInt64
    /// Where in the memory that byte stands: 0 to the capacity.
    public var head: Int

    /// Creates a layout; who restores a ring from one answers for the memory.
    @unsafe
    public init(base: UnsafeMutableRawPointer?, capacity: Int, start: UInt64, head: Int) {
        unsafe self.base = base
        self.capacity = capacity
        self.start = start
        self.head = head
    }

    /// Whether bytes from `start` to `end` can lie in this memory.
    public func canHold(upTo end: UInt64) -> Bool {
        guard unsafe base != nil else { return end == start }
        return capacity > 0 && head >= 0 && head <= capacity && end >= start && end - start <= UInt64(capacity)
    }
}
