internal import COpenSSL
internal import Cryptography

/// One TLS 1.3 handshake of a QUIC connection, driven by libssl (RFC 9001 §4.1).
///
/// Call `start()` once on a client, then `receive(_:at:)` with the bytes of each level's CRYPTO stream in order, and
/// after every call drain `nextOutput()`. There is no clock and no I/O in it: a handshake that stalls, as a tampered one
/// may, is for the caller's timer to end. Once a call has thrown, every later one throws the same error. Not for use
/// by two threads at a time.
///
/// libssl believes that it speaks TLS over TCP: it reads records that `RecordLayer` makes from the peer's messages, and
/// what it writes is taken from its message callback before it becomes a record. Secrets come from its key log callback.
@safe public final class TLSEngine {
    let context: TLSContext
    /// Nil once `releaseHandshake` was called.
    private(set) var ssl: OpaquePointer?
    /// The content of this end's transport parameters extension; libssl reads it whenever it writes the extension.
    let localParameters: UnsafeMutableBufferPointer<UInt8>
    /// Whose certificate a client expects, part of what its tickets are bound to.
    let serverName: String

    var outputs: [TLSOutput] = []
    private var nextOutputIndex = 0
    private var assembler = MessageAssembler()
    var records = RecordLayer()
    var schedule: ClientKeySchedule?
    var earlyClientSecret: SecretBytes?
    /// The level at which the peer's next bytes are expected.
    var readLevel = EncryptionLevel.initial
    /// The level at which libssl writes.
    var writeLevel = EncryptionLevel.initial
    var suite: CipherSuite?
    var peerParameters: [UInt8]?
    var isComplete = false
    /// What ended the handshake, thrown by every call from then on.
    private var failure: TLSError?
    /// Why a callback made libssl fail, in better words than libssl's.
    var refusal: TLSError?
    var writtenAlert: TLSAlert?
    var refusedCertificate: RefusedCertificate?

    /// Prepares a handshake.
    ///
    /// `serverName` is the host name or IP address that a client expects in the server's certificate, which it must
    /// have unless the key is pinned; servers pass nil. `transportParameters` is the content of the extension. A
    /// `ticket` that does not fit, or is none, is left aside.
    public init(
        context: TLSContext, serverName: String?, transportParameters: [UInt8], ticket: SessionTicket? = nil
    ) throws(TLSError) {
        OpenSSLErrors.clear()
        guard let ssl = unsafe SSL_new(context.pointer) else { throw .openSSL("cannot begin a TLS handshake") }
        self.context = context
        unsafe self.ssl = ssl
        unsafe localParameters = .allocate(capacity: transportParameters.count)
        _ = unsafe localParameters.initialize(from: transportParameters)
        // RFC 6066 §3: a name without the trailing dot.
        self.serverName = serverName.map { String($0.hasSuffix(".") ? $0.dropLast() : $0[...]) } ?? ""
        schedule = context.role == .client ? ClientKeySchedule() : nil
        try attach()
        guard context.role == .client else { return }
        try expectServer()
        if let ticket { use(ticket) }
    }

    deinit {
        freeSSL()
        unsafe localParameters.deallocate()
    }

    /// Gives back what only the handshake needed, two buffers of 16 KiB among it, when a server's is complete: its client has nothing
    /// to say any more (RFC 9001 §6), and what comes all the same is refused as before. Does nothing on a client, which waits for tickets.
    public func releaseHandshake() {
        guard context.role == .server, isComplete else { return }
        freeSSL()
        records = RecordLayer()
        peerParameters = nil
    }

    private func freeSSL() {
        guard let ssl = unsafe ssl else { return }
        // Without it libssl would take the session for one that broke off, and not resume it.
        unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        unsafe SSL_free(ssl)
        unsafe self.ssl = nil
    }

    /// Makes a client's first flight; does nothing on a server.
    public func start() throws(TLSError) {
        if let failure { throw failure }
        guard context.role == .client else { return }
        do throws(TLSError) { try advance() } catch { throw fail(error) }
    }

    /// Takes in the next bytes of a level's CRYPTO stream, cut anywhere.
    public func receive(_ bytes: Span<UInt8>, at level: EncryptionLevel) throws(TLSError) {
        if let failure { throw failure }
        do throws(TLSError) {
            var position = 0
            while position < bytes.count {
                guard level == readLevel else {
                    // RFC 9001 §4.1.3: bytes of a level that the handshake has left are a PROTOCOL_VIOLATION.
                    throw TLSError(
                        .protocolViolation, alert: .unexpectedMessage,
                        "the peer sent handshake bytes at the \(level) level instead of the \(readLevel) level")
                }
                guard
                    let message = try assembler.nextMessage(
                        from: bytes, position: &position, level: level, role: context.role)
                else { return }
                try process(message)
            }
        } catch {
            throw fail(error)
        }
    }

    /// The oldest output that was not taken yet.
    public func nextOutput() -> TLSOutput? {
        guard nextOutputIndex < outputs.count else { return nil }
        let output = outputs[nextOutputIndex]
        nextOutputIndex += 1
        if nextOutputIndex == outputs.count {
            // What follows a handshake is rare.
            outputs.removeAll(keepingCapacity: !isComplete)
            nextOutputIndex = 0
        }
        return output
    }

    private func fail(_ error: TLSError) -> TLSError {
        failure = error
        return error
    }
}
