public import Primitives

/// Names one timer of an event loop; stays valid until the timer is removed.
public struct TimerHandle: Hashable, Sendable {
    let slot: Int32
    let generation: UInt32
}

/// Deadlines in a heap of arity four, each at a slot that keeps its place in the heap, so that moving or cancelling one
/// costs a few comparisons.
///
/// Equal deadlines fire in the order in which they were armed. A handle whose timer was removed is not obeyed.
public struct TimerQueue: Sendable {
    private struct Entry {
        var deadline: Instant
        /// Grows with every arming.
        var sequence: UInt64
        var slot: Int32

        static func < (a: Entry, b: Entry) -> Bool {
            a.deadline < b.deadline || (a.deadline == b.deadline && a.sequence < b.sequence)
        }
    }

    private struct Slot {
        /// The place in the heap, or -1 while the timer is not armed.
        var place: Int
        var generation: UInt32
        var isUsed: Bool
    }

    private var heap: [Entry] = []
    private var slots: [Slot] = []
    private var freeSlots: [Int32] = []
    /// The sequence number of the next arming.
    public private(set) var nextSequence: UInt64 = 0

    private static let arity = 4

    /// The earliest deadline.
    public var nextDeadline: Instant? { heap.first?.deadline }
    /// Timers that are armed.
    public var armedCount: Int { heap.count }

    /// Creates an empty queue.
    public init() {}

    /// Creates a timer that is not armed.
    public mutating func add() -> TimerHandle {
        if let slot = freeSlots.popLast() {
            slots[Int(slot)].isUsed = true
            return TimerHandle(slot: slot, generation: slots[Int(slot)].generation)
        }
        slots.append(Slot(place: -1, generation: 0, isUsed: true))
        return TimerHandle(slot: Int32(slots.count - 1), generation: 0)
    }

    /// Removes a timer and tells whether it was there; its handle means nothing from now on.
    public mutating func remove(_ handle: TimerHandle) -> Bool {
        guard isValid(handle) else { return false }
        disarm(handle)
        slots[Int(handle.slot)].isUsed = false
        slots[Int(handle.slot)].generation &+= 1
        freeSlots.append(handle.slot)
        return true
    }

    /// Sets or moves the deadline of a timer.
    public mutating func arm(_ handle: TimerHandle, at deadline: Instant) {
        guard isValid(handle) else { return }
        let sequence = nextSequence
        nextSequence &+= 1
        let place = slots[Int(handle.slot)].place
        let entry = Entry(deadline: deadline, sequence: sequence, slot: handle.slot)
        if place < 0 {
            heap.append(entry)
            siftUp(heap.count - 1)
        } else {
            let isEarlier = entry < heap[place]
            heap[place] = entry
            if isEarlier { siftUp(place) } else { siftDown(place) }
        }
    }

    /// Takes the deadline of a timer away.
    public mutating func disarm(_ handle: TimerHandle) {
        guard isValid(handle) else { return }
        let place = slots[Int(handle.slot)].place
        if place >= 0 { removeEntry(at: place) }
    }

    /// The deadline of a timer, or `nil` while it is not armed.
    public func deadline(of handle: TimerHandle) -> Instant? {
        guard isValid(handle) else { return nil }
        let place = slots[Int(handle.slot)].place
        return place < 0 ? nil : heap[place].deadline
    }

    /// Disarms and returns the earliest timer that is due at `now` and was armed before the arming `sequence`.
    ///
    /// The second condition lets a timer that arms itself for the past wait for the next turn.
    public mutating func takeDue(at now: Instant, armedBefore sequence: UInt64) -> TimerHandle? {
        guard let first = heap.first, first.deadline <= now, first.sequence < sequence else { return nil }
        removeEntry(at: 0)
        return TimerHandle(slot: first.slot, generation: slots[Int(first.slot)].generation)
    }

    private func isValid(_ handle: TimerHandle) -> Bool {
        slots.indices.contains(Int(handle.slot)) && slots[Int(handle.slot)].isUsed
            && slots[Int(handle.slot)].generation == handle.generation
    }

    private mutating func removeEntry(at place: Int) {
        slots[Int(heap[place].slot)].place = -1
        let last = heap.removeLast()
        guard place < heap.count else { return }
        let isEarlier = last < heap[place]
        heap[place] = last
        if isEarlier { siftUp(place) } else { siftDown(place) }
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        let entry = heap[place]
        while place > 0 {
            let parent = (place - 1) / Self.arity
            guard entry < heap[parent] else { break }
            heap[place] = heap[parent]
            slots[Int(heap[place].slot)].place = place
            place = parent
        }
        heap[place] = entry
        slots[Int(entry.slot)].place = place
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        let entry = heap[place]
        while true {
            let firstChild = place * Self.arity + 1
            guard firstChild < heap.count else { break }
            var least = firstChild
            for child in firstChild + 1..<max(firstChild + 1, min(firstChild + Self.arity, heap.count))
            where heap[child] < heap[least] {
                least = child
            }
            guard heap[least] < entry else { break }
            heap[place] = heap[least]
            slots[Int(heap[place].slot)].place = place
            place = least
        }
        heap[place] = entry
        slots[Int(entry.slot)].place = place
    }
}
