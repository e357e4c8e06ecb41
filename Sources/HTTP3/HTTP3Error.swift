/// An HTTP/3 or QPACK error code as it stands in CONNECTION_CLOSE, RESET_STREAM and STOP_SENDING; a peer may send any value.
///
/// Registries: RFC 9114 §8.1, RFC 9204 §8.3, RFC 9297 §5.2.
public struct HTTP3ErrorCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt64

    /// Creates a code from the number on the wire.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// H3_DATAGRAM_ERROR: a datagram or capsule could not be parsed (RFC 9297).
    public static let datagramError = HTTP3ErrorCode(rawValue: 0x33)
    /// H3_NO_ERROR: closed without anything having gone wrong.
    public static let noError = HTTP3ErrorCode(rawValue: 0x100)
    /// H3_GENERAL_PROTOCOL_ERROR: a rule was broken that has no code of its own.
    public static let generalProtocolError = HTTP3ErrorCode(rawValue: 0x101)
    /// H3_INTERNAL_ERROR: this end failed.
    public static let internalError = HTTP3ErrorCode(rawValue: 0x102)
    /// H3_STREAM_CREATION_ERROR: a stream of a type that will not be accepted.
    public static let streamCreationError = HTTP3ErrorCode(rawValue: 0x103)
    /// H3_CLOSED_CRITICAL_STREAM: a control or QPACK stream was closed.
    public static let closedCriticalStream = HTTP3ErrorCode(rawValue: 0x104)
    /// H3_FRAME_UNEXPECTED: a frame that is not allowed in this state or on this stream.
    public static let frameUnexpected = HTTP3ErrorCode(rawValue: 0x105)
    /// H3_FRAME_ERROR: a frame with the wrong layout or size.
    public static let frameError = HTTP3ErrorCode(rawValue: 0x106)
    /// H3_EXCESSIVE_LOAD: the peer behaves in a way that costs too much.
    public static let excessiveLoad = HTTP3ErrorCode(rawValue: 0x107)
    /// H3_ID_ERROR: a stream or push ID used in the wrong way.
    public static let idError = HTTP3ErrorCode(rawValue: 0x108)
    /// H3_SETTINGS_ERROR: a SETTINGS frame with an impossible content.
    public static let settingsError = HTTP3ErrorCode(rawValue: 0x109)
    /// H3_MISSING_SETTINGS: the control stream does not begin with SETTINGS.
    public static let missingSettings = HTTP3ErrorCode(rawValue: 0x10a)
    /// H3_REQUEST_REJECTED: the request was not processed at all and may be sent again.
    public static let requestRejected = HTTP3ErrorCode(rawValue: 0x10b)
    /// H3_REQUEST_CANCELLED: the request or its response is no longer wanted.
    public static let requestCancelled = HTTP3ErrorCode(rawValue: 0x10c)
    /// H3_REQUEST_INCOMPLETE: the stream ended before the request did.
    public static let requestIncomplete = HTTP3ErrorCode(rawValue: 0x10d)
    /// H3_MESSAGE_ERROR: a malformed request or response.
    public static let messageError = HTTP3ErrorCode(rawValue: 0x10e)
    /// H3_CONNECT_ERROR: the TCP connection behind a CONNECT was reset or closed abnormally.
    public static let connectError = HTTP3ErrorCode(rawValue: 0x10f)
    /// H3_VERSION_FALLBACK: the request needs HTTP/1.1.
    public static let versionFallback = HTTP3ErrorCode(rawValue: 0x110)
    /// QPACK_DECOMPRESSION_FAILED: a field section that cannot be decoded.
    public static let qpackDecompressionFailed = HTTP3ErrorCode(rawValue: 0x200)
    /// QPACK_ENCODER_STREAM_ERROR: an instruction on the encoder stream that cannot be followed.
    public static let qpackEncoderStreamError = HTTP3ErrorCode(rawValue: 0x201)
    /// QPACK_DECODER_STREAM_ERROR: an instruction on the decoder stream that cannot be followed.
    public static let qpackDecoderStreamError = HTTP3ErrorCode(rawValue: 0x202)
}

extension HTTP3ErrorCode: CustomStringConvertible {
    /// The registered name, or the number of an unknown code.
    public var description: String {
        switch self {
        case .datagramError: "H3_DATAGRAM_ERROR"
        case .noError: "H3_NO_ERROR"
        case .generalProtocolError: "H3_GENERAL_PROTOCOL_ERROR"
        case .internalError: "H3_INTERNAL_ERROR"
        case .streamCreationError: "H3_STREAM_CREATION_ERROR"
        case .closedCriticalStream: "H3_CLOSED_CRITICAL_STREAM"
        case .frameUnexpected: "H3_FRAME_UNEXPECTED"
        case .frameError: "H3_FRAME_ERROR"
        case .excessiveLoad: "H3_EXCESSIVE_LOAD"
        case .idError: "H3_ID_ERROR"
        case .settingsError: "H3_SETTINGS_ERROR"
        case .missingSettings: "H3_MISSING_SETTINGS"
        case .requestRejected: "H3_REQUEST_REJECTED"
        case .requestCancelled: "H3_REQUEST_CANCELLED"
        case .requestIncomplete: "H3_REQUEST_INCOMPLETE"
        case .messageError: "H3_MESSAGE_ERROR"
        case .connectError: "H3_CONNECT_ERROR"
        case .versionFallback: "H3_VERSION_FALLBACK"
        case .qpackDecompressionFailed: "QPACK_DECOMPRESSION_FAILED"
        case .qpackEncoderStreamError: "QPACK_ENCODER_STREAM_ERROR"
        case .qpackDecoderStreamError: "QPACK_DECODER_STREAM_ERROR"
        default: "0x" + String(rawValue, radix: 16)
        }
    }
}

/// The peer broke a rule that concerns the whole connection, which closes with this code (RFC 9114 §8).
public struct HTTP3Error: Error, Hashable, Sendable {
    /// The code that the CONNECTION_CLOSE frame carries.
    public let code: HTTP3ErrorCode
    /// One line for a human, without secrets.
    public let reason: String

    /// Creates an error.
    public init(_ code: HTTP3ErrorCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}

/// A malformed request or response: a stream error of type H3_MESSAGE_ERROR (RFC 9114 §4.1.2).
public struct MalformedMessage: Error, Hashable, Sendable {
    /// One line for a human, without field values.
    public let reason: String

    /// Creates an error.
    public init(_ reason: String) { self.reason = reason }
}

/// Numbers of the form `0x1f * N + 0x21`, reserved so that everyone learns to ignore what they do not know
/// (RFC 9114 §6.2.3, §7.2.4.1, §7.2.8, §8.1).
public enum Grease {
    /// A reserved number below 2^62 that depends on `seed` only.
    public static func number(_ seed: UInt64) -> UInt64 { 0x1f * (seed >> 8) + 0x21 }

    /// Whether `number` is reserved.
    public static func contains(_ number: UInt64) -> Bool { number >= 0x21 && (number - 0x21) % 0x1f == 0 }
}
