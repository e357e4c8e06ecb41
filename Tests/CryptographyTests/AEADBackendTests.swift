import Primitives
import Testing

@testable import Cryptography

/// Every backend that works here does the same, and the right thing.
struct AEADBackendTests {
    /// A cipher suite done by a backend.
    struct Case: Sendable, CustomTestStringConvertible {
        let suite: CipherSuite
        let backend: AEADBackend

        var testDescription: String { "\(suite), \(backend.rawValue)" }

        func sealer(_ key: [UInt8], _ iv: [UInt8]) -> PacketSealer {
            PacketSealer(suite: suite, key: SecretBytes(key), iv: SecretBytes(iv), backend: backend)
        }

        func opener(_ key: [UInt8], _ iv: [UInt8]) -> PacketOpener {
            PacketOpener(suite: suite, key: SecretBytes(key), iv: SecretBytes(iv), backend: backend)
        }
    }

    static let backends = AEADSelection.current.available
    static let cases = backends.flatMap { backend in
        CipherSuite.allCases.map { Case(suite: $0, backend: backend) }
    }

    /// What a published document says that comes out.
    struct Vector: Sendable {
        let suite: CipherSuite
        let key: [UInt8]
        let nonce: [UInt8]
        let header: [UInt8]
        let plaintext: [UInt8]
        let sealed: [UInt8]
    }

