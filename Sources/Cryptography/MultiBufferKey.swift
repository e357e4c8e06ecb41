internal import CAcceleration

/// The multi-buffer library as this process finds it.
enum MultiBufferLibrary {
    /// Whether it works; opened and tested once, with the first use.
    static let state: AEADSelection.MultiBufferState = {
        switch godwit_mb_open() {
        case GODWIT_MB_READY: AEADSelfTest.passes(.multiBuffer) ? .ready : .broken
        case GODWIT_MB_LEFT_OUT: .leftOut
        case GODWIT_MB_NOT_INSTALLED: .notInstalled
        case GODWIT_MB_OTHER_VERSION: .otherVersion
        case GODWIT_MB_NO_INSTRUCTIONS: .noInstructions
        default: .broken
        }
    }()

    /// The version of the open library.
    static var version: String {
        var text = [CChar](repeating: 0, count: 32)
        // The call writes no more than `count` bytes, the last of them 0.
        unsafe text.withUnsafeMutableBufferPointer { text in
            unsafe godwit_mb_version(text.baseAddress, text.count)
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A key of AES-GCM in the multi-buffer library; wiped when it goes.
@safe struct MultiBufferKey: ~Copyable {
    let pointer: OpaquePointer

    /// Expands a key; nil for a suite that the library does not do here.
    init?(_ suite: CipherSuite, key: Span<UInt8>) {
        guard suite != .chaCha20Poly1305 else { return nil }
        // The key is read during the call only.
        let made = unsafe key.withUnsafeBufferPointer { key in
            unsafe godwit_mb_key_new(key.baseAddress, key.count)
        }
        guard let made = unsafe made else { return nil }
        unsafe pointer = made
    }

    deinit { unsafe godwit_mb_key_free(pointer) }
}

/// Whether a backend does what libcrypto does, on this machine.
enum AEADSelfTest {
    /// Bytes of the packets that are tried: around the sizes at which vector code changes its ways.
    private static let lengths = [0, 1, 15, 16, 17, 64, 127, 128, 129, 255, 256, 300, 768, 1_350]

    /// Compares packets of many lengths with libcrypto's, opens them, and sees that changed ones are refused.
    static func passes(_ backend: AEADBackend) -> Bool {
        [CipherSuite.aes128GCM, .aes256GCM].allSatisfy { suite in
            let key = SecretBytes((0..<suite.keyLength).map { UInt8(truncatingIfNeeded: 7 + 11 * $0) })
            let iv = SecretBytes((0..<CipherSuite.nonceLength).map { UInt8(truncatingIfNeeded: 3 + 29 * $0) })
            let reference = PacketSealer(suite: suite, key: key, iv: iv, backend: .openSSL)
            let sealer = PacketSealer(suite: suite, key: key, iv: iv, backend: backend)
            let opener = PacketOpener(suite: suite, key: key, iv: iv, backend: backend)
            return lengths.allSatisfy { length in
                agrees(length, reference: reference, sealer: sealer, opener: opener)
            }
        }
    }

    private static func agrees(
        _ length: Int, reference: PacketSealer, sealer: PacketSealer, opener: PacketOpener
    ) -> Bool {
        let (header, number) = (1 + length % 20, UInt64(length) << 20 | 5)
        let plain = (0..<header + length + CipherSuite.tagLength).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        var (expected, packet) = (plain, plain)
        var span = expected.mutableSpan
        reference.seal(&span, headerLength: header, packetNumber: number)
        span = packet.mutableSpan
        sealer.seal(&span, headerLength: header, packetNumber: number)
        guard packet == expected else { return false }
        for position in [0, header, packet.count - 1] {
            var forged = packet
            forged[position] ^= 0x10
            span = forged.mutableSpan
            if opener.open(&span, headerLength: header, packetNumber: number) { return false }
        }
        span = packet.mutableSpan
        let isAuthentic = opener.open(&span, headerLength: header, packetNumber: number)
        let end = packet.count - CipherSuite.tagLength
        return isAuthentic && packet[..<end] == plain[..<end]
    }
}
