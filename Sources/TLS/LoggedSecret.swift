internal import Cryptography

/// A traffic secret of the handshake, read from a line of an NSS key log: label, client random, secret, in hexadecimal.
struct LoggedSecret {
    let level: EncryptionLevel
    /// The role that protects what it sends with this secret.
    let owner: TLSRole
    let secret: SecretBytes

    /// Reads a line, which ends with a zero; nil for labels that QUIC has no use for.
    @unsafe init?(_ line: UnsafePointer<CChar>) {
        var count = 0
        while unsafe line[count] != 0 { count += 1 }
        let characters = unsafe UnsafeBufferPointer(start: line, count: count)
        let space = CChar(0x20)
        guard let labelEnd = unsafe characters.firstIndex(of: space),
            let secretStart = unsafe characters.lastIndex(of: space)
        else { return nil }
        let label = unsafe String(decoding: characters[..<labelEnd].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        switch label {
        case "CLIENT_HANDSHAKE_TRAFFIC_SECRET": (level, owner) = (.handshake, .client)
        case "SERVER_HANDSHAKE_TRAFFIC_SECRET": (level, owner) = (.handshake, .server)
        case "CLIENT_TRAFFIC_SECRET_0": (level, owner) = (.oneRTT, .client)
        case "SERVER_TRAFFIC_SECRET_0": (level, owner) = (.oneRTT, .server)
        default: return nil
        }
        // The digits go straight into memory that is wiped; a String of them would not be.
        let digits = unsafe UnsafeBufferPointer(rebasing: characters[(secretStart + 1)...])
        secret = SecretBytes(count: digits.count / 2) { bytes in
            for index in 0..<bytes.count {
                bytes[index] = unsafe Self.value(digits[2 * index]) << 4 | Self.value(digits[2 * index + 1])
            }
        }
    }

    private static func value(_ digit: CChar) -> UInt8 {
        let byte = UInt8(bitPattern: digit)
        switch byte {
        case 0x30...0x39: return byte - 0x30
        case 0x41...0x46: return byte - 0x41 + 10
        case 0x61...0x66: return byte - 0x61 + 10
        default: return 0
        }
    }
}
