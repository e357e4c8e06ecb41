public import EventLoop
internal import Synchronization

/// The rings of tunnels and a compact journal of each, in memory that outlives the process.
///
/// A process may be killed between any two instructions: whoever maps the memory then finds every tunnel as it was before or
/// after a change, never in between. The death of the machine is not survived.
///
/// To open a tunnel that is crash-proof:
/// 1. `TCPProgress.origin` notes where its bytes begin in the kernel's counters, before anything else is read or written.
/// 2. `open` makes its record; `ByteRing(memory:)` or `ByteRing.move(into:)` gives its ring a place in the vault.
/// 3. The TCP descriptor goes to the keeper under `VaultTunnel.key` (`KeeperClient.protect`); until it is there, the tunnel ends
///    with the process as ever.
///
/// One event loop opens its tunnels in one vault; a tunnel that goes on in another loop stays where it is. Streams that are not
/// TCP (a pipe, a Unix-domain socket) have no counters in the kernel: their tunnels have no place here, and they end with the
/// process.
public final class TunnelVault: Sendable {
    /// The most tunnels of one vault; more of them are opened without its protection.
    public static let mostTunnels = 65_536

    /// A record and an extent belong to one tunnel, and so to one loop at a time; all else is written under the lock of `books`.
    private let memory: VaultMemory
    private let books: Mutex<Books>

    /// What is in use.
    private struct Books {
        var extents = ExtentTable()
        /// Free records below `recordsUsed`, those to use first last.
        var freeRecords: [Int] = []
        var recordsUsed = 0
        var nextIncarnation: UInt64 = 1

        /// A free record, and the incarnation of the tunnel that gets it.
        mutating func takeRecord(_ memory: VaultMemory) -> (index: Int, incarnation: UInt64)? {
            guard nextIncarnation < DescriptorKey.numberLimit else { return nil }
            let index: Int
            if let free = freeRecords.popLast() {
                index = free
            } else {
                guard recordsUsed < TunnelVault.mostTunnels else { return nil }
                index = recordsUsed
                recordsUsed += 1
                memory.publish(UInt64(recordsUsed), at: VaultLayout.Header.recordsUsed)
            }
            nextIncarnation += 1
            memory.publish(nextIncarnation, at: VaultLayout.Header.nextIncarnation)
            return (index, nextIncarnation - 1)
        }
    }

    /// A new vault, empty.
    ///
    /// - Parameter loop: The number of its event loop among those of the process, for the keys of its tunnels.
    public init(loop: UInt8 = 0) throws(SystemError) {
        memory = try VaultMemory(size: VaultLayout.totalBytes)
        self.loop = loop
        books = Mutex(Books())
        memory.store(1, at: VaultLayout.Header.nextIncarnation)
        memory.store(VaultLayout.version, at: VaultLayout.Header.version)
        memory.publish(VaultLayout.magic, at: VaultLayout.Header.magic)
    }

    /// The number of its event loop.
    public let loop: UInt8
    /// Its memory, to be handed to the keeper under `key`; stays the vault's.
    public var descriptor: Int32 { memory.descriptor }
    /// The name of its memory.
    public var key: DescriptorKey { DescriptorKey(.vault, loop: loop, number: 0) }
    /// Bytes of the extents in use.
    public var bytesInUse: Int { books.withLock { $0.extents.bytesInUse } }
    /// Tunnels in it.
    public var tunnelCount: Int { books.withLock { $0.recordsUsed - $0.freeRecords.count } }

    // MARK: Tunnels

    /// Makes the record of a tunnel whose ring is empty; nil when the vault is full or the entry does not fit.
    ///
    /// - Parameters:
    ///   - start: The offset of the first byte that the ring will hold.
    ///   - generation: How often the tunnel was resumed.
    public func open(_ entry: TunnelEntry, generation: UInt64 = 0, start: UInt64 = 0) -> VaultTunnel? {
        guard entry.fits, let (index, incarnation) = books.withLock({ $0.takeRecord(memory) }) else { return nil }
        let place = VaultLayout.record(index)
        var journal = TunnelJournal()
        journal.generation = generation
        journal.start = start
        memory.store(0, at: place + VaultLayout.Record.sequence)
        journal.store(in: memory, at: place + VaultLayout.Record.slots, incarnation: incarnation)
        entry.store(in: memory, at: place + VaultLayout.Record.identity, incarnation: incarnation)
        memory.publish(incarnation, at: place + VaultLayout.Record.incarnation)
        return VaultTunnel(
            vault: self, index: index, incarnation: incarnation, sequence: 0, journal: journal, entry: entry)
    }

