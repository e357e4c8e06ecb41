/// The memory behind a `ByteRing`: one run of bytes, owned by exactly one ring.
///
/// All allocation of rings is here, so that a ring can later live in memory that its owner hands in.
@safe
struct RingStorage: ~Copyable {
    /// The first byte; dangling never, nil when `capacity` is 0.
    private let base: UnsafeMutableRawPointer?
    /// Bytes from `base` on that belong to the ring.
    let capacity: Int

    /// Memory for `capacity` bytes, not initialised; none at all for 0.
    init(capacity: Int) {
        self.capacity = capacity
        // Unsafe: manual allocation. Freed exactly once, in deinit, because the type cannot be copied.
        unsafe base = capacity > 0 ? .allocate(byteCount: capacity, alignment: 16) : nil
    }

    deinit {
        // Unsafe: pairs with the allocation in init; a non-copyable value is deinitialised once.
        unsafe base?.deallocate()
    }

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
