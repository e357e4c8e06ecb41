internal import COpenSSL
internal import Cryptography

// What the callbacks report, in the midst of a call into libssl.
extension TLSEngine {
    func messageWritten(_ message: [UInt8]) {
        schedule?.append(message)
        // libssl reports a message before the next write secret, so that the current level is the message's.
        outputs.append(.handshakeBytes(writeLevel, message))
    }

    func alertWritten(_ alert: [UInt8]) {
        // Level and description; close_notify, which is 0, says nothing in QUIC.
        guard writtenAlert == nil, alert.count == 2, alert[1] != 0 else { return }
        writtenAlert = TLSAlert(rawValue: alert[1])
    }

    func transportParametersArrived(_ parameters: [UInt8]) -> TLSAlert? {
        guard let first = peerParameters else {
            peerParameters = parameters
            outputs.append(.peerTransportParameters(parameters))
            return nil
        }
        // RFC 8446 §4.1.2: a second ClientHello repeats this extension as it was.
        guard first != parameters else { return nil }
        let error = TLSError(
            .handshakeFailed, alert: .illegalParameter, "the client changed its transport parameters half-way")
        refusal = error
        return .illegalParameter
    }

    /// Whether a ClientHello has an extension.
    enum ExtensionPresence {
        case present
        case absent
    }

    func clientHelloArrived(
        transportParameters: ExtensionPresence, applicationProtocols: ExtensionPresence
    ) -> TLSAlert? {
        switch (transportParameters, applicationProtocols) {
        case (.present, .present): return nil
        case (.absent, _): refusal = .missingTransportParameters(.client)
        case (.present, .absent): refusal = .noApplicationProtocol("the client offers no application protocol")
        }
        return (refusal?.alert).map(TLSAlert.init(rawValue:))
    }

    /// Where in the client's offer the protocol stands that this server likes best.
    func choose(from offer: [UInt8]) -> Range<Int>? {
        var offered: [(name: ArraySlice<UInt8>, range: Range<Int>)] = []
        var position = 0
        while position < offer.count {
            let start = position + 1
            let end = start + Int(offer[position])
            guard end <= offer.count else { break }
            offered.append((offer[start..<end], start..<end))
            position = end
        }
        for own in context.applicationProtocols {
            if let match = offered.first(where: { $0.name.elementsEqual(own) }) { return match.range }
        }
        refusal = .noApplicationProtocol("the client offers only application protocols that this server does not speak")
        return nil
    }

    func isPinned(_ certificate: Certificate) -> Bool {
        let hash = certificate.publicKeyHash
        let matches = context.pins?.contains { constantTimeEqual($0.span, hash.span) } ?? false
        if !matches {
            refusedCertificate = refused(X509_V_ERR_CERT_REJECTED, certificate)
        }
        return matches
    }

    func certificateRefused(code: Int32, _ certificate: Certificate?) {
        refusedCertificate = refused(code, certificate)
    }

    private func refused(_ code: Int32, _ certificate: Certificate?) -> RefusedCertificate {
        RefusedCertificate(
            code: code, certificate: certificate,
            time: context.verificationTime ?? Certificate.timeOfJudgment)
    }

    @unsafe func ticketArrived(_ session: OpaquePointer) {
        // RFC 9001 §4.6.1: a ticket allows no early data, or 0xffffffff, and nothing else.
        let earlyData = unsafe SSL_SESSION_get_max_early_data(session)
        guard earlyData == 0 || earlyData == UInt32.max else {
            refusal = TLSError(
                .protocolViolation, alert: .illegalParameter, "the server's ticket limits early data as QUIC forbids")
            return
        }
        let length = unsafe i2d_SSL_SESSION(session, nil)
        guard length > 0 else { return }
        // The second call writes exactly the length that the first one told.
        let encoded = unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
            var cursor = buffer.baseAddress
            count = Int(max(0, unsafe i2d_SSL_SESSION(session, &cursor)))
        }
        outputs.append(.ticket(SessionTicket(session: encoded, boundTo: ticketBinding)))
    }
}
