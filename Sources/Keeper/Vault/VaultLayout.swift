/// Where what stands in a vault, in bytes from its beginning.
///
/// ```
///   0        header: magic, layout, next incarnation, records used
///   4 KiB    records, one for each tunnel
///   128 MiB  extents of 4 KiB, then of 8 KiB, … of 64 MiB: one region for each size
/// ```
/// All of it is sparse: a page that was never written, or was given back, costs nothing.
enum VaultLayout {
    /// The first word; another one is no vault.
    static let magic: UInt64 = 0x7a3d_676f_6477_6974
    /// Raised whenever the meaning of a word changes: a new program then begins with an empty vault.
    static let version: UInt64 = 1

    static let headerBytes = 4096
    static let recordBytes = 1024
    /// Where the regions of extents begin.
    static let extentsStart = 128 << 20

    /// Sizes of extents: powers of two from 4 KiB, a page, to 64 MiB, more than a tunnel may buffer.
    static let smallestExtentShift = 12
    static let largestExtentShift = 26
    static let classCount = largestExtentShift - smallestExtentShift + 1
    /// Bytes of address space for one size at most; what a region of smaller ones needs for two extents a tunnel is less.
    static let largestRegion = 16 << 30

    /// Words of the header.
    enum Header {
        static let magic = 0
        static let version = 8
        /// The incarnation that the next tunnel gets; raised before it is used.
        static let nextIncarnation = 16
        /// Records below this index may be in use; raised before they are.
        static let recordsUsed = 24
    }

    /// Words of a record, from its beginning.
    enum Record {
        /// 0: free. Else the tunnel's incarnation, written last and cleared first.
        static let incarnation = 0
        /// Its lowest bit says which slot is valid; written after the slot.
        static let sequence = 8
        /// Two slots, each a cache line and its checksum.
        static let slots = 64
        static let slotBytes = 128
        /// What never changes while the tunnel lives.
        static let identity = 320
    }

    static func record(_ index: Int) -> Int { headerBytes + index * recordBytes }
    static func extentBytes(_ sizeClass: Int) -> Int { 1 << (smallestExtentShift + sizeClass) }
    static func regionBytes(_ sizeClass: Int) -> Int {
        min(largestRegion, 2 * TunnelVault.mostTunnels * extentBytes(sizeClass))
    }
    /// Where each region begins, and after the last one the end of the vault.
    private static let regionStarts: [Int] = (0..<classCount).reduce(into: [extentsStart]) { starts, sizeClass in
        starts.append(starts[sizeClass] + regionBytes(sizeClass))
    }
    static func regionStart(_ sizeClass: Int) -> Int { regionStarts[sizeClass] }
    static let totalBytes = regionStarts[classCount]

    /// The size that holds `capacity` bytes; nil when none does.
    static func sizeClass(holding capacity: Int) -> Int? {
        guard capacity > 0, capacity <= 1 << largestExtentShift else { return nil }
        let shift = Int.bitWidth - (capacity - 1).leadingZeroBitCount
        return max(0, shift - smallestExtentShift)
    }
}

/// A checksum of words: it finds memory into which something else has written; no secret is in it.
struct VaultChecksum {
    private(set) var value: UInt64

    init(seed: UInt64) { value = seed ^ VaultLayout.magic }

    mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
        value ^= value >> 29
    }
}
