/// A transport error code as it stands in a CONNECTION_CLOSE frame (RFC 9000 §20.1); a peer may send any value.
public struct TransportErrorCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt64

    /// Creates a code from the number on the wire.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// NO_ERROR
    public static let noError = TransportErrorCode(rawValue: 0x00)
    /// INTERNAL_ERROR
    public static let internalError = TransportErrorCode(rawValue: 0x01)
    /// CONNECTION_REFUSED
    public static let connectionRefused = TransportErrorCode(rawValue: 0x02)
    /// FLOW_CONTROL_ERROR
    public static let flowControlError = TransportErrorCode(rawValue: 0x03)
    /// STREAM_LIMIT_ERROR
    public static let streamLimitError = TransportErrorCode(rawValue: 0x04)
    /// STREAM_STATE_ERROR
    public static let streamStateError = TransportErrorCode(rawValue: 0x05)
    /// FINAL_SIZE_ERROR
    public static let finalSizeError = TransportErrorCode(rawValue: 0x06)
    /// FRAME_ENCODING_ERROR
    public static let frameEncodingError = TransportErrorCode(rawValue: 0x07)
    /// TRANSPORT_PARAMETER_ERROR
    public static let transportParameterError = TransportErrorCode(rawValue: 0x08)
    /// CONNECTION_ID_LIMIT_ERROR
    public static let connectionIDLimitError = TransportErrorCode(rawValue: 0x09)
    /// PROTOCOL_VIOLATION
    public static let protocolViolation = TransportErrorCode(rawValue: 0x0a)
    /// INVALID_TOKEN
    public static let invalidToken = TransportErrorCode(rawValue: 0x0b)
    /// APPLICATION_ERROR
    public static let applicationError = TransportErrorCode(rawValue: 0x0c)
    /// CRYPTO_BUFFER_EXCEEDED
    public static let cryptoBufferExceeded = TransportErrorCode(rawValue: 0x0d)
    /// KEY_UPDATE_ERROR
    public static let keyUpdateError = TransportErrorCode(rawValue: 0x0e)
    /// AEAD_LIMIT_REACHED
    public static let aeadLimitReached = TransportErrorCode(rawValue: 0x0f)
    /// NO_VIABLE_PATH
    public static let noViablePath = TransportErrorCode(rawValue: 0x10)
    /// VERSION_NEGOTIATION_ERROR (RFC 9368)
    public static let versionNegotiationError = TransportErrorCode(rawValue: 0x11)

    /// CRYPTO_ERROR with a TLS alert (RFC 9001 §4.8).
    public static func cryptoError(alert: UInt8) -> TransportErrorCode {
        TransportErrorCode(rawValue: 0x100 + UInt64(alert))
    }

    /// The TLS alert of a CRYPTO_ERROR; nil for other codes.
    public var alert: UInt8? { (0x100...0x1ff).contains(rawValue) ? UInt8(rawValue - 0x100) : nil }
}

/// The peer broke a rule of the transport: the connection closes with this code (RFC 9000 §11.1).
public struct TransportError: Error, Hashable, Sendable {
    /// The code that the CONNECTION_CLOSE frame carries.
    public let code: TransportErrorCode
    /// The type of the frame that broke the rule, 0 when none did.
    public let frameType: UInt64
    /// One line for a human, without secrets.
    public let reason: String

    /// Creates an error.
    public init(_ code: TransportErrorCode, frameType: UInt64 = 0, _ reason: String) {
        self.code = code
        self.frameType = frameType
        self.reason = reason
    }
}
