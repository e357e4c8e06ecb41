internal import Cryptography

/// Wraps the peer's handshake messages into TLS records as the peer would have sent them over TCP, since that is what
/// OpenSSL reads.
struct RecordLayer {
    /// Bytes of content in a record (RFC 8446 §5.1).
    static let maximumContent = 16_384
    private static let headerLength = 5
    private static let handshakeType: UInt8 = 22
    private static let applicationDataType: UInt8 = 23

    private enum Protection {
        case none
        /// Keys are made for the first record: a server that knows its client's last secret gets no more messages.
        case secret(CipherSuite, SecretBytes)
        case keys(PacketSealer)
    }

    private var protection = Protection.none
    private var sequence: UInt64 = 0

    /// From here on records are sealed with the peer's traffic secret, and the sequence starts at 0 (RFC 8446 §5.3).
    mutating func changeKeys(suite: CipherSuite, secret: SecretBytes) {
        protection = .secret(suite, secret)
        sequence = 0
    }

    private mutating func sealer() -> PacketSealer? {
        switch protection {
        case .none: return nil
        case .keys(let sealer): return sealer
        case .secret(let suite, let secret):
            let key = HKDF.expandLabel(suite.hash, secret: secret, label: "key", length: suite.keyLength)
            let iv = HKDF.expandLabel(suite.hash, secret: secret, label: "iv", length: CipherSuite.nonceLength)
            let sealer = PacketSealer(suite: suite, key: key, iv: iv)
            protection = .keys(sealer)
            return sealer
        }
    }

    /// The records that carry a message.
    mutating func records(for message: [UInt8]) -> [UInt8] {
        var records: [UInt8] = []
        var start = 0
        while start < message.count {
            let end = min(start + Self.maximumContent, message.count)
            records += record(for: message[start..<end])
            start = end
        }
        return records
    }

    private mutating func record(for content: ArraySlice<UInt8>) -> [UInt8] {
        guard let sealer = sealer() else { return Self.header(Self.handshakeType, length: content.count) + content }
        // RFC 8446 §5.2: content, its type, and the tag; the record's header is the additional data.
        let length = content.count + 1 + CipherSuite.tagLength
        var record = Self.header(Self.applicationDataType, length: length)
        record.reserveCapacity(Self.headerLength + length)
        record += content
        record.append(Self.handshakeType)
        record += [UInt8](repeating: 0, count: CipherSuite.tagLength)
        var span = record.mutableSpan
        // RFC 8446 §5.3: the nonce is the IV XORed with the sequence number, as QUIC does with packet numbers.
        sealer.seal(&span, headerLength: Self.headerLength, packetNumber: sequence)
        sequence &+= 1
        return record
    }

    private static func header(_ type: UInt8, length: Int) -> [UInt8] {
        [type, 3, 3, UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length)]
    }
}
