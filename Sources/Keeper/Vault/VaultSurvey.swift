/// What stands in the memory of a vault that another process wrote, taken as the word of a stranger: every record is believed
/// only as a whole, and no byte of memory belongs to two tunnels. Nothing is changed.
struct VaultSurvey {
    /// A record that makes sense.
    struct Tunnel {
        var index: Int
        var incarnation: UInt64
        var sequence: UInt64
        var journal: TunnelJournal
        var entry: TunnelEntry
        /// Where the ring's bytes are; nil while it has no memory.
        var extent: ExtentTable.Extent?
    }

    private(set) var tunnels: [Tunnel] = []
    /// Records that make no sense.
    private(set) var damaged: [Int] = []
    /// Records below this index may be in use.
    let recordsUsed: Int
    /// Above that of every tunnel there was.
    private(set) var nextIncarnation: UInt64

    init(_ memory: VaultMemory) {
        let valid = max(0, (memory.validBytes - VaultLayout.headerBytes) / VaultLayout.recordBytes)
        let noted = memory.word(at: VaultLayout.Header.recordsUsed)
        recordsUsed = min(Int(clamping: noted), TunnelVault.mostTunnels, valid)
        let next = memory.word(at: VaultLayout.Header.nextIncarnation)
        nextIncarnation = next > 0 && next < DescriptorKey.numberLimit ? next : 1
        for index in 0..<recordsUsed {
            let incarnation = memory.word(at: VaultLayout.record(index) + VaultLayout.Record.incarnation)
            guard incarnation != 0 else { continue }
            if let tunnel = Self.read(memory, index, incarnation) {
                tunnels.append(tunnel)
                nextIncarnation = max(nextIncarnation, incarnation + 1)
            } else {
                damaged.append(index)
            }
        }
        dropOverlaps()
    }

    private static func read(_ memory: VaultMemory, _ index: Int, _ incarnation: UInt64) -> Tunnel? {
        let place = VaultLayout.record(index)
        let sequence = memory.word(at: place + VaultLayout.Record.sequence)
        let slot = place + VaultLayout.Record.slots + Int(sequence & 1) * VaultLayout.Record.slotBytes
        guard incarnation < DescriptorKey.numberLimit, sequence < .max,
            let journal = TunnelJournal(in: memory, at: slot, incarnation: incarnation),
            let entry = TunnelEntry(
                in: memory, at: place + VaultLayout.Record.identity, incarnation: incarnation)
        else { return nil }
        var tunnel = Tunnel(
            index: index, incarnation: incarnation, sequence: sequence, journal: journal, entry: entry, extent: nil)
        guard journal.extent != 0 else { return journal.capacity == 0 ? tunnel : nil }
        guard let extent = ExtentTable.Extent(place: journal.extent, capacity: journal.capacity),
            extent.place + extent.bytes <= memory.validBytes
        else { return nil }
        tunnel.extent = extent
        return tunnel
    }

    /// Tunnels that claim the same memory, or the same name: nobody can say whose it is, so all of them are lost.
    private mutating func dropOverlaps() {
        let claims = Dictionary(grouping: tunnels.compactMap(\.extent)) { $0 }.mapValues(\.count)
        let names = Dictionary(grouping: tunnels, by: \.incarnation).mapValues(\.count)
        let isDisputed = { (tunnel: Tunnel) in
            tunnel.extent.map { claims[$0, default: 0] > 1 } ?? false || names[tunnel.incarnation, default: 0] > 1
        }
        damaged += tunnels.filter(isDisputed).map(\.index)
        tunnels.removeAll(where: isDisputed)
    }
}
