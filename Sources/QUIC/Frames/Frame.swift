/// A decoded frame (RFC 9000 §19, RFC 9221, draft-ietf-quic-ack-frequency). Payloads are ranges of the packet they were decoded from.
enum Frame: Equatable {
    /// A run of PADDING frames, `count` bytes long.
    case padding(count: Int)
    case ping
    case ack(AckFrame)
    case resetStream(StreamID, errorCode: UInt64, finalSize: UInt64)
    case stopSending(StreamID, errorCode: UInt64)
    case crypto(offset: UInt64, data: Range<Int>)
    case newToken(Range<Int>)
    case stream(StreamID, offset: UInt64, data: Range<Int>, fin: Fin)
    case maxData(UInt64)
    case maxStreamData(StreamID, UInt64)
    case maxStreams(StreamDirection, UInt64)
    case dataBlocked(limit: UInt64)
    case streamDataBlocked(StreamID, limit: UInt64)
    case streamsBlocked(StreamDirection, limit: UInt64)
    case newConnectionID(NewConnectionIDFrame)
    case retireConnectionID(sequence: UInt64)
    case pathChallenge(UInt64)
    case pathResponse(UInt64)
    case connectionClose(ConnectionCloseFrame)
    case handshakeDone
    case datagram(Range<Int>)
    case ackFrequency(AckFrequencyFrame)
    case immediateAck
}

/// Whether a stream's last byte is in the frame (the FIN bit of a STREAM frame, RFC 9000 §19.8).
public enum Fin: Hashable, Sendable {
    /// More may follow.
    case more
    /// The stream ends here.
    case end
}

/// An ACK frame (RFC 9000 §19.3). Its ranges were checked when it was decoded and are read again from the packet.
struct AckFrame: Equatable {
    /// The largest packet number that is acknowledged.
    var largestAcknowledged: UInt64
    /// The delay field as sent: to be scaled by the peer's ack_delay_exponent.
    var encodedDelay: UInt64
    /// Packets before the largest one that the first range holds besides it.
    var firstRange: UInt64
    /// How many (gap, length) pairs follow.
    var additionalRangeCount: UInt64
    /// Where the pairs stand in the packet.
    var additionalRanges: Range<Int>
    /// The counts of an ACK_ECN frame.
    var ecn: ECNCounts?
}

/// How many packets arrived with each ECN codepoint (RFC 9000 §19.3.2).
public struct ECNCounts: Hashable, Sendable {
    /// Packets marked ECT(0).
    public var ect0: UInt64
    /// Packets marked ECT(1).
    public var ect1: UInt64
    /// Packets marked CE.
    public var congestionExperienced: UInt64

    /// Creates counts.
    public init(ect0: UInt64 = 0, ect1: UInt64 = 0, congestionExperienced: UInt64 = 0) {
        self.ect0 = ect0
        self.ect1 = ect1
        self.congestionExperienced = congestionExperienced
    }
}

/// A NEW_CONNECTION_ID frame (RFC 9000 §19.15).
struct NewConnectionIDFrame: Equatable {
    var sequence: UInt64
    var retirePriorTo: UInt64
    var id: ConnectionID
    var resetToken: StatelessResetToken
}

/// The 16 bytes that end a stateless reset (RFC 9000 §10.3).
public struct StatelessResetToken: Hashable, Sendable {
    /// The first eight bytes, most significant first.
    public let high: UInt64
    /// The last eight bytes, most significant first.
    public let low: UInt64

    /// Creates a token from its 16 bytes.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// A CONNECTION_CLOSE frame of either kind (RFC 9000 §19.19).
struct ConnectionCloseFrame: Equatable {
    enum Origin: Equatable {
        /// Type 0x1c: the transport closed; `frameType` is what it objected to, 0 when unknown.
        case transport(TransportErrorCode, frameType: UInt64)
        /// Type 0x1d: the application closed.
        case application(code: UInt64)
    }

    var origin: Origin
    /// Where the reason phrase stands in the packet.
    var reason: Range<Int>
}
