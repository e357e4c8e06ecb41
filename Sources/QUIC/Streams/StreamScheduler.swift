import DequeModule

/// Who sends next among the streams that have something to send.
///
/// A higher urgency always goes first. Within one urgency every stream may send `quantum` bytes in a round:
/// - A stream that just became active is *fresh* and goes ahead of the waiting ones while its quantum of this round lasts. So a keystroke does not queue behind a
///   bulk transfer, and whoever sends more than its share lines up like the others.
/// - The *waiting* take turns of one quantum each; when all had theirs, a new round starts.
///
/// Cost does not depend on how many streams are idle: they are not in any queue.
struct StreamScheduler {
    /// Bytes that a stream sends before the next one of its urgency: long enough that neighbouring packets of a batch carry one
    /// stream, short enough that another waits only for a few packets.
    static let quantum = 16 << 10

    /// What is known of a stream, which is named by the index of its slot.
    private struct Turn {
        var urgency = StreamUrgency.normal
        var queue = Queue.none
        /// Entries in the queues with another number are stale.
        var ticket: UInt32 = 0
        /// Bytes that the stream may still send in `round` before it has to wait; 0 while it waits for its turn.
        var allowance = 0
        var round: UInt64 = 0
    }

    private enum Queue {
        case none
        case fresh
        case waiting
    }

    private struct Entry {
        var index: Int
        var ticket: UInt32
    }

    /// The streams of one urgency.
    private struct Level {
        var fresh: Deque<Entry> = []
        var waiting: Deque<Entry> = []
        var live = 0
        var round: UInt64 = 1
        /// Turns until every stream that waits now had one.
        var turnsLeft = 0
    }

    private var turns: [Turn] = []
    private var levels = [Level](repeating: Level(), count: StreamUrgency.allCases.count)
    /// Streams that are queued.
    private(set) var count = 0

    /// Whether no stream has anything to send.
    var isEmpty: Bool { count == 0 }

    /// A new stream uses the slot at `index`: nothing is known of it.
    mutating func reset(_ index: Int) {
        while turns.count <= index { turns.append(Turn()) }
        remove(index)
        turns[index].urgency = .normal
        turns[index].round = 0
    }

    /// Lets a stream take part; nothing happens when it does already.
    mutating func enqueue(_ index: Int) {
        guard turns[index].queue == .none else { return }
        let level = turns[index].urgency.rawValue
        if turns[index].round != levels[level].round {
            turns[index].round = levels[level].round
            turns[index].allowance = Self.quantum
        }
        place(index, in: turns[index].allowance > 0 ? .fresh : .waiting)
        levels[level].live += 1
        count += 1
    }

    /// Takes a stream out that has nothing to send any more.
    mutating func remove(_ index: Int) {
        guard turns[index].queue != .none else { return }
        let level = turns[index].urgency.rawValue
        let isInTurn = turns[index].queue == .waiting && turns[index].allowance > 0
        turns[index].queue = .none
        turns[index].ticket &+= 1
        levels[level].live -= 1
        count -= 1
        // Who leaves before its turn came has not had one: it must not bring the next round closer.
        if isInTurn { turnEnded(at: level) }
        dropStaleEntries(at: level)
    }

    /// Moves a stream to another urgency.
    mutating func setUrgency(_ urgency: StreamUrgency, of index: Int) {
        guard urgency != turns[index].urgency else { return }
        let wasQueued = turns[index].queue != .none
        remove(index)
        turns[index].urgency = urgency
        // Rounds of different urgencies are not comparable.
        turns[index].round = 0
        if wasQueued { enqueue(index) }
    }

    /// The stream whose turn it is; it stays where it is until `charge` or `remove`.
    func next() -> Int? {
        guard count > 0 else { return nil }
        // The entries at the front are never stale.
        for level in levels.indices where levels[level].live > 0 {
            return levels[level].fresh.first?.index ?? levels[level].waiting.first?.index
        }
        return nil
    }

    /// Counts bytes that the stream named by `next` sent; with its quantum used up it goes behind the others.
    ///
    /// A waiting stream gets the quantum of its turn when it first sends in it.
    mutating func charge(_ index: Int, bytes: Int) {
        guard turns[index].queue != .none else { return }
        if turns[index].queue == .waiting, turns[index].allowance <= 0 { turns[index].allowance = Self.quantum }
        turns[index].allowance -= bytes
        guard turns[index].allowance <= 0 else { return }
        let level = turns[index].urgency.rawValue
        turns[index].ticket &+= 1
        if turns[index].queue == .waiting { turnEnded(at: level) }
        turns[index].allowance = 0
        turns[index].round = levels[level].round
        place(index, in: .waiting)
        dropStaleEntries(at: level)
    }

    /// Every stream that is queued, in no particular order.
    var queued: [Int] {
        levels.flatMap { level in (level.fresh + level.waiting).filter { !isStale($0) }.map(\.index) }
    }

    private func isStale(_ entry: Entry) -> Bool { turns[entry.index].ticket != entry.ticket }

    private mutating func place(_ index: Int, in queue: Queue) {
        let level = turns[index].urgency.rawValue
        turns[index].queue = queue
        let entry = Entry(index: index, ticket: turns[index].ticket)
        if queue == .fresh { levels[level].fresh.append(entry) } else { levels[level].waiting.append(entry) }
    }

    private mutating func turnEnded(at level: Int) {
        levels[level].turnsLeft -= 1
        if levels[level].turnsLeft <= 0 {
            levels[level].round += 1
            levels[level].turnsLeft = levels[level].waiting.count
        }
    }

    /// Forgets entries at the front that lead nowhere, and all of them when they outnumber the others.
    private mutating func dropStaleEntries(at level: Int) {
        while let entry = levels[level].fresh.first, isStale(entry) { levels[level].fresh.removeFirst() }
        while let entry = levels[level].waiting.first, isStale(entry) { levels[level].waiting.removeFirst() }
        if levels[level].fresh.count + levels[level].waiting.count > 2 * levels[level].live + 16 {
            levels[level].fresh = levels[level].fresh.filter { turns[$0.index].ticket == $0.ticket }
            levels[level].waiting = levels[level].waiting.filter { turns[$0.index].ticket == $0.ticket }
        }
    }
}
