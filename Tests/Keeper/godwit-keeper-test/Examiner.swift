import CSockets
import Glibc
import Keeper
import Primitives

/// Looks at a child's vault, and when it has changed, at what the next process would make of it.
@safe
struct Examiner {
    private let scene: Trace.Scene
    private let base: UnsafeMutableRawPointer
    private var before: [UInt8] = []
    private(set) var examinations = 0
    private(set) var hasSeenTunnel = false
    private var isOver = false
    /// How far the ring had been released and filled.
    private var lastStart: UInt64 = 0
    private(set) var lastEnd: UInt64 = 0

    /// What is compared: the header, the first record, and the first extents of the sizes that the child uses. The places
    /// are those of the vault's layout; a wrong one would only hide changes, which the child's system calls bring up again.
    private static let watched = [0..<5120, (128 << 20)..<(128 << 20) + 16384] + largerRegions
    private static let largerRegions: [Range<Int>] = {
        var start = 128 << 20
        var regions: [Range<Int>] = []
        for shift in 12..<15 {
            start += 2 * TunnelVault.mostTunnels << shift
            regions.append(start..<start + (2 << (shift + 1)))
        }
        return regions
    }()
    private static let mappedBytes: UInt64 = 8 << 30

    init(_ scene: Trace.Scene) throws {
        self.scene = scene
        var code: Int32 = 0
        guard let base = unsafe gw_memory_map(scene.vault.descriptor, Self.mappedBytes, &code) else {
            throw Trace.Fault(what: "cannot map the vault: errno \(code)")
        }
        unsafe self.base = base
        before = watchedBytes()
    }

    private func watchedBytes() -> [UInt8] {
        Self.watched.flatMap { range in
            unsafe Array(UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
        }
    }

    private var hasChanged: Bool {
        var place = 0
        return unsafe before.withUnsafeBytes { before in
            for range in Self.watched {
                guard let start = before.baseAddress else { return true }
                // Both ranges are inside of what was mapped and copied.
                if unsafe memcmp(base + range.lowerBound, start + place, range.count) != 0 { return true }
                place += range.count
            }
            return false
        }
    }

    mutating func look(afterCall: Bool, _ instruction: Int) throws {
        guard afterCall || hasChanged else { return }
        before = watchedBytes()
        examinations += 1
        do { try examine() } catch let fault as Trace.Fault {
            throw Trace.Fault(what: "after instruction \(instruction): \(fault.what)")
        }
    }

    private mutating func examine() throws {
        guard let found = try TunnelVault.reopen(try copy()) else { throw Trace.Fault(what: "no vault") }
        guard found.damaged == 0 else { throw Trace.Fault(what: "a damaged record") }
        guard let tunnel = found.tunnels.first else {
            isOver = hasSeenTunnel
            return
        }
        guard found.tunnels.count == 1, !isOver else { throw Trace.Fault(what: "a tunnel too many") }
        hasSeenTunnel = true
        let isClosed = tunnel.key == nil
        let streams: RecoveredTunnel.Streams
        do { streams = try tunnel.restore(descriptor: isClosed ? nil : scene.own, limit: 1 << 14) } catch {
            throw Trace.Fault(what: "lost: \(error)")
        }
        let ring = streams.ring
        guard ring.start >= lastStart, ring.end >= lastEnd else { throw Trace.Fault(what: "went back") }
        lastStart = ring.start
        lastEnd = ring.end
        var bytes = [UInt8](repeating: 0, count: ring.count)
        var target = bytes.mutableSpan
        ring.copy(ring.start..<ring.end, into: &target)
        guard bytes == expectedBytes(ring.start..<ring.end) else {
            throw Trace.Fault(what: "wrong bytes in \(ring.start)..<\(ring.end)")
        }
    }

    /// The vault's bytes in memory of their own: looking at them changes nothing for the child.
    private func copy() throws -> Int32 {
        var status = stat()
        unsafe fstat(scene.vault.descriptor, &status)
        let copy = unsafe gw_memory_open("copy", UInt64(status.st_size))
        guard copy >= 0 else { throw Trace.Fault(what: "no memory for a copy: errno \(-copy)") }
        var place = off_t(0)
        var block = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            place = lseek(scene.vault.descriptor, place, 3)  // SEEK_DATA
            guard place >= 0 else { return copy }
            let hole = lseek(scene.vault.descriptor, place, 4)  // SEEK_HOLE
            while place < hole {
                let count = unsafe pread(scene.vault.descriptor, &block, min(block.count, Int(hole - place)), place)
                guard count > 0, unsafe pwrite(copy, block, count, place) == count else {
                    throw Trace.Fault(what: "cannot copy the vault")
                }
                place += off_t(count)
            }
        }
    }
}
