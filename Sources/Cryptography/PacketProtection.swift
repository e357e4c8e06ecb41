internal import CAcceleration
internal import COpenSSL

/// A key with the library that works with it.
private enum AEADKey: ~Copyable {
    case openSSL(CipherContext)
    case multiBuffer(MultiBufferKey)

    init(_ suite: CipherSuite, key: SecretBytes, direction: CipherDirection, backend: AEADBackend) {
        precondition(key.count == suite.keyLength, "the key does not fit the cipher suite")
        if backend == .multiBuffer, let expanded = MultiBufferKey(suite, key: key.span) {
            self = .multiBuffer(expanded)
        } else {
            self = unsafe .openSSL(CipherContext(suite.aeadCipher, key: key.span, direction: direction))
        }
    }
}

/// Seals packets in place under one key (RFC 9001 §5.3). Not for use by two threads at a time.
public final class PacketSealer {
    private let key: AEADKey
    private let nonces: NonceSequence

    /// Takes the key (`suite.keyLength` bytes) and the initialisation vector (12 bytes) of one direction.
    public convenience init(suite: CipherSuite, key: SecretBytes, iv: SecretBytes) {
        self.init(suite: suite, key: key, iv: iv, backend: AEADSelection.current.backend)
    }

    /// The same with a backend that is available; what it does not do goes to libcrypto.
    public init(suite: CipherSuite, key: SecretBytes, iv: SecretBytes, backend: AEADBackend) {
        self.key = AEADKey(suite, key: key, direction: .encrypt, backend: backend)
        nonces = NonceSequence(iv: iv.span)
    }

    /// Encrypts a packet in place.
    ///
    /// `packet` is header, plaintext and 16 bytes of room, into which the tag goes; the header is authenticated and
    /// stays as it is. Never twice with the same number on the same path: the key would be lost.
    public func seal(
        _ packet: inout MutableSpan<UInt8>, headerLength: Int, packetNumber: UInt64, pathID: UInt32 = 0
    ) {
        let plaintextLength = packet.count - headerLength - CipherSuite.tagLength
        precondition(headerLength >= 0 && plaintextLength >= 0 && packet.count <= Int(Int32.max))
        let nonce = unsafe nonces.nonce(packetNumber: packetNumber, pathID: pathID)
        // Every offset lies inside the packet by the lengths above.
        let done = unsafe packet.withUnsafeMutableBufferPointer { packet -> Bool in
            guard let start = packet.baseAddress else { return false }
            switch key {
            case .openSSL(let context):
                return unsafe context.encrypt(
                    start, headerLength: headerLength, plaintextLength: plaintextLength, nonce: nonce)
            case .multiBuffer(let key):
                unsafe godwit_mb_encrypt(
                    key.pointer, nonce, start, headerLength, start + headerLength, plaintextLength)
                return true
            }
        }
        // A packet that was not sealed must not be sent, and nothing that a peer does leads here.
        precondition(done, "libcrypto cannot seal a packet")
    }
}

/// Opens packets in place under one key (RFC 9001 §5.3). Not for use by two threads at a time.
public final class PacketOpener {
    private let key: AEADKey
    private let nonces: NonceSequence

    /// Takes the key (`suite.keyLength` bytes) and the initialisation vector (12 bytes) of one direction.
    public convenience init(suite: CipherSuite, key: SecretBytes, iv: SecretBytes) {
        self.init(suite: suite, key: key, iv: iv, backend: AEADSelection.current.backend)
    }

    /// The same with a backend that is available; what it does not do goes to libcrypto.
    public init(suite: CipherSuite, key: SecretBytes, iv: SecretBytes, backend: AEADBackend) {
        self.key = AEADKey(suite, key: key, direction: .decrypt, backend: backend)
        nonces = NonceSequence(iv: iv.span)
    }

    /// Decrypts a packet in place: header, ciphertext and 16 bytes of tag become header, plaintext and the tag.
    ///
    /// False when the packet is not authentic or shorter than its header and a tag; the bytes after the header are
    /// then worthless and must not be read. Tags are compared in constant time.
    public func open(
        _ packet: inout MutableSpan<UInt8>, headerLength: Int, packetNumber: UInt64, pathID: UInt32 = 0
    ) -> Bool {
        guard headerLength >= 0, packet.count <= Int(Int32.max), headerLength <= packet.count,
            packet.count - headerLength >= CipherSuite.tagLength
        else { return false }
        let ciphertextLength = packet.count - headerLength - CipherSuite.tagLength
        let nonce = unsafe nonces.nonce(packetNumber: packetNumber, pathID: pathID)
        // Every offset lies inside the packet by the checks above.
        return unsafe packet.withUnsafeMutableBufferPointer { packet -> Bool in
            guard let start = packet.baseAddress else { return false }
            switch key {
            case .openSSL(let context):
                return unsafe context.decrypt(
                    start, headerLength: headerLength, ciphertextLength: ciphertextLength, nonce: nonce)
            case .multiBuffer(let key):
                return unsafe godwit_mb_decrypt(
                    key.pointer, nonce, start, headerLength, start + headerLength, ciphertextLength) == 1
            }
        }
    }
}

/// Packets in libcrypto, which works in place. The memory at `start` is header, text and tag.
extension CipherContext {
    fileprivate borrowing func encrypt(
        _ start: UnsafeMutablePointer<UInt8>, headerLength: Int, plaintextLength: Int, nonce: UnsafePointer<UInt8>
    ) -> Bool {
        let context = unsafe pointer
        let body = unsafe start + headerLength
        var count: Int32 = 0
        return unsafe EVP_EncryptInit_ex2(context, nil, nil, nonce, nil) == 1
            && EVP_EncryptUpdate(context, nil, &count, start, Int32(headerLength)) == 1
            && EVP_EncryptUpdate(context, body, &count, body, Int32(plaintextLength)) == 1
            && EVP_EncryptFinal_ex(context, body + plaintextLength, &count) == 1
            && EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_GET_TAG, Int32(CipherSuite.tagLength), body + plaintextLength) == 1
    }

    fileprivate borrowing func decrypt(
        _ start: UnsafeMutablePointer<UInt8>, headerLength: Int, ciphertextLength: Int, nonce: UnsafePointer<UInt8>
    ) -> Bool {
        let context = unsafe pointer
        let body = unsafe start + headerLength
        var count: Int32 = 0
        return unsafe EVP_DecryptInit_ex2(context, nil, nil, nonce, nil) == 1
            && EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_SET_TAG, Int32(CipherSuite.tagLength), body + ciphertextLength) == 1
            && EVP_DecryptUpdate(context, nil, &count, start, Int32(headerLength)) == 1
            && EVP_DecryptUpdate(context, body, &count, body, Int32(ciphertextLength)) == 1
            && EVP_DecryptFinal_ex(context, body + ciphertextLength, &count) == 1
    }
}