    static let vectors = [
        // McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, test case 4.
        Vector(
            suite: .aes128GCM, key: hex("feffe9928665731c6d6a8f9467308308"), nonce: hex("cafebabefacedbaddecaf888"),
            header: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), plaintext: gcmPlaintext,
            sealed: hex(
                """
                42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05
                1ba30b396a0aac973d58e091 5bc94fbc3221a5db94fae95ae7121a47
                """)),
        // The same, test case 16.
        Vector(
            suite: .aes256GCM, key: hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
            nonce: hex("cafebabefacedbaddecaf888"), header: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
            plaintext: gcmPlaintext,
            sealed: hex(
                """
                522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838
                c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b
                """)),
        // RFC 8439 §2.8.2
        Vector(
            suite: .chaCha20Poly1305,
            key: hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
            nonce: hex("070000004041424344454647"), header: hex("50515253c0c1c2c3c4c5c6c7"),
            plaintext: Array(
                ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                    + "sunscreen would be it.").utf8),
            sealed: hex(
                """
                d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
                1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
                3ff4def08e4b7a9de576d26586cec64b6116 1ae10b594f09e26a7e902ecbd0600691
                """)),
    ]

    private static let gcmPlaintext = hex(
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525
        b16aedf5aa0de657ba637b39
        """)

    @Test("published vectors come out of every backend, and open again", arguments: backends, vectors)
    func published(backend: AEADBackend, vector: Vector) {
        let tested = Case(suite: vector.suite, backend: backend)
        var packet = vector.header + vector.plaintext + [UInt8](repeating: 0, count: CipherSuite.tagLength)
        var span = packet.mutableSpan
        tested.sealer(vector.key, vector.nonce).seal(&span, headerLength: vector.header.count, packetNumber: 0)
        #expect(packet == vector.header + vector.sealed)
        span = packet.mutableSpan
        let isAuthentic = tested.opener(vector.key, vector.nonce)
            .open(&span, headerLength: vector.header.count, packetNumber: 0)
        #expect(isAuthentic)
        #expect(packet.dropLast(CipherSuite.tagLength) == (vector.header + vector.plaintext)[...])
    }

    @Test("packets of RFC 9001 appendix A come out of every backend", arguments: backends)
    func quicPackets(backend: AEADBackend) {
        // A.3, without header protection
        let header = hex("c1000000010008f067a5502a4262b50040750001")
        let payload = hex(
            """
            02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a12001301
            00002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304
            """)
        let sealed = hex(
            """
            5a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5
            a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4
            cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee
            """)
        let initial = Case(suite: .aes128GCM, backend: backend)
            .sealer(hex("cf3a5331653c364c88f0f379b6067e37"), hex("0ac1493ca1905853b0bba03e"))
        var packet = header + payload + [UInt8](repeating: 0, count: CipherSuite.tagLength)
        var span = packet.mutableSpan
        initial.seal(&span, headerLength: header.count, packetNumber: 1)
        #expect(packet == header + sealed)

        // A.5
        let short = Case(suite: .chaCha20Poly1305, backend: backend)
            .sealer(
                hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"),
                hex("e0459b3474bdd0e44a41c144"))
        packet = hex("4200bff4 01") + [UInt8](repeating: 0, count: CipherSuite.tagLength)
        span = packet.mutableSpan
        short.seal(&span, headerLength: 4, packetNumber: 654_360_564)
        #expect(packet == hex("4200bff4 655e5cd55c41f69080575d7999c25a5bfb"))
    }

    @Test("packets of every length are those of libcrypto, and open again in any order", arguments: cases)
    func lengths(tested: Case) {
        let key = (0..<tested.suite.keyLength).map { UInt8(truncatingIfNeeded: 200 &+ $0 * 3) }
        let iv = [UInt8](repeating: 9, count: CipherSuite.nonceLength)
        let (sealer, opener) = (tested.sealer(key, iv), tested.opener(key, iv))
        let reference = Case(suite: tested.suite, backend: .openSSL).sealer(key, iv)
        var sealed: [(UInt64, [UInt8])] = []
        for length in Array(0..<340) + [1_200, 1_350, 1_472, 8_900, 16_384] {
            let (number, header) = (UInt64(length) << 40 | 5, 1 + length % 23)
            var packet = (0..<header + length + 16).map { UInt8(truncatingIfNeeded: $0 &+ length) }
            var expected = packet
            var span = packet.mutableSpan
            sealer.seal(&span, headerLength: header, packetNumber: number)
            span = expected.mutableSpan
            reference.seal(&span, headerLength: header, packetNumber: number)
            #expect(packet == expected)
            sealed.append((number, packet))
        }
        for (number, packet) in sealed.reversed() {
            var packet = packet
            let length = Int(number >> 40)
            var span = packet.mutableSpan
            let isAuthentic = opener.open(&span, headerLength: 1 + length % 23, packetNumber: number)
            #expect(isAuthentic)
            #expect(packet.indices.dropLast(16).allSatisfy { packet[$0] == UInt8(truncatingIfNeeded: $0 &+ length) })
        }
    }

    @Test("a changed bit, number, path or header length is not authentic, and the key goes on", arguments: cases)
    func forgery(tested: Case) {
        let key = [UInt8](repeating: 7, count: tested.suite.keyLength)
        let iv = [UInt8](repeating: 9, count: CipherSuite.nonceLength)
        let (sealer, opener) = (tested.sealer(key, iv), tested.opener(key, iv))
        var original = [UInt8](repeating: 1, count: 300)
        var span = original.mutableSpan
        sealer.seal(&span, headerLength: 9, packetNumber: 3, pathID: 2)
        func opens(_ packet: [UInt8], headerLength: Int = 9, number: UInt64 = 3, path: UInt32 = 2) -> Bool {
            var packet = packet
            var span = packet.mutableSpan
            return opener.open(&span, headerLength: headerLength, packetNumber: number, pathID: path)
        }
        for bit in 0..<(original.count * 8) {
            var forged = original
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!opens(forged))
        }
        #expect(!opens(original, number: 4))
        #expect(!opens(original, path: 0))
        #expect(!opens(original, headerLength: 8))
        #expect(opens(original))
    }

    @Test("lengths that cannot be are refused, not trapped on", arguments: cases)
    func impossibleLengths(tested: Case) {
        let opener = tested.opener(
            [UInt8](repeating: 1, count: tested.suite.keyLength), [UInt8](repeating: 2, count: 12))
        let lengths = [(0, 0), (1, 0), (15, 0), (16, 0), (16, 1), (20, 4), (20, 20), (20, 21), (20, -1)]
        for (count, headerLength) in lengths {
            var packet = [UInt8](repeating: 0, count: count)
            var span = packet.mutableSpan
            let isAuthentic = opener.open(&span, headerLength: headerLength, packetNumber: 0)
            #expect(!isAuthentic)
        }
    }

    @Test("a backend that works passes the test that decides about it", arguments: backends)
    func selfTest(backend: AEADBackend) {
        #expect(AEADSelfTest.passes(backend))
    }

    // MARK: - Choice

    @Test("the multi-buffer library is used where it works and nothing else is asked for")
    func automatic() {
        for wanted in [nil, "", "auto"] {
            let ready = AEADSelection(wanted: wanted, multiBuffer: .ready)
            #expect(ready.backend == .multiBuffer && ready.warning == nil)
            #expect(ready.available == [.openSSL, .multiBuffer])
            for state in [AEADSelection.MultiBufferState.leftOut, .notInstalled, .otherVersion, .noInstructions] {
                let selection = AEADSelection(wanted: wanted, multiBuffer: state)
                #expect(selection.backend == .openSSL && selection.warning == nil)
                #expect(selection.available == [.openSSL])
            }
        }
    }

    @Test("a library that fails its test is not used, and the user is told")
    func broken() {
        for wanted in [nil, "auto", "multi-buffer"] {
            let selection = AEADSelection(wanted: wanted, multiBuffer: .broken)
            #expect(selection.backend == .openSSL)
            #expect(selection.available == [.openSSL])
            #expect(selection.warning?.contains("fails its test") == true)
            #expect(selection.warning?.hasSuffix("openssl is used") == true)
        }
    }

    @Test("what is asked for by name is used, or the user is told why not")
    func byName() {
        let plain = AEADSelection(wanted: "openssl", multiBuffer: .ready)
        #expect(plain.backend == .openSSL && plain.warning == nil)
        #expect(AEADSelection(wanted: "multi-buffer", multiBuffer: .ready).backend == .multiBuffer)
        let missing = AEADSelection(wanted: "multi-buffer", multiBuffer: .notInstalled)
        #expect(missing.backend == .openSSL)
        #expect(missing.warning?.contains("not installed") == true)
        let unknown = AEADSelection(wanted: "rot13", multiBuffer: .ready)
        #expect(unknown.backend == .openSSL)
        #expect(unknown.warning == "GODWIT_AEAD=rot13 is none of auto, openssl, multi-buffer; openssl is used")
    }

    @Test("every backend has a line that says whether it is used, or why it cannot be")
    func lines() {
        let both = AEADSelection(wanted: nil, multiBuffer: .ready).lines
        #expect(both.count == 2)
        #expect(both[0].hasPrefix("openssl: OpenSSL 3.") && !both[0].hasSuffix("in use"))
        #expect(both[1].hasPrefix("multi-buffer: ") && both[1].hasSuffix("in use"))
        let one = AEADSelection(wanted: nil, multiBuffer: .noInstructions).lines
        #expect(one[0].hasSuffix("in use"))
        #expect(one[1] == "multi-buffer: this processor has no AES or no AVX2 instructions")
    }

    @Test("this machine's libraries are not broken, and of the version that this was built with")
    func machine() {
        #expect([.ready, .leftOut, .notInstalled, .noInstructions].contains(MultiBufferLibrary.state))
    }

    @Test("AES comes first where the processor has instructions for it")
    func preference() {
        #expect(CipherSuite.byPreference(hasAES: true).first == .aes128GCM)
        #expect(CipherSuite.byPreference(hasAES: false).first == .chaCha20Poly1305)
        #expect(Set(CipherSuite.byPreference) == Set(CipherSuite.allCases))
        #expect(CipherSuite.byPreference.count == CipherSuite.allCases.count)
    }
}
