public import Cryptography
public import Primitives

/// What a token says once it is opened (RFC 9000 §8.1).
public enum AddressValidationToken: Hashable, Sendable {
    /// From a Retry packet: the client's Initial packets before and after it belong together (RFC 9000 §8.1.2).
    case retry(originalDestination: ConnectionID, retrySource: ConnectionID)
    /// From a NEW_TOKEN frame of an earlier connection (RFC 9000 §8.1.3).
    case newToken
}

/// The outcome of opening the token of an Initial packet.
public enum AddressValidationVerdict: Hashable, Sendable {
    /// The client owns its address.
    case valid(AddressValidationToken)
    /// A token of ours that is too old. A Retry token closes the connection with INVALID_TOKEN; another is ignored.
    case expired(AddressValidationToken)
    /// A token of ours for another address; to be treated like an expired one.
    case wrongAddress(AddressValidationToken)
    /// Not a token of ours: to be treated as if there were none (RFC 9000 §8.1.3).
    case garbage
}

/// Makes and opens address validation tokens under a static key, so that none is remembered (RFC 9000 §8.1.4).
///
/// A token is sealed: its client can neither read nor change it. It is good for any number of connections within its
/// lifetime, all from the address it was given to. RFC 9000 §8.1.4 would rather have it used once; that takes a memory of
/// used tokens that all workers and machines share. Without one, a thief who also sends from the client's address gains a
/// handshake without Retry at that address, and what it could amplify is one handshake a datagram.
public struct AddressValidationTokenKey: Sendable {
    /// How long a Retry token is good, in seconds: a client answers a Retry at once (RFC 9000 §8.1.3).
    public static let retryLifetime: UInt64 = 15
    /// How long a NEW_TOKEN token is good, in seconds: a day, so that daily users need no Retry.
    public static let newTokenLifetime: UInt64 = 86_400
    /// How far the clock of a machine that issued a token may be ahead, in seconds.
    public static let clockTolerance: UInt64 = 5
    /// Longest token that is looked at, in bytes; longer ones are garbage.
    public static let maximumLength = 256

    private static let suite = CipherSuite.aes128GCM
    /// Random bytes in each token, from which its own key and nonce are derived: the static key seals no two tokens
    /// with the same pair however many are issued.
    private static let saltLength = 16

    private let key: SecretBytes

    /// Takes a secret key, the same on every machine whose tokens are to be good here.
    public init(_ key: SecretBytes) { self.key = key }

    /// Makes a token for a client.
    ///
    /// - Parameter unixSeconds: the wall clock, since tokens outlive processes and their monotonic clocks.
    public func seal(
        _ token: AddressValidationToken, for client: NetworkAddress, unixSeconds: UInt64,
        using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        let salt = (0..<Self.saltLength).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let plaintext = TokenContent(token, client: client, issued: unixSeconds).encoded()
        let (tokenKey, nonce, nothing) = (derive("token key", salt, Self.suite.keyLength), nonce(salt), [UInt8]())
        return salt
            + AEAD.seal(
                Self.suite, key: tokenKey.span, nonce: nonce.span, additionalData: nothing.span,
                plaintext: plaintext.span)
    }

    /// Opens the token that came in an Initial packet from `client`.
    public func open(
        _ token: Span<UInt8>, from client: NetworkAddress, unixSeconds: UInt64
    ) -> AddressValidationVerdict {
        guard token.count > Self.saltLength, token.count <= Self.maximumLength else { return .garbage }
        let salt = (0..<Self.saltLength).map { token[$0] }
        let (tokenKey, nonce, nothing) = (derive("token key", salt, Self.suite.keyLength), nonce(salt), [UInt8]())
        guard
            let plaintext = AEAD.open(
                Self.suite, key: tokenKey.span, nonce: nonce.span, additionalData: nothing.span,
                ciphertext: token.extracting(Self.saltLength..<token.count)),
            let content = TokenContent(decoding: plaintext.span)
        else { return .garbage }
        guard content.isFor(client) else { return .wrongAddress(content.token) }
        let oldest = unixSeconds.subtractingSaturating(content.lifetime)
        let newest = unixSeconds.addingSaturating(Self.clockTolerance)
        guard content.issued >= oldest, content.issued <= newest else { return .expired(content.token) }
        return .valid(content.token)
    }

    private func nonce(_ salt: [UInt8]) -> SecretBytes { derive("token iv", salt, CipherSuite.nonceLength) }

    private func derive(_ label: String, _ salt: [UInt8], _ length: Int) -> SecretBytes {
        HKDF.expandLabel(Self.suite.hash, secret: key, label: label, context: salt, length: length)
    }
}

/// What a token holds, in the order in which it is encoded.
private struct TokenContent {
    let token: AddressValidationToken
    let issued: UInt64
    let client: IPAddress
    /// The client's port; 0 in a NEW_TOKEN token, since a client comes back from another one.
    let port: UInt16

    private static let retryKind: UInt8 = 1
    private static let newTokenKind: UInt8 = 2

    init(_ token: AddressValidationToken, client: NetworkAddress, issued: UInt64) {
        self.token = token
        self.issued = issued
        self.client = client.ip
        // RFC 9000 §8.1.4: a Retry token is bound to the port too, as the client's address does not change meanwhile.
        port = token == .newToken ? 0 : client.port
    }

    var lifetime: UInt64 {
        switch token {
        case .retry: AddressValidationTokenKey.retryLifetime
        case .newToken: AddressValidationTokenKey.newTokenLifetime
        }
    }

    func isFor(_ address: NetworkAddress) -> Bool {
        client == address.ip && (token == .newToken || port == address.port)
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        func append(_ value: UInt64, width: Int) {
            for shift in stride(from: 8 * (width - 1), through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
            }
        }
        append(UInt64(token == .newToken ? Self.newTokenKind : Self.retryKind), width: 1)
        append(issued, width: 8)
        append(UInt64(client.family.rawValue), width: 1)
        append(client.high, width: 8)
        append(client.low, width: 8)
        append(UInt64(port), width: 2)
        if case .retry(let originalDestination, let retrySource) = token {
            append(UInt64(originalDestination.count), width: 1)
            bytes += originalDestination.bytes
            append(UInt64(retrySource.count), width: 1)
            bytes += retrySource.bytes
        }
        return bytes
    }

    init?(decoding bytes: Span<UInt8>) {
        var reader = ByteReader(bytes)
        do throws(Truncated) {
            let kind = try reader.readByte()
            issued = try reader.readInteger(width: 8)
            let family = try reader.readByte()
            let (high, low) = (try reader.readInteger(width: 8), try reader.readInteger(width: 8))
            port = UInt16(truncatingIfNeeded: try reader.readInteger(width: 2))
            switch IPAddress.Family(rawValue: family) {
            case .ipv4: client = IPAddress(ipv4: UInt32(truncatingIfNeeded: low))
            case .ipv6: client = IPAddress(ipv6High: high, low: low)
            case nil: return nil
            }
            switch kind {
            case Self.newTokenKind: token = .newToken
            case Self.retryKind:
                let original = try reader.readRange(count: UInt64(try reader.readByte()))
                let source = try reader.readRange(count: UInt64(try reader.readByte()))
                guard let originalDestination = ConnectionID(bytes.extracting(original)),
                    let retrySource = ConnectionID(bytes.extracting(source))
                else { return nil }
                token = .retry(originalDestination: originalDestination, retrySource: retrySource)
            default: return nil
            }
        } catch {
            return nil
        }
        guard reader.isAtEnd else { return nil }
    }
}
