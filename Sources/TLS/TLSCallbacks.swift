internal import COpenSSL
internal import Cryptography

// What libssl calls. Plain functions without isolation: a closure written in an actor's context would trap on another
// thread. Each finds the engine in its SSL and hands over; libssl only calls them while the engine runs it.

/// The number of the quic_transport_parameters extension (RFC 9001 §8.2).
let transportParametersExtension: UInt32 = 57
/// The number of the application_layer_protocol_negotiation extension (RFC 7301).
private let applicationProtocolExtension: UInt32 = 16

/// Where an SSL keeps the reference to its engine.
let engineIndex: Int32 = godwit_ssl_new_ex_index()

/// The engine that drives an SSL. It outlives the SSL, which holds an unowned reference.
@unsafe private func engine(of ssl: OpaquePointer?) -> TLSEngine? {
    guard let ssl = unsafe ssl, let data = unsafe SSL_get_ex_data(ssl, engineIndex) else { return nil }
    return unsafe Unmanaged<TLSEngine>.fromOpaque(data).takeUnretainedValue()
}

/// The engine whose peer's certificate is being verified.
@unsafe private func engine(verifying store: OpaquePointer?) -> TLSEngine? {
    guard let data = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()) else { return nil }
    return unsafe engine(of: OpaquePointer(data))
}

/// A traffic secret, as a line of a key log.
@unsafe func secretLogged(_ ssl: OpaquePointer?, _ line: UnsafePointer<CChar>?) {
    guard let line = unsafe line else { return }
    unsafe engine(of: ssl)?.secretLogged(line)
}

/// A whole handshake message or an alert, on its way in or out.
@unsafe func messagePassed(
    _ isWrite: Int32, _ version: Int32, _ contentType: Int32, _ bytes: UnsafeRawPointer?, _ count: Int,
    _ ssl: OpaquePointer?, _ argument: UnsafeMutableRawPointer?
) {
    guard isWrite == 1 else { return }
    // Other content types report record headers and inner content types.
    let message = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
    switch contentType {
    case SSL3_RT_HANDSHAKE: unsafe engine(of: ssl)?.messageWritten(message)
    case SSL3_RT_ALERT: unsafe engine(of: ssl)?.alertWritten(message)
    default: break
    }
}

/// libssl writes an extension and wants its content, which must stay valid until it is copied.
@unsafe func transportParametersWanted(
    _ ssl: OpaquePointer?, _ type: UInt32, _ context: UInt32, _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ count: UnsafeMutablePointer<Int>?, _ certificate: OpaquePointer?, _ index: Int,
    _ alert: UnsafeMutablePointer<Int32>?, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let engine = unsafe engine(of: ssl) else { return -1 }
    unsafe out?.pointee = UnsafePointer(engine.localParameters.baseAddress)
    unsafe count?.pointee = engine.localParameters.count
    return 1
}

/// The peer's extension has arrived.
@unsafe func transportParametersArrived(
    _ ssl: OpaquePointer?, _ type: UInt32, _ context: UInt32, _ bytes: UnsafePointer<UInt8>?, _ count: Int,
    _ certificate: OpaquePointer?, _ index: Int, _ alert: UnsafeMutablePointer<Int32>?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    let parameters = unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: count))
    guard let engine = unsafe engine(of: ssl), let refusal = engine.transportParametersArrived(parameters) else {
        return 1
    }
    unsafe alert?.pointee = Int32(refusal.rawValue)
    return 0
}

/// A ClientHello has arrived: what QUIC demands of it is checked before anything is answered.
@unsafe func clientHelloArrived(
    _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    func has(_ type: UInt32) -> Bool {
        var start: UnsafePointer<UInt8>? = nil
        var count = 0
        return unsafe SSL_client_hello_get0_ext(ssl, type, &start, &count) == 1
    }
    let refusal = unsafe engine(of: ssl)?.clientHelloArrived(
        transportParameters: has(transportParametersExtension) ? .present : .absent,
        applicationProtocols: has(applicationProtocolExtension) ? .present : .absent)
    guard let refusal else { return SSL_CLIENT_HELLO_SUCCESS }
    unsafe alert?.pointee = Int32(refusal.rawValue)
    return SSL_CLIENT_HELLO_ERROR
}

/// The client's application protocols, of which the server chooses the one that it likes best itself.
@unsafe func applicationProtocolOffered(
    _ ssl: OpaquePointer?, _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ outCount: UnsafeMutablePointer<UInt8>?, _ offer: UnsafePointer<UInt8>?, _ offerCount: UInt32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    let offered = unsafe UnsafeBufferPointer(start: offer, count: Int(offerCount))
    guard let engine = unsafe engine(of: ssl), let chosen = engine.choose(from: unsafe Array(offered)),
        let start = unsafe offer
    else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    // The answer points into the offer, which libssl keeps; the range lies inside it.
    unsafe out?.pointee = start + chosen.lowerBound
    unsafe outCount?.pointee = UInt8(truncatingIfNeeded: chosen.count)
    return SSL_TLSEXT_ERR_OK
}

/// OpenSSL has checked one certificate of the peer's chain; its answer stands, but a refusal is remembered.
@unsafe func certificateChecked(_ isAccepted: Int32, _ store: OpaquePointer?) -> Int32 {
    guard isAccepted != 1, let engine = unsafe engine(verifying: store) else { return isAccepted }
    var certificate: Certificate? = nil
    if let x509 = unsafe X509_STORE_CTX_get_current_cert(store), unsafe X509_up_ref(x509) == 1 {
        certificate = unsafe Certificate(owning: x509)
    }
    engine.certificateRefused(code: unsafe X509_STORE_CTX_get_error(store), certificate)
    return isAccepted
}

/// Takes the place of OpenSSL's verification where the server's key is pinned.
@unsafe func pinChecked(_ store: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let engine = unsafe engine(verifying: store), let x509 = unsafe X509_STORE_CTX_get0_cert(store),
        unsafe X509_up_ref(x509) == 1
    else { return 0 }
    guard engine.isPinned(unsafe Certificate(owning: x509)) else {
        unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
        return 0
    }
    unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
    return 1
}

/// A ticket has arrived. It is serialised at once: libssl keeps its reference.
@unsafe func ticketArrived(_ ssl: OpaquePointer?, _ session: OpaquePointer?) -> Int32 {
    if let session = unsafe session { unsafe engine(of: ssl)?.ticketArrived(session) }
    return 0
}
