public import Primitives

/// All that a local endpoint needs to use a gateway: `godwit://TOKEN@HOST:PORT?pin=sha256/BASE64URL`.
///
/// It contains a secret: `text` shows it, `description` does not.
public struct Invite: Hashable, Sendable, CustomStringConvertible {
    /// The user's secret.
    public var token: Token
    /// The gateway's name or address and its UDP port.
    public var gateway: HostPort
    /// Public keys of which the gateway must have one; empty: the system's trust store and the host name decide.
    public var pins: [PublicKeyPin]

    /// The port of an invite that names none, that of HTTPS and HTTP/3.
    public static let defaultPort: UInt16 = 443

    /// Creates an invite from its parts.
    public init(token: Token, gateway: HostPort, pins: [PublicKeyPin]) {
        self.token = token
        self.gateway = gateway
        self.pins = pins
    }

    /// Reads an invite; the error says which part is wrong and never repeats the secret.
    public init(_ text: String) throws(InviteError) {
        guard text.utf8.count <= Invite.longestText else { throw .tooLong }
        let scheme = "godwit://"
        guard text.lowercased().hasPrefix(scheme) else { throw .noScheme }
        let body = text.dropFirst(scheme.count)
        let parts = body.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let authority = (parts.first ?? "").trimmingTrailingSlash
        guard let at = authority.lastIndex(of: "@") else { throw .noToken }
        guard let token = Token(String(authority[..<at])) else { throw .badToken }
        self.token = token
        gateway = try Invite.gateway(authority[at...].dropFirst())
        pins = parts.count == 2 ? try Invite.pins(parts[1]) : []
    }

    /// Bytes in the longest text that is read as an invite; longer ones are refused.
    static let longestText = 4_096

    private static func gateway(_ text: Substring) throws(InviteError) -> HostPort {
        guard !text.isEmpty else { throw .noHost }
        if let host = Host(String(text)), text.first == "[" || !text.contains(":") {
            return HostPort(host, port: defaultPort)
        }
        guard let gateway = HostPort(String(text)) else { throw .badGateway(String(text)) }
        return gateway
    }

    private static func pins(_ query: Substring) throws(InviteError) -> [PublicKeyPin] {
        var pins: [PublicKeyPin] = []
        for parameter in query.split(separator: "&", omittingEmptySubsequences: false) {
            // An unknown parameter may restrict whom to trust; to overlook it would be to trust more than was meant.
            guard parameter.hasPrefix("pin=") else { throw .unknownParameter(String(parameter)) }
            guard let pin = PublicKeyPin(String(parameter.dropFirst(4))) else { throw .badPin }
            pins.append(pin)
        }
        return pins
    }

    /// The whole invite. Secret.
    public var text: String {
        let query = pins.map { "pin=\($0)" }.joined(separator: "&")
        return "godwit://\(token.text)@\(gateway)" + (query.isEmpty ? "" : "?" + query)
    }

    /// The gateway without the secret.
    public var description: String { "godwit://…@\(gateway)" }

    /// Reads a list of invites, one a line; empty lines and lines that start with `#` do not count.
    public static func list(_ text: String, source: String) throws(ConfigurationError) -> [Invite] {
        var invites: [Invite] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let content = line.trimmingBlanks
            guard !content.isEmpty, !content.hasPrefix("#") else { continue }
            do throws(InviteError) {
                invites.append(try Invite(String(content)))
            } catch {
                throw ConfigurationError(source: source, line: index + 1, message: "\(error)")
            }
        }
        guard !invites.isEmpty else {
            throw ConfigurationError(
                source: source, message: "contains no invite; put the line that `godwit init` printed there")
        }
        return invites
    }
}

/// What is wrong with an invite.
public enum InviteError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLong
    case noScheme
    case noToken
    case badToken
    case noHost
    case badGateway(String)
    case badPin
    case unknownParameter(String)

    /// One line: what is wrong and what to do.
    public var description: String {
        let form = "an invite is godwit://TOKEN@HOST:PORT?pin=sha256/…"
        let problem =
            switch self {
            case .tooLong: "the invite is too long; \(form)"
            case .noScheme: "the invite does not start with godwit://; \(form)"
            case .noToken: "the invite has no token before an @; \(form)"
            case .badToken: "the invite's token is not whole: it has 43 letters, digits, - and _; copy the line again"
            case .noHost: "the invite names no gateway behind the @; \(form)"
            case .badGateway(let text): "the invite's gateway \"\(text)\" is no HOST:PORT; write IPv6 as [::1]:443"
            case .badPin:
                "the invite's pin is not whole: it is sha256/ and 43 letters, digits, - and _; copy the line again"
            case .unknownParameter(let text):
                "the invite has an unknown part \"\(text)\"; only pin=sha256/… may follow the ?"
            }
        return escapingControlCharacters(problem)
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self.drop { $0.isWhitespace }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }

    /// Some programs add the empty path of a URL.
    fileprivate var trimmingTrailingSlash: Substring { last == "/" ? dropLast() : self }
}
