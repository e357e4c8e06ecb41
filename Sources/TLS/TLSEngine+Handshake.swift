internal import COpenSSL
internal import Cryptography

// Driving libssl.
extension TLSEngine {
    func process(_ message: HandshakeMessage) throws(TLSError) {
        guard !message.hasLegacySessionID else {
            // RFC 9001 §8.4
            throw TLSError(
                .protocolViolation, alert: .illegalParameter, "the client asks for TLS's middlebox compatibility mode")
        }
        schedule?.append(message.bytes)
        let bytes = records.records(for: message.bytes)
        let written = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe BIO_write(SSL_get_rbio(ssl), bytes.baseAddress, Int32(clamping: bytes.count))
        }
        guard Int(written) == bytes.count else { throw .internalFailure("cannot hand a message to OpenSSL") }
        try advance()
        if message.type == .encryptedExtensions { try checkEncryptedExtensions() }
    }

    func advance() throws(TLSError) {
        // SSL_get_error takes whatever it finds in the queue for the handshake's.
        OpenSSLErrors.clear()
        var result: Int32
        if isComplete {
            // Reading makes libssl process tickets. There is no application data for it to find.
            var byte: UInt8 = 0
            result = unsafe SSL_read(ssl, &byte, 1)
        } else {
            result = unsafe SSL_do_handshake(ssl)
        }
        if let refusal { throw refusal }
        if result == 1, !isComplete { return try complete() }
        let outcome = unsafe SSL_get_error(ssl, result)
        guard outcome == SSL_ERROR_WANT_READ else { throw handshakeFailure() }
    }

    private func complete() throws(TLSError) {
        guard let suite, let protocolName = selectedProtocol else {
            throw .internalFailure("OpenSSL completed a handshake without a cipher suite or an application protocol")
        }
        isComplete = true
        var peer: Certificate? = nil
        if let x509 = unsafe SSL_get0_peer_certificate(ssl), unsafe X509_up_ref(x509) == 1 {
            peer = unsafe Certificate(owning: x509)
        }
        outputs.append(
            .handshakeComplete(
                HandshakeSummary(
                    applicationProtocol: String(decoding: protocolName, as: UTF8.self),
                    isResumed: unsafe SSL_session_reused(ssl) == 1, suite: suite,
                    peerPublicKeyHash: peer?.publicKeyHash, peerSubject: peer?.subject)))
    }

    private func checkEncryptedExtensions() throws(TLSError) {
        guard peerParameters != nil else { throw .missingTransportParameters(.server) }
        guard let selected = selectedProtocol else {
            throw .noApplicationProtocol("the server did not choose an application protocol")
        }
        // RFC 7301 §3.2: one of those that were offered.
        guard context.applicationProtocols.contains(selected) else {
            throw TLSError(
                .noApplicationProtocol, alert: .illegalParameter,
                "the server chose an application protocol that was not offered")
        }
    }

    private var selectedProtocol: [UInt8]? {
        var start: UnsafePointer<UInt8>? = nil
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &start, &count)
        guard count > 0 else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
    }

    private func handshakeFailure() -> TLSError {
        let alert = writtenAlert ?? .internalError
        let detail = OpenSSLErrors.takeReason()
        if let refusedCertificate {
            return refusedCertificate.error(alert: alert, expectedName: serverName, isPinned: context.pins != nil)
        }
        let kind: TLSError.Kind =
            switch alert {
            case .internalError: .internalFailure
            case .unexpectedMessage: .unexpectedMessage
            case .noApplicationProtocol: .noApplicationProtocol
            case .certificateRequired: .certificateMissing
            default: .handshakeFailed
            }
        let words = detail ?? "no reason was given"
        return TLSError(kind, alert: alert, "the handshake failed: \(words) (\(alert.name))")
    }
}
