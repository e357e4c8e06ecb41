import QUIC

/// A unidirectional stream that the peer opened (RFC 9114 §6.2).
///
///     [ unidentified ] ──0──► [ control ]        one each; never ends
///          │ ├─────────2, 3─► [ qpackEncoder ], [ qpackDecoder ]
///          │ └─────────1────► connection error: nobody may push
///          └──any other─────► STOP_SENDING, forgotten
enum PeerStream {
    /// Its type has not come yet.
    case unidentified(VarintDecoder)
    /// The control stream.
    case control(FrameDecoder)
    /// Instructions for our decoder.
    case qpackEncoder(QPACKEncoderStream)
    /// Instructions for our encoder.
    case qpackDecoder(QPACKDecoderStream)

    /// Whether its end is the end of the connection (RFC 9114 §6.2.1, RFC 9204 §4.2).
    var isCritical: Bool {
        switch self {
        case .unidentified: false
        case .control, .qpackEncoder, .qpackDecoder: true
        }
    }
}

/// The types of unidirectional streams.
enum UnidirectionalStreamType: UInt64 {
    /// RFC 9114 §6.2.1
    case control = 0x00
    /// RFC 9114 §6.2.2
    case push = 0x01
    /// RFC 9204 §4.2
    case qpackEncoder = 0x02
    /// RFC 9204 §4.2
    case qpackDecoder = 0x03
}
