import CSockets
import Dispatch
import EventLoop
import Glibc
import Keeper
import Primitives
import Synchronization
import Testing

/// The vault as the next process finds it: a descriptor of the same memory.
private func found(_ vault: TunnelVault) throws -> TunnelVault.Found? {
    try TunnelVault.reopen(dup(vault.descriptor))
}

private func entry(_ number: Int, origin: TCPOrigin = TCPOrigin(received: 0, written: 0, cookie: 0)) -> TunnelEntry {
    TunnelEntry(
        resumptionID: (7, UInt64(number)), owner: Array("user \(number)".utf8),
        destination: "host\(number).example:443",
        origin: origin)
}

private enum VaultTestFault: Error {
    case cannotCopy
}

@Suite("A vault of tunnels")
struct TunnelVaultTests {
    @Test func `gives back everything that was noted, to the next process and the one after it`() throws {
        let vault = try TunnelVault(loop: 3)
        let pair = try TCPPair()
        let origin = try TCPProgress.origin(of: pair.accepted)
        let tunnel = try #require(vault.open(entry(1, origin: origin), generation: 4))
        let ring = ByteRing(limit: 1 << 20, memory: tunnel)
        send(numbers(0..<5000), to: pair.dialled)
        waitReadable(pair.accepted)
        #expect(ring.append(receive(5000, from: pair.accepted).span) == 5000)
        ring.release(upTo: 4000)
        tunnel.mark(.endDelivered)
        tunnel.setPeerDelivered(4000)
        tunnel.setGeneration(5)
        send(numbers(0..<77), to: pair.accepted)

        var descriptor = vault.descriptor
        var kept: [TunnelVault] = []
        for _ in 0..<3 {
            let found = try #require(try TunnelVault.reopen(dup(descriptor), loop: 3))
            #expect(found.damaged == 0)
            let recovered = try #require(found.tunnels.first)
            #expect(found.tunnels.count == 1)
            #expect(recovered.entry == entry(1, origin: origin))
            #expect(recovered.key == tunnel.key)
            #expect(recovered.record.generation == 5)
            #expect(recovered.record.marks == .endDelivered)
            #expect(recovered.record.peerDelivered == 4000)
            let streams = try recovered.restore(descriptor: pair.accepted, limit: 1 << 20)
            #expect(streams.ring.start == 4000 && streams.ring.end == 5000)
            #expect(contents(of: streams.ring) == numbers(4000..<5000))
            #expect(streams.written == 77)
            #expect(!streams.hasWrittenEnd && streams.stage == .open)
            descriptor = found.vault.descriptor
            kept.append(found.vault)
        }
        #expect(kept.allSatisfy { $0.tunnelCount == 1 })
    }

