public import Cryptography

/// A key exchange of TLS 1.3 (RFC 8446 §4.2.7) by the name that OpenSSL knows it by.
///
/// Which names there are depends on the installed OpenSSL; one that it lacks is an error of `TLSContext`. With a key
/// exchange other than these, a client can acknowledge Handshake packets only when the server's whole flight is there.
public struct KeyExchangeGroup: RawRepresentable, Hashable, Sendable {
    /// OpenSSL's name of the group.
    public let rawValue: String

    /// Names a group.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Curve25519
    public static let x25519 = KeyExchangeGroup(rawValue: "X25519")
    /// NIST P-256
    public static let secp256r1 = KeyExchangeGroup(rawValue: "P-256")
    /// NIST P-384
    public static let secp384r1 = KeyExchangeGroup(rawValue: "P-384")
}

/// Whether the handshake's secrets come out as key log lines.
public enum KeyLogging: Hashable, Sendable {
    /// No line is made.
    case disabled
    /// Every secret is also put out as a line of an NSS key log file.
    case enabled
}

/// What both roles set.
public struct TLSOptions: Sendable {
    /// The application protocols (RFC 7301), best first; at least one.
    public var applicationProtocols: [String]
    /// The key exchanges, best first. A client sends a share for the first one.
    ///
    /// Set explicitly: OpenSSL's own list grows, and with it ClientHello.
    public var groups: [KeyExchangeGroup] = [.x25519, .secp256r1, .secp384r1]
    /// The cipher suites, best first. A server's order decides, but for a client that has ChaCha20-Poly1305 first: that
    /// has no instructions for AES.
    public var cipherSuites: [CipherSuite] = CipherSuite.byPreference
    /// The Unix time at which certificates are judged; nil: the system's clock.
    public var verificationTime: Int64?
    /// Whether secrets come out as key log lines.
    public var keyLogging: KeyLogging = .disabled

    /// Creates options for these application protocols, best first.
    public init(applicationProtocols: [String]) { self.applicationProtocols = applicationProtocols }
}

/// By what a client recognises its server.
public enum ServerTrust: Sendable {
    /// The system's trust store and the host name decide.
    case systemStore
    /// These certificates and the host name decide; a server's own self-signed certificate is among them or not.
    case anchors([Certificate])
    /// The server's key has one of these SHA-256 hashes of SubjectPublicKeyInfo (RFC 7469 §2.4); names, dates and
    /// authorities do not matter, so that neither a wrong clock nor a foreign authority can get in between.
    case pinned(publicKeyHashes: [[UInt8]])
}

/// Whether a server asks its clients for certificates.
public enum ClientVerification: Sendable {
    /// It does not ask.
    case none
    /// It asks; a client without a certificate gets in, one with a certificate that does not verify does not.
    case requested(anchors: [Certificate])
    /// It asks, and a client without a certificate that verifies does not get in.
    case required(anchors: [Certificate])
}

/// What a client's `TLSContext` is made from.
public struct TLSClientConfiguration: Sendable {
    /// What both roles set.
    public var options: TLSOptions
    /// By what the server is recognised.
    public var trust: ServerTrust
    /// What the client shows to a server that asks.
    public var identity: Identity?

    /// Creates a configuration.
    public init(options: TLSOptions, trust: ServerTrust, identity: Identity? = nil) {
        self.options = options
        self.trust = trust
        self.identity = identity
    }
}

/// What a server's `TLSContext` is made from.
public struct TLSServerConfiguration: Sendable {
    /// What both roles set.
    public var options: TLSOptions
    /// The certificate chain and key.
    public var identity: Identity
    /// Whether clients are asked for certificates.
    public var clientVerification: ClientVerification = .none
    /// The secret that ticket keys derive from: a ticket is accepted wherever it is the same (after a restart, by
    /// another worker, by another gateway of a fleet). At least 16 bytes; nil: new keys for this context alone.
    public var ticketSecret: SecretBytes?
    /// Servers with the same ticket secret but another context refuse each other's tickets, as they do when they verify
    /// clients otherwise.
    public var sessionIDContext: [UInt8] = Array("godwit".utf8)
    /// Tickets sent after each handshake; a client uses each of them once (RFC 8446 §C.4).
    public var ticketCount: Int = 2

    /// Creates a configuration.
    public init(options: TLSOptions, identity: Identity) {
        self.options = options
        self.identity = identity
    }
}
