internal import COpenSSL

/// A private key of a certificate: Ed25519, ECDSA or RSA.
public struct PrivateKey: Sendable {
    /// The kinds of key that can be generated; others can be loaded.
    public enum Kind: Hashable, Sendable, CaseIterable {
        /// Ed25519: signatures of constant length, which keeps simulated traces the same in every run.
        case ed25519
        /// ECDSA on P-256: what every TLS peer understands.
        case ecdsaP256
        /// RSA with 2048 bits.
        case rsa2048
    }

    // An EVP_PKEY is not modified after its creation, and its reference count is atomic.
    @safe private final class Owner: @unchecked Sendable {
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
        deinit { unsafe EVP_PKEY_free(pointer) }
    }

    private let owner: Owner

    /// The `EVP_PKEY`, which lives as long as the key does; for libssl.
    @unsafe public var pointer: OpaquePointer { unsafe owner.pointer }

    /// Makes a new key.
    public static func generate(_ kind: Kind) throws(CryptographyError) -> PrivateKey {
        OpenSSLErrors.clear()
        let pointer =
            switch kind {
            case .ed25519: unsafe godwit_generate_key("ED25519", nil, 0)
            case .ecdsaP256: unsafe godwit_generate_key("EC", "P-256", 0)
            case .rsa2048: unsafe godwit_generate_key("RSA", nil, 2048)
            }
        guard let pointer = unsafe pointer else { throw CryptographyError(openSSL: "cannot generate a key") }
        return PrivateKey(owner: unsafe Owner(pointer))
    }

    /// Reads the first private key of a PEM file; an encrypted one is an error.
    public init(pem: [UInt8]) throws(CryptographyError) {
        OpenSSLErrors.clear()
        let bio = MemoryBIO(pem)
        guard let pointer = unsafe PEM_read_bio_PrivateKey(bio.pointer, nil, godwit_no_password, nil) else {
            throw CryptographyError(openSSL: "no unencrypted private key in PEM form was found")
        }
        unsafe owner = Owner(pointer)
    }

    private init(owner: Owner) { self.owner = owner }

    /// The key in PEM form (PKCS #8), unencrypted.
    public var pem: [UInt8] {
        let bio = MemoryBIO()
        let done = unsafe godwit_pem_write_private_key(bio.pointer, owner.pointer)
        precondition(done == 1, "libcrypto cannot write a key that it has read")
        return bio.contents
    }

    /// The hash with which the key signs certificates; Ed25519 has its own.
    var signatureDigest: OpaquePointer? {
        unsafe EVP_PKEY_is_a(owner.pointer, "ED25519") == 1 ? nil : HashAlgorithm.sha256.messageDigest
    }
}
