import Cryptography
import Testing

struct CertificateTests {
    /// Made with the openssl command, which also gave the expected values below.
    static let foreign = """
        A comment before the certificate does no harm.
        -----BEGIN CERTIFICATE-----
        MIIBojCCAUmgAwIBAgIUT/93Ct8DtnAuBj2UxcKGL5JHYKcwCgYIKoZIzj0EAwIw
        JzEUMBIGA1UEAwwLdmVjdG9yLnRlc3QxDzANBgNVBAoMBkdvZHdpdDAeFw0yNjEx
        MjEwMzM2NDVaFw0zNjExMTgwMzM2NDVaMCcxFDASBgNVBAMMC3ZlY3Rvci50ZXN0
        MQ8wDQYDVQQKDAZHb2R3aXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASzIG30
        3zazzGbIghzlBo+kpOOBzRmwSf8dOf0qS9I3kJU8o17gKCCWERizCmVHA16XbrPA
        V32oKNHAGF9sqRnyo1MwUTAdBgNVHQ4EFgQU2SvXZgUjeBnZm1hDt2thespkFvcw
        HwYDVR0jBBgwFoAU2SvXZgUjeBnZm1hDt2thespkFvcwDwYDVR0TAQH/BAUwAwEB
        /zAKBggqhkjOPQQDAgNHADBEAiBqRH0W1sdlaPruFzFAlE1ra1ck0LJBCPOfm9Na
        JzwfKgIgEmSOQQyG5OHNwyGEnp8qn/i/3PzKvDXZiD8uiEHXrMQ=
        -----END CERTIFICATE-----

        """

    static let encryptedKey = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgMfEDmWfFQxgICCAAw
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEF7qKg31Dr/p4960vXH1Ip8EgZBx
        4ma4jh0wIvzvp1GGPz39zDV6nKrIU7n1G1Kk1sn/Hn7BpxPociFbJFABEJKcodQX
        VxMZv426E97Xk4Ta0hRDRE+PNli6DpX/VruKtaR7abFzlIrwHrA3iAwMy3LjRDwk
        JGQCTCQEGj5iyE2q++YvzPJEEm2x1qUUfP0nE4o9H0FavKJdGS51Iy42rVTg6N4=
        -----END ENCRYPTED PRIVATE KEY-----

