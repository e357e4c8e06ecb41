internal import COpenSSL

/// The five bytes that hide a packet's first byte and packet number (RFC 9001 §5.4.1).
public struct HeaderMask: Hashable, Sendable {
    /// The mask, its first byte in the lowest eight bits.
    @usableFromInline let bits: UInt64

    /// Bytes in a mask.
    public static let length = 5

    /// Reads the mask that `masks(samples:into:)` wrote at `offset`; `bytes` must reach 5 bytes further.
    @inlinable
    public init(_ bytes: Span<UInt8>, at offset: Int) {
        bits =
            UInt64(bytes[offset]) | UInt64(bytes[offset + 1]) << 8 | UInt64(bytes[offset + 2]) << 16
            | UInt64(bytes[offset + 3]) << 24 | UInt64(bytes[offset + 4]) << 32
    }

    /// What the packet's first byte is XORed with, before its protected bits are selected.
    @inlinable
    public var firstByte: UInt8 { UInt8(truncatingIfNeeded: bits) }

    /// What byte `index` (0 to 3) of the packet number is XORed with.
    @inlinable
    public func packetNumberByte(_ index: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: bits >> (8 &* (UInt64(truncatingIfNeeded: index) &+ 1)))
    }
}

/// Makes header protection masks under one key (RFC 9001 §5.4). Not for use by two threads at a time.
@safe public final class HeaderProtectionKey {
    private let suite: CipherSuite
    private let context: CipherContext
    private let scratch: UnsafeMutablePointer<UInt8>

    /// Takes the header protection key (`suite.keyLength` bytes) of one direction.
    public init(suite: CipherSuite, key: SecretBytes) {
        self.suite = suite
        unsafe context = CipherContext(suite.maskCipher, key: key.span, direction: .encrypt)
        // Room for one mask, so that a single one costs no allocation.
        unsafe scratch = .allocate(capacity: CipherSuite.sampleLength)
        unsafe scratch.initialize(repeating: 0, count: CipherSuite.sampleLength)
    }

    deinit { unsafe scratch.deallocate() }

    /// The mask for a sample of 16 bytes of ciphertext; the caller has checked that the packet is long enough.
    public func mask(sample: Span<UInt8>) -> HeaderMask {
        precondition(sample.count == CipherSuite.sampleLength)
        var output = unsafe MutableSpan(_unsafeStart: scratch, count: CipherSuite.sampleLength)
        masks(samples: sample, into: &output)
        return HeaderMask(output.span, at: 0)
    }

    /// The masks for n samples of 16 bytes, one after another, written 16 bytes apart; one call into libcrypto for AES.
    ///
    /// The five bytes at each multiple of 16 are the mask (`HeaderMask(_:at:)`); what stands between is unspecified.
    public func masks(samples: Span<UInt8>, into output: inout MutableSpan<UInt8>) {
        let stride = CipherSuite.sampleLength
        precondition(samples.count % stride == 0 && output.count >= samples.count && samples.count <= Int(Int32.max))
        let context = unsafe self.context.pointer
        let suite = suite
        // Output is at least as long as the input by the check above, and ECB without padding writes no more.
        let done = unsafe samples.withUnsafeBufferPointer { samples in
            unsafe output.withUnsafeMutableBufferPointer { output -> Bool in
                guard let source = samples.baseAddress, let target = output.baseAddress else { return true }
                var count: Int32 = 0
                switch suite {
                case .aes128GCM, .aes256GCM:
                    // RFC 9001 §5.4.3: the mask is the sample encrypted as one block.
                    return unsafe EVP_EncryptUpdate(context, target, &count, source, Int32(samples.count)) == 1
                case .chaCha20Poly1305:
                    // RFC 9001 §5.4.4: the sample is block counter and nonce, in the order in which OpenSSL takes
                    // them; the mask is the keystream, which is what five zeros encrypt to.
                    for offset in Swift.stride(from: 0, to: samples.count, by: stride) {
                        let mask = unsafe target + offset
                        unsafe mask.update(repeating: 0, count: HeaderMask.length)
                        guard unsafe EVP_EncryptInit_ex2(context, nil, nil, source + offset, nil) == 1,
                            unsafe EVP_EncryptUpdate(context, mask, &count, mask, Int32(HeaderMask.length)) == 1
                        else { return false }
                    }
                    return true
                }
            }
        }
        precondition(done, "libcrypto cannot make a header protection mask")
    }
}
