public import Cryptography

/// The static key from which the stateless reset tokens of all connection IDs of an endpoint follow (RFC 9000 §10.3.2).
public struct StatelessResetKey: Sendable {
    private let key: SecretBytes

    /// Takes a secret key, the same after a restart and on every machine that packets may reach.
    public init(_ key: SecretBytes) { self.key = key }

    /// The token of a connection ID.
    public func token(for id: ConnectionID) -> StatelessResetToken {
        let code = HMACSHA256.authenticate(id.bytes.span, key: key)
        var reader = ByteReader(code.span)
        let high = (try? reader.readInteger(width: 8)) ?? 0
        let low = (try? reader.readInteger(width: 8)) ?? 0
        return StatelessResetToken(high: high, low: low)
    }
}
