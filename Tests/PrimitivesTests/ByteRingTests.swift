import Primitives
import Testing

@Suite("A byte ring")
struct ByteRingTests {
    @Test func `costs no memory until bytes come and none after they left`() {
        let ring = ByteRing(limit: 1 << 20, start: 77)
        #expect(ring.capacity == 0)
        #expect(ring.start == 77)
        #expect(ring.append([1, 2, 3].span) == 3)
        #expect(ring.capacity == ByteRing.minimumCapacity)
        #expect(ring.end == 80)
        ring.release(upTo: 80)
        #expect(ring.capacity == 0)
        #expect(ring.isEmpty)
        #expect(ring.start == 80)
    }

    @Test func `takes no more than its limit, which may move`() {
        let ring = ByteRing(limit: 10)
        #expect(ring.append([UInt8](repeating: 1, count: 8).span) == 8)
        #expect(ring.append([UInt8](repeating: 2, count: 8).span) == 2)
        #expect(ring.freeSpace == 0)
        ring.limit = 4
        #expect(ring.freeSpace == 0)
        #expect(ring.append([3].span) == 0)
        ring.release(upTo: 7)
        #expect(ring.freeSpace == 1)
        ring.limit = 100_000
        #expect(ring.append([UInt8](repeating: 4, count: 50_000).span) == 50_000)
        #expect(contents(of: ring) == [1, 2, 2] + [UInt8](repeating: 4, count: 50_000))
        #expect(ring.capacity <= 100_000)
    }

    @Test func `keeps every byte at its offset when it grows while it is wrapped`() {
        let ring = ByteRing(limit: 1 << 16)
        #expect(ring.append(numbers(0..<1000).span) == 1000)
        ring.release(upTo: 900)
        #expect(ring.append(numbers(1000..<1800).span) == 800)
        #expect(ring.capacity == 1024)
        #expect(ring.append(numbers(1800..<5000).span) == 3200)
        #expect(contents(of: ring) == numbers(900..<5000))
        var middle = [UInt8](repeating: 0, count: 60)
        var target = middle.mutableSpan
        ring.copy(990..<1040, into: &target, at: 5)
        #expect(middle[5..<55].elementsEqual(numbers(990..<1040)))
        #expect(middle[..<5].allSatisfy { $0 == 0 } && middle[55...].allSatisfy { $0 == 0 })
    }

    @Test func `becomes readable only up to what was committed`() {
        let ring = ByteRing(limit: 4096)
        ring.write(numbers(10..<20).span, at: 10)
        #expect(ring.isEmpty)
        #expect(ring.written == 20)
        ring.write(numbers(0..<10).span, at: 0)
        ring.commit(upTo: 20)
        #expect(contents(of: ring) == numbers(0..<20))
    }

    @Test func `keeps bytes that were written ahead when the readable ones leave`() {
        let ring = ByteRing(limit: 4096)
        ring.write(numbers(20..<30).span, at: 20)
        ring.write(numbers(0..<10).span, at: 0)
        ring.commit(upTo: 10)
        ring.release(upTo: 10)
        #expect(ring.capacity > 0)
        ring.write(numbers(10..<20).span, at: 10)
        ring.commit(upTo: 30)
        #expect(contents(of: ring) == numbers(10..<30))
    }

    @Test func `is filled in place and keeps only what was filled`() {
        let ring = ByteRing(limit: 3000)
        let first = unsafe ring.withWritableRegions(minimum: 2000) { head, tail in
            #expect(head.count + tail.count >= 2000)
            for index in 0..<1500 { unsafe head[index] = UInt8(truncatingIfNeeded: index) }
            return 1500
        }
        #expect(first == 1500)
        #expect(contents(of: ring) == numbers(0..<1500))
        ring.release(upTo: 1400)
        // The free part now wraps: both regions are used.
        let second = unsafe ring.withWritableRegions(minimum: 2900) { head, tail in
            #expect(head.count + tail.count == 2900)
            for index in head.indices { unsafe head[index] = UInt8(truncatingIfNeeded: 1500 + index) }
            for index in tail.indices { unsafe tail[index] = UInt8(truncatingIfNeeded: 1500 + head.count + index) }
            return head.count + tail.count
        }
        #expect(second == 2900)
        #expect(contents(of: ring) == numbers(1400..<4400))
        let full = unsafe ring.withWritableRegions(minimum: 1) { head, tail in head.count + tail.count }
        #expect(full == 0)
    }

