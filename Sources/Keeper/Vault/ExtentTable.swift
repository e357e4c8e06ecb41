/// Which extents of a vault are free. It is not in the vault: what the records name is in use, all else is free.
struct ExtentTable {
    /// One extent: a place for up to `bytes` bytes.
    struct Extent: Hashable {
        var sizeClass: Int
        var index: Int

        var bytes: Int { VaultLayout.extentBytes(sizeClass) }
        var place: Int { VaultLayout.regionStart(sizeClass) + index * bytes }

        init(sizeClass: Int, index: Int) {
            self.sizeClass = sizeClass
            self.index = index
        }

        /// The extent that begins at a place which nobody has vouched for; nil when none does.
        init?(place: UInt64, capacity: UInt64) {
            guard let capacity = Int(exactly: capacity), let place = Int(exactly: place),
                let sizeClass = VaultLayout.sizeClass(holding: capacity)
            else { return nil }
            let start = VaultLayout.regionStart(sizeClass)
            let bytes = VaultLayout.extentBytes(sizeClass)
            guard place >= start, place - start < VaultLayout.regionBytes(sizeClass), (place - start) % bytes == 0
            else { return nil }
            self.init(sizeClass: sizeClass, index: (place - start) / bytes)
        }
    }

    /// Bytes of free extents whose pages are kept: they are used again before others, without the kernel clearing
    /// pages. What is freed beyond this goes back to the system.
    static let warmLimit = 16 << 20

    private struct Region {
        /// Free extents with pages, and without.
        var warm: [Int] = []
        var cold: [Int] = []
        /// Extents from here on were never used.
        var next = 0
    }

    private var regions = [Region](repeating: Region(), count: VaultLayout.classCount)
    private var warmBytes = 0
    /// Bytes of the extents in use.
    private(set) var bytesInUse = 0

    init() {}

    /// The table of a vault in which `used` is in use.
    init(used: [Extent]) {
        for (sizeClass, extents) in Dictionary(grouping: used, by: \.sizeClass) {
            let indices = Set(extents.map(\.index))
            let next = (indices.max() ?? -1) + 1
            regions[sizeClass].next = next
            regions[sizeClass].cold = (0..<next).reversed().filter { !indices.contains($0) }
            bytesInUse += indices.count * VaultLayout.extentBytes(sizeClass)
        }
    }

    /// An extent that holds `capacity` bytes; nil when none is left.
    mutating func allocate(capacity: Int) -> Extent? {
        guard let sizeClass = VaultLayout.sizeClass(holding: capacity) else { return nil }
        let bytes = VaultLayout.extentBytes(sizeClass)
        let index: Int
        if let warm = regions[sizeClass].warm.popLast() {
            warmBytes -= bytes
            index = warm
        } else if let cold = regions[sizeClass].cold.popLast() {
            index = cold
        } else {
            index = regions[sizeClass].next
            guard index < VaultLayout.regionBytes(sizeClass) / bytes else { return nil }
            regions[sizeClass].next += 1
        }
        bytesInUse += bytes
        return Extent(sizeClass: sizeClass, index: index)
    }

    /// What becomes of the pages of an extent that was freed.
    enum Freed {
        case keepPages
        case returnPages
    }

    mutating func free(_ extent: Extent) -> Freed {
        bytesInUse -= extent.bytes
        guard warmBytes + extent.bytes <= Self.warmLimit else {
            regions[extent.sizeClass].cold.append(extent.index)
            return .returnPages
        }
        warmBytes += extent.bytes
        regions[extent.sizeClass].warm.append(extent.index)
        return .keepPages
    }
}
