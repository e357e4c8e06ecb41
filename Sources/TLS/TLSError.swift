internal import COpenSSL
internal import Cryptography

/// Why a handshake failed, or why a configuration cannot be used.
public struct TLSError: Error, Hashable, Sendable {
    /// What went wrong, in kinds that callers tell apart: by exit code, by what to try next, by wire code.
    public enum Kind: Hashable, Sendable, CaseIterable {
        /// A file or value given to this end cannot be used.
        case configuration
        /// A certificate of the peer's chain is no longer valid, or this machine's clock is ahead.
        case certificateExpired
        /// A certificate of the peer's chain is not valid yet, or this machine's clock is behind.
        case certificateNotYetValid
        /// The peer's certificate is for other names.
        case hostNameMismatch
        /// The peer's key is not the pinned one.
        case pinMismatch
        /// No trusted authority stands behind the peer's certificate.
        case unknownAuthority
        /// The peer's certificate is wrong in another way.
        case certificateInvalid
        /// The client showed no certificate, but the server demands one.
        case certificateMissing
        /// The two ends have no application protocol in common (RFC 9001 §8.1).
        case noApplicationProtocol
        /// The peer sent no transport parameters (RFC 9001 §8.2).
        case missingTransportParameters
        /// The peer broke a rule of QUIC, not of TLS: the connection closes with PROTOCOL_VIOLATION.
        case protocolViolation
        /// The peer sent a handshake message out of order, or one that QUIC forbids.
        case unexpectedMessage
        /// The peer's handshake cannot be followed: malformed, tampered with, or without common algorithms.
        case handshakeFailed
        /// The peer gave up with an alert.
        case peerAlert
        /// OpenSSL failed in a way that no peer should be able to cause.
        case internalFailure
    }

    /// What went wrong.
    public let kind: Kind
    /// The TLS alert (RFC 8446 §6) that tells the peer: the connection closes with CRYPTO_ERROR 0x100 + alert, except
    /// for `.protocolViolation`. For `.peerAlert` it is the alert that the peer sent.
    public let alert: UInt8
    /// One line for a human: what failed and why. It may quote the peer's certificate, never a secret.
    public let reason: String

    /// Creates an error.
    public init(_ kind: Kind, alert: TLSAlert, _ reason: String) {
        self.kind = kind
        self.alert = alert.rawValue
        self.reason = reason
    }

    /// Describes the alert with which the peer closed the connection (CRYPTO_ERROR, RFC 9001 §4.8).
    public init(peerAlert alert: UInt8) {
        kind = .peerAlert
        self.alert = alert
        reason = "the peer ended the handshake: \(TLSAlert(rawValue: alert).explanation)"
    }

    static func configuration(_ reason: String) -> TLSError { TLSError(.configuration, alert: .internalError, reason) }

    static func internalFailure(_ reason: String) -> TLSError {
        TLSError(.internalFailure, alert: .internalError, reason)
    }

    static func noApplicationProtocol(_ reason: String) -> TLSError {
        TLSError(.noApplicationProtocol, alert: .noApplicationProtocol, reason)
    }

    static func missingTransportParameters(_ sender: TLSRole) -> TLSError {
        TLSError(
            .missingTransportParameters, alert: .missingExtension,
            "the \(sender) sent no QUIC transport parameters: it speaks TLS, but not QUIC")
    }

    /// A configuration that OpenSSL refuses, in its words.
    static func openSSL(_ what: String) -> TLSError {
        .configuration(OpenSSLErrors.takeReason().map { "\(what): \($0)" } ?? what)
    }
}

/// A TLS alert (RFC 8446 §6) by its number on the wire; a peer may send any.
public struct TLSAlert: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt8

    /// Creates an alert from the number on the wire.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// unexpected_message
    public static let unexpectedMessage = TLSAlert(rawValue: 10)
    /// handshake_failure
    public static let handshakeFailure = TLSAlert(rawValue: 40)
    /// bad_certificate
    public static let badCertificate = TLSAlert(rawValue: 42)
    /// certificate_expired
    public static let certificateExpired = TLSAlert(rawValue: 45)
    /// illegal_parameter
    public static let illegalParameter = TLSAlert(rawValue: 47)
    /// unknown_ca
    public static let unknownAuthority = TLSAlert(rawValue: 48)
    /// decode_error
    public static let decodeError = TLSAlert(rawValue: 50)
    /// internal_error
    public static let internalError = TLSAlert(rawValue: 80)
    /// missing_extension
    public static let missingExtension = TLSAlert(rawValue: 109)
    /// certificate_required
    public static let certificateRequired = TLSAlert(rawValue: 116)
    /// no_application_protocol
    public static let noApplicationProtocol = TLSAlert(rawValue: 120)

    /// What the sender of the alert wants to say, in words.
    public var explanation: String {
        switch self {
        case .badCertificate: "it does not accept our certificate"
        case .certificateExpired: "our certificate has expired, or the peer's clock is ahead"
        case .unknownAuthority: "it does not know the authority that signed our certificate"
        case .certificateRequired: "it demands a certificate from us"
        case .noApplicationProtocol: "it does not speak our application protocol"
        default: "\(name) (alert \(rawValue))"
        }
    }

    /// The name that OpenSSL gives the alert.
    var name: String {
        // The text is a constant of the library.
        guard let text = unsafe SSL_alert_desc_string_long(Int32(rawValue)) else { return "unknown alert" }
        return unsafe String(cString: text)
    }
}
