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

    /// The offset of the first byte that is still held.
    public private(set) var start: UInt64
    /// The offset after the last contiguous byte.
    public private(set) var end: UInt64
    /// The offset after the last byte that was written, at or beyond `end`.
    public private(set) var written: UInt64
    /// Bytes that the ring may hold from `start` on. Lowering it drops nothing: it only stops growth and writing.
    public var limit: Int

    private var storage: RingStorage
    /// Where in the storage the byte at `start` stands.
    private var head = 0
    /// The largest extent since the ring was last empty, in bytes.
    private var peak = 0
    /// Calls that show the memory to someone at this moment; it must not move until they are over.
    @usableFromInline var borrowers = 0

    /// Creates an empty ring without memory, whose first byte will have the offset `start`.
    public init(limit: Int, start: UInt64 = 0) {
        self.limit = max(limit, 0)
        self.start = start
        end = start
        written = start
        storage = RingStorage(capacity: 0)
    }

    /// Contiguous bytes held.
    public var count: Int { Int(end - start) }
    /// Whether no contiguous byte is held.
    public var isEmpty: Bool { end == start }
    /// Bytes that can still be appended.
    public var freeSpace: Int { max(0, limit - count) }
    /// Bytes of memory held at present.
    public var capacity: Int { storage.capacity }

    /// From `start` to the last byte written.
    private var extent: Int { Int(written - start) }
}

// MARK: - Writing at the end

extension ByteRing {
    /// Copies as many of `bytes` behind `end` as the limit leaves room for, and tells how many.
    public func append(_ bytes: Span<UInt8>) -> Int {
        let count = min(bytes.count, freeSpace)
        guard count > 0 else { return 0 }
        store(bytes, count: count, from: 0, at: end)
        commit(upTo: end + UInt64(count))
        return count
    }

    /// Lets `body` fill free memory behind `end`, in two parts (the second is where the ring wraps), and commits the number of bytes it returns.
    ///
    /// The parts hold at least `minimum` bytes together unless the limit leaves fewer; with no free space both are empty.
    /// The pointers are good only during `body`, which must not touch the ring; this is what `readv` needs.
    /// - Returns: What `body` returned: 0 to the number of bytes offered.
    @unsafe
    @discardableResult
    public func withWritableRegions<E: Error>(
        minimum: Int,
        _ body: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> Int {
        let free = freeSpace
        makeRoom(for: count + min(max(minimum, 0), free))
        // An empty ring into which nothing came keeps no memory: its owner has nothing to say for now.
        defer { if extent == 0 { becameEmpty() } }
        let (first, second) = places(of: end, count: min(free, storage.capacity - count))
        borrowers += 1
        defer { borrowers -= 1 }
        // Unsafe: both places lie inside the storage, behind the readable bytes; the pointers end with the call.
        let filled = try unsafe body(storage.bytes(first), storage.bytes(second))
        precondition(filled >= 0 && filled <= first.count + second.count, "more bytes than were offered")
        written = max(written, end + UInt64(filled))
        commit(upTo: end + UInt64(filled))
        return filled
    }
}

// MARK: - Writing anywhere

extension ByteRing {
    /// Copies `bytes` to where `offset` says, within `start..<start + limit`; they become readable when `commit(upTo:)` passes them.
    public func write(_ bytes: Span<UInt8>, at offset: UInt64) {
        write(bytes, from: 0, at: offset)
    }

    /// Copies `bytes` without the first `skipped` ones to where `offset` says.
    public func write(_ bytes: Span<UInt8>, from skipped: Int, at offset: UInt64) {
        let count = bytes.count - skipped
        precondition(skipped >= 0 && count >= 0, "skipped more bytes than there are")
        guard count > 0 else { return }
        precondition(
            offset >= start && offset - start <= UInt64(limit) && count <= limit - Int(offset - start),
            "write outside the ring's window")
        store(bytes, count: count, from: skipped, at: offset)
    }

    /// Declares every byte below `offset` written and contiguous; `offset` is between `end` and `written`.
    public func commit(upTo offset: UInt64) {
        precondition(offset >= end && offset <= written, "commit of bytes that were not written")
        end = offset
        peak = max(peak, extent)
    }
}

// MARK: - Reading

extension ByteRing {
    /// Copies the bytes of `range`, which lies in `start..<end`, to `target` from `position` on.
    public func copy(_ range: Range<UInt64>, into target: inout MutableSpan<UInt8>, at position: Int = 0) {
        let (first, second) = readablePlaces(of: range)
        let count = first.count + second.count
        precondition(position >= 0 && count <= target.count - position, "copy past the end of the target")
        guard count > 0 else { return }
        // Unsafe: source places were checked against the readable range, the target's length just above; storage is never handed out, so they cannot overlap.
        unsafe target.withUnsafeMutableBytes { target in
            let place = unsafe UnsafeMutableRawBufferPointer(rebasing: target[position...])
            unsafe place.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(first)))
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: place[first.count...])
            unsafe rest.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(second)))
        }
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
}