    @Test func `never gives a name or memory twice, also after a restart`() throws {
        let vault = try TunnelVault()
        var keys: Set<DescriptorKey> = []
        let old = (0..<5).compactMap { vault.open(entry($0)) }
        keys.formUnion(old.map(\.key))
        for tunnel in old.prefix(3) { tunnel.end() }
        let second = try #require(try found(vault))
        #expect(second.tunnels.count == 2)
        #expect(second.vault.tunnelCount == 2)
        let new = (5..<10).compactMap { second.vault.open(entry($0)) }
        for tunnel in new { #expect(keys.insert(tunnel.key).inserted) }
        #expect(try found(second.vault)?.tunnels.count == 7)
    }

    @Test func `holds nothing of tunnels that have ended`() throws {
        let vault = try TunnelVault()
        let rings = try (0..<50).map { number in
            let tunnel = try #require(vault.open(entry(number)))
            let ring = ByteRing(limit: 1 << 20, memory: tunnel)
            _ = ring.append([UInt8](repeating: 1, count: 1 << 20).span)
            return (ring, tunnel)
        }
        #expect(vault.bytesInUse == 50 << 20)
        #expect(pagesInUse(vault) >= 50 << 20)
        for (ring, tunnel) in rings {
            tunnel.end()
            ring.reset(to: 0)
        }
        #expect(vault.bytesInUse == 0)
        #expect(vault.tunnelCount == 0)
        // What stays is kept for the next ones, within a bound.
        #expect(pagesInUse(vault) < 20 << 20)
        #expect(try found(vault)?.tunnels.isEmpty == true)
        #expect(pagesInUse(vault) < 1 << 20)
    }

    @Test func `keeps closed tunnels until the peer has everything`() throws {
        let vault = try TunnelVault()
        let tunnel = try #require(vault.open(entry(1)))
        let ring = ByteRing(limit: 1 << 20, memory: tunnel)
        _ = ring.append(numbers(0..<300).span)
        ring.release(upTo: 200)
        tunnel.mark([.endRead, .endWritten])
        tunnel.close(readEnd: 300, written: 999)
        let recovered = try #require(try found(vault)?.tunnels.first)
        #expect(recovered.key == nil)
        let streams = try recovered.restore(descriptor: nil, limit: 1 << 20)
        #expect(contents(of: streams.ring) == numbers(200..<300))
        #expect(streams.stage == .closed && streams.hasWrittenEnd && streams.written == 999)
    }

    @Test(arguments: [false, true])
    func `keeps what a connection had sent that broke after its end`(isNoted: Bool) throws {
        let pair = try TCPPair()
        let origin = try TCPProgress.origin(of: pair.accepted)
        let vault = try TunnelVault()
        let tunnel = try #require(vault.open(entry(1, origin: origin)))
        let ring = ByteRing(limit: 1 << 20, memory: tunnel)
        send(numbers(0..<300), to: pair.dialled)
        gw_shutdown_write(pair.dialled)
        send([1, 2, 3], to: pair.accepted)
        waitReadable(pair.accepted)
        #expect(ring.append(receive(300, from: pair.accepted).span) == 300)
        #expect(receive(1, from: pair.accepted).isEmpty)
        tunnel.mark(.endRead)
        pair.resetFromDialled()
        #expect(eventually(true) { gw_has_error(pair.accepted) == 1 })
        if isNoted { tunnel.breakOff(readEnd: 300, written: 3) }
        let recovered = try #require(try found(vault)?.tunnels.first)
        let streams = try recovered.restore(descriptor: isNoted ? nil : pair.accepted, limit: 1 << 20)
        #expect(contents(of: streams.ring) == numbers(0..<300))
        #expect(streams.stage == .broken && !streams.hasWrittenEnd && streams.written == 3)
    }

    @Test func `takes a connection for closed that broke after both ends`() throws {
        let pair = try TCPPair()
        let origin = try TCPProgress.origin(of: pair.accepted)
        let vault = try TunnelVault()
        let tunnel = try #require(vault.open(entry(1, origin: origin)))
        let ring = ByteRing(limit: 1 << 20, memory: tunnel)
        send(numbers(0..<300), to: pair.dialled)
        gw_shutdown_write(pair.dialled)
        waitReadable(pair.accepted)
        #expect(ring.append(receive(300, from: pair.accepted).span) == 300)
        send([1, 2, 3], to: pair.accepted)
        tunnel.mark([.endRead, .endWritten])
        pair.resetFromDialled()
        #expect(eventually(true) { gw_has_error(pair.accepted) == 1 })
        let recovered = try #require(try found(vault)?.tunnels.first)
        let streams = try recovered.restore(descriptor: pair.accepted, limit: 1 << 20)
        #expect(contents(of: streams.ring) == numbers(0..<300))
        #expect(streams.stage == .closed && streams.hasWrittenEnd)
    }

    @Test func `says why a tunnel is lost, and frees what it had`() throws {
        let pair = try TCPPair()
        let origin = try TCPProgress.origin(of: pair.accepted)
        func recover(_ prepare: (VaultTunnel, ByteRing) -> Void) throws -> (RecoveredTunnel, TunnelVault) {
            let vault = try TunnelVault()
            let tunnel = try #require(vault.open(entry(1, origin: origin)))
            let ring = ByteRing(limit: 1 << 20, memory: tunnel)
            prepare(tunnel, ring)
            let found = try #require(try found(vault))
            return (try #require(found.tunnels.first), found.vault)
        }
        func loss(_ descriptor: Int32?, _ prepare: (VaultTunnel, ByteRing) -> Void) throws -> RecoveredTunnel.Loss? {
            let (recovered, vault) = try recover(prepare)
            do throws(RecoveredTunnel.Loss) {
                _ = try recovered.restore(descriptor: descriptor, limit: 1 << 20)
                return nil
            } catch {
                #expect(vault.tunnelCount == 0 && vault.bytesInUse == 0)
                return error
            }
        }
        #expect(try loss(nil) { _, _ in } == .descriptorMissing)
        #expect(try loss(pair.dialled) { _, _ in } == .descriptorMixedUp)
        #expect(try loss(pair.accepted) { _, ring in ring.reset(to: 1) } == .contradiction)
        #expect(try loss(pair.accepted) { _, _ in } == nil)
        // Bytes were read of which the ring has no place.
        send([1, 2, 3], to: pair.dialled)
        waitReadable(pair.accepted)
        receive(3, from: pair.accepted)
        #expect(try loss(pair.accepted) { _, _ in } == .contradiction)
        // An end that nobody here has asked for.
        gw_shutdown_write(pair.accepted)
        #expect(try loss(pair.accepted) { _, ring in _ = ring.append([1, 2, 3].span) } == .connectionBroken)
        #expect(
            try loss(pair.accepted) { tunnel, ring in
                _ = ring.append([1, 2, 3].span)
                tunnel.mark(.endWritten)
            } == nil)
        pair.resetFromDialled()
        #expect(eventually(true) { gw_has_error(pair.accepted) == 1 })
        #expect(try loss(pair.accepted) { _, ring in _ = ring.append([1, 2, 3].span) } == .connectionBroken)
    }

    @Test func `takes no more than it has room for`() throws {
        let vault = try TunnelVault()
        let long = String(repeating: "x", count: TunnelEntry.mostDestinationBytes)
        let owner = [UInt8](repeating: 9, count: TunnelEntry.mostOwnerBytes)
        let origin = TCPOrigin(received: .max, written: .max, cookie: .max)
        let full = TunnelEntry(resumptionID: (.max, .max), owner: owner, destination: long, origin: origin)
        #expect(vault.open(full) != nil)
        #expect(try found(vault)?.tunnels.first?.entry == full)
        var tooLong = full
        tooLong.destination += "x"
        #expect(vault.open(tooLong) == nil)
        tooLong = full
        tooLong.owner.append(1)
        #expect(vault.open(tooLong) == nil)
        for number in 1..<TunnelVault.mostTunnels { #expect(vault.open(entry(number)) != nil) }
        #expect(vault.open(entry(0)) == nil)
        #expect(try found(vault)?.tunnels.count == TunnelVault.mostTunnels)
    }

    @Test func `lets a ring that is too large go to the heap, and no longer answers for it`() throws {
        let vault = try TunnelVault()
        let tunnel = try #require(vault.open(entry(1)))
        let ring = ByteRing(limit: 200 << 20, memory: tunnel)
        for _ in 0..<65 { _ = ring.append([UInt8](repeating: 5, count: 1 << 20).span) }
        #expect(ring.count == 65 << 20)
        #expect(!tunnel.isProtected)
        #expect(vault.bytesInUse == 0)
        #expect(try found(vault)?.tunnels.isEmpty == true)
    }

    @Test func `serves several loops at once, and no byte belongs to two tunnels`() throws {
        let vault = try TunnelVault()
        let threads = 4
        let turns = 400
        // Every tenth tunnel is there in the end.
        let left = Mutex<[LeftTunnel]>([])
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            var last: VaultTunnel?
            for turn in 0..<turns {
                let number = thread * turns + turn
                guard let tunnel = vault.open(entry(number)) else { continue }
                let ring = ByteRing(limit: 1 << 16, memory: tunnel)
                _ = ring.append([UInt8](repeating: UInt8(thread + 1), count: 5000).span)
                last?.end()
                last = turn % 10 == 0 ? nil : tunnel
                if turn % 10 == 0 {
                    tunnel.close(readEnd: ring.end, written: UInt64(number))
                    left.withLock { $0.append(LeftTunnel(ring: ring)) }
                }
            }
            last?.end()
        }
        let count = threads * turns / 10
        #expect(vault.tunnelCount == count)
        let found = try #require(try found(vault))
        #expect(found.tunnels.count == count && found.damaged == 0)
        for recovered in found.tunnels {
            let streams = try recovered.restore(descriptor: nil, limit: 1 << 16)
            let thread = Int(streams.written) / turns
            #expect(contents(of: streams.ring) == [UInt8](repeating: UInt8(thread + 1), count: 5000))
        }
    }

    /// Keeps its ring alive; looked at by nobody.
    private struct LeftTunnel: @unchecked Sendable {
        var ring: ByteRing
    }

    private func pagesInUse(_ vault: TunnelVault) -> Int {
        var status = stat()
        unsafe fstat(vault.descriptor, &status)
        return status.st_blocks * 512
    }
}

@Suite("A damaged vault")
struct DamagedVaultTests {
    static let tunnelCount = 20

