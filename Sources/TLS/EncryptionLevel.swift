public import Cryptography

/// The encryption levels of a QUIC handshake without 0-RTT (RFC 9001 §2.1), in the order in which they come into use.
public enum EncryptionLevel: UInt8, CaseIterable, Hashable, Sendable, Comparable {
    /// Initial packets: keys that everyone on the path can derive.
    case initial
    /// Handshake packets.
    case handshake
    /// 1-RTT packets.
    case oneRTT

    @inlinable
    public static func < (a: EncryptionLevel, b: EncryptionLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Which way a traffic secret protects, seen from this end.
public enum SecretDirection: Hashable, Sendable {
    /// Packets that the peer sends.
    case read
    /// Packets that this end sends.
    case write
}

/// Which end of the handshake this is.
public enum TLSRole: Hashable, Sendable {
    /// The end that sends ClientHello.
    case client
    /// The end that answers it.
    case server
}

/// What the TLS engine has for its caller; taken with `TLSEngine.nextOutput()` in the order in which it came about.
public enum TLSOutput: Sendable {
    /// Bytes that continue the CRYPTO stream of a level.
    case handshakeBytes(EncryptionLevel, [UInt8])
    /// A traffic secret; packets of the level can be protected, or opened, from here on.
    case secret(EncryptionLevel, SecretDirection, CipherSuite, SecretBytes)
    /// The content of the peer's quic_transport_parameters extension (RFC 9001 §8.2).
    ///
    /// Not authenticated before `handshakeComplete`.
    case peerTransportParameters([UInt8])
    /// The handshake is complete (RFC 9001 §4.1.1): the peer's Finished was verified.
    case handshakeComplete(HandshakeSummary)
    /// A ticket with which a later connection resumes; clients only.
    case ticket(SessionTicket)
    /// A line for an NSS key log file, when key logging is enabled. It holds secrets.
    case keyLogLine(String)
}

/// What a complete handshake agreed on.
public struct HandshakeSummary: Hashable, Sendable {
    /// The application protocol (RFC 7301); there is always one (RFC 9001 §8.1).
    public let applicationProtocol: String
    /// Whether a ticket was accepted, so that no certificate was exchanged in this handshake.
    public let isResumed: Bool
    /// The cipher suite of the connection.
    public let suite: CipherSuite
    /// SHA-256 of the peer's SubjectPublicKeyInfo; nil when the peer showed no certificate. After a resumption it is
    /// the one of the handshake that the ticket came from.
    public let peerPublicKeyHash: [UInt8]?
    /// The subject of the peer's certificate on one line, for messages; whoever made the certificate chose it.
    public let peerSubject: String?
}

/// What a client keeps to resume with later (RFC 8446 §4.6.1). It holds a secret: store it as such.
public struct SessionTicket: Hashable, Sendable {
    /// The serialised ticket, opaque to everyone but the TLS engine.
    public let bytes: [UInt8]

    /// Takes up a ticket that was stored; bytes that are no ticket lead to a full handshake.
    public init(bytes: [UInt8]) { self.bytes = bytes }
}