    func freeRecord(_ index: Int) {
        memory.publish(0, at: VaultLayout.record(index) + VaultLayout.Record.incarnation)
        books.withLock { $0.freeRecords.append(index) }
    }

    /// Writes a journal into the slot that is not valid, then makes it the valid one.
    func write(_ journal: TunnelJournal, record index: Int, incarnation: UInt64, sequence: UInt64) {
        let place = VaultLayout.record(index)
        let slot = Int(sequence & 1) * VaultLayout.Record.slotBytes
        journal.store(in: memory, at: place + VaultLayout.Record.slots + slot, incarnation: incarnation)
        memory.publish(sequence, at: place + VaultLayout.Record.sequence)
    }

    // MARK: Extents

    @unsafe
    func allocate(capacity: Int) -> UnsafeMutableRawPointer? {
        guard let extent = books.withLock({ $0.extents.allocate(capacity: capacity) }) else { return nil }
        return unsafe memory.address(of: extent.place)
    }

    @unsafe
    func deallocate(_ base: UnsafeMutableRawPointer, capacity: Int) {
        guard let place = unsafe memory.place(of: base),
            let extent = ExtentTable.Extent(place: UInt64(place), capacity: UInt64(capacity))
        else { return }
        // Before anybody else gets the extent, its pages are gone.
        books.withLock {
            switch $0.extents.free(extent) {
            case .keepPages: break
            case .returnPages: memory.punch(extent.place..<extent.place + extent.bytes)
            }
        }
    }

    @unsafe
    func address(of place: UInt64) -> UnsafeMutableRawPointer? {
        place == 0 ? nil : unsafe memory.address(of: Int(place))
    }

    func place(of address: UnsafeMutableRawPointer?) -> UInt64? { unsafe memory.place(of: address).map(UInt64.init) }

    // MARK: After the death of a process

    /// What was found in the vault of a process that is no more.
    public struct Found {
        /// The vault, for the tunnels that go on and for new ones.
        public var vault: TunnelVault
        /// The tunnels that can go on, if their TCP streams can: each is restored or ended by the caller.
        public var tunnels: [RecoveredTunnel]
        /// Records that made no sense: their tunnels are lost. Their descriptors are among those that nobody claims.
        public var damaged: Int
    }

    /// Maps the memory of a process that is no more; the descriptor belongs to the vault from now on.
    ///
    /// - Returns: nil when it is no vault, or one of another version of the program: all its tunnels are lost.
    public static func reopen(_ descriptor: Int32, loop: UInt8 = 0) throws(SystemError) -> Found? {
        let memory = try VaultMemory(adopting: descriptor, size: VaultLayout.totalBytes)
        guard memory.validBytes >= VaultLayout.headerBytes,
            memory.word(at: VaultLayout.Header.magic) == VaultLayout.magic,
            memory.word(at: VaultLayout.Header.version) == VaultLayout.version
        else { return nil }
        let survey = VaultSurvey(memory)
        let vault = TunnelVault(memory, loop: loop, survey)
        let tunnels = survey.tunnels.map { found in
            RecoveredTunnel(
                VaultTunnel(
                    vault: vault, index: found.index, incarnation: found.incarnation, sequence: found.sequence,
                    journal: found.journal, entry: found.entry))
        }
        return Found(vault: vault, tunnels: tunnels, damaged: survey.damaged.count)
    }

    private init(_ memory: VaultMemory, loop: UInt8, _ survey: VaultSurvey) {
        self.memory = memory
        self.loop = loop
        let used = survey.tunnels.compactMap(\.extent)
        let taken = Set(survey.tunnels.map(\.index))
        books = Mutex(
            Books(
                extents: ExtentTable(used: used),
                freeRecords: (0..<survey.recordsUsed).reversed().filter { !taken.contains($0) },
                recordsUsed: survey.recordsUsed, nextIncarnation: survey.nextIncarnation))
        memory.publish(survey.nextIncarnation, at: VaultLayout.Header.nextIncarnation)
        memory.publish(UInt64(survey.recordsUsed), at: VaultLayout.Header.recordsUsed)
        for index in survey.damaged {
            memory.publish(0, at: VaultLayout.record(index) + VaultLayout.Record.incarnation)
        }
        // Whatever no tunnel uses goes back to the system, bytes of the lost ones among it.
        var free = VaultLayout.extentsStart
        for extent in used.sorted(by: { $0.place < $1.place }) {
            memory.punch(free..<extent.place)
            free = extent.place + extent.bytes
        }
        memory.punch(free..<VaultLayout.totalBytes)
    }
}
