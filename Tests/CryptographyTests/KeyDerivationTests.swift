import Cryptography
import Testing

/// RFC 5869 appendix A, RFC 4231 and RFC 9001 appendix A.1.
struct KeyDerivationTests {
    struct HKDFVector {
        let secret: [UInt8]
        let salt: [UInt8]
        let info: [UInt8]
        let pseudorandomKey: [UInt8]
        let output: [UInt8]
    }

    static let vectors = [
        HKDFVector(
            secret: [UInt8](repeating: 0x0b, count: 22), salt: Array(0x00...0x0c), info: Array(0xf0...0xf9),
            pseudorandomKey: hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
            output: hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")),
        HKDFVector(
            secret: Array(0x00...0x4f), salt: Array(0x60...0xaf), info: Array(0xb0...0xff),
            pseudorandomKey: hex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"),
            output: hex(
                """
                b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
                da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87
                """)),
        HKDFVector(
            secret: [UInt8](repeating: 0x0b, count: 22), salt: [], info: [],
            pseudorandomKey: hex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"),
            output: hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")),
    ]

    @Test("HKDF gives what RFC 5869 A.1 to A.3 give", arguments: vectors)
    func hkdf(_ vector: HKDFVector) {
        let key = HKDF.extract(.sha256, salt: vector.salt.span, secret: vector.secret.span)
        #expect(key == SecretBytes(vector.pseudorandomKey))
        let output = HKDF.expand(.sha256, secret: key, info: vector.info.span, length: vector.output.count)
        #expect(output == SecretBytes(vector.output))
    }

    @Test func initialSecretsAreThoseOfRFC9001() {
        let salt = hex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
        let connectionID = hex("8394c8f03e515708")
        let initial = HKDF.extract(.sha256, salt: salt.span, secret: connectionID.span)
        #expect(initial == SecretBytes(hex("7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44")))
        func derive(_ secret: SecretBytes, _ label: String, _ length: Int) -> SecretBytes {
            HKDF.expandLabel(.sha256, secret: secret, label: label, length: length)
        }
        let client = derive(initial, "client in", 32)
        #expect(client == SecretBytes(hex("c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea")))
        #expect(derive(client, "quic key", 16) == SecretBytes(hex("1f369613dd76d5467730efcbe3b1a22d")))
        #expect(derive(client, "quic iv", 12) == SecretBytes(hex("fa044b2f42a3fd3b46fb255c")))
        #expect(derive(client, "quic hp", 16) == SecretBytes(hex("9f50449e04a0e810283a1e9933adedd2")))
        let server = derive(initial, "server in", 32)
        #expect(server == SecretBytes(hex("3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b")))
        #expect(derive(server, "quic key", 16) == SecretBytes(hex("cf3a5331653c364c88f0f379b6067e37")))
        #expect(derive(server, "quic iv", 12) == SecretBytes(hex("0ac1493ca1905853b0bba03e")))
        #expect(derive(server, "quic hp", 16) == SecretBytes(hex("c206b8d9b9f0f37644430b490eeaa314")))
    }

    @Test func hmacIsThatOfRFC4231AndComparesInFull() {
        let key = SecretBytes(Array("Jefe".utf8))
        let message = Array("what do ya want for nothing?".utf8)
        let code = HMACSHA256.authenticate(message.span, key: key)
        #expect(code == hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
        func isValid(_ code: [UInt8]) -> Bool { HMACSHA256.isValid(code.span, for: message.span, key: key) }
        #expect(isValid(code))
        var forged = code
        forged[31] ^= 1
        #expect(!isValid(forged))
        #expect(!isValid(Array(code[..<31])))
    }

    /// HKDF-Extract is HMAC with the salt as key (RFC 5869 §2.2).
    @Test("HMAC is that of RFC 4231 §4.2 and §4.7: a short key, and one longer than a block")
    func hmac() {
        let cases: [(hash: HashAlgorithm, key: [UInt8], message: String, code: String)] = [
            (
                .sha256, [UInt8](repeating: 0x0b, count: 20), "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                .sha384, [UInt8](repeating: 0x0b, count: 20), "Hi There",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"
            ),
            (
                .sha256, [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (
                .sha384, [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"
            ),
        ]
        for (hash, key, message, code) in cases {
            let bytes = Array(message.utf8)
            #expect(HKDF.extract(hash, salt: key.span, secret: bytes.span) == SecretBytes(hex(code)))
        }
    }

    @Test func digestsAreThoseOfFIPS180() {
        let abc = Array("abc".utf8)
        #expect(
            SHA256.digest(abc.span) == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        #expect(
            HashAlgorithm.sha384.digest(abc.span)
                == hex(
                    """
                    cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7
                    """))
        let empty: [UInt8] = []
        #expect(
            SHA256.digest(empty.span) == hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    }

    @Test func secretBytesCompareByValueAndHideTheirBytes() {
        let secret = SecretBytes([1, 2, 3])
        #expect(secret == SecretBytes([1, 2, 3]))
        #expect(secret != SecretBytes([1, 2, 4]))
        #expect(secret != SecretBytes([1, 2]))
        #expect(SecretBytes([]) == SecretBytes([]))
        #expect("\(secret)" == "3 secret bytes")
    }
}
