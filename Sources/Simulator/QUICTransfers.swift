public import Primitives
public import QUIC

/// Sends a number of bytes on each of several streams of its own; finished when the peer has acknowledged all of them.
public final class BulkSender: QUICApplication {
    /// Bytes that may wait in a stream unsent: enough for any window, so that only the network limits the transfer.
    static let mostUnsent = 1 << 20
    /// Bytes written at a time.
    private static let chunk = 32 << 10

    /// Bytes on each stream.
    public let bytes: Int
    private let direction: StreamDirection
    private var toOpen: Int
    private var unfinished: Int
    private let neverRead: Int
    private var queued: [(id: StreamID, count: Int)] = []
    private var canStart = false
    /// When the first stream was opened.
    public private(set) var started: Instant?
    /// When everything was acknowledged.
    public private(set) var finished: Instant?

    /// Sends `bytes` on each of `streams` streams, some of which the peer never reads.
    public init(
        _ bytes: Int, streams: Int = 1, neverRead: Int = 0, direction: StreamDirection = .unidirectional
    ) {
        self.bytes = bytes
        self.neverRead = neverRead
        self.direction = direction
        toOpen = streams
        unfinished = streams
    }

    public var isFinished: Bool { unfinished == neverRead }

    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        switch event {
        case .handshakeCompleted: canStart = true
        case .streamFinished(let id):
            guard id.initiator == connection.role, id.direction == direction else { return }
            unfinished -= 1
            if isFinished { finished = now }
        default: break
        }
    }

    public func proceed(on connection: Connection, at now: Instant) {
        guard canStart else { return }
        while toOpen > 0, let id = connection.openStream(direction) {
            if started == nil { started = now }
            toOpen -= 1
            queued.append((id, 0))
        }
        for index in queued.indices { fill(&queued[index], on: connection) }
        queued.removeAll { $0.count == bytes }
    }

    private func fill(_ stream: inout (id: StreamID, count: Int), on connection: Connection) {
        var room = Self.mostUnsent - connection.unsentBytes(on: stream.id)
        while room > 0, stream.count < bytes {
            let piece = StreamPattern.slice(
                of: stream.id, at: stream.count, count: min(Self.chunk, bytes - stream.count))
            connection.write(piece.span, to: stream.id)
            stream.count += piece.count
            room -= piece.count
        }
        if stream.count == bytes { connection.finish(stream.id) }
    }
}

/// Takes in what a `BulkSender` sends and checks every byte; finished when so many streams have ended.
public final class BulkReceiver: QUICApplication {
    /// Streams that have to come.
    public let streams: Int
    /// Bytes of each.
    public let bytes: Int
    private let direction: StreamDirection
    private let unread: Int
    private var opened = 0
    private var positions: [StreamID: Int] = [:]
    private var skipped: Set<StreamID> = []
    /// Streams that ended with the right number of bytes.
    public private(set) var completed = 0
    /// Streams on which something else arrived than was sent; nothing more is read from them.
    public private(set) var corrupted = 0
    /// Bytes read so far.
    public private(set) var received = 0
    /// When bytes were read.
    public private(set) var arrivals = Arrivals()
    /// When each stream ended, in that order.
    public private(set) var completions: [Instant] = []

    /// Takes in `bytes` on each of `streams` streams, and never reads the first `unread` of them.
    public init(
        _ bytes: Int, streams: Int = 1, leavingUnread unread: Int = 0, direction: StreamDirection = .unidirectional
    ) {
        self.bytes = bytes
        self.streams = streams
        self.unread = unread
        self.direction = direction
    }

    public var isFinished: Bool { completed == streams - unread }

    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        switch event {
        case .streamOpened(let id):
            guard id.direction == direction else { return }
            opened += 1
            if opened <= unread { skipped.insert(id) } else { positions[id] = 0 }
        case .streamReadable(let id): read(id, from: connection, at: now)
        default: break
        }
    }

    private func read(_ id: StreamID, from connection: Connection, at now: Instant) {
        guard var position = positions[id] else { return }
        while true {
            let piece = connection.read(from: id, atMost: 1 << 16)
            guard !piece.isEmpty else { break }
            guard StreamPattern.matches(piece, of: id, at: position) else {
                corrupted += 1
                positions[id] = nil
                return
            }
            position += piece.count
            received += piece.count
            arrivals.note(piece.count, at: now)
        }
        positions[id] = position
        guard connection.isFinishedReading(id) else { return }
        positions[id] = nil
        guard position == bytes else {
            corrupted += 1
            return
        }
        completed += 1
        completions.append(now)
    }
}

/// When something arrived, and how long nothing did.
public struct Arrivals: Sendable {
    /// Every instant at which something arrived, once.
    public private(set) var instants: [Instant] = []
    /// How many bytes had arrived after each of them.
    private var totals: [Int] = []

    mutating func note(_ bytes: Int, at now: Instant) {
        let total = (totals.last ?? 0) + bytes
        if instants.last == now {
            totals[totals.count - 1] = total
        } else {
            instants.append(now)
            totals.append(total)
        }
    }

    /// Bytes that arrived after `start`, up to `end`.
    public func bytes(after start: Instant, through end: Instant) -> Int { total(at: end) - total(at: start) }

    private func total(at time: Instant) -> Int {
        let later = instants.firstIndex { $0 > time } ?? instants.count
        return later == 0 ? 0 : totals[later - 1]
    }

    /// The longest time without an arrival that falls into the time from `start` to `end`, up to the last arrival.
    public func longestGap(since start: Instant, until end: Instant = Instant(nanoseconds: .max)) -> Interval {
        var longest = Interval.zero
        for (previous, next) in zip(instants, instants.dropFirst()) where next > start && previous < end {
            longest = max(longest, next - previous)
        }
        return longest
    }

    /// The first arrival after `start`.
    public func first(after start: Instant) -> Instant? { instants.first { $0 > start } }
}
