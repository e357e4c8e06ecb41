internal import COpenSSL
internal import Cryptography

// Setting up the SSL.
extension TLSEngine {
    func attach() throws(TLSError) {
        // A memory BIO in, to which records are written, and a null BIO out. SSL_set_bio takes both over.
        let input = unsafe BIO_new(BIO_s_mem())
        let output = unsafe BIO_new(BIO_s_null())
        guard unsafe input != nil, unsafe output != nil,
            unsafe SSL_set_ex_data(ssl, engineIndex, Unmanaged.passUnretained(self).toOpaque()) == 1
        else {
            unsafe BIO_free_all(input)
            unsafe BIO_free_all(output)
            throw .openSSL("cannot begin a TLS handshake")
        }
        unsafe godwit_bio_empty_means_retry(input)
        unsafe SSL_set_bio(ssl, input, output)
        unsafe SSL_set_msg_callback(ssl, messagePassed)
        unsafe SSL_set_quiet_shutdown(ssl, 1)
        switch context.role {
        case .client: unsafe SSL_set_connect_state(ssl)
        case .server: unsafe SSL_set_accept_state(ssl)
        }
    }

    func expectServer() throws(TLSError) {
        guard !serverName.isEmpty else {
            guard context.pins != nil else {
                throw .configuration("without a pin, a server is known by its name, and none was given")
            }
            return
        }
        // A name that C would read as a shorter one must not get that far. Names in other scripts come in Punycode.
        guard serverName.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw .configuration("\(serverName.debugDescription) cannot be a server's name")
        }
        // An IP address is matched as such and is never sent as a name (RFC 6066 §3).
        if unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName) == 1 { return }
        OpenSSLErrors.clear()
        unsafe SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        guard unsafe SSL_set1_host(ssl, serverName) == 1, unsafe godwit_ssl_set_server_name(ssl, serverName) == 1 else {
            throw .openSSL("\(serverName.debugDescription) cannot be a server's name")
        }
    }

    func use(_ ticket: SessionTicket) {
        guard let encoded = ticket.session(boundTo: ticketBinding) else { return }
        let end = encoded.count
        // d2i moves its cursor to the end of what it has read, which must be the end of the ticket.
        let session = unsafe encoded.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var cursor = bytes.baseAddress
            guard let session = unsafe d2i_SSL_SESSION(nil, &cursor, end) else { return nil }
            guard let start = bytes.baseAddress, let cursor = unsafe cursor, unsafe cursor - start == end else {
                unsafe SSL_SESSION_free(session)
                return nil
            }
            return unsafe session
        }
        if let session = unsafe session {
            if unsafe SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION,
                unsafe SSL_SESSION_is_resumable(session) == 1
            {
                _ = unsafe SSL_set_session(ssl, session)
            }
            unsafe SSL_SESSION_free(session)
        }
        OpenSSLErrors.clear()
    }

    /// What a ticket's trust rests on: it must not let a server in that a full handshake would not.
    var ticketBinding: [UInt8] {
        let description = context.trustDigest + Array(serverName.utf8)
        return SHA256.digest(description.span)
    }
}
