internal import COpenSSL
internal import Cryptography

/// The steps of setting up an SSL_CTX, which must outlive this value.
@unsafe struct ContextSetup {
    let pointer: OpaquePointer

    func set(_ options: TLSOptions) throws(TLSError) {
        guard !options.applicationProtocols.isEmpty else {
            throw .configuration("QUIC needs an application protocol (RFC 9001 §8.1)")
        }
        var wire: [UInt8] = []
        for name in options.applicationProtocols {
            // RFC 7301 §3.1: 1 to 255 bytes.
            guard let length = UInt8(exactly: name.utf8.count), length > 0 else {
                throw .configuration("the application protocol \(name.debugDescription) is not 1 to 255 bytes long")
            }
            wire.append(length)
            wire += name.utf8
        }
        // The list is copied. This call, unlike others, returns 0 for success.
        let refused = unsafe wire.withUnsafeBufferPointer { wire in
            unsafe SSL_CTX_set_alpn_protos(pointer, wire.baseAddress, UInt32(wire.count))
        }
        guard refused == 0 else { throw .openSSL("cannot offer the application protocols") }
        let groups = options.groups.map(\.rawValue).joined(separator: ":")
        guard unsafe godwit_ssl_ctx_set_groups(pointer, groups) == 1 else {
            throw .openSSL("cannot use the key exchanges \(groups.debugDescription)")
        }
        let suites = options.cipherSuites.map(\.openSSLName).joined(separator: ":")
        guard !suites.isEmpty, unsafe SSL_CTX_set_ciphersuites(pointer, suites) == 1 else {
            throw .openSSL("cannot use the cipher suites \(suites.debugDescription)")
        }
        if let time = options.verificationTime {
            unsafe X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(pointer), time_t(time))
        }
        // 0-RTT cannot be had this way: EndOfEarlyData, which QUIC leaves out (RFC 9001 §8.3), is in the transcript.
        _ = unsafe SSL_CTX_set_max_early_data(pointer, 0)
        _ = unsafe SSL_CTX_set_recv_max_early_data(pointer, 0)
    }

    func set(_ identity: Identity) throws(TLSError) {
        var done = unsafe SSL_CTX_use_certificate(pointer, identity.certificate.pointer) == 1
        done = unsafe done && SSL_CTX_use_PrivateKey(pointer, identity.key.pointer) == 1
        for certificate in identity.chain.dropFirst() {
            done = unsafe done && godwit_ssl_ctx_add_intermediate(pointer, certificate.pointer) == 1
        }
        guard done else { throw .openSSL("cannot use the certificate \(identity.certificate.subject)") }
    }

    func set(_ trust: ServerTrust) throws(TLSError) {
        unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, certificateChecked)
        switch trust {
        case .systemStore:
            guard unsafe SSL_CTX_set_default_verify_paths(pointer) == 1 else {
                throw .openSSL("cannot read the system's trust store")
            }
        case .anchors(let anchors): try unsafe setAnchors(anchors)
        case .pinned(let hashes):
            guard !hashes.isEmpty, hashes.allSatisfy({ $0.count == SHA256.length }) else {
                throw .configuration("a pin is the SHA-256 of a public key: 32 bytes")
            }
            unsafe SSL_CTX_set_cert_verify_callback(pointer, pinChecked, nil)
        }
    }

    func set(_ verification: ClientVerification) throws(TLSError) {
        switch verification {
        case .none: unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_NONE, nil)
        case .requested(let anchors):
            try unsafe setAnchors(anchors)
            unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, certificateChecked)
        case .required(let anchors):
            try unsafe setAnchors(anchors)
            unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, certificateChecked)
        }
    }

    private func setAnchors(_ anchors: [Certificate]) throws(TLSError) {
        guard !anchors.isEmpty else { throw .configuration("no certificate to trust was given") }
        let store = unsafe SSL_CTX_get_cert_store(pointer)
        for anchor in anchors {
            guard unsafe X509_STORE_add_cert(store, anchor.pointer) == 1 else {
                throw .openSSL("cannot trust the certificate \(anchor.subject)")
            }
        }
        // Whatever the user names as trusted is: also an intermediate authority, or the peer's own certificate.
        _ = unsafe X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(pointer), UInt(X509_V_FLAG_PARTIAL_CHAIN))
    }

    /// The server's order of cipher suites decides, unless ChaCha20-Poly1305 is what the client likes best.
    func preferOwnSuites() {
        unsafe godwit_ssl_ctx_prefer_own_ciphers_but_chacha(pointer)
    }

    /// What the server trusts is for judging its clients: its own chain is sent as it was given.
    func sendOwnChain() { unsafe godwit_ssl_ctx_send_own_chain(pointer) }

    func setTickets(_ configuration: TLSServerConfiguration) throws(TLSError) {
        let context = configuration.ticketContext
        var done = unsafe context.withUnsafeBufferPointer { context in
            unsafe SSL_CTX_set_session_id_context(pointer, context.baseAddress, UInt32(context.count)) == 1
        }
        // Tickets carry the session; a server remembers none.
        _ = unsafe godwit_ssl_ctx_set_session_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
        _ = unsafe SSL_CTX_set_timeout(pointer, TLSContext.ticketLifetime)
        done = unsafe done && SSL_CTX_set_num_tickets(pointer, max(0, configuration.ticketCount)) == 1
        if let secret = configuration.ticketSecret {
            guard secret.count >= TLSContext.minimumTicketSecret else {
                throw .configuration("a ticket secret has at least \(TLSContext.minimumTicketSecret) bytes")
            }
            done = unsafe done && setTicketKeys(from: secret)
        }
        guard done else { throw .openSSL("cannot set up session tickets") }
    }

    private func setTicketKeys(from secret: SecretBytes) -> Bool {
        let length = unsafe godwit_ssl_ctx_ticket_keys_length(pointer)
        let salt = Array("godwit session ticket keys".utf8)
        let empty: [UInt8] = []
        let pseudorandomKey = HKDF.extract(.sha256, salt: salt.span, secret: secret.span)
        let keys = HKDF.expand(.sha256, secret: pseudorandomKey, info: empty.span, length: length)
        let span = keys.span
        // The keys are copied by the call, which only reads them.
        return unsafe span.withUnsafeBufferPointer { keys in
            unsafe godwit_ssl_ctx_set_ticket_keys(pointer, UnsafeMutablePointer(mutating: keys.baseAddress), length)
                == 1
        }
    }

    func setCommonCallbacks() {
        unsafe SSL_CTX_set_keylog_callback(pointer, secretLogged)
        // RFC 9001 §8.2: quic_transport_parameters travel in ClientHello and EncryptedExtensions.
        let messages = UInt32(SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS)
        let done = unsafe SSL_CTX_add_custom_ext(
            pointer, transportParametersExtension, messages, transportParametersWanted, nil, nil,
            transportParametersArrived, nil)
        precondition(done == 1, "libssl refuses the transport parameters extension")
    }
}

extension CipherSuite {
    fileprivate var openSSLName: String {
        switch self {
        case .aes128GCM: "TLS_AES_128_GCM_SHA256"
        case .aes256GCM: "TLS_AES_256_GCM_SHA384"
        case .chaCha20Poly1305: "TLS_CHACHA20_POLY1305_SHA256"
        }
    }
}

extension TLSServerConfiguration {
    /// What tickets are bound to, 32 bytes. A client that resumes shows no certificate: its ticket must not outlive the
    /// rules under which it was accepted.
    fileprivate var ticketContext: [UInt8] {
        var description = SHA256.digest(sessionIDContext.span)
        switch clientVerification {
        case .none: description.append(0)
        case .requested(let anchors): description += [1] + anchors.flatMap(\.der)
        case .required(let anchors): description += [2] + anchors.flatMap(\.der)
        }
        return SHA256.digest(description.span)
    }
}
