/// The bytes and offsets of a `ByteRing`, which says what the operations mean.
///
/// A value of its own, so that an operation checks once, not at every field, that nobody else is changing the ring.
struct RingContent: ~Copyable {
    private(set) var start: UInt64
    private(set) var end: UInt64
    private(set) var written: UInt64
    var limit: Int
    private var storage: RingStorage
    /// Where new memory comes from, and who follows what lies where; nil for the heap.
    private(set) var memory: RingMemory?
    /// Where in the storage the byte at `start` stands.
    private var head = 0
    /// The largest extent since the ring was last empty, in bytes.
    private var peak = 0

    init(limit: Int, start: UInt64, memory: RingMemory?) {
        self.limit = limit
        self.start = start
        end = start
        written = start
        storage = RingStorage()
        self.memory = memory
    }

    /// What a journal says of a ring, with bytes up to `end` that the layout can hold.
    @unsafe
    init(limit: Int, restoring layout: RingLayout, end: UInt64, memory: RingMemory) {
        self.limit = limit
        self.memory = memory
        start = layout.start
        self.end = end
        written = end
        // Unsafe: the owner of `memory` says that this memory came from it and belongs to this ring.
        unsafe storage = RingStorage(adopting: layout.base, capacity: layout.capacity, from: memory)
        head = layout.head == layout.capacity ? 0 : layout.head
        peak = Int(end - start)
    }

    var count: Int { Int(end - start) }
    var freeSpace: Int { max(0, limit - count) }
    var capacity: Int { storage.capacity }
    /// From `start` to the last byte written.
    private var extent: Int { Int(written - start) }
}

// MARK: - Writing

extension RingContent {
    mutating func append(_ bytes: Span<UInt8>) -> Int {
        let count = min(bytes.count, freeSpace)
        guard count > 0 else { return 0 }
        store(bytes, count: count, from: 0, at: end)
        end += UInt64(count)
        return count
    }

    @unsafe
    mutating func writableMemory(
        minimum: Int
    ) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        let free = freeSpace
        makeRoom(for: count + min(max(minimum, 0), free))
        let (first, second) = places(of: end, count: min(free, storage.capacity - count))
        // Unsafe: both places lie inside the storage, behind the readable bytes.
        return unsafe (storage.bytes(first), storage.bytes(second))
    }

    mutating func endWriting(_ count: Int) {
        written = max(written, end + UInt64(count))
        commit(upTo: end + UInt64(count))
        // An empty ring into which nothing came keeps no memory: its owner has nothing to say at present.
        if extent == 0 { becameEmpty() }
    }

    mutating func write(_ bytes: Span<UInt8>, from skipped: Int, at offset: UInt64) {
        let count = bytes.count - skipped
        precondition(skipped >= 0 && count >= 0, "skipped more bytes than there are")
        guard count > 0 else { return }
        precondition(
            offset >= start && offset - start <= UInt64(limit) && count <= limit - Int(offset - start),
            "write outside the ring's window")
        store(bytes, count: count, from: skipped, at: offset)
    }

    mutating func commit(upTo offset: UInt64) {
        precondition(offset >= end && offset <= written, "commit of bytes that were not written")
        end = offset
        peak = max(peak, extent)
    }

    /// Copies `count` of `bytes`, beginning with the one at `skipped`, to the places of `offset`.
    private mutating func store(_ bytes: Span<UInt8>, count: Int, from skipped: Int, at offset: UInt64) {
        makeRoom(for: Int(offset - start) + count)
        let (first, second) = places(of: offset, count: count)
        // Unsafe: the places are inside the storage, `skipped + count` is within the span; storage is never handed out while it is written, so they cannot overlap.
        unsafe bytes.withUnsafeBytes { source in
            let head = unsafe UnsafeRawBufferPointer(rebasing: source[skipped..<skipped + first.count])
            unsafe storage.bytes(first).copyMemory(from: head)
            guard !second.isEmpty else { return }
            let tail = unsafe UnsafeRawBufferPointer(
                rebasing: source[skipped + first.count..<skipped + first.count + second.count])
            unsafe storage.bytes(second).copyMemory(from: tail)
        }
        written = max(written, offset + UInt64(count))
        peak = max(peak, extent)
    }
}

// MARK: - Reading

