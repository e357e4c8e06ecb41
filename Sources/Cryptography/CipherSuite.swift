/// The hash functions of the TLS 1.3 cipher suites.
public enum HashAlgorithm: Hashable, Sendable {
    /// SHA-256, FIPS 180-4.
    case sha256
    /// SHA-384, FIPS 180-4.
    case sha384

    /// Bytes in a digest.
    @inlinable
    public var length: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        }
    }
}

/// The TLS 1.3 cipher suites that QUIC uses here (RFC 8446 §B.4, RFC 9001 §5.3), by their number on the wire.
public enum CipherSuite: UInt16, CaseIterable, Sendable {
    /// TLS_AES_128_GCM_SHA256
    case aes128GCM = 0x1301
    /// TLS_AES_256_GCM_SHA384
    case aes256GCM = 0x1302
    /// TLS_CHACHA20_POLY1305_SHA256
    case chaCha20Poly1305 = 0x1303

    /// Bytes in the AEAD key and in the header protection key.
    @inlinable
    public var keyLength: Int {
        switch self {
        case .aes128GCM: 16
        case .aes256GCM, .chaCha20Poly1305: 32
        }
    }

    /// The hash function of the suite's key schedule.
    @inlinable
    public var hash: HashAlgorithm {
        switch self {
        case .aes128GCM, .chaCha20Poly1305: .sha256
        case .aes256GCM: .sha384
        }
    }

    /// Packets that may be sealed with one key; before that, the key is updated or the connection closes.
    @inlinable
    public var confidentialityLimit: UInt64 {
        // RFC 9001 §6.6: for ChaCha20-Poly1305 the limit lies above the number of packets that can be sent, 2^62.
        switch self {
        case .aes128GCM, .aes256GCM: 1 << 23
        case .chaCha20Poly1305: 1 << 62
        }
    }

    /// Packets that may fail to open over all keys of a connection; then it closes with AEAD_LIMIT_REACHED.
    @inlinable
    public var integrityLimit: UInt64 {
        // RFC 9001 §6.6
        switch self {
        case .aes128GCM, .aes256GCM: 1 << 52
        case .chaCha20Poly1305: 1 << 36
        }
    }

    /// Bytes in the nonce of every suite.
    public static let nonceLength = 12
    /// Bytes that sealing adds in every suite.
    public static let tagLength = 16
    /// Bytes of ciphertext that header protection samples in every suite (RFC 9001 §5.4.2).
    public static let sampleLength = 16
}