    /// A vault with some tunnels, each with some bytes.
    private func filled() throws -> (vault: TunnelVault, rings: [ByteRing]) {
        let vault = try TunnelVault()
        let rings = try (0..<Self.tunnelCount).map { number in
            let tunnel = try #require(vault.open(entry(number)))
            let ring = ByteRing(limit: 1 << 16, memory: tunnel)
            _ = ring.append(numbers(0..<UInt64(300 * number + 1)).span)
            ring.release(upTo: 1)
            tunnel.close(readEnd: ring.end, written: UInt64(number))
            return ring
        }
        return (vault, rings)
    }

    /// Whoever is not lost is whole.
    private func examine(_ found: TunnelVault.Found) {
        for recovered in found.tunnels {
            guard let number = (0..<Self.tunnelCount).first(where: { entry($0) == recovered.entry }) else {
                Issue.record("a tunnel that there never was")
                continue
            }
            guard let streams = try? recovered.restore(descriptor: nil, limit: 1 << 16) else { continue }
            #expect(contents(of: streams.ring) == numbers(1..<UInt64(300 * number + 1)))
            #expect(streams.written == UInt64(number))
        }
        #expect(found.vault.open(entry(99)) != nil)
    }

    @Test func `loses the tunnel whose record was changed, and no other`() throws {
        var generator = SeededGenerator(seed: 9)
        let (vault, rings) = try filled()
        var losses = 0
        for _ in 0..<200 {
            let place = off_t(4096 + Int.random(in: 0..<Self.tunnelCount * 1024, using: &generator))
            var before: UInt8 = 0
            #expect(unsafe pread(vault.descriptor, &before, 1, place) == 1)
            var after = UInt8.random(in: 0...255, using: &generator)
            let copy = try copied(vault)
            #expect(unsafe pwrite(copy, &after, 1, place) == 1)
            let found = try #require(try TunnelVault.reopen(copy))
            #expect(found.tunnels.count >= Self.tunnelCount - 1)
            losses += Self.tunnelCount - found.tunnels.count
            examine(found)
        }
        #expect(losses > 20)
        #expect(rings.count == Self.tunnelCount)
    }