extension RingContent {
    func copy(_ range: Range<UInt64>, into target: inout MutableSpan<UInt8>, at position: Int) {
        let (first, second) = readablePlaces(of: range)
        let count = first.count + second.count
        precondition(position >= 0 && count <= target.count - position, "copy past the end of the target")
        guard count > 0 else { return }
        // Unsafe: source places were checked against the readable range, the target's length just above; the target is exclusive, so they cannot overlap.
        unsafe target.withUnsafeMutableBytes { target in
            let place = unsafe UnsafeMutableRawBufferPointer(rebasing: target[position...])
            unsafe place.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(first)))
            guard !second.isEmpty else { return }
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: place[first.count...])
            unsafe rest.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(second)))
        }
    }

    @unsafe
    func readableMemory(of range: Range<UInt64>) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        let (first, second) = readablePlaces(of: range)
        // Unsafe: the places were checked against the readable range.
        return unsafe (storage.bytes(first), storage.bytes(second))
    }
}

// MARK: - Giving memory back

extension RingContent {
    mutating func release(upTo offset: UInt64) {
        precondition(offset <= end, "release of bytes that were not received")
        head = position(of: offset)
        start = offset
        if extent == 0 { becameEmpty() } else { tellJournal() }
    }

    mutating func reset(to offset: UInt64) {
        start = offset
        end = offset
        written = offset
        freeStorage()
    }

    mutating func releaseUnusedMemory() {
        if extent == 0 {
            freeStorage()
        } else if storage.capacity / 4 >= max(extent, ByteRing.minimumCapacity) {
            move(toCapacity: max(extent, ByteRing.minimumCapacity))
        }
    }

    private mutating func becameEmpty() {
        // An empty ring starts over at the front, so that the next bytes are in one piece.
        head = 0
        let used = peak
        peak = 0
        if storage.capacity <= ByteRing.retainedCapacity || used <= ByteRing.retainedCapacity / 2 {
            freeStorage()
        } else if used <= storage.capacity / 4 {
            // As much again as was used: a stream that goes on like this neither frees nor grows.
            let least = ByteRing.minimumCapacity
            replaceStorage(with: RingStorage(capacity: (used * 2 + least - 1) & ~(least - 1), from: memory))
        } else {
            tellJournal()
        }
    }

    private mutating func freeStorage() {
        peak = 0
        replaceStorage(with: RingStorage())
    }
}

// MARK: - Places in memory

extension RingContent {
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

    private func readablePlaces(of range: Range<UInt64>) -> (Range<Int>, Range<Int>) {
        precondition(range.lowerBound >= start && range.upperBound <= end, "read outside the ring")
        return places(of: range.lowerBound, count: Int(range.upperBound - range.lowerBound))
    }

    /// Makes the memory hold at least `needed` bytes from `start` on; doubling keeps the cost per byte constant.
    private mutating func makeRoom(for needed: Int) {
        guard needed > storage.capacity else { return }
        let least = ByteRing.minimumCapacity
        let doubled = max(storage.capacity.multiplyingSaturating(2), least)
        let rounded = needed.addingSaturating(least - 1) & ~(least - 1)
        move(toCapacity: max(needed, min(max(doubled, rounded), max(limit, least))))
    }

    private mutating func move(toCapacity capacity: Int) {
        let (first, second) = places(of: start, count: extent)
        let larger = RingStorage(capacity: capacity, from: memory)
        // Unsafe: `capacity` holds the whole extent; two distinct allocations cannot overlap.
        let target = unsafe larger.bytes(0..<extent)
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(first)))
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: target[first.count...])
        unsafe rest.copyMemory(from: UnsafeRawBufferPointer(storage.bytes(second)))
        replaceStorage(with: larger)
    }

    /// Goes over to memory that holds the extent from its front on. The old one goes when the journal knows the new one.
    private mutating func replaceStorage(with new: consuming RingStorage) {
        swap(&storage, &new)
        head = 0
        tellJournal()
        new.free()
    }
}

// MARK: - The journal

extension RingContent {
    /// Moves what is held to memory of another owner, which follows the ring from now on.
    mutating func move(into memory: RingMemory?) {
        self.memory = memory
        if storage.capacity > 0 { move(toCapacity: storage.capacity) } else { tellJournal() }
    }

    private func tellJournal() { if memory != nil { writeJournal() } }

    /// Not inlined: it would burden a ring on the heap.
    @inline(never)
    private func writeJournal() {
        guard let memory else { return }
        // Unsafe: the address is for the owner of the memory, who follows where it is used.
        memory.ringChanged(
            unsafe RingLayout(base: storage.address, capacity: storage.capacity, start: start, head: head))
    }
}
