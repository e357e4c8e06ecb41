/// The memory behind a `ByteRing`: one run of bytes, owned by exactly one ring.
///
/// All allocation of rings is here: from the heap, or from the `RingMemory` that the ring's owner handed in.
@safe
struct RingStorage: ~Copyable {
    /// The first byte; dangling never, nil when `capacity` is 0.
    private let base: UnsafeMutableRawPointer?
    /// Bytes from `base` on that belong to the ring.
    let capacity: Int
    /// Where the memory came from; nil for the heap.
    private let origin: RingMemory?

    /// No memory.
    init() {
        unsafe base = nil
        capacity = 0
        origin = nil
    }

    /// Memory for `capacity` bytes, not initialised; from the heap when there is no `memory` or nothing left of it.
    init(capacity: Int, from memory: RingMemory?) {
        self.capacity = capacity
        // Unsafe: manual allocation. Freed exactly once, in deinit, because the type cannot be copied.
        if let memory, capacity > 0, let base = unsafe memory.allocate(capacity: capacity) {
            unsafe self.base = base
            origin = memory
        } else {
            unsafe base = capacity > 0 ? .allocate(byteCount: capacity, alignment: 16) : nil
            origin = nil
        }
    }

    /// Takes over memory that `memory` has allocated before.
    @unsafe
    init(adopting base: UnsafeMutableRawPointer?, capacity: Int, from memory: RingMemory) {
        unsafe self.base = base
        self.capacity = unsafe base == nil ? 0 : capacity
        origin = memory
    }

    deinit {
        // Unsafe: pairs with the allocation in init; a non-copyable value is deinitialised once.
        guard let base = unsafe base else { return }
        if let origin { unsafe origin.deallocate(base, capacity: capacity) } else { unsafe base.deallocate() }
    }

    /// Gives the memory back, here and not earlier.
    consuming func free() {}

    /// The first byte, for a journal.
    var address: UnsafeMutableRawPointer? { unsafe base }

    /// The bytes at `range` as a buffer; empty when there is no memory.
    ///
    /// The pointer is good until the storage is replaced: callers use it within one call of the ring.
    func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= capacity, "outside the ring's memory")
        // Unsafe: the bounds were checked against the allocation just above.
        guard let base = unsafe base else { return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeMutableRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }
}