    @Test func `survives any header`() throws {
        var generator = SeededGenerator(seed: 10)
        let (vault, rings) = try filled()
        for _ in 0..<60 {
            let copy = try copied(vault)
            let place = off_t(8 * Int.random(in: 0..<4, using: &generator))
            var word = generator.next() >> UInt64.random(in: 0..<64, using: &generator)
            #expect(unsafe pwrite(copy, &word, 8, place) == 8)
            if let found = try TunnelVault.reopen(copy) { examine(found) }
        }
        #expect(rings.count == Self.tunnelCount)
    }

    @Test func `survives records of noise`() throws {
        var generator = SeededGenerator(seed: 11)
        let (vault, rings) = try filled()
        for _ in 0..<60 {
            let copy = try copied(vault)
            let noise = (0..<4096).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            let place = off_t(4096 + Int.random(in: 0..<Self.tunnelCount * 1024 - 4096, using: &generator))
            #expect(unsafe pwrite(copy, noise, noise.count, place) == noise.count)
            let found = try #require(try TunnelVault.reopen(copy))
            #expect(found.tunnels.count >= Self.tunnelCount - 5)
            examine(found)
        }
        #expect(rings.count == Self.tunnelCount)
    }

    @Test(arguments: [0, 100, 4096, 5000, 4096 + 10 * 1024, 1 << 20, 128 << 20, (128 << 20) + 4097, 1 << 32])
    func `loses what was cut off, and nothing else`(length: Int) throws {
        let (vault, rings) = try filled()
        let copy = try copied(vault)
        #expect(ftruncate(copy, off_t(length)) == 0)
        if let found = try TunnelVault.reopen(copy) {
            examine(found)
            if length <= 4096 { #expect(found.tunnels.isEmpty) }
        } else {
            #expect(length < 4096)
        }
        #expect(rings.count == Self.tunnelCount)
    }

    @Test func `gives memory that two tunnels claim to neither`() throws {
        let (vault, rings) = try filled()
        let copy = try copied(vault)
        // A whole record once more, in another's place.
        var record = [UInt8](repeating: 0, count: 1024)
        #expect(unsafe pread(copy, &record, 1024, off_t(4096 + 5 * 1024)) == 1024)
        #expect(unsafe pwrite(copy, record, 1024, off_t(4096 + 9 * 1024)) == 1024)
        let found = try #require(try TunnelVault.reopen(copy))
        #expect(found.tunnels.count == Self.tunnelCount - 2)
        #expect(found.damaged == 2)
        examine(found)
        #expect(rings.count == Self.tunnelCount)
    }

    @Test func `is none, when it is something else`() throws {
        let other = unsafe gw_memory_open("other", 1 << 20)
        // It is sealed, and cannot be made as long as a vault.
        #expect(throws: SystemError.self) { try TunnelVault.reopen(other) }
        var ends: [Int32] = [0, 0]
        #expect(unsafe gw_channel_open(&ends) == 0)
        #expect(throws: (any Error).self) { try TunnelVault.reopen(ends[0]) }
        gw_close(ends[1])
    }

    /// The same bytes in memory of its own, which can be cut.
    private func copied(_ vault: TunnelVault) throws -> Int32 {
        var name = Array("/dev/shm/godwit-XXXXXX".utf8CString)
        // The name is changed in place; nobody else needs it.
        let copy = unsafe mkstemp(&name)
        #expect(copy >= 0)
        #expect(unsafe unlink(name) == 0)
        var place = off_t(0)
        var block = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            place = lseek(vault.descriptor, place, 3)  // SEEK_DATA
            guard place >= 0 else { break }
            let hole = lseek(vault.descriptor, place, 4)  // SEEK_HOLE
            while place < hole {
                let count = unsafe pread(vault.descriptor, &block, min(block.count, Int(hole - place)), place)
                guard count > 0 else { throw VaultTestFault.cannotCopy }
                #expect(unsafe pwrite(copy, block, count, place) == count)
                place += off_t(count)
            }
        }
        // As long as the original: what lies behind its bytes is a hole.
        var status = stat()
        unsafe fstat(vault.descriptor, &status)
        #expect(ftruncate(copy, status.st_size) == 0)
        return copy
    }
}
