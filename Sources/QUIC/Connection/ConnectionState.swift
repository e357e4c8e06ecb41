import Primitives

/// Where a connection stands (RFC 9000 §10, RFC 9001 §4.1).
///
/// ```
///  handshaking ──complete──► established ──close / violation──► closing ──3 PTO──► closed
///       │                        │                                │                  ▲
///       │      CONNECTION_CLOSE, └──────────────────► draining ◄──┘ CONNECTION_CLOSE │
///       │        stateless reset                         └───────────3 PTO───────────┤
///       └──────────── time-out, version negotiation, no viable path ─────────────────┘
/// ```
enum ConnectionState: Equatable {
    case handshaking
    case established
    case closing(Closing)
    case draining(until: Instant)
    case closed

    /// Whether packets are still taken in and data sent.
    var isOpen: Bool {
        switch self {
        case .handshaking, .established: true
        case .closing, .draining, .closed: false
        }
    }
}

/// The closing state (RFC 9000 §10.2.1): every so often a packet is answered with CONNECTION_CLOSE again.
struct Closing: Equatable {
    /// What the CONNECTION_CLOSE frame says.
    enum Cause: Equatable {
        case transport(TransportError)
        case application(errorCode: UInt64, reason: String)
    }

    var cause: Cause
    var until: Instant
    /// Whether a CONNECTION_CLOSE is to be sent now.
    var shouldSend = true
    private var packetsReceived = 0
    private var answerAt = 1

    init(cause: Cause, until: Instant) {
        self.cause = cause
        self.until = until
    }

    /// RFC 9000 §10.2.1: answers fewer and fewer packets, the 1st, 2nd, 4th, 8th and so on.
    mutating func packetReceived() {
        packetsReceived += 1
        guard packetsReceived >= answerAt else { return }
        answerAt *= 2
        shouldSend = true
    }
}

/// What is known of the handshake (RFC 9001 §4.1).
enum HandshakeProgress: Int, Comparable {
    case inProgress
    /// TLS has verified the peer's Finished.
    case complete
    /// The peer is known to have completed it as well.
    case confirmed

    static func < (a: HandshakeProgress, b: HandshakeProgress) -> Bool { a.rawValue < b.rawValue }
}
