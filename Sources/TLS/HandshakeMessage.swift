/// The types of TLS 1.3 handshake messages that QUIC carries (RFC 8446 §4).
enum HandshakeMessageType: UInt8 {
    case clientHello = 1
    case serverHello = 2
    case newSessionTicket = 4
    case encryptedExtensions = 8
    case certificate = 11
    case certificateRequest = 13
    case certificateVerify = 15
    case finished = 20

    /// Whether the peer of `role` may send this type at `level` at all; OpenSSL checks the order within a level.
    func mayArrive(at level: EncryptionLevel, role: TLSRole) -> Bool {
        switch (level, role) {
        case (.initial, .server): self == .clientHello
        case (.initial, .client): self == .serverHello
        case (.handshake, .server): self == .certificate || self == .certificateVerify || self == .finished
        case (.handshake, .client):
            self == .encryptedExtensions || self == .certificateRequest || self == .certificate
                || self == .certificateVerify || self == .finished
        // RFC 9001 §6: KeyUpdate is forbidden; §4.4: so is a CertificateRequest after the handshake.
        case (.oneRTT, .server): false
        case (.oneRTT, .client): self == .newSessionTicket
        }
    }

    /// Bytes in the longest body that is accepted; it bounds what an unauthenticated peer can make this end hold.
    var maximumLength: Int {
        switch self {
        // A chain with room for post-quantum signatures; the figure is OpenSSL's own default.
        case .certificate: 102_400
        case .clientHello, .serverHello, .encryptedExtensions, .certificateVerify: 16_384
        case .certificateRequest, .newSessionTicket: 32_768
        case .finished: 64
        }
    }
}

/// A whole handshake message with its header of four bytes.
struct HandshakeMessage {
    let type: HandshakeMessageType
    let bytes: [UInt8]

    /// Bytes in the header: type and length.
    static let headerLength = 4

    /// Whether a ClientHello carries a legacy_session_id; false for one too short to tell, which OpenSSL refuses.
    var hasLegacySessionID: Bool {
        // RFC 8446 §4.1.2: legacy_version (2), random (32), length of legacy_session_id.
        let offset = Self.headerLength + 2 + 32
        return type == .clientHello && bytes.count > offset && bytes[offset] != 0
    }
}

/// Cuts the CRYPTO stream of a level into messages, so that OpenSSL only sees whole ones of a permitted type.
struct MessageAssembler {
    private var partial: [UInt8] = []

    /// Consumes bytes from `position` on, up to the end of one message; nil when the message is not whole yet.
    mutating func nextMessage(
        from bytes: Span<UInt8>, position: inout Int, level: EncryptionLevel, role: TLSRole
    ) throws(TLSError) -> HandshakeMessage? {
        while position < bytes.count, partial.count < HandshakeMessage.headerLength {
            partial.append(bytes[position])
            position += 1
        }
        guard let first = partial.first else { return nil }
        guard let type = HandshakeMessageType(rawValue: first), type.mayArrive(at: level, role: role) else {
            throw TLSError(
                .unexpectedMessage, alert: .unexpectedMessage,
                "the peer sent a handshake message of type \(first), which may not come at this point")
        }
        guard partial.count >= HandshakeMessage.headerLength else { return nil }
        let length = Int(partial[1]) << 16 | Int(partial[2]) << 8 | Int(partial[3])
        guard length <= type.maximumLength else {
            throw TLSError(
                .handshakeFailed, alert: .illegalParameter,
                "the peer announced a handshake message of \(length) bytes, more than \(type.maximumLength)")
        }
        let missing = HandshakeMessage.headerLength + length - partial.count
        let taken = min(missing, bytes.count - position)
        partial.reserveCapacity(partial.count + taken)
        for index in position..<position + taken { partial.append(bytes[index]) }
        position += taken
        guard taken == missing else { return nil }
        defer { partial = [] }
        return HandshakeMessage(type: type, bytes: partial)
    }
}
