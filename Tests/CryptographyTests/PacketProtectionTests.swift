import Cryptography
import Primitives
import Testing

/// RFC 9001 appendix A at the level of the primitives, and what any AEAD here must do.
struct PacketProtectionTests {
    @Test func serverInitialOfRFC9001A3IsSealedAndOpened() {
        let header = hex("c1000000010008f067a5502a4262b50040750001")
        let payload = hex(
            """
            02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a12001301
            00002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304
            """)
        let expected = hex(
            """
            cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5
            a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4
            cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee
            """)
        let key = SecretBytes(hex("cf3a5331653c364c88f0f379b6067e37"))
        let iv = SecretBytes(hex("0ac1493ca1905853b0bba03e"))
        let protection = HeaderProtectionKey(
            suite: .aes128GCM, key: SecretBytes(hex("c206b8d9b9f0f37644430b490eeaa314")))

        var packet = header + payload + [UInt8](repeating: 0, count: 16)
        var span = packet.mutableSpan
        PacketSealer(suite: .aes128GCM, key: key, iv: iv).seal(&span, headerLength: header.count, packetNumber: 1)
        let mask = protection.mask(sample: packet[22..<38].span)
        #expect(packet[22..<38] == hex("2cd0991cd25b0aac406a5816b6394100")[...])
        #expect(mask.firstByte == 0x2e)
        #expect((0..<4).map(mask.packetNumberByte) == [0xc0, 0xd8, 0x35, 0x6a])
        packet[0] ^= mask.firstByte & 0x0f
        packet[18] ^= mask.packetNumberByte(0)
        packet[19] ^= mask.packetNumberByte(1)
        #expect(packet == expected)

        packet.replaceSubrange(..<header.count, with: header)
        var received = packet.mutableSpan
        let isAuthentic = PacketOpener(suite: .aes128GCM, key: key, iv: iv)
            .open(&received, headerLength: header.count, packetNumber: 1)
        #expect(isAuthentic)
        #expect(packet[..<(header.count + payload.count)] == (header + payload)[...])
    }

    @Test func clientInitialOfRFC9001A2HasItsMask() {
        let protection = HeaderProtectionKey(
            suite: .aes128GCM, key: SecretBytes(hex("9f50449e04a0e810283a1e9933adedd2")))
        let mask = protection.mask(sample: hex("d1b1c98dd7689fb8ec11d242b123dc9b").span)
        #expect([mask.firstByte] + (0..<4).map(mask.packetNumberByte) == hex("437b9aec36"))
    }

    @Test func shortHeaderPacketOfRFC9001A5IsSealed() {
        let secret = SecretBytes(hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b"))
        let key = HKDF.expandLabel(.sha256, secret: secret, label: "quic key", length: 32)
        #expect(key == SecretBytes(hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8")))
        let iv = HKDF.expandLabel(.sha256, secret: secret, label: "quic iv", length: 12)
        #expect(iv == SecretBytes(hex("e0459b3474bdd0e44a41c144")))
        let headerKey = HKDF.expandLabel(.sha256, secret: secret, label: "quic hp", length: 32)
        #expect(headerKey == SecretBytes(hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4")))
        let next = HKDF.expandLabel(.sha256, secret: secret, label: "quic ku", length: 32)
        #expect(next == SecretBytes(hex("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9")))

        var packet = hex("4200bff4 01") + [UInt8](repeating: 0, count: 16)
        var span = packet.mutableSpan
        PacketSealer(suite: .chaCha20Poly1305, key: key, iv: iv)
            .seal(&span, headerLength: 4, packetNumber: 654_360_564)
        #expect(packet == hex("4200bff4 655e5cd55c41f69080575d7999c25a5bfb"))
        let mask = HeaderProtectionKey(suite: .chaCha20Poly1305, key: headerKey).mask(sample: packet[5..<21].span)
        #expect([mask.firstByte] + (0..<4).map(mask.packetNumberByte) == hex("aefefe7d03"))
    }

    @Test func retryIntegrityTagOfRFC9001A4IsMade() {
        let pseudoPacket = hex("08 8394c8f03e515708 ff000000010008f067a5502a4262b5746f6b656e")
        let key = hex("be0c690b9f66575a1d766b54e368c84e")
        let nonce = hex("461599d35d632bf2239825bb")
        let empty: [UInt8] = []
        let tag = AEAD.seal(
            .aes128GCM, key: key.span, nonce: nonce.span, additionalData: pseudoPacket.span, plaintext: empty.span)
        #expect(tag == hex("04a265ba2eff4d829058fb3f0f2496ba"))
        let opened = AEAD.open(
            .aes128GCM, key: key.span, nonce: nonce.span, additionalData: pseudoPacket.span, ciphertext: tag.span)
        #expect(opened == [])
    }

    @Test("a message shorter than a tag is not authentic", arguments: CipherSuite.allCases)
    func shortMessage(_ suite: CipherSuite) {
        let short = [UInt8](repeating: 0, count: 15)
        let key = [UInt8](repeating: 0, count: suite.keyLength)
        let nonce = [UInt8](repeating: 0, count: 12)
        let opened = AEAD.open(
            suite, key: key.span, nonce: nonce.span, additionalData: short.span, ciphertext: short.span)
        #expect(opened == nil)
    }

    @Test func pathIdentifierStandsBeforeThePacketNumberInTheNonce() {
        // draft-ietf-quic-multipath §2.4: IV 6b26114b9cba2b63a9e8dd4f, path 3, packet number 54321 (0xd431).
        let key = [UInt8](repeating: 4, count: 16)
        let iv = hex("6b26114b9cba2b63a9e8dd4f")
        let nonce = hex("6b2611489cba2b63a9e8097e")
        var packet: [UInt8] = [0x40, 1, 2, 3] + [UInt8](repeating: 0, count: 16)
        var span = packet.mutableSpan
        PacketSealer(suite: .aes128GCM, key: SecretBytes(key), iv: SecretBytes(iv))
            .seal(&span, headerLength: 1, packetNumber: 0xd431, pathID: 3)
        let header: [UInt8] = [0x40]
        let plaintext: [UInt8] = [1, 2, 3]
        let expected = AEAD.seal(
            .aes128GCM, key: key.span, nonce: nonce.span, additionalData: header.span, plaintext: plaintext.span)
        #expect(packet[1...] == expected[...])
    }

    @Test("masks made together are the masks made one by one", arguments: CipherSuite.allCases)
    func batchedMasks(_ suite: CipherSuite) {
        var generator = SeededGenerator(seed: 11)
        let samples = (0..<(48 * 16)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let key = HeaderProtectionKey(suite: suite, key: SecretBytes([UInt8](repeating: 5, count: suite.keyLength)))
        var output = [UInt8](repeating: 0xee, count: samples.count)
        var span = output.mutableSpan
        key.masks(samples: samples.span, into: &span)
        let empty: [UInt8] = []
        key.masks(samples: empty.span, into: &span)
        for index in 0..<48 {
            let sample = samples[(16 * index)..<(16 * index + 16)]
            #expect(HeaderMask(output.span, at: 16 * index) == key.mask(sample: sample.span))
        }
    }

    @Test func usageLimitsAreThoseOfRFC9001() {
        #expect(CipherSuite.allCases.map(\.confidentialityLimit) == [1 << 23, 1 << 23, 1 << 62])
        #expect(CipherSuite.allCases.map(\.integrityLimit) == [1 << 52, 1 << 52, 1 << 36])
    }
}
