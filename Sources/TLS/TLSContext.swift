internal import COpenSSL
internal import Cryptography

/// What many handshakes of one role share: an `SSL_CTX` with identity, trust, protocols and ticket keys.
///
/// Immutable once made, so that workers may share it.
@safe public final class TLSContext: @unchecked Sendable {
    /// Which end of the handshake the engines of this context are.
    public let role: TLSRole

    /// Seconds for which a ticket can be used: as long as a tunnel lingers by default.
    public static let ticketLifetime = 86_400
    /// Bytes of a ticket secret, at least.
    public static let minimumTicketSecret = 16

    // The SSL_CTX is not changed after `init`; libssl counts references to it atomically.
    let pointer: OpaquePointer
    /// The application protocols, best first.
    let applicationProtocols: [[UInt8]]
    /// SHA-256 hashes of acceptable public keys; nil when authorities decide.
    let pins: [[UInt8]]?
    let clientVerification: ClientVerification
    let keyLogging: KeyLogging
    /// The Unix time at which certificates are judged; nil: the system's clock.
    let verificationTime: Int64?
    /// A digest of everything that a ticket's trust rests on: one made under another trust or identity is not used.
    let trustDigest: [UInt8]

    /// Makes a client's context; fails when a value or a key cannot be used.
    public init(client configuration: TLSClientConfiguration) throws(TLSError) {
        OpenSSLErrors.clear()
        unsafe pointer = try Self.makePointer(TLS_client_method())
        role = .client
        applicationProtocols = configuration.options.applicationProtocols.map { Array($0.utf8) }
        clientVerification = .none
        keyLogging = configuration.options.keyLogging
        verificationTime = configuration.options.verificationTime
        trustDigest = Self.digest(of: configuration)
        switch configuration.trust {
        case .pinned(let hashes): pins = hashes
        case .systemStore, .anchors: pins = nil
        }
        let setup = unsafe ContextSetup(pointer: pointer)
        try unsafe setup.set(configuration.options)
        try unsafe setup.set(configuration.trust)
        if let identity = configuration.identity { try unsafe setup.set(identity) }
        // Tickets are handed to the caller as they arrive and kept nowhere else.
        _ = unsafe godwit_ssl_ctx_set_session_cache_mode(
            pointer, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        unsafe SSL_CTX_sess_set_new_cb(pointer, ticketArrived)
        unsafe setup.setCommonCallbacks()
    }

    /// Makes a server's context; fails when a value or a key cannot be used.
    public init(server configuration: TLSServerConfiguration) throws(TLSError) {
        OpenSSLErrors.clear()
        unsafe pointer = try Self.makePointer(TLS_server_method())
        role = .server
        applicationProtocols = configuration.options.applicationProtocols.map { Array($0.utf8) }
        pins = nil
        clientVerification = configuration.clientVerification
        keyLogging = configuration.options.keyLogging
        verificationTime = configuration.options.verificationTime
        trustDigest = []
        let setup = unsafe ContextSetup(pointer: pointer)
        try unsafe setup.set(configuration.options)
        try unsafe setup.set(configuration.identity)
        try unsafe setup.set(configuration.clientVerification)
        unsafe setup.preferOwnSuites()
        unsafe setup.sendOwnChain()
        try unsafe setup.setTickets(configuration)
        unsafe SSL_CTX_set_alpn_select_cb(pointer, applicationProtocolOffered, nil)
        unsafe SSL_CTX_set_client_hello_cb(pointer, clientHelloArrived, nil)
        unsafe setup.setCommonCallbacks()
    }

    deinit { unsafe SSL_CTX_free(pointer) }

    private static func makePointer(_ method: OpaquePointer?) throws(TLSError) -> OpaquePointer {
        guard let pointer = unsafe SSL_CTX_new(method) else { throw .openSSL("cannot set up TLS") }
        guard unsafe godwit_ssl_ctx_only_tls13(pointer) == 1 else {
            unsafe SSL_CTX_free(pointer)
            throw .openSSL("cannot set up TLS 1.3")
        }
        return unsafe pointer
    }

    private static func digest(of configuration: TLSClientConfiguration) -> [UInt8] {
        var description: [UInt8] = []
        switch configuration.trust {
        case .systemStore: description = [1]
        case .anchors(let anchors):
            description = [2]
            for anchor in anchors {
                let der = anchor.der
                description += SHA256.digest(der.span)
            }
        case .pinned(let hashes): description = [3] + hashes.flatMap { $0 }
        }
        if let identity = configuration.identity {
            let der = identity.certificate.der
            description += [4] + SHA256.digest(der.span)
        }
        return SHA256.digest(description.span)
    }
}
