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

    /// What the scheduler knows of a stream.
    struct Turn {
        fileprivate(set) var queue: Queue = .none
        /// Entries in the queues with another number are stale.
        fileprivate var ticket: UInt32 = 0
        /// Bytes that the stream may still send in `round`.
        fileprivate var allowance = 0
        fileprivate var round: UInt64 = 0

        var isQueued: Bool { queue != .none }
    }

    enum Queue {
        case none
        case fresh
        case waiting
    }

    private struct Entry {
        var stream: Stream
        var ticket: UInt32

        var isStale: Bool { stream.turn.ticket != ticket }
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

    private var levels = [Level](repeating: Level(), count: StreamUrgency.allCases.count)
    /// Streams that are queued.
    private(set) var count = 0

    /// Whether no stream has anything to send.
    var isEmpty: Bool { count == 0 }

    /// Lets a stream take part; nothing happens when it does already.
    mutating func enqueue(_ stream: Stream) {
        guard !stream.turn.isQueued else { return }
        let level = stream.urgency.rawValue
        if stream.turn.round != levels[level].round {
            stream.turn.round = levels[level].round
            stream.turn.allowance = Self.quantum
        }
        if stream.turn.allowance > 0 {
            place(stream, in: .fresh)
        } else {
            stream.turn.allowance = Self.quantum
            place(stream, in: .waiting)
        }
        levels[level].live += 1
        count += 1
    }

    /// Takes a stream out that has nothing to send any more.
    mutating func remove(_ stream: Stream) {
        guard stream.turn.isQueued else { return }
        let level = stream.urgency.rawValue
        let wasWaiting = stream.turn.queue == .waiting
        stream.turn.queue = .none
        stream.turn.ticket &+= 1
        levels[level].live -= 1
        count -= 1
        if wasWaiting { turnEnded(at: level) }
        dropStaleEntries(at: level)
    }

    /// Moves a stream to another urgency.
    mutating func setUrgency(_ urgency: StreamUrgency, of stream: Stream) {
        guard urgency != stream.urgency else { return }
        let wasQueued = stream.turn.isQueued
        remove(stream)
        stream.urgency = urgency
        // Rounds of different urgencies are not comparable.
        stream.turn.round = 0
        if wasQueued { enqueue(stream) }
    }

    /// The stream whose turn it is; it stays where it is until `charge` or `remove`.
    mutating func next() -> Stream? {
        for level in levels.indices where levels[level].live > 0 {
            while let entry = levels[level].fresh.first {
                if !entry.isStale { return entry.stream }
                levels[level].fresh.removeFirst()
            }
            while let entry = levels[level].waiting.first {
                if !entry.isStale { return entry.stream }
                levels[level].waiting.removeFirst()
            }
        }
        return nil
    }

    /// Counts bytes that the stream named by `next` sent; with its quantum used up it goes behind the others.
    mutating func charge(_ stream: Stream, bytes: Int) {
        guard stream.turn.isQueued else { return }
        stream.turn.allowance -= bytes
        guard stream.turn.allowance <= 0 else { return }
        let level = stream.urgency.rawValue
        let wasWaiting = stream.turn.queue == .waiting
        stream.turn.ticket &+= 1
        if wasWaiting { turnEnded(at: level) }
        stream.turn.round = levels[level].round
        stream.turn.allowance = Self.quantum
        place(stream, in: .waiting)
        dropStaleEntries(at: level)
    }

    /// Every stream that is queued, in no particular order.
    var streams: [Stream] {
        levels.flatMap { level in (level.fresh + level.waiting).filter { !$0.isStale }.map(\.stream) }
    }

    private mutating func place(_ stream: Stream, in queue: Queue) {
        let level = stream.urgency.rawValue
        stream.turn.queue = queue
        let entry = Entry(stream: stream, ticket: stream.turn.ticket)
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
        while let entry = levels[level].fresh.first, entry.isStale { levels[level].fresh.removeFirst() }
        while let entry = levels[level].waiting.first, entry.isStale { levels[level].waiting.removeFirst() }
        if levels[level].fresh.count + levels[level].waiting.count > 2 * levels[level].live + 16 {
            levels[level].fresh.removeAll { $0.isStale }
            levels[level].waiting.removeAll { $0.isStale }
        }
    }
}
