internal import Cryptography

/// The part of TLS 1.3's key schedule (RFC 8446 §7.1) that yields the client's handshake traffic secret.
///
/// OpenSSL 3.0 tells a client that secret only when the server's Finished has arrived, but QUIC must acknowledge
/// Handshake packets before (RFC 9001 §4.1.4). Everything it derives from is at hand once ServerHello is processed.
struct ClientKeySchedule {
    /// ClientHello, ServerHello; with a HelloRetryRequest it and the second ClientHello in between.
    private var messages: [[UInt8]] = []

    /// Messages before the handshake secrets, at most.
    private static let maximumMessages = 4

    mutating func append(_ message: [UInt8]) {
        guard messages.count < Self.maximumMessages else { return }
        messages.append(message)
    }

    /// The client's handshake traffic secret, or nil when the same derivation does not give the server's known one.
    func clientSecret(
        _ hash: HashAlgorithm, sharedSecret: SecretBytes, presharedKey: SecretBytes?, knownServerSecret: SecretBytes
    ) -> SecretBytes? {
        guard let transcript = transcriptHash(hash) else { return nil }
        let empty: [UInt8] = []
        let inputKey = presharedKey ?? SecretBytes([UInt8](repeating: 0, count: hash.length))
        let early = HKDF.extract(hash, salt: empty.span, secret: inputKey.span)
        let derived = HKDF.expandLabel(
            hash, secret: early, label: "derived", context: hash.digest(empty.span), length: hash.length)
        let handshake = HKDF.extract(hash, salt: derived.span, secret: sharedSecret.span)
        func secret(_ label: String) -> SecretBytes {
            HKDF.expandLabel(hash, secret: handshake, label: label, context: transcript, length: hash.length)
        }
        guard secret("s hs traffic") == knownServerSecret else { return nil }
        return secret("c hs traffic")
    }

    private func transcriptHash(_ hash: HashAlgorithm) -> [UInt8]? {
        var transcript: [UInt8] = []
        switch messages.count {
        case 2: transcript = messages[0]
        case 4:
            // RFC 8446 §4.4.1: after a HelloRetryRequest, a synthetic message_hash stands for the first ClientHello.
            let hello = messages[0]
            let first = hash.digest(hello.span)
            transcript = [254, 0, 0, UInt8(truncatingIfNeeded: hash.length)] + first
        default: return nil
        }
        for message in messages.dropFirst() { transcript += message }
        return hash.digest(transcript.span)
    }
}
