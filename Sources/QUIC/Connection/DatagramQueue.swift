import DequeModule

/// DATAGRAM frames that wait to be sent (RFC 9221 §5): they are not retransmitted.
struct DatagramQueue {
    /// Bytes that may wait; beyond them the oldest are dropped, since newer ones matter more to a real-time sender.
    static let maximumWaiting = 1 << 20
    /// Bytes that every datagram counts besides its own, so that empty ones are bounded too.
    static let overhead = 64

    private var waiting: Deque<[UInt8]> = []
    private var waitingBytes = 0
    private(set) var dropped = 0

    var next: [UInt8]? { waiting.first }

    mutating func append(_ bytes: [UInt8]) {
        waiting.append(bytes)
        waitingBytes += bytes.count + Self.overhead
        while waitingBytes > Self.maximumWaiting, let oldest = waiting.popFirst() {
            waitingBytes -= oldest.count + Self.overhead
            dropped += 1
        }
    }

    mutating func removeNext() {
        if let first = waiting.popFirst() { waitingBytes -= first.count + Self.overhead }
    }

    /// Drops the next one: the path does not carry it any more.
    mutating func dropNext() {
        removeNext()
        dropped += 1
    }
}

/// What became of a datagram handed to the connection.
public enum DatagramOutcome: Hashable, Sendable {
    /// It waits to be sent.
    case queued
    /// The peer accepts no DATAGRAM frame of this size, or none at all.
    case tooLarge(limit: Int)
}
