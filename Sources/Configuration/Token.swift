internal import Cryptography

/// A user's secret: 256 random bits, written in the URL-safe base64 of RFC 4648 §5.
///
/// Printing or reflecting one shows no bit of it; only `text` does.
public struct Token: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    private let bytes: [UInt8]

    /// Bytes in a token.
    public static var length: Int { 32 }

    /// A new token from the system's generator.
    public static func generate() -> Token { Token(bytes: systemRandomBytes(count: length)) }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads a token; `nil` unless it is exactly 32 bytes.
    public init?(_ text: String) {
        guard let bytes = Base64URL.decode(text), bytes.count == Token.length else { return nil }
        self.bytes = bytes
    }

    /// The token as invites and `Authorization: Bearer` carry it. Secret.
    public var text: String { Base64URL.encode(bytes) }

    /// What may be stored of it.
    public var hash: TokenHash { TokenHash(digest: SHA256.digest(bytes.span)) }

    /// Not the token.
    public var description: String { "(token)" }

    /// Empty, so that `dump` and test output do not show the token.
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Compares in a time that does not depend on the content.
    public static func == (a: Token, b: Token) -> Bool { constantTimeEqual(a.bytes.span, b.bytes.span) }
}

/// The SHA-256 of a token. A token has 256 random bits, so no salt and no slow hash is needed to keep it from being guessed.
public struct TokenHash: Hashable, Sendable, CustomStringConvertible {
    let digest: [UInt8]

    init(digest: [UInt8]) { self.digest = digest }

    /// Reads `sha256/BASE64URL`.
    public init?(_ description: String) {
        guard let digest = sha256Text(description) else { return nil }
        self.digest = digest
    }

    /// `sha256/BASE64URL`.
    public var description: String { "sha256/" + Base64URL.encode(digest) }

    /// Compares in a time that does not depend on the content.
    public static func == (a: TokenHash, b: TokenHash) -> Bool { constantTimeEqual(a.digest.span, b.digest.span) }
}

/// The SHA-256 of a certificate's SubjectPublicKeyInfo, RFC 7469 §2.4.
public struct PublicKeyPin: Hashable, Sendable, CustomStringConvertible {
    /// The 32 bytes of the digest.
    public let digest: [UInt8]

    /// Creates a pin from a digest; `nil` unless it has 32 bytes.
    public init?(digest: [UInt8]) {
        guard digest.count == SHA256.length else { return nil }
        self.digest = digest
    }

    /// Reads `sha256/BASE64URL`.
    public init?(_ description: String) {
        guard let digest = sha256Text(description) else { return nil }
        self.digest = digest
    }

    /// `sha256/BASE64URL`.
    public var description: String { "sha256/" + Base64URL.encode(digest) }
}

private func sha256Text(_ text: String) -> [UInt8]? {
    guard text.hasPrefix("sha256/"), let digest = Base64URL.decode(text.dropFirst(7)), digest.count == SHA256.length
    else { return nil }
    return digest
}
