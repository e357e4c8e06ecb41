/// What is noted of a tunnel beside its bytes.
public struct TunnelMarks: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt64
    /// Creates a set from its bits.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// The end of the TCP stream was read.
    public static let endRead = TunnelMarks(rawValue: 1)
    /// Everything the peer sent was written to TCP and the end after it; noted before the system is asked to send it.
    public static let endWritten = TunnelMarks(rawValue: 2)
    /// The peer has reported that it delivered the end.
    public static let endDelivered = TunnelMarks(rawValue: 4)
    /// The TCP stream is closed in order; `readEnd` and `written` hold what the kernel can no longer be asked for.
    public static let closed = TunnelMarks(rawValue: 8)

    /// The TCP stream broke after its end had been read; `readEnd` and `written` say how far it was.
    public static let broken = TunnelMarks(rawValue: 16)

    static let all: TunnelMarks = [.endRead, .endWritten, .endDelivered, .closed, .broken]
}

/// The part of a record that changes while a tunnel lives: one value that is replaced as a whole.
struct TunnelJournal: Equatable {
    /// The extent's place in the vault; 0 while the ring has no memory.
    var extent: UInt64 = 0
    var capacity: UInt64 = 0
    var start: UInt64 = 0
    var head: UInt64 = 0
    var generation: UInt64 = 0
    var marks: TunnelMarks = []
    /// The position up to which the peer has delivered.
    var peerDelivered: UInt64 = 0
    /// Of a closed or broken stream: where its ring ends, and how many bytes went out to TCP.
    var readEnd: UInt64 = 0
    var written: UInt64 = 0

    /// Writes the slot at `place`.
    func store(in memory: VaultMemory, at place: Int, incarnation: UInt64) {
        let words = words
        var checksum = VaultChecksum(seed: incarnation)
        for index in words.indices {
            memory.store(words[index], at: place + 8 * index)
            checksum.add(words[index])
        }
        memory.store(checksum.value, at: place + 8 * words.count)
    }

    init() {}

    /// The slot at `place`; nil when it is not what a process wrote there for this tunnel.
    init?(in memory: VaultMemory, at place: Int, incarnation: UInt64) {
        var checksum = VaultChecksum(seed: incarnation)
        var places = stride(from: place, to: place + 8 * words.count, by: 8).makeIterator()
        func next() -> UInt64 {
            let word = places.next().map { memory.word(at: $0) } ?? 0
            checksum.add(word)
            return word
        }
        extent = next()
        capacity = next()
        start = next()
        head = next()
        generation = next()
        marks = TunnelMarks(rawValue: next())
        peerDelivered = next()
        readEnd = next()
        written = next()
        guard checksum.value == memory.word(at: place + 8 * words.count), TunnelMarks.all.isSuperset(of: marks),
            capacity <= 1 << VaultLayout.largestExtentShift, head <= capacity
        else { return nil }
    }

    private var words: InlineArray<9, UInt64> {
        [extent, capacity, start, head, generation, marks.rawValue, peerDelivered, readEnd, written]
    }
}
