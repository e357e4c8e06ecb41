import DequeModule
import Primitives

/// The bytes of a stream that are not acknowledged yet, by stream offset: small ones owned, large ones left in their caller's ring.
///
/// Both kinds are chunks that refer to a `ByteRing` by its absolute offsets, so nothing is copied until a STREAM frame is
/// encoded, and growth of a ring never moves a chunk.
struct SendContent {
    private struct Chunk {
        /// The stream offsets that the chunk covers.
        var range: Range<UInt64>
        /// The ring's offset of the byte at `range.lowerBound`.
        var ringOffset: UInt64
        var ring: ByteRing
        var owner: Owner
    }

    private enum Owner {
        /// The bytes are in `ownedBytes`.
        case stream
        /// The bytes are in a ring that the application manages.
        case application
    }

    /// Deques that held more chunks than this are given back when they become empty: idle streams stay small.
    static let retainedChunks = 16

    private var chunks: Deque<Chunk> = []
    private var ownedBytes: ByteRing?
    /// The chunk that was sent from last; sending goes on there.
    private var cursor = 0
    private var hasManyChunks = false
    /// The stream offset after the last byte queued.
    private(set) var end: UInt64 = 0
    /// Every byte of the application's ring below this offset is acknowledged; nil before the first one is queued.
    private(set) var acknowledgedRingOffset: UInt64?

    /// Queues a copy of `bytes`.
    mutating func append(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty else { return }
        let ring = ownedBytes ?? ByteRing(limit: .max)
        ownedBytes = ring
        let offset = ring.end
        _ = ring.append(bytes)
        append(ring, range: offset..<ring.end, owner: .stream)
    }

    /// Queues a part of the application's ring.
    mutating func append(_ ring: ByteRing, range: Range<UInt64>) {
        if acknowledgedRingOffset == nil { acknowledgedRingOffset = range.lowerBound }
        append(ring, range: range, owner: .application)
    }

    private mutating func append(_ ring: ByteRing, range: Range<UInt64>, owner: Owner) {
        guard !range.isEmpty else { return }
        let length = range.upperBound - range.lowerBound
        let start = end
        end += length
        if let last = chunks.indices.last, chunks[last].ring === ring,
            chunks[last].ringOffset + (chunks[last].range.upperBound - chunks[last].range.lowerBound)
                == range.lowerBound
        {
            chunks[last].range = chunks[last].range.lowerBound..<end
            return
        }
        chunks.append(Chunk(range: start..<end, ringOffset: range.lowerBound, ring: ring, owner: owner))
        if chunks.count > Self.retainedChunks { hasManyChunks = true }
    }

    /// Copies the bytes of `range`, all of which are still held, into the packet.
    @_lifetime(writer: copy writer)
    mutating func copy(_ range: Range<UInt64>, into writer: inout ByteWriter) {
        guard !range.isEmpty else { return }
        var index = indexOfChunk(holding: range.lowerBound)
        var offset = range.lowerBound
        while true {
            let chunk = chunks[index]
            let stop = min(range.upperBound, chunk.range.upperBound)
            let first = chunk.ringOffset + (offset - chunk.range.lowerBound)
            let place = writer.reserve(Int(stop - offset))
            chunk.ring.copy(first..<first + (stop - offset), into: &writer.bytes, at: place.lowerBound)
            offset = stop
            if offset == range.upperBound { break }
            index += 1
        }
        cursor = index
    }

    /// Looks where the last copy ended and just behind before it searches: new data costs O(1), retransmissions O(log n).
    private func indexOfChunk(holding offset: UInt64) -> Int {
        for index in cursor..<min(cursor + 2, chunks.count) where chunks[index].range.contains(offset) { return index }
        var low = 0
        var high = chunks.count - 1
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].range.upperBound > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Forgets what lies below `offset`: it is acknowledged.
    mutating func release(upTo offset: UInt64) {
        while let chunk = chunks.first, chunk.range.lowerBound < offset {
            let stop = min(offset, chunk.range.upperBound)
            let ringOffset = chunk.ringOffset + (stop - chunk.range.lowerBound)
            switch chunk.owner {
            case .stream: chunk.ring.release(upTo: ringOffset)
            case .application: acknowledgedRingOffset = ringOffset
            }
            guard stop == chunk.range.upperBound else {
                chunks[0].range = stop..<chunk.range.upperBound
                chunks[0].ringOffset = ringOffset
                break
            }
            chunks.removeFirst()
            cursor = max(0, cursor - 1)
        }
        if chunks.isEmpty, hasManyChunks {
            chunks = []
            hasManyChunks = false
        }
    }

    /// Forgets everything; the application's ring is not touched again.
    mutating func abandon() {
        chunks = []
        ownedBytes = nil
        cursor = 0
    }
}