        """

    static func template(
        _ names: [String], purpose: CertificateTemplate.Purpose = .endpoint
    ) -> CertificateTemplate {
        CertificateTemplate(names: names, notBefore: 1_700_000_000, notAfter: 4_000_000_000, purpose: purpose)
    }

    static func reason(_ body: () throws(CryptographyError) -> Void) -> String? {
        do throws(CryptographyError) { try body() } catch { return error.reason }
        return nil
    }

    @Test func aCertificateOfAnotherToolIsRead() throws {
        let chain = try Certificate.chain(pem: Array(Self.foreign.utf8))
        let certificate = try #require(chain.first)
        #expect(chain.count == 1)
        #expect(
            certificate.publicKeyHash == hex("7a82b5214cd6cc2130ebdef9b319b38867d7c4b76c93731f6127d30ffadcf8fb"))
        #expect(certificate.notBefore == 1_795_232_205)
        #expect(certificate.notAfter == 2_110_592_205)
        #expect(certificate.subject == "O=Godwit,CN=vector.test")
        #expect(String(decoding: certificate.pem, as: UTF8.self) == String(Self.foreign.drop { $0 != "-" }))
    }

    @Test("what was generated is the same after it was written and read", arguments: PrivateKey.Kind.allCases)
    func roundTrip(kind: PrivateKey.Kind) throws {
        let root = try Identity.generate(Self.template(["root"], purpose: .authority), key: kind)
        let leaf = try Identity.generate(
            Self.template(["host.test", "192.0.2.1", "2001:db8::1"]), key: kind, issuer: root)
        let read = try Identity(chainPEM: leaf.chainPEM, keyPEM: leaf.key.pem)
        #expect(read.chain == leaf.chain)
        #expect(read.chain.count == 2 && read.certificate == leaf.certificate)
        #expect(read.certificate.publicKeyHash == leaf.certificate.publicKeyHash)
        #expect(read.certificate.publicKeyHash != root.certificate.publicKeyHash)
        #expect(read.certificate.subject == "CN=host.test")
        #expect(read.certificate.notBefore == 1_700_000_000)
        // After 2049 the time has another form (RFC 5280 §4.1.2.5).
        #expect(read.certificate.notAfter == 4_000_000_000)
    }

    @Test func simulatedIdentitiesHaveAConstantLength() throws {
        let lengths = try (0..<30).map { _ in
            try Identity.generate(Self.template(["server.test"]), key: .ed25519).certificate.der.count
        }
        #expect(Set(lengths).count == 1)
    }

    @Test func everyKeyIsAnother() throws {
        let hashes = try (0..<5).map { _ in
            try Identity.generate(Self.template(["a.test"]), key: .ecdsaP256).certificate.publicKeyHash
        }
        #expect(Set(hashes).count == 5)
    }

    @Test func aKeyOfAnotherCertificateIsRefused() throws {
        let first = try Identity.generate(Self.template(["first.test"]), key: .ecdsaP256)
        for kind in PrivateKey.Kind.allCases {
            let other = try PrivateKey.generate(kind)
            let reason = Self.reason { () throws(CryptographyError) in
                _ = try Identity(chain: first.chain, key: other)
            }
            #expect(reason == "the private key does not belong to the certificate CN=first.test")
        }
        #expect(throws: CryptographyError.self) { try Identity(chain: [], key: first.key) }
    }

    @Test func anEncryptedKeyIsRefusedWithoutAskingForAPassword() {
        let reason = Self.reason { () throws(CryptographyError) in
            _ = try PrivateKey(pem: Array(Self.encryptedKey.utf8))
        }
        #expect(reason?.hasPrefix("no unencrypted private key in PEM form was found") == true)
    }

    @Test("files without a key or a certificate are errors", arguments: ["", "text", "-----BEGIN CERTIFICATE-----\n"])
    func nothingToRead(text: String) {
        #expect(throws: CryptographyError.self) { try Certificate.chain(pem: Array(text.utf8)) }
        #expect(throws: CryptographyError.self) { try PrivateKey(pem: Array(text.utf8)) }
    }

    @Test func aDamagedCertificateOfAChainIsNamed() {
        let damaged = Self.foreign + Self.foreign.replacing("MIIBojCCAUmgAwIB", with: "MIIBojCCAUmgAwIC")
        let reason = Self.reason { () throws(CryptographyError) in
            _ = try Certificate.chain(pem: Array(damaged.utf8))
        }
        #expect(reason?.hasPrefix("certificate 2 of the file cannot be read") == true)
    }

    @Test(
        "a name that is none is refused",
        arguments: [
            "", "two words", "new\nline", "ümlaut.test", "nul\0.test", String(repeating: "a", count: 254),
        ])
    func names(name: String) {
        #expect(throws: CryptographyError.self) {
            try Identity.generate(Self.template([name]), key: .ed25519)
        }
    }

    @Test func aSubjectIsShownWithoutControlCharacters() throws {
        var template = Self.template(["a.test"])
        template.commonName = "a\n\u{1b}[31mred, \u{e9}"
        let identity = try Identity.generate(template, key: .ed25519)
        #expect(identity.certificate.subject == "CN=a\\0A\\1B[31mred\\, \\C3\\A9")
    }

    @Test func aLongNameStillFitsIntoTheSubject() throws {
        let name = String(repeating: "a", count: 60) + ".test"
        let identity = try Identity.generate(Self.template([name]), key: .ed25519)
        #expect(identity.certificate.subject == "CN=" + name.prefix(64))
    }
}
