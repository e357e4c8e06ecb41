internal import COpenSSL

/// A certificate chain, the holder's own certificate first, with the private key of that certificate.
///
/// Servers need one; clients present one where the server asks for it.
public struct Identity: Sendable {
    /// The holder's certificate and the intermediate ones after it; never empty.
    public let chain: [Certificate]
    /// The private key of the first certificate.
    public let key: PrivateKey

    /// The holder's certificate.
    public let certificate: Certificate

    /// Puts a chain and its key together; fails when the chain is empty or the key is another one's.
    public init(chain: [Certificate], key: PrivateKey) throws(CryptographyError) {
        guard let certificate = chain.first else { throw CryptographyError("the certificate chain is empty") }
        OpenSSLErrors.clear()
        guard unsafe X509_check_private_key(certificate.pointer, key.pointer) == 1 else {
            OpenSSLErrors.clear()
            throw CryptographyError("the private key does not belong to the certificate \(certificate.subject)")
        }
        self.chain = chain
        self.key = key
        self.certificate = certificate
    }

    /// Reads a chain and its key from PEM files.
    public init(chainPEM: [UInt8], keyPEM: [UInt8]) throws(CryptographyError) {
        try self.init(chain: Certificate.chain(pem: chainPEM), key: PrivateKey(pem: keyPEM))
    }

    /// The whole chain in PEM form.
    public var chainPEM: [UInt8] { chain.flatMap(\.pem) }

    /// Makes a key and a certificate for it, which `issuer` signs, or the key itself when there is no issuer.
    public static func generate(
        _ template: CertificateTemplate, key kind: PrivateKey.Kind, issuer: Identity? = nil
    ) throws(CryptographyError) -> Identity {
        let key = try PrivateKey.generate(kind)
        let certificate = try template.certificate(for: key, issuer: issuer)
        return try Identity(chain: [certificate] + (issuer?.chain ?? []), key: key)
    }
}
