public import Primitives

/// The record of one tunnel in a vault, and the memory of its ring.
///
/// Give it to the ring as its memory; tell it what else changes, each time before anything depends on it; `end` it when the
/// tunnel is no more. A ring for which the vault has no memory left moves to the heap, and its tunnel is
/// no longer crash-proof.
public final class VaultTunnel: RingMemory {
    /// What was noted at its opening.
    public let entry: TunnelEntry
    /// Whether the tunnel would survive the process, as far as the vault knows.
    public private(set) var isProtected = true

    private let vault: TunnelVault
    private let index: Int
    private let incarnation: UInt64
    private var sequence: UInt64
    private var journal: TunnelJournal

    init(
        vault: TunnelVault, index: Int, incarnation: UInt64, sequence: UInt64, journal: TunnelJournal,
        entry: TunnelEntry
    ) {
        self.vault = vault
        self.index = index
        self.incarnation = incarnation
        self.sequence = sequence
        self.journal = journal
        self.entry = entry
        super.init()
    }

    /// The name under which the keeper holds its TCP descriptor; no other tunnel of this vault ever has it.
    public var key: DescriptorKey { DescriptorKey(.tunnel, loop: vault.loop, number: incarnation) }
    /// How often it was resumed.
    public var generation: UInt64 { journal.generation }
    /// What is noted of it.
    public var marks: TunnelMarks { journal.marks }
    /// The position up to which the peer has delivered, as it was noted last.
    public var peerDelivered: UInt64 { journal.peerDelivered }
    /// The state of the ring and of a closed stream.
    var noted: TunnelJournal { journal }

    // MARK: What changes

    /// Notes a resumption.
    public func setGeneration(_ generation: UInt64) { change { $0.generation = generation } }

    /// Notes that something happened for good.
    public func mark(_ marks: TunnelMarks) {
        if !journal.marks.isSuperset(of: marks) { change { $0.marks.formUnion(marks) } }
    }

    /// Notes how far the peer has delivered. What may be read from the ring again is noted by the ring itself.
    public func setPeerDelivered(_ position: UInt64) { change { $0.peerDelivered = position } }

    /// Notes that the TCP stream is closed in order, with `readEnd` bytes read and `written` bytes written since its opening.
    /// The keeper's descriptor is released after this, not before.
    public func close(readEnd: UInt64, written: UInt64) { noteEnd(.closed, readEnd, written) }

    /// Notes that the TCP stream broke after its end had been read. The keeper's descriptor is of no use any more.
    public func breakOff(readEnd: UInt64, written: UInt64) { noteEnd(.broken, readEnd, written) }

    private func noteEnd(_ mark: TunnelMarks, _ readEnd: UInt64, _ written: UInt64) {
        change {
            $0.readEnd = readEnd
            $0.written = written
            $0.marks.formUnion(mark)
        }
    }

    /// The tunnel is no more: nothing of it survives the process. Its ring may live on for a while.
    public func end() {
        guard isProtected else { return }
        isProtected = false
        vault.freeRecord(index)
    }

    private func change(_ body: (inout TunnelJournal) -> Void) {
        guard isProtected else { return }
        body(&journal)
        sequence += 1
        vault.write(journal, record: index, incarnation: incarnation, sequence: sequence)
    }

    // MARK: The ring

    /// For the ring.
    @unsafe
    public override func allocate(capacity: Int) -> UnsafeMutableRawPointer? {
        isProtected ? unsafe vault.allocate(capacity: capacity) : nil
    }

    /// For the ring.
    @unsafe
    public override func deallocate(_ base: UnsafeMutableRawPointer, capacity: Int) {
        unsafe vault.deallocate(base, capacity: capacity)
    }

    /// For the ring.
    public override func ringChanged(_ layout: RingLayout) {
        let place = unsafe vault.place(of: layout.base)
        // Bytes that are elsewhere cannot be found again.
        if layout.capacity > 0, place == nil { return end() }
        change {
            $0.extent = place ?? 0
            $0.capacity = UInt64(layout.capacity)
            $0.start = layout.start
            $0.head = UInt64(layout.head)
        }
    }

    /// The ring as it was noted, with bytes up to `end`; nil when that cannot be.
    func ring(limit: Int, upTo end: UInt64) -> ByteRing? {
        // Unsafe: the survey of the vault has found the extent to be one, and this tunnel's alone.
        let layout = unsafe RingLayout(
            base: vault.address(of: journal.extent), capacity: Int(journal.capacity), start: journal.start,
            head: Int(journal.head))
        return unsafe ByteRing(limit: limit, restoring: layout, end: end, memory: self)
    }

    /// Gives back the memory of a ring that is not restored.
    func forgetRing() {
        let extent = unsafe vault.address(of: journal.extent)
        guard let extent = unsafe extent else { return }
        unsafe vault.deallocate(extent, capacity: Int(journal.capacity))
        journal.extent = 0
        journal.capacity = 0
    }
}
