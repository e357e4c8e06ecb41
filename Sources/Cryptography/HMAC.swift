internal import COpenSSL

/// An HMAC (RFC 2104) of a message that comes in pieces.
///
/// Made of two digests in one context: libcrypto 3.0 looks up its HMAC by name for every code, which takes longer than the code itself,
/// and a handshake has dozens of them.
@safe struct HMAC: ~Copyable {
    private let hash: HashAlgorithm
    /// Owned: freed in deinit.
    private let context: OpaquePointer?
    /// Owned: the key XORed with ipad, then with opad, a block long; wiped and freed in deinit.
    private let pad: UnsafeMutableBufferPointer<UInt8>

    private static let ipad: UInt8 = 0x36
    private static let opad: UInt8 = 0x5c

    /// Begins a code under a key of any length.
    init(_ hash: HashAlgorithm, key: Span<UInt8>) {
        // RFC 2104 §3: a key longer than a block stands for its digest.
        let isLong = key.count > hash.blockLength
        let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: hash.blockLength)
        unsafe block.initialize(repeating: 0)
        var start = unsafe MutableSpan(_unsafeElements: block)
        if isLong { hash.digest(key, into: &start) }
        for index in 0..<(isLong ? 0 : key.count) { start[index] = key[index] }
        self.hash = hash
        unsafe context = EVP_MD_CTX_new()
        unsafe pad = block
        begin(changingPadBy: Self.ipad)
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
        unsafe OPENSSL_cleanse(pad.baseAddress, pad.count)
        unsafe pad.deallocate()
    }

    /// Takes in the next piece of the message.
    mutating func update(_ piece: Span<UInt8>) {
        // The bytes are read during the call.
        let done = unsafe piece.withUnsafeBufferPointer { piece in
            unsafe EVP_DigestUpdate(context, piece.baseAddress, piece.count)
        }
        precondition(done == 1, "libcrypto cannot compute a digest")
    }

    /// Writes the code over the first `hash.length` bytes of `output`; nothing may be asked of it any more.
    mutating func finish(into output: inout MutableSpan<UInt8>) {
        end(into: &output)
        begin(changingPadBy: Self.ipad ^ Self.opad)
        update(output.span.extracting(..<hash.length))
        end(into: &output)
    }

    /// Begins a digest with the key's block.
    private func begin(changingPadBy mask: UInt8) {
        for index in unsafe pad.indices { unsafe pad[index] ^= mask }
        let done =
            unsafe EVP_DigestInit_ex2(context, hash.messageDigest, nil) == 1
            && EVP_DigestUpdate(context, pad.baseAddress, pad.count) == 1
        precondition(done, "libcrypto cannot compute a digest")
    }

    private func end(into output: inout MutableSpan<UInt8>) {
        precondition(output.count >= hash.length)
        // The output has room for a whole digest.
        let done = unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe EVP_DigestFinal_ex(context, output.baseAddress, nil)
        }
        precondition(done == 1, "libcrypto cannot compute a digest")
    }
}
