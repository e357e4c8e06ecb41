import Primitives
import Testing

/// Memory that writes down what a ring does with it.
private final class NotedMemory: RingMemory {
    enum Event: Equatable {
        case allocated(Int)
        case changed(capacity: Int, start: UInt64, head: Int)
        case freed(Int)
    }

    var events: [Event] = []
    var layout = unsafe RingLayout(base: nil, capacity: 0, start: 0, head: 0)
    /// Allocations that are granted from now on.
    var left = Int.max

    override func allocate(capacity: Int) -> UnsafeMutableRawPointer? {
        guard left > 0 else { return nil }
        left -= 1
        events.append(.allocated(capacity))
        return .allocate(byteCount: capacity, alignment: 16)
    }

    override func deallocate(_ base: UnsafeMutableRawPointer, capacity: Int) {
        events.append(.freed(capacity))
        unsafe base.deallocate()
    }

    override func ringChanged(_ layout: RingLayout) {
        events.append(.changed(capacity: layout.capacity, start: layout.start, head: layout.head))
        self.layout = layout
    }

    /// The bytes from the layout's start to `end`, as one finds them who has nothing but the journal.
    func bytes(upTo end: UInt64) -> [UInt8] {
        guard let base = unsafe layout.base else { return [] }
        return (0..<Int(end - layout.start)).map { index in
            unsafe base.load(fromByteOffset: (layout.head + index) % layout.capacity, as: UInt8.self)
        }
    }
}

@Suite("A ring in memory of its owner")
struct RingMemoryTests {
    @Test func `tells of new memory before it frees the old, and of a release before bytes can be overwritten`() {
        let memory = NotedMemory()
        let ring = ByteRing(limit: 1 << 16, memory: memory)
        #expect(memory.events.isEmpty)
        #expect(ring.append(numbers(0..<1000).span) == 1000)
        #expect(memory.events == [.allocated(1024), .changed(capacity: 1024, start: 0, head: 0)])
        memory.events = []
        ring.release(upTo: 900)
        #expect(memory.events == [.changed(capacity: 1024, start: 900, head: 900)])
        memory.events = []
        #expect(ring.append(numbers(1000..<3000).span) == 2000)
        #expect(memory.events == [.allocated(3072), .changed(capacity: 3072, start: 900, head: 0), .freed(1024)])
        memory.events = []
        ring.release(upTo: 3000)
        #expect(memory.events == [.changed(capacity: 0, start: 3000, head: 0), .freed(3072)])
    }

    @Test func `can be found from the journal alone after every step`() {
        var generator = SeededGenerator(seed: 4)
        let memory = NotedMemory()
        let ring = ByteRing(limit: 50_000, memory: memory)
        for _ in 0..<2000 {
            if Bool.random(using: &generator) {
                let end = ring.end
                _ = ring.append(numbers(end..<end + UInt64.random(in: 0...6000, using: &generator)).span)
            } else {
                ring.release(upTo: UInt64.random(in: ring.start...ring.end, using: &generator))
            }
            if Int.random(in: 0..<20, using: &generator) == 0 { ring.releaseUnusedMemory() }
            #expect(memory.layout.start == ring.start)
            #expect(memory.bytes(upTo: ring.end) == numbers(ring.start..<ring.end))
        }
    }

    @Test func `goes on from what another one left`() throws {
        let memory = NotedMemory()
        let base = try unsafe #require(memory.allocate(capacity: 2048))
        for index in 0..<300 {
            unsafe base.storeBytes(of: UInt8(index % 251), toByteOffset: (1900 + index) % 2048, as: UInt8.self)
        }
        let layout = unsafe RingLayout(base: base, capacity: 2048, start: 0, head: 1900)
        let tooMuch = unsafe ByteRing(limit: 4096, restoring: layout, end: 2049, memory: memory)
        #expect(tooMuch == nil)
        let ring = try #require(unsafe ByteRing(limit: 4096, restoring: layout, end: 300, memory: memory))
        #expect(contents(of: ring) == (0..<300).map { UInt8($0 % 251) })
        memory.events = []
        #expect(ring.append([UInt8](repeating: 7, count: 3000).span) == 3000)
        #expect(memory.events == [.allocated(4096), .changed(capacity: 4096, start: 0, head: 0), .freed(2048)])
        #expect(contents(of: ring).prefix(300).elementsEqual((0..<300).map { UInt8($0 % 251) }))
    }

    @Test func `moves to and from the heap, and there by itself when its memory is used up`() {
        let memory = NotedMemory()
        let ring = ByteRing(limit: 1 << 16)
        #expect(ring.append(numbers(0..<500).span) == 500)
        ring.move(into: memory)
        #expect(memory.bytes(upTo: 500) == numbers(0..<500))
        memory.left = 0
        #expect(ring.append(numbers(500..<5000).span) == 4500)
        #expect(memory.events.last == .freed(1024))
        #expect(contents(of: ring) == numbers(0..<5000))
        memory.left = 1
        ring.move(into: memory)
        ring.move(into: nil)
        memory.events = []
        #expect(contents(of: ring) == numbers(0..<5000))
        ring.release(upTo: 5000)
        #expect(memory.events.isEmpty)
    }
}
