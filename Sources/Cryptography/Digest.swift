internal import COpenSSL

extension HashAlgorithm {
    // EVP_MD objects are immutable, reference-counted by the library and kept for the life of the process.
    private nonisolated(unsafe) static let fetchedSHA256 = unsafe EVP_MD_fetch(nil, "SHA2-256", nil)
    private nonisolated(unsafe) static let fetchedSHA384 = unsafe EVP_MD_fetch(nil, "SHA2-384", nil)

    var messageDigest: OpaquePointer? {
        switch self {
        case .sha256: unsafe Self.fetchedSHA256
        case .sha384: unsafe Self.fetchedSHA384
        }
    }

    /// The digest of a message.
    public func digest(_ message: Span<UInt8>) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: length) { output, count in
            // The output has the digest's length, which EVP_Digest fills.
            let done = unsafe message.withUnsafeBufferPointer { input in
                unsafe EVP_Digest(input.baseAddress, input.count, output.baseAddress, nil, messageDigest, nil)
            }
            precondition(done == 1, "libcrypto cannot compute a digest")
            count = length
        }
    }

    /// HMAC (RFC 2104) of a message, written over the first `length` bytes of `output`.
    func authenticate(_ message: Span<UInt8>, key: Span<UInt8>, into output: inout MutableSpan<UInt8>) {
        var code = HMAC(self, key: key)
        code.update(message)
        code.finish(into: &output)
    }

    /// Writes the digest of a message over the first `length` bytes of `output`.
    func digest(_ message: Span<UInt8>, into output: inout MutableSpan<UInt8>) {
        precondition(output.count >= length)
        // Both pointers are valid for the call; the output has room for a whole digest.
        let done = unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe EVP_Digest(message.baseAddress, message.count, output.baseAddress, nil, messageDigest, nil)
            }
        }
        precondition(done == 1, "libcrypto cannot compute a digest")
    }

    /// Bytes that the hash takes in at once (FIPS 180-4 §1).
    var blockLength: Int {
        switch self {
        case .sha256: 64
        case .sha384: 128
        }
    }
}

/// SHA-256 (FIPS 180-4).
public enum SHA256 {
    /// Bytes in a digest.
    public static let length = 32

    /// The digest of a message.
    public static func digest(_ message: Span<UInt8>) -> [UInt8] { HashAlgorithm.sha256.digest(message) }
}

/// HMAC with SHA-256 (RFC 2104).
public enum HMACSHA256 {
    /// Bytes in an authentication code.
    public static let length = 32

    /// The authentication code of a message under a key of any length.
    public static func authenticate(_ message: Span<UInt8>, key: SecretBytes) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: length)
        var output = code.mutableSpan
        HashAlgorithm.sha256.authenticate(message, key: key.span, into: &output)
        return code
    }

    /// Whether `code` authenticates the message; compared in constant time.
    public static func isValid(_ code: Span<UInt8>, for message: Span<UInt8>, key: SecretBytes) -> Bool {
        constantTimeEqual(code, authenticate(message, key: key).span)
    }
}
