import Primitives

/// Names a network path (a 4-tuple with its books) within one connection; never reused.
public struct NetworkPathID: Hashable, Sendable {
    /// Counts the connection's network paths from 0.
    public let rawValue: UInt32

    /// Creates an identifier.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// What a sent packet carried that its acknowledgement settles or its loss brings back.
enum SentFrame: Equatable {
    case crypto(offset: UInt64, length: Int)
    case stream(StreamID, offset: UInt64, length: Int, fin: Fin)
    case resetStream(StreamID)
    case stopSending(StreamID)
    case maxData
    case maxStreamData(StreamID)
    case maxStreams(StreamDirection)
    case dataBlocked
    case streamDataBlocked(StreamID)
    case streamsBlocked(StreamDirection)
    case newConnectionID(sequence: UInt64)
    case retireConnectionID(sequence: UInt64)
    case newToken
    case handshakeDone
    case pathChallenge(UInt64)
    case datagram
    case ackFrequency(sequence: UInt64)
}

/// The frames of one sent packet; two stay inline, so that a packet of bulk data, or one that gives credit for it, allocates
/// nothing.
struct SentFrames: Equatable {
    private(set) var first: SentFrame?
    private var second: SentFrame?
    private var rest: [SentFrame]?

    var isEmpty: Bool { first == nil }

    mutating func append(_ frame: SentFrame) {
        guard first != nil else {
            first = frame
            return
        }
        guard second != nil else {
            second = frame
            return
        }
        if rest == nil { rest = [frame] } else { rest?.append(frame) }
    }

    /// Calls `body` with each frame in the order it was sent.
    func forEach(_ body: (SentFrame) -> Void) {
        if let first { body(first) }
        if let second { body(second) }
        guard let rest else { return }
        for frame in rest { body(frame) }
    }
}

/// What the sender remembers of a packet until it is acknowledged or lost (RFC 9002 appendix A.1.1).
struct SentPacket: Equatable {
    /// Whether the packet counts against the congestion window and asks for an acknowledgement.
    enum Kind: Equatable {
        /// ACK and CONNECTION_CLOSE frames only.
        case ackOnly
        /// Padding but nothing that asks for an acknowledgement: in flight, not ack-eliciting.
        case padded
        /// Ack-eliciting.
        case ackEliciting
        /// Ack-eliciting, but its loss says nothing about congestion: path MTU or path validation probes.
        case probe(mtu: Int?)

        var isMTUProbe: Bool {
            if case .probe(mtu: _?) = self { true } else { false }
        }

        var isAckEliciting: Bool {
            switch self {
            case .ackOnly, .padded: false
            case .ackEliciting, .probe: true
            }
        }

        var isInFlight: Bool { self != .ackOnly }
    }

    var packetNumber: UInt64
    var timeSent: Instant
    /// Bytes of the UDP payload that this packet takes.
    var size: Int
    var kind: Kind
    /// The codepoint the packet left with.
    var ecn: ECN
    /// The network path it left on: its acknowledgement or loss goes into that path's books only.
    var path: NetworkPathID
    /// The largest packet number that the ACK frame in this packet acknowledged.
    var largestAcknowledged: UInt64?
    var frames: SentFrames
}
