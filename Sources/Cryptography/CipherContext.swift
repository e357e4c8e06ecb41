internal import COpenSSL

extension CipherSuite {
    // EVP_CIPHER objects are immutable; fetched once and kept for the life of the process, since a fetch takes
    // longer than sealing a packet.
    private nonisolated(unsafe) static let aes128GCMCipher = unsafe EVP_CIPHER_fetch(nil, "AES-128-GCM", nil)
    private nonisolated(unsafe) static let aes256GCMCipher = unsafe EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
    private nonisolated(unsafe) static let chaChaCipher = unsafe EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil)
    private nonisolated(unsafe) static let aes128ECBCipher = unsafe EVP_CIPHER_fetch(nil, "AES-128-ECB", nil)
    private nonisolated(unsafe) static let aes256ECBCipher = unsafe EVP_CIPHER_fetch(nil, "AES-256-ECB", nil)
    private nonisolated(unsafe) static let chaChaStream = unsafe EVP_CIPHER_fetch(nil, "ChaCha20", nil)

    /// The AEAD of packet protection.
    var aeadCipher: OpaquePointer? {
        switch self {
        case .aes128GCM: unsafe Self.aes128GCMCipher
        case .aes256GCM: unsafe Self.aes256GCMCipher
        case .chaCha20Poly1305: unsafe Self.chaChaCipher
        }
    }

    /// The cipher that makes header protection masks (RFC 9001 §5.4.3, §5.4.4).
    var maskCipher: OpaquePointer? {
        switch self {
        case .aes128GCM: unsafe Self.aes128ECBCipher
        case .aes256GCM: unsafe Self.aes256ECBCipher
        case .chaCha20Poly1305: unsafe Self.chaChaStream
        }
    }
}

/// Which way a cipher context works.
enum CipherDirection: Int32 {
    case decrypt = 0
    case encrypt = 1
}

/// An `EVP_CIPHER_CTX` whose key is set once; per message only the nonce changes.
@safe struct CipherContext: ~Copyable {
    let pointer: OpaquePointer?

    /// Sets the key. A wrong key length or an OpenSSL without the cipher is a fault of this program, not of a peer.
    init(_ cipher: OpaquePointer?, key: Span<UInt8>, direction: CipherDirection) {
        unsafe pointer = EVP_CIPHER_CTX_new()
        precondition(unsafe pointer != nil && cipher != nil, "libcrypto lacks a cipher that this program needs")
        precondition(key.count == Int(unsafe EVP_CIPHER_get_key_length(cipher)), "the key does not fit the cipher")
        let context = unsafe pointer
        // The key is copied by the call.
        let done = unsafe key.withUnsafeBufferPointer { key in
            unsafe EVP_CipherInit_ex2(context, cipher, key.baseAddress, nil, direction.rawValue, nil)
        }
        precondition(done == 1, "libcrypto refuses a key")
        // Only ECB looks at padding; its input is whole blocks, and a padded block would overrun the output.
        _ = unsafe EVP_CIPHER_CTX_set_padding(pointer, 0)
    }

    deinit { unsafe EVP_CIPHER_CTX_free(pointer) }
}

/// The nonce of one key (RFC 9001 §5.3): an initialisation vector XORed with the packet's number.
@safe struct NonceSequence: ~Copyable {
    private let high: UInt32
    private let low: UInt64
    private let buffer: UnsafeMutableRawPointer

    init(iv: Span<UInt8>) {
        precondition(iv.count == CipherSuite.nonceLength, "the initialisation vector of every suite has 12 bytes")
        var high: UInt32 = 0
        var low: UInt64 = 0
        for index in 0..<4 { high = high << 8 | UInt32(iv[index]) }
        for index in 4..<12 { low = low << 8 | UInt64(iv[index]) }
        self.high = high
        self.low = low
        // One buffer for the life of the key: no allocation per packet. Aligned for the two stores below.
        unsafe buffer = .allocate(byteCount: 16, alignment: 8)
    }

    deinit { unsafe buffer.deallocate() }

    /// The nonce of a packet; valid until the next call.
    ///
    /// Multipath QUIC (draft-ietf-quic-multipath §2.4) puts the path identifier before the packet number; path 0
    /// gives the nonce of RFC 9001.
    @inline(__always)
    borrowing func nonce(packetNumber: UInt64, pathID: UInt32) -> UnsafePointer<UInt8> {
        unsafe buffer.storeBytes(of: (high ^ pathID).bigEndian, as: UInt32.self)
        unsafe buffer.storeBytes(of: (low ^ packetNumber).bigEndian, toByteOffset: 4, as: UInt64.self)
        return unsafe UnsafePointer(buffer.assumingMemoryBound(to: UInt8.self))
    }
}
