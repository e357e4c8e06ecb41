import Cryptography

/// The secrets of Initial packets, which anyone who saw the client's first packet can compute (RFC 9001 §5.2).
struct InitialSecrets {
    /// Initial packets always use AES-128-GCM with SHA-256.
    static let suite = CipherSuite.aes128GCM

    let client: SecretBytes
    let server: SecretBytes

    /// Derives both from the Destination Connection ID of the client's first Initial packet, or, after a Retry, of
    /// the first one that answers it.
    init(destinationConnectionID: ConnectionID, version: Version) {
        let hash = Self.suite.hash
        let salt = version.initialSalt
        let input = destinationConnectionID.bytes
        let initial = HKDF.extract(hash, salt: salt.span, secret: input.span)
        client = HKDF.expandLabel(hash, secret: initial, label: "client in", context: [], length: hash.length)
        server = HKDF.expandLabel(hash, secret: initial, label: "server in", context: [], length: hash.length)
    }

    /// The keys of an endpoint with the given role.
    static func keys(for destinationConnectionID: ConnectionID, version: Version, role: Role) -> PacketKeyPair {
        let secrets = InitialSecrets(destinationConnectionID: destinationConnectionID, version: version)
        let (own, peer) = role == .client ? (secrets.client, secrets.server) : (secrets.server, secrets.client)
        return PacketKeyPair(
            read: OpeningKeys(suite: suite, secret: peer, version: version),
            write: SealingKeys(suite: suite, secret: own, version: version))
    }
}
