import Cryptography

/// The tag that ends a Retry packet: who sent it saw the client's Initial packet (RFC 9001 §5.8).
enum RetryIntegrity {
    /// Bytes of the tag.
    static let tagLength = CipherSuite.tagLength

    /// The tag of a Retry packet that stands in `packet` without one.
    static func tag(
        of packet: Span<UInt8>, originalDestination: ConnectionID, version: Version
    ) -> [UInt8] {
        // RFC 9001 §5.8: the pseudo-packet is the packet behind the connection ID that the client chose first.
        var pseudoPacket = [UInt8(truncatingIfNeeded: originalDestination.count)] + originalDestination.bytes
        pseudoPacket.reserveCapacity(pseudoPacket.count + packet.count)
        for index in packet.indices { pseudoPacket.append(packet[index]) }
        let (key, nonce, plaintext) = (version.retryKey, version.retryNonce, [UInt8]())
        return AEAD.seal(
            .aes128GCM, key: key.span, nonce: nonce.span, additionalData: pseudoPacket.span, plaintext: plaintext.span)
    }

    /// Whether the tag at the end of a Retry packet is right.
    static func isValid(_ packet: Span<UInt8>, originalDestination: ConnectionID, version: Version) -> Bool {
        guard packet.count >= tagLength else { return false }
        let end = packet.count - tagLength
        let expected = tag(
            of: packet.extracting(0..<end), originalDestination: originalDestination, version: version)
        return constantTimeEqual(expected.span, packet.extracting(end..<packet.count))
    }
}

extension ByteWriter {
    /// Writes a Retry packet with its tag (RFC 9000 §17.2.5).
    ///
    /// - Parameter originalDestination: the Destination Connection ID of the Initial packet that it answers.
    @_lifetime(self: copy self)
    mutating func writeRetry(
        version: Version, destination: ConnectionID, source: ConnectionID, originalDestination: ConnectionID,
        token: Span<UInt8>, unusedBits: UInt8
    ) {
        let start = position
        writeRetryWithoutTag(
            version: version, destination: destination, source: source, token: token, unusedBits: unusedBits)
        let tag = RetryIntegrity.tag(
            of: bytes.span.extracting(start..<position), originalDestination: originalDestination, version: version)
        write(tag.span)
    }
}
