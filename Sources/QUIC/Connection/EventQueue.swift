import DequeModule

/// Events of the connection itself, in order; stream events wait in the stream table, coalesced.
///
/// The end of the connection is told last: what arrived before it can still be read.
struct EventQueue {
    private var events: Deque<ConnectionEvent> = []
    private var end: ConnectionEnd?

    mutating func append(_ event: ConnectionEvent) { events.append(event) }
    mutating func append(_ end: ConnectionEnd) { self.end = end }
    mutating func next() -> ConnectionEvent? { events.popFirst() }

    mutating func takeEnd() -> ConnectionEvent? {
        defer { end = nil }
        return end.map(ConnectionEvent.closed)
    }
}

extension ConnectionEvent {
    init(_ event: StreamEvent) {
        switch event {
        case .opened(let id): self = .streamOpened(id)
        case .readable(let id): self = .streamReadable(id)
        case .reset(let id, let errorCode): self = .streamReset(id, errorCode: errorCode)
        case .stopped(let id, let errorCode): self = .streamStopped(id, errorCode: errorCode)
        case .acknowledged(let id): self = .streamAcknowledged(id)
        case .drained(let id): self = .streamDrained(id)
        case .finished(let id): self = .streamFinished(id)
        case .streamsAvailable(let direction): self = .streamsAvailable(direction)
        }
    }
}

/// Counters of one connection since its start.
public struct ConnectionStatistics: Hashable, Sendable {
    /// Datagrams that arrived, whatever became of them.
    public var datagramsReceived: UInt64 = 0
    /// Bytes of UDP payload that arrived.
    public var bytesReceived: UInt64 = 0
    /// Datagrams that were handed out to be sent.
    public var datagramsSent: UInt64 = 0
    /// Bytes of UDP payload that were handed out to be sent.
    public var bytesSent: UInt64 = 0
    /// Packets that were dropped: no key, failed authentication, duplicates, malformed headers.
    public var packetsDropped: UInt64 = 0
    /// Packets that were declared lost.
    public var packetsLost: UInt64 = 0
    /// Key updates, whoever began them.
    public var keyUpdates: UInt64 = 0
    /// Connection IDs of this end that the peer has retired.
    public var connectionIDsRetired: UInt64 = 0
    /// How often the peer's address changed under the connection.
    public var peerMoves: UInt64 = 0
}
