/// The type that starts a frame (RFC 9000 §19, RFC 9221 §4); a peer may send any value.
struct FrameType: RawRepresentable, Hashable {
    /// The number on the wire.
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    static let padding = FrameType(rawValue: 0x00)
    static let ping = FrameType(rawValue: 0x01)
    static let ack = FrameType(rawValue: 0x02)
    static let ackECN = FrameType(rawValue: 0x03)
    static let resetStream = FrameType(rawValue: 0x04)
    static let stopSending = FrameType(rawValue: 0x05)
    static let crypto = FrameType(rawValue: 0x06)
    static let newToken = FrameType(rawValue: 0x07)
    /// The first of the eight STREAM types; the OFF, LEN and FIN bits are added to it.
    static let stream = FrameType(rawValue: 0x08)
    static let maxData = FrameType(rawValue: 0x10)
    static let maxStreamData = FrameType(rawValue: 0x11)
    static let maxStreamsBidirectional = FrameType(rawValue: 0x12)
    static let maxStreamsUnidirectional = FrameType(rawValue: 0x13)
    static let dataBlocked = FrameType(rawValue: 0x14)
    static let streamDataBlocked = FrameType(rawValue: 0x15)
    static let streamsBlockedBidirectional = FrameType(rawValue: 0x16)
    static let streamsBlockedUnidirectional = FrameType(rawValue: 0x17)
    static let newConnectionID = FrameType(rawValue: 0x18)
    static let retireConnectionID = FrameType(rawValue: 0x19)
    static let pathChallenge = FrameType(rawValue: 0x1a)
    static let pathResponse = FrameType(rawValue: 0x1b)
    static let connectionCloseTransport = FrameType(rawValue: 0x1c)
    static let connectionCloseApplication = FrameType(rawValue: 0x1d)
    static let handshakeDone = FrameType(rawValue: 0x1e)
    /// The first of the two DATAGRAM types; the LEN bit is added to it.
    static let datagram = FrameType(rawValue: 0x30)

    /// The bits of a STREAM frame's type (RFC 9000 §19.8).
    enum StreamBits {
        static let fin: UInt64 = 0x01
        static let length: UInt64 = 0x02
        static let offset: UInt64 = 0x04
    }

    /// The bit of a DATAGRAM frame's type that announces a Length field (RFC 9221 §4).
    static let datagramLengthBit: UInt64 = 0x01
}

/// A set of packet types.
struct PacketTypeSet: OptionSet, Hashable {
    let rawValue: UInt8

    init(rawValue: UInt8) { self.rawValue = rawValue }

    static let initial = PacketTypeSet(.initial)
    static let zeroRTT = PacketTypeSet(.zeroRTT)
    static let handshake = PacketTypeSet(.handshake)
    static let oneRTT = PacketTypeSet(.oneRTT)

    init(_ type: PacketType) { rawValue = 1 << type.rawValue }
}

extension FrameType {
    /// The packets that may carry a frame of this type (RFC 9000 §12.4, table 3, column Pkts); nil for an unknown type.
    var permittedPackets: PacketTypeSet? {
        switch rawValue {
        case 0x00, 0x01: [.initial, .handshake, .zeroRTT, .oneRTT]  // PADDING, PING
        case 0x02, 0x03: [.initial, .handshake, .oneRTT]  // ACK
        case 0x04, 0x05: [.zeroRTT, .oneRTT]  // RESET_STREAM, STOP_SENDING
        case 0x06: [.initial, .handshake, .oneRTT]  // CRYPTO
        case 0x07: [.oneRTT]  // NEW_TOKEN
        case 0x08...0x0f: [.zeroRTT, .oneRTT]  // STREAM
        case 0x10...0x1a: [.zeroRTT, .oneRTT]  // MAX_DATA to PATH_CHALLENGE
        case 0x1b: [.oneRTT]  // PATH_RESPONSE
        case 0x1c: [.initial, .handshake, .zeroRTT, .oneRTT]  // CONNECTION_CLOSE of the transport
        case 0x1d: [.zeroRTT, .oneRTT]  // CONNECTION_CLOSE of the application
        case 0x1e: [.oneRTT]  // HANDSHAKE_DONE
        // draft-ietf-quic-ack-frequency §3: not in 0-RTT packets.
        case 0x1f, 0xaf: [.oneRTT]  // IMMEDIATE_ACK, ACK_FREQUENCY
        case 0x30, 0x31: [.zeroRTT, .oneRTT]  // DATAGRAM (RFC 9221 §5)
        default: nil
        }
    }

    /// Whether only a server may send it (RFC 9000 §19.7 and §19.20).
    var isFromServerOnly: Bool { self == .newToken || self == .handshakeDone }
}

extension Frame {
    /// Whether a packet with this frame asks for an acknowledgement (RFC 9002 §2).
    var isAckEliciting: Bool {
        switch self {
        case .padding, .ack, .connectionClose: false
        case .ping, .resetStream, .stopSending, .crypto, .newToken, .stream, .maxData, .maxStreamData, .maxStreams,
            .dataBlocked, .streamDataBlocked, .streamsBlocked, .newConnectionID, .retireConnectionID, .pathChallenge,
            .pathResponse, .handshakeDone, .datagram, .ackFrequency, .immediateAck:
            true
        }
    }

    /// Whether a packet of such frames only is a probing packet, which does not migrate the connection (RFC 9000 §9.1).
    var isProbing: Bool {
        switch self {
        case .padding, .newConnectionID, .pathChallenge, .pathResponse: true
        case .ping, .ack, .resetStream, .stopSending, .crypto, .newToken, .stream, .maxData, .maxStreamData,
            .maxStreams, .dataBlocked, .streamDataBlocked, .streamsBlocked, .retireConnectionID, .connectionClose,
            .handshakeDone, .datagram, .ackFrequency, .immediateAck:
            false
        }
    }
}
