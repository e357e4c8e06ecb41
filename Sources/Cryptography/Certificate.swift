internal import COpenSSL

/// An X.509 certificate (RFC 5280).
public struct Certificate: Sendable {
    // An X509 is not modified after its creation, and its reference count is atomic.
    @safe private final class Owner: @unchecked Sendable {
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { unsafe self.pointer = pointer }
        deinit { unsafe X509_free(pointer) }
    }

    private let owner: Owner

    /// The `X509`, which lives as long as the certificate does; for libssl.
    @unsafe public var pointer: OpaquePointer { unsafe owner.pointer }

    /// Takes over a reference to an `X509`.
    @unsafe public init(owning pointer: OpaquePointer) { unsafe owner = Owner(pointer) }

    /// Reads every certificate of a PEM file in the order of the file; at least one.
    public static func chain(pem: [UInt8]) throws(CryptographyError) -> [Certificate] {
        OpenSSLErrors.clear()
        let bio = MemoryBIO(pem)
        var chain: [Certificate] = []
        while let pointer = unsafe PEM_read_bio_X509(bio.pointer, nil, godwit_no_password, nil) {
            chain.append(unsafe Certificate(owning: pointer))
        }
        // The end of the file shows as a missing start line; anything else is a certificate that cannot be read.
        guard godwit_err_is_end_of_pem(ERR_peek_last_error()) == 1 else {
            throw CryptographyError(openSSL: "certificate \(chain.count + 1) of the file cannot be read")
        }
        OpenSSLErrors.clear()
        guard !chain.isEmpty else { throw CryptographyError("no certificate in PEM form was found") }
        return chain
    }

    /// The certificate in DER form.
    public var der: [UInt8] {
        let bio = MemoryBIO()
        let done = unsafe i2d_X509_bio(bio.pointer, owner.pointer)
        precondition(done == 1, "libcrypto cannot write a certificate that it has read")
        return bio.contents
    }

    /// The certificate in PEM form.
    public var pem: [UInt8] {
        let bio = MemoryBIO()
        let done = unsafe PEM_write_bio_X509(bio.pointer, owner.pointer)
        precondition(done == 1, "libcrypto cannot write a certificate that it has read")
        return bio.contents
    }

    /// The SHA-256 of the SubjectPublicKeyInfo: the pin of RFC 7469 §2.4, 32 bytes.
    public var publicKeyHash: [UInt8] {
        let bio = MemoryBIO()
        let done = unsafe i2d_X509_PUBKEY_bio(bio.pointer, X509_get_X509_PUBKEY(owner.pointer))
        precondition(done == 1, "libcrypto cannot write a public key that it has read")
        let information = bio.contents
        return SHA256.digest(information.span)
    }

    /// The first second in which the certificate is valid, since 1970.
    public var notBefore: Int64 { unsafe Self.unixSeconds(X509_get0_notBefore(owner.pointer)) }
    /// The last second in which the certificate is valid, since 1970.
    public var notAfter: Int64 { unsafe Self.unixSeconds(X509_get0_notAfter(owner.pointer)) }

    /// Characters of a subject that are shown, at most: a peer can send a name of 100 KB.
    public static let maximumSubject = 256

    /// The subject's name on one line, for messages; whoever made the certificate chose it.
    ///
    /// Control characters and bytes above ASCII are escaped, and a long name is cut.
    public var subject: String {
        let bio = MemoryBIO()
        _ = unsafe godwit_x509_name_print(bio.pointer, X509_get_subject_name(owner.pointer))
        return String(decoding: bio.contents.prefix(Self.maximumSubject), as: UTF8.self)
    }

    /// The Unix time at which the library judges certificates unless it is told another one.
    public static var timeOfJudgment: Int64 {
        // Unsafe: no pointer is passed; no time means the present (ASN1_TIME_diff(3)).
        unsafe unixSeconds(nil)
    }

    private static func unixSeconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        guard let epoch = unsafe ASN1_TIME_set(nil, 0) else { return 0 }
        defer { unsafe ASN1_STRING_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return 0 }
        return Int64(days) * 86_400 + Int64(seconds)
    }
}

extension Certificate: Equatable {
    /// Two certificates are the same when their encodings are.
    public static func == (a: Certificate, b: Certificate) -> Bool { a.der == b.der }
}
