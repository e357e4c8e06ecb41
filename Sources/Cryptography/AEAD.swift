internal import COpenSSL

/// Authenticated encryption of single messages, for what is rare: Retry integrity, address tokens.
///
/// Packets go through `PacketSealer` and `PacketOpener`, which set up their key once.
public enum AEAD {
    /// Encrypts a message; the answer is ciphertext and 16 bytes of tag. The nonce must be new for the key.
    public static func seal(
        _ suite: CipherSuite, key: Span<UInt8>, nonce: Span<UInt8>, additionalData: Span<UInt8>,
        plaintext: Span<UInt8>
    ) -> [UInt8] {
        let sealer = PacketSealer(suite: suite, key: SecretBytes(copying: key), iv: SecretBytes(copying: nonce))
        let offset = additionalData.count
        var packet = [UInt8](repeating: 0, count: offset + plaintext.count + CipherSuite.tagLength)
        for index in 0..<additionalData.count { packet[index] = additionalData[index] }
        for index in 0..<plaintext.count { packet[offset + index] = plaintext[index] }
        var span = packet.mutableSpan
        // Packet number 0 leaves the nonce as it was given.
        sealer.seal(&span, headerLength: offset, packetNumber: 0)
        return [UInt8](packet[offset...])
    }

    /// Decrypts ciphertext and tag; nil when they are not authentic under key, nonce and additional data.
    public static func open(
        _ suite: CipherSuite, key: Span<UInt8>, nonce: Span<UInt8>, additionalData: Span<UInt8>,
        ciphertext: Span<UInt8>
    ) -> [UInt8]? {
        // A nonce may come with the ciphertext, and so may have any length.
        guard ciphertext.count >= CipherSuite.tagLength, nonce.count == CipherSuite.nonceLength else { return nil }
        let opener = PacketOpener(suite: suite, key: SecretBytes(copying: key), iv: SecretBytes(copying: nonce))
        let offset = additionalData.count
        var packet = [UInt8](repeating: 0, count: offset + ciphertext.count)
        for index in 0..<additionalData.count { packet[index] = additionalData[index] }
        for index in 0..<ciphertext.count { packet[offset + index] = ciphertext[index] }
        var span = packet.mutableSpan
        guard opener.open(&span, headerLength: offset, packetNumber: 0) else { return nil }
        return [UInt8](packet[offset..<packet.count - CipherSuite.tagLength])
    }
}
