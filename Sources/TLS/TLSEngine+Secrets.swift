internal import COpenSSL
internal import Cryptography

// Secrets.
extension TLSEngine {
    @unsafe func secretLogged(_ line: UnsafePointer<CChar>) {
        if context.keyLogging == .enabled { outputs.append(.keyLogLine(unsafe String(cString: line))) }
        guard let logged = unsafe LoggedSecret(line), let suite = currentSuite else { return }
        self.suite = suite
        let direction: SecretDirection = logged.owner == context.role ? .write : .read
        switch direction {
        case .read:
            readLevel = logged.level
            records.changeKeys(suite: suite, secret: logged.secret)
            outputs.append(.secret(logged.level, .read, suite, logged.secret))
            if logged.level == .handshake { deriveClientSecretEarly(suite, serverSecret: logged.secret) }
        case .write:
            writeLevel = logged.level
            if logged.level == .handshake, let early = earlyClientSecret {
                earlyClientSecret = nil
                guard early != logged.secret else { return }
                refusal = .internalFailure(
                    "OpenSSL's client secret differs from the one that was derived from its keys")
            }
            outputs.append(.secret(logged.level, .write, suite, logged.secret))
        }
    }

    /// Gives out the client's handshake secret as soon as it can be known; when it cannot, the key log will.
    private func deriveClientSecretEarly(_ suite: CipherSuite, serverSecret: SecretBytes) {
        guard let schedule else { return }
        self.schedule = nil
        // libssl is in the midst of its own work: its error queue stays as it was.
        ERR_set_mark()
        defer { ERR_pop_to_mark() }
        guard let shared = sharedSecret() else { return }
        let derived = schedule.clientSecret(
            suite.hash, sharedSecret: shared, presharedKey: resumptionKey(suite.hash), knownServerSecret: serverSecret)
        guard let derived else { return }
        earlyClientSecret = derived
        outputs.append(.secret(.handshake, .write, suite, derived))
    }

    private func sharedSecret() -> SecretBytes? {
        var length = 0
        // Room for the secret of every group, of which P-384's is the longest: 48 bytes.
        let room = SecretBytes(count: 64) { room in
            length = unsafe room.withUnsafeMutableBufferPointer { room in
                unsafe godwit_ssl_shared_secret(ssl, room.baseAddress, room.count)
            }
        }
        guard length > 0, length <= room.count else { return nil }
        return SecretBytes(copying: room.span.extracting(..<length))
    }

    private func resumptionKey(_ hash: HashAlgorithm) -> SecretBytes? {
        guard unsafe SSL_session_reused(ssl) == 1 else { return nil }
        var length = 0
        let key = SecretBytes(count: hash.length) { key in
            length = unsafe key.withUnsafeMutableBufferPointer { key in
                unsafe SSL_SESSION_get_master_key(SSL_get_session(ssl), key.baseAddress, key.count)
            }
        }
        return length == hash.length ? key : nil
    }

    private var currentSuite: CipherSuite? {
        // The pending cipher is the one just negotiated; after a resumption, the session may name another.
        let negotiated = unsafe SSL_get_pending_cipher(ssl) ?? SSL_get_current_cipher(ssl)
        guard let negotiated = unsafe negotiated else { return nil }
        return CipherSuite(rawValue: unsafe SSL_CIPHER_get_protocol_id(negotiated))
    }
}