    @Test func `keeps no memory when an offer to an empty ring was not taken`() {
        let ring = ByteRing(limit: 1 << 20)
        unsafe ring.withWritableRegions(minimum: 65536) { _, _ in 0 }
        #expect(ring.capacity == 0)
        struct Failure: Error {}
        #expect(throws: Failure.self) {
            try unsafe ring.withWritableRegions(minimum: 65536) { _, _ throws(Failure) in throw Failure() }
        }
        #expect(ring.capacity == 0)
    }

    @Test func `keeps large memory while it is used and gives it back when it is not`() {
        let ring = ByteRing(limit: 1 << 20)
        let burst = [UInt8](repeating: 9, count: 100_000)
        for _ in 0..<3 {
            #expect(ring.append(burst.span) == burst.count)
            ring.release(upTo: ring.end)
            #expect(ring.capacity >= burst.count)
        }
        #expect(ring.append([1].span) == 1)
        ring.release(upTo: ring.end)
        #expect(ring.capacity == 0)
        #expect(ring.append(burst.span) == burst.count)
        ring.release(upTo: ring.end - 5)
        ring.releaseUnusedMemory()
        #expect(ring.capacity == ByteRing.minimumCapacity)
        #expect(contents(of: ring) == [9, 9, 9, 9, 9])
        ring.release(upTo: ring.end)
        ring.releaseUnusedMemory()
        #expect(ring.capacity == 0)
    }

    @Test func `does not free and grow again for bursts that became smaller`() {
        let ring = ByteRing(limit: 1 << 20)
        let (large, small) = ([UInt8](repeating: 9, count: 400_000), [UInt8](repeating: 7, count: 60_000))
        #expect(ring.append(large.span) == large.count)
        ring.release(upTo: ring.end)
        var capacities: Set<Int> = []
        for _ in 0..<5 {
            #expect(ring.append(small.span) == small.count)
            #expect(contents(of: ring) == small)
            ring.release(upTo: ring.end)
            capacities.insert(ring.capacity)
        }
        #expect(capacities.count == 1)
        #expect(capacities.allSatisfy { $0 >= 2 * small.count && $0 < 2 * small.count + ByteRing.minimumCapacity })
    }

    @Test func `starts over at any offset`() {
        let ring = ByteRing(limit: 100)
        #expect(ring.append([1, 2, 3].span) == 3)
        ring.reset(to: 1 << 61)
        #expect(ring.isEmpty && ring.start == 1 << 61 && ring.capacity == 0)
        #expect(ring.append([4].span) == 1)
        #expect(contents(of: ring) == [4])
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `behaves as a plain array does`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let origin = UInt64.random(in: 0..<1 << 60, using: &random)
        let ring = ByteRing(limit: 5000, start: origin)
        var model: [UInt8] = []
        for step in 0..<250 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3:
                let bytes = randomBytes(upTo: 1500, &random)
                let taken = ring.append(bytes.span)
                #expect(taken == min(bytes.count, max(0, ring.limit - model.count)))
                model += bytes[..<taken]
            case 3:
                let bytes = randomBytes(upTo: 700, &random)
                let taken = unsafe ring.withWritableRegions(minimum: bytes.count) { head, tail in
                    let count = min(bytes.count, head.count + tail.count)
                    for index in 0..<count {
                        unsafe index < head.count
                            ? (head[index] = bytes[index]) : (tail[index - head.count] = bytes[index])
                    }
                    return count
                }
                #expect(taken == min(bytes.count, max(0, ring.limit - model.count)))
                model += bytes[..<taken]
            case 4..<8:
                let count = Int.random(in: 0...model.count, using: &random)
                model.removeFirst(count)
                ring.release(upTo: ring.start + UInt64(count))
            case 8:
                ring.limit = Int.random(in: 0...9000, using: &random)
            default:
                ring.releaseUnusedMemory()
            }
            #expect(ring.count == model.count)
            let low = Int.random(in: 0...model.count, using: &random)
            let high = Int.random(in: low...min(low + 400, model.count), using: &random)
            let part = ring.start + UInt64(low)..<ring.start + UInt64(high)
            #expect(contents(of: ring, part) == Array(model[low..<high]), "seed \(seed) step \(step)")
        }
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `assembles what arrives in any order`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let ring = ByteRing(limit: 3000)
        var arrived = RangeSet()
        var delivered: UInt64 = 0
        while delivered < 9_000 {
            let offset = ring.end + UInt64.random(in: 0..<1500, using: &random)
            let window = ring.start + 3000
            let count = min(UInt64.random(in: 0..<900, using: &random), offset < window ? window - offset : 0)
            guard count > 0 else {
                ring.release(upTo: ring.end)
                continue
            }
            ring.write(numbers(offset..<offset + count).span, at: offset)
            arrived.insert(offset..<offset + count)
            ring.commit(upTo: arrived.prefixEnd(from: ring.end))
            arrived.remove(below: ring.end)
            let readable = ring.start..<ring.start + UInt64.random(in: 0...UInt64(ring.count), using: &random)
            #expect(contents(of: ring, readable) == numbers(readable), "seed \(seed)")
            ring.release(upTo: readable.upperBound)
            delivered = ring.start
            #expect(ring.capacity <= 3000)
        }
    }

    private func randomBytes(upTo limit: Int, _ random: inout SeededGenerator) -> [UInt8] {
        (0..<Int.random(in: 0...limit, using: &random)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }
}

func contents(of ring: ByteRing, _ range: Range<UInt64>? = nil) -> [UInt8] {
    let range = range ?? ring.start..<ring.end
    let shown = ring.withReadableRegions(range) { head, tail in
        head.indices.map { head[$0] } + tail.indices.map { tail[$0] }
    }
    var copied = [UInt8](repeating: 0, count: Int(range.upperBound - range.lowerBound))
    var target = copied.mutableSpan
    ring.copy(range, into: &target)
    #expect(shown == copied)
    let pointed = unsafe ring.withUnsafeReadableRegions(range) { head, tail in unsafe Array(head) + Array(tail) }
    #expect(pointed == copied)
    return copied
}

func numbers(_ range: Range<UInt64>) -> [UInt8] { range.map { UInt8(truncatingIfNeeded: $0) } }
