/// A growing ring of bytes that are addressed by absolute 64-bit offsets: the one buffer of a stream direction.
///
/// ```
///   released │ start ……… readable ……… end │ … written ahead, with gaps … │ written      │ start + limit
///            └──────────── count ─────────┘
/// ```
/// A sender appends at `end` and releases at `start` when nobody needs the bytes any more; meanwhile any part of
/// `start..<end` can be read any number of times (first transmission, retransmission, replay). A receiver writes where data belongs,
/// also beyond `end`, and commits what has become contiguous.
///
/// It holds no memory while it is empty, except as `release(upTo:)` says. Memory grows by doubling up to `limit`, which may be changed at any time. An offset
/// means the same byte however often the memory is moved. Not for several threads at once. Offsets outside the stated
/// ranges are programming errors and trap; numbers that a peer chose are checked by the caller.
public final class ByteRing {
    /// The smallest allocation, in bytes: what a keystroke or a header costs.
    public static let minimumCapacity = 1024
    /// Memory of up to this many bytes is freed whenever the ring becomes empty; more is kept while it is in use, because the kernel would have to clear its pages again.
    public static let retainedCapacity = 16 << 10

    private var content: RingContent
    /// Calls that show the memory to someone at this moment; it must not move until they are over.
    @usableFromInline var borrowers = 0

    /// Creates an empty ring without memory, whose first byte will have the offset `start`.
    ///
    /// `memory` is where its bytes will be; nil is the heap.
    public init(limit: Int, start: UInt64 = 0, memory: RingMemory? = nil) {
        content = RingContent(limit: max(limit, 0), start: start, memory: memory)
    }

    /// Takes over what a ring of another process left: `layout`, whose memory came from `memory`, with bytes up to `end`.
    ///
    /// Nil when that cannot be; then `memory` still owns the bytes.
    @unsafe
    public init?(limit: Int, restoring layout: RingLayout, end: UInt64, memory: RingMemory) {
        guard layout.canHold(upTo: end) else { return nil }
        // Unsafe: the caller answers for the layout's memory.
        content = unsafe RingContent(limit: max(limit, 0), restoring: layout, end: end, memory: memory)
    }

    /// The offset of the first byte that is still held.
    public var start: UInt64 { content.start }
    /// The offset after the last contiguous byte.
    public var end: UInt64 { content.end }
    /// The offset after the last byte that was written, at or beyond `end`.
    public var written: UInt64 { content.written }
    /// Bytes that the ring may hold from `start` on. Lowering it drops nothing: it only stops growth and writing.
    public var limit: Int {
        get { content.limit }
        set { content.limit = newValue }
    }
    /// Contiguous bytes held.
    public var count: Int { content.count }
    /// Whether no contiguous byte is held.
    public var isEmpty: Bool { content.count == 0 }
    /// Bytes that can still be appended.
    public var freeSpace: Int { content.freeSpace }
    /// Bytes of memory held at present.
    public var capacity: Int { content.capacity }
}

// MARK: - Writing at the end

extension ByteRing {
    /// Copies as many of `bytes` behind `end` as the limit leaves room for, and tells how many.
    public func append(_ bytes: Span<UInt8>) -> Int {
        requireNoBorrowers()
        return content.append(bytes)
    }

    /// Lets `body` fill free memory behind `end`, in two parts (the second is where the ring wraps), and commits the number of bytes it returns.
    ///
    /// The parts hold at least `minimum` bytes together unless the limit leaves fewer; with no free space both are empty.
    /// The pointers are good only during `body`, which must not touch the ring; this is what `readv` needs.
    /// - Returns: What `body` returned: 0 to the number of bytes offered.
    @unsafe
    @discardableResult
    @inlinable
    public func withWritableRegions<E: Error>(
        minimum: Int,
        _ body: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> Int {
        let (first, second) = unsafe writableMemory(minimum: minimum)
        var filled = 0
        defer { endWriting(filled) }
        // Unsafe: the memory is free and does not move while it is borrowed; the pointers end with the call.
        let count = try unsafe body(first, second)
        precondition(count >= 0 && count <= first.count + second.count, "more bytes than were offered")
        filled = count
        return count
    }

    @unsafe
    @usableFromInline
    func writableMemory(minimum: Int) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        requireNoBorrowers()
        borrowers += 1
        // Unsafe: `content` names memory of its own that is not readable yet.
        return unsafe content.writableMemory(minimum: minimum)
    }

