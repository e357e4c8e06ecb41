public import HTTP3

/// How a tunnel is asked for and how its payload is framed.
public enum TunnelForm: Hashable, Sendable {
    /// Extended CONNECT with `:protocol` connect-tcp: payload in capsules (draft-ietf-httpbis-connect-tcp).
    case connectTCP(ConnectTCPDraft)
    /// Classic CONNECT: payload in DATA frames, the stream's end is the TCP FIN (RFC 9114 §4.4).
    case classic

    /// The field that carries credentials (RFC 9110 §11.6.2, §11.7.2).
    var credentialsField: String {
        switch self {
        case .connectTCP: "authorization"
        case .classic: "proxy-authorization"
        }
    }

    /// The field that says which credentials are wanted (RFC 9110 §11.6.1, §11.7.1).
    var challengeField: String {
        switch self {
        case .connectTCP: "www-authenticate"
        case .classic: "proxy-authenticate"
        }
    }

    /// The status that asks for credentials.
    var unauthorizedStatus: Int {
        switch self {
        case .connectTCP: 401
        case .classic: 407
        }
    }
}

/// What a client shows to prove who it is.
public enum Credentials: Hashable, Sendable {
    /// Nothing, or something that is not understood.
    case none
    /// A bearer token (RFC 6750 §2.1). A secret: never logged.
    case bearer(String)
}

extension Credentials: CustomStringConvertible, CustomDebugStringConvertible {
    /// What kind of credentials they are, without the secret.
    public var description: String {
        switch self {
        case .none: "none"
        case .bearer: "bearer token"
        }
    }

    /// The same: a secret does not show in a debugger's output either.
    public var debugDescription: String { description }

    /// Longest token that is looked at, in bytes; a longer one counts as none.
    static let maximumTokenLength = 1024

    /// Reads the value of an Authorization or Proxy-Authorization field.
    init(fieldValue: String?) {
        self = .none
        guard let fieldValue else { return }
        // RFC 9110 §11.1: the scheme is case-insensitive; one or more spaces follow it.
        let parts = fieldValue.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return }
        let token = parts[1].drop { $0 == " " }
        guard 1...Self.maximumTokenLength ~= token.utf8.count, token.utf8.allSatisfy({ 0x21...0x7e ~= $0 }) else {
            return
        }
        self = .bearer(String(token))
    }

    /// The field value that shows them; nil for none.
    var fieldValue: String? {
        switch self {
        case .none: nil
        case .bearer(let token): "Bearer " + token
        }
    }
}
