public import Primitives
public import QUIC

/// Sends a small message on one bidirectional stream at a fixed pace and waits for each to come back, as a person at a
/// terminal does; finished when all have.
public final class EchoSource: QUICApplication {
    /// Bytes of a message.
    public static let messageSize = 64

    private let interval: Interval
    private let count: Int
    private var stream: StreamID?
    private var sentAt: [Instant] = []
    private var next: Instant?
    private var echoed = 0
    private var isCorrupted = false
    /// When messages came back.
    public private(set) var arrivals = Arrivals()
    /// How long each message took to come back.
    public private(set) var roundTrips: [Interval] = []

    /// Sends `count` messages, one each `interval`.
    public init(_ count: Int, every interval: Interval = .milliseconds(20)) {
        self.count = count
        self.interval = interval
    }

    public var isFinished: Bool { roundTrips.count == count && !isCorrupted }
    public var nextDeadline: Instant? { sentAt.count < count ? next : nil }

    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        switch event {
        case .handshakeCompleted:
            stream = connection.openStream(.bidirectional)
            next = now
        case .streamReadable(let id):
            if id == stream { read(id, from: connection, at: now) }
        default: break
        }
    }

    public func proceed(on connection: Connection, at now: Instant) {
        guard let stream, var due = next else { return }
        while due <= now, sentAt.count < count {
            let message = StreamPattern.slice(
                of: stream, at: sentAt.count * Self.messageSize, count: Self.messageSize)
            connection.write(message.span, to: stream)
            sentAt.append(now)
            due += interval
            if sentAt.count == count { connection.finish(stream) }
        }
        next = due
    }

    private func read(_ id: StreamID, from connection: Connection, at now: Instant) {
        let bytes = connection.read(from: id, atMost: 1 << 20)
        if !StreamPattern.matches(bytes, of: id, at: echoed) { isCorrupted = true }
        echoed += bytes.count
        while roundTrips.count < min(echoed / Self.messageSize, sentAt.count) {
            roundTrips.append(now - sentAt[roundTrips.count])
            arrivals.note(Self.messageSize, at: now)
        }
    }

    /// The longest time that a message sent after `start` took to come back.
    public func longestRoundTrip(after start: Instant = .origin) -> Interval {
        zip(sentAt, roundTrips).lazy.filter { $0.0 > start }.map { $0.1 }.max() ?? .zero
    }
}

/// Sends back what arrives on every bidirectional stream of the peer; never has anything left to do of its own.
public final class EchoResponder: QUICApplication {
    /// Creates it.
    public init() {}

    public var isFinished: Bool { true }

    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        guard case .streamReadable(let id) = event, id.initiator != connection.role, id.direction == .bidirectional
        else { return }
        let bytes = connection.read(from: id, atMost: 1 << 20)
        connection.write(bytes.span, to: id)
        if connection.isFinishedReading(id) { connection.finish(id) }
    }
}

/// Makes requests one after the other, each on a bidirectional stream of its own, and takes in the answers.
public final class Requester: QUICApplication {
    private let requestSize: Int
    private let responseSize: Int
    private let count: Int
    private var stream: StreamID?
    private var position = 0
    private var asked: Instant?
    private var isCorrupted = false
    /// How long each answer took, from asking to its last byte.
    public private(set) var durations: [Interval] = []

    /// Makes `count` requests of `requestSize` bytes that are answered with `responseSize` bytes by a `Responder`.
    public init(_ count: Int, of requestSize: Int = 200, answeredBy responseSize: Int) {
        self.count = count
        self.requestSize = requestSize
        self.responseSize = responseSize
    }

    public var isFinished: Bool { durations.count == count && !isCorrupted }

    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        switch event {
        case .handshakeCompleted: ask(on: connection, at: now)
        case .streamReadable(let id):
            if id == stream { read(id, from: connection, at: now) }
        default: break
        }
    }

    private func ask(on connection: Connection, at now: Instant) {
        guard durations.count < count, let id = connection.openStream(.bidirectional) else { return }
        stream = id
        asked = now
        position = 0
        connection.write(StreamPattern.slice(of: id, at: 0, count: requestSize).span, to: id)
        connection.finish(id)
    }

    private func read(_ id: StreamID, from connection: Connection, at now: Instant) {
        let bytes = connection.read(from: id, atMost: 1 << 20)
        if !StreamPattern.matches(bytes, of: id, at: position) { isCorrupted = true }
        position += bytes.count
        guard connection.isFinishedReading(id), let asked else { return }
        if position != responseSize { isCorrupted = true }
        durations.append(now - asked)
        ask(on: connection, at: now)
    }
}

/// Answers every bidirectional stream of the peer, once it has ended, with a number of bytes.
public final class Responder: QUICApplication {
    private let responseSize: Int

    /// Answers with `responseSize` bytes.
    public init(_ responseSize: Int) { self.responseSize = responseSize }

    public var isFinished: Bool { true }

    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        guard case .streamReadable(let id) = event, id.initiator != connection.role, id.direction == .bidirectional
        else { return }
        connection.consume(connection.readableBytes(on: id), from: id)
        guard connection.isFinishedReading(id) else { return }
        var written = 0
        while written < responseSize {
            let piece = StreamPattern.slice(of: id, at: written, count: responseSize - written)
            connection.write(piece.span, to: id)
            written += piece.count
        }
        connection.finish(id)
    }
}