    @usableFromInline
    func endWriting(_ count: Int) {
        borrowers -= 1
        content.endWriting(count)
    }
}

// MARK: - Writing anywhere

extension ByteRing {
    /// Copies `bytes` to where `offset` says, within `start..<start + limit`; they become readable when `commit(upTo:)` passes them.
    public func write(_ bytes: Span<UInt8>, at offset: UInt64) { write(bytes, from: 0, at: offset) }

    /// Copies `bytes` without the first `skipped` ones to where `offset` says.
    public func write(_ bytes: Span<UInt8>, from skipped: Int, at offset: UInt64) {
        requireNoBorrowers()
        content.write(bytes, from: skipped, at: offset)
    }

    /// Declares every byte below `offset` written and contiguous; `offset` is between `end` and `written`.
    public func commit(upTo offset: UInt64) { content.commit(upTo: offset) }
}

// MARK: - Reading

extension ByteRing {
    /// Copies the bytes of `range`, which lies in `start..<end`, to `target` from `position` on.
    public func copy(_ range: Range<UInt64>, into target: inout MutableSpan<UInt8>, at position: Int = 0) {
        content.copy(range, into: &target, at: position)
    }

    /// Shows `body` the bytes of `range`, which lies in `start..<end`, in two parts; the second is where the ring wraps.
    ///
    /// `body` must not change the ring.
    @inlinable
    public func withReadableRegions<R, E: Error>(
        _ range: Range<UInt64>, _ body: (Span<UInt8>, Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        let (first, second) = unsafe readableMemory(of: range)
        borrowers += 1
        defer { borrowers -= 1 }
        // Unsafe: the memory does not move while it is borrowed, and the spans end with the call.
        let head = unsafe UnsafeBufferPointer(first.assumingMemoryBound(to: UInt8.self))
        let tail = unsafe UnsafeBufferPointer(second.assumingMemoryBound(to: UInt8.self))
        return try unsafe body(head.span, tail.span)
    }

    /// Shows `body` the bytes of `range`, which lies in `start..<end`, as pointers for `writev`; they are good only during `body`.
    @unsafe
    @inlinable
    public func withUnsafeReadableRegions<R, E: Error>(
        _ range: Range<UInt64>, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        let (first, second) = unsafe readableMemory(of: range)
        borrowers += 1
        defer { borrowers -= 1 }
        // Unsafe: what body does with the pointers is its caller's word.
        return try unsafe body(UnsafeRawBufferPointer(first), UnsafeRawBufferPointer(second))
    }

    /// What the inlinable readers share; the content itself must not appear in inlinable code.
    @unsafe
    @usableFromInline
    func readableMemory(of range: Range<UInt64>) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        // Unsafe: `content` checks the range against what is readable.
        unsafe content.readableMemory(of: range)
    }
}

// MARK: - Giving memory back

extension ByteRing {
    /// Forgets every byte below `offset`, which is at most `end`; an offset below `start` changes nothing.
    ///
    /// A ring that becomes empty frees its memory when that is at most `retainedCapacity` or when less than half of that was used since the ring was empty before;
    /// of more memory that was mostly unused it keeps twice what was used.
    public func release(upTo offset: UInt64) {
        guard offset > content.start else { return }
        requireNoBorrowers()
        content.release(upTo: offset)
    }

    /// Forgets everything, also what was written ahead, and frees the memory; the next byte is the one at `offset`.
    public func reset(to offset: UInt64) {
        requireNoBorrowers()
        content.reset(to: offset)
    }

    /// Frees the memory of an empty ring; a ring with content keeps just what the content needs.
    public func releaseUnusedMemory() {
        requireNoBorrowers()
        content.releaseUnusedMemory()
    }

    /// Moves the bytes to memory of another owner, nil for the heap; new memory comes from there from now on.
    public func move(into memory: RingMemory?) {
        requireNoBorrowers()
        content.move(into: memory)
    }

    /// Whoever is looking at the ring's memory would see it move, change or go.
    private func requireNoBorrowers() {
        precondition(borrowers == 0, "the ring was changed by who is looking at its bytes")
    }
}
