import QUIC

/// What is known of one request stream.
///
/// Receiving (RFC 9114 §4.1, §4.4):
///
///     [ head ] ──HEADERS──► [ content ] ──HEADERS──► [ trailers ] ──FIN──► [ ended ]
///        │  ▲ interim           └───────────────FIN────────────────────────────▲
///        └──┘                                                                  │
///        └──HEADERS of a CONNECT, or of the 2xx to it──► [ tunnel ] ────FIN────┘
///
/// A reset from the peer, and this end's STOP_SENDING, lead to `ended` from everywhere.
final class RequestStream {
    /// How far the peer's direction has come.
    enum Receiving: Hashable {
        /// No final message head yet.
        case head
        /// Content: DATA frames, perhaps trailers.
        case content
        /// A CONNECT tunnel: DATA frames only.
        case tunnel
        /// Trailers came: only unknown frames may follow.
        case trailers
        /// Nothing will come.
        case ended
    }

    /// How far this end's direction has come.
    enum Sending: Hashable {
        /// More may be sent.
        case open
        /// The end was sent, its acknowledgment is awaited.
        case finishing
        /// All was acknowledged, or the direction was reset.
        case ended
    }

    /// Whether the request asks for a tunnel.
    enum Kind: Hashable {
        /// An ordinary request.
        case resource
        /// CONNECT, classic or extended.
        case connect
    }

    /// Who reads the content.
    enum Reader: Hashable {
        /// The user of the connection, when it likes.
        case user
        /// Nobody: it is read and dropped as it comes.
        case nobody
    }

    var decoder: FrameDecoder
    var receiving = Receiving.head
    var sending = Sending.open
    var kind = Kind.resource
    var reader = Reader.user

    init(readBy role: Role) {
        decoder = FrameDecoder(.request, readBy: role)
    }

    /// Whether nothing will happen on the stream any more.
    var isOver: Bool { receiving == .ended && sending == .ended }
}

extension RequestStream.Receiving {
    /// What a frame of the peer does.
    enum Outcome: Hashable {
        /// It is a message head, which decides what follows.
        case head
        /// It is content.
        case content
        /// It is the trailer section.
        case trailers
        /// It must not come: a connection error of type H3_FRAME_UNEXPECTED.
        case unexpected
    }

    /// RFC 9114 §4.1: HEADERS begins a message, then trailers may come once.
    var onHeaders: Outcome {
        switch self {
        case .head: .head
        case .content: .trailers
        // RFC 9114 §4.4: only DATA on a CONNECT stream.
        case .tunnel, .trailers, .ended: .unexpected
        }
    }

    /// RFC 9114 §4.1: DATA before HEADERS or after the trailers is invalid.
    var onData: Outcome {
        switch self {
        case .content, .tunnel: .content
        case .head, .trailers, .ended: .unexpected
        }
    }
}
