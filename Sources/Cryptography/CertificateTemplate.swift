internal import COpenSSL

/// What a certificate says: whom it names, for how long it is valid, and what its key may do.
public struct CertificateTemplate: Sendable {
    /// What the key of a certificate may do.
    public enum Purpose: Hashable, Sendable {
        /// Prove who a server or a client is.
        case endpoint
        /// Sign other certificates.
        case authority
    }

    /// Characters that fit into a common name (RFC 5280 appendix A.1, ub-common-name).
    public static let maximumCommonName = 64
    /// Characters of a host name (RFC 1035 §2.3.4).
    public static let maximumHostName = 253

    /// Host names and IP addresses, in text form, that the certificate is for.
    public var names: [String]
    /// The first second in which the certificate is valid, since 1970.
    public var notBefore: Int64
    /// The last second in which the certificate is valid, since 1970.
    public var notAfter: Int64
    /// What the key may do.
    public var purpose: Purpose
    /// The subject's common name: the first of `names` unless set otherwise, cut to 64 characters.
    public var commonName: String

    /// Describes a certificate for names in a span of Unix time.
    public init(names: [String], notBefore: Int64, notAfter: Int64, purpose: Purpose = .endpoint) {
        self.names = names
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.purpose = purpose
        commonName = names.first ?? "godwit"
    }

    /// A certificate that says this about `key`, signed by `issuer` or by `key` itself.
    func certificate(for key: PrivateKey, issuer: Identity?) throws(CryptographyError) -> Certificate {
        OpenSSLErrors.clear()
        guard let x509 = unsafe X509_new() else { throw CryptographyError(openSSL: "cannot make a certificate") }
        let certificate = unsafe Certificate(owning: x509)
        let issuerX509 = unsafe issuer?.certificate.pointer ?? x509
        let signer = issuer?.key ?? key
        // Every pointer belongs to an object that outlives this call. Version 2 stands for X.509 version 3.
        var done = unsafe X509_set_version(x509, 2) == 1 && setSerialNumber(of: x509)
        done = unsafe done && ASN1_TIME_set(X509_getm_notBefore(x509), time_t(notBefore)) != nil
        done = unsafe done && ASN1_TIME_set(X509_getm_notAfter(x509), time_t(notAfter)) != nil
        done = unsafe done && setCommonName(of: x509)
        done = unsafe done && X509_set_issuer_name(x509, X509_get_subject_name(issuerX509)) == 1
        done = unsafe done && X509_set_pubkey(x509, key.pointer) == 1
        guard done else { throw CryptographyError(openSSL: "cannot make a certificate") }
        for (nid, value) in extensions {
            guard unsafe godwit_x509_add_extension(x509, issuerX509, nid, value) == 1 else {
                throw CryptographyError(openSSL: "cannot add the extension \(value) to a certificate")
            }
        }
        try unsafe addNames(to: x509)
        guard unsafe X509_sign(x509, signer.pointer, signer.signatureDigest) > 0 else {
            throw CryptographyError(openSSL: "cannot sign a certificate")
        }
        return certificate
    }

    private var extensions: [(nid: Int32, value: String)] {
        switch purpose {
        case .endpoint:
            [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"), (NID_subject_key_identifier, "hash"),
            ]
        case .authority:
            [
                (NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_subject_key_identifier, "hash"),
            ]
        }
    }

    /// RFC 5280 §4.1.2.2: positive and unpredictable; always 16 bytes, so that certificates have a constant length.
    @unsafe private func setSerialNumber(of x509: OpaquePointer) -> Bool {
        var serial = systemRandomBytes(count: 16)
        serial[0] = serial[0] & 0x3f | 0x40
        guard let number = unsafe serial.withUnsafeBufferPointer({ unsafe BN_bin2bn($0.baseAddress, 16, nil) }) else {
            return false
        }
        defer { unsafe BN_free(number) }
        return unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nil
    }

    @unsafe private func setCommonName(of x509: OpaquePointer) -> Bool {
        let name = Array(commonName.prefix(Self.maximumCommonName).utf8)
        return unsafe name.withUnsafeBufferPointer { name in
            unsafe X509_NAME_add_entry_by_NID(
                X509_get_subject_name(x509), NID_commonName, MBSTRING_UTF8, name.baseAddress, Int32(name.count), -1, 0)
                == 1
        }
    }

    @unsafe private func addNames(to x509: OpaquePointer) throws(CryptographyError) {
        guard !names.isEmpty else { return }
        let list = unsafe GENERAL_NAMES_new()
        defer { unsafe GENERAL_NAMES_free(list) }
        for name in names {
            guard !name.isEmpty, name.utf8.count <= Self.maximumHostName,
                name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
            else { throw CryptographyError("\(name.debugDescription) is neither a host name nor an IP address") }
            if unsafe godwit_general_names_add_ip(list, name) == 1 { continue }
            OpenSSLErrors.clear()
            guard unsafe godwit_general_names_add_dns(list, name, Int32(name.utf8.count)) == 1 else {
                throw CryptographyError(openSSL: "cannot name \(name) in a certificate")
            }
        }
        guard unsafe X509_add1_ext_i2d(x509, NID_subject_alt_name, UnsafeMutableRawPointer(list), 0, 0) == 1 else {
            throw CryptographyError(openSSL: "cannot add names to a certificate")
        }
    }
}