// MARK: - Giving memory back

extension ByteRing {
    /// Forgets every byte below `offset`, which is at most `end`; an offset below `start` changes nothing.
    ///
    /// A ring that becomes empty frees its memory when that is at most `retainedCapacity` or when little of it was used since the ring was empty before.
    public func release(upTo offset: UInt64) {
        guard offset > start else { return }
        precondition(offset <= end, "release of bytes that were not received")
        head = position(of: offset)
        start = offset
        if extent == 0 { becameEmpty() }
    }

    /// Forgets everything, also what was written ahead, and frees the memory; the next byte is the one at `offset`.
    public func reset(to offset: UInt64) {
        start = offset
        end = offset
        written = offset
        freeStorage()
    }

    /// Frees the memory of an empty ring; a ring with content keeps just what the content needs.
    public func releaseUnusedMemory() {
        if extent == 0 {
            freeStorage()
        } else if storage.capacity / 4 >= max(extent, Self.minimumCapacity) {
            move(toCapacity: max(extent, Self.minimumCapacity))
        }
    }

    private func becameEmpty() {
        // An empty ring starts over at the front, so that the next bytes are in one piece.
        head = 0
        let isMostlyUnused = peak <= storage.capacity / 4
        peak = 0
        if storage.capacity <= Self.retainedCapacity || isMostlyUnused { freeStorage() }
    }

    private func freeStorage() {
        precondition(borrowers == 0, "the ring was emptied by who is looking at its bytes")
        storage = RingStorage(capacity: 0)
        head = 0
        peak = 0
    }
}

// MARK: - Places in memory

extension ByteRing {
    /// Where the byte at `offset`, between `start` and `start + capacity`, stands.
    private func position(of offset: UInt64) -> Int {
        let position = head + Int(offset - start)
        return position >= storage.capacity && storage.capacity > 0 ? position - storage.capacity : position
    }

    /// Where `count` bytes from `offset` on stand: one place, or two when they wrap.
    private func places(of offset: UInt64, count: Int) -> (Range<Int>, Range<Int>) {
        let position = position(of: offset)
        let whole = min(count, storage.capacity - position)
        return (position..<position + whole, 0..<count - whole)
    }

    /// The memory of `range`: what the inlinable readers share, which must not see the storage itself.
    @unsafe
    @usableFromInline
    func readableMemory(
        of range: Range<UInt64>
    ) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        let (first, second) = readablePlaces(of: range)
        // Unsafe: the places were checked against the readable range.
        return unsafe (storage.bytes(first), storage.bytes(second))
    }

    private func readablePlaces(of range: Range<UInt64>) -> (Range<Int>, Range<Int>) {
        precondition(range.lowerBound >= start && range.upperBound <= end, "read outside the ring")
        return places(of: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
    }

    /// Copies `count` of `bytes`, beginning with the one at `skipped`, to the places of `offset`.
    private func store(_ bytes: Span<UInt8>, count: Int, from skipped: Int, at offset: UInt64) {
        makeRoom(for: Int(offset - start) + count)
        let (first, second) = places(of: offset, count: count)
        // Unsafe: the places are inside the storage, `skipped + count` is within the span; storage is never handed out, so they cannot overlap.
        unsafe bytes.withUnsafeBytes { source in
            let head = unsafe UnsafeRawBufferPointer(rebasing: source[skipped..<skipped + first.count])
            unsafe storage.bytes(first).copyMemory(from: head)
            let tail = unsafe UnsafeRawBufferPointer(
                rebasing: source[skipped + first.count..<skipped + first.count + second.count])
            unsafe storage.bytes(second).copyMemory(from: tail)
        }
        written = max(written, offset + UInt64(count))
        peak = max(peak, extent)
    }

    /// Makes the memory hold at least `needed` bytes from `start` on; doubling keeps the cost per byte constant.
    private func makeRoom(for needed: Int) {
        guard needed > storage.capacity else { return }
        let doubled = max(storage.capacity.multiplyingSaturating(2), Self.minimumCapacity)
        let rounded = needed.addingSaturating(Self.minimumCapacity - 1) & ~(Self.minimumCapacity - 1)
        move(toCapacity: max(needed, min(max(doubled, rounded), max(limit, Self.minimumCapacity))))
    }

    private func move(toCapacity capacity: Int) {
        let (first, second) = places(of: start, count: extent)
        precondition(borrowers == 0, "the ring was filled by who is looking at its bytes")
        let larger = RingStorage(capacity: capacity)
        // Unsafe: `capacity` holds the whole extent; two distinct allocations cannot overlap.
        let target = unsafe larger.bytes(0..<extent)
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(first)))
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: target[first.count...])
        unsafe rest.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(second)))
        storage = larger
        head = 0
    }
}
