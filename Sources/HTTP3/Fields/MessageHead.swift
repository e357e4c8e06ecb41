/// The head of a request: what it asks for, and its fields (RFC 9114 §4.3.1, §4.4; RFC 9220).
public struct RequestHead: Hashable, Sendable {
    /// What a request asks for.
    public enum Target: Hashable, Sendable {
        /// An ordinary request for a resource.
        case resource(method: String, scheme: String, authority: String, path: String)
        /// CONNECT: a tunnel to the host and port in `authority` (RFC 9114 §4.4).
        case connect(authority: String)
        /// Extended CONNECT: a resource, spoken to in `protocol` (RFC 9220).
        case extendedConnect(protocol: String, scheme: String, authority: String, path: String)
    }

    /// What the request asks for.
    public var target: Target
    /// The fields, without pseudo-header fields.
    public var fields: FieldSection

    /// Creates a head.
    public init(_ target: Target, fields: FieldSection = []) {
        self.target = target
        self.fields = fields
    }

    /// Everything as it is encoded, pseudo-header fields first.
    var allFields: [Field] {
        let pseudo: [Field] =
            switch target {
            case .resource(let method, let scheme, let authority, let path):
                [
                    Field(":method", method), Field(":scheme", scheme), Field(":authority", authority),
                    Field(":path", path),
                ]
            case .connect(let authority):
                [Field(":method", "CONNECT"), Field(":authority", authority)]
            case .extendedConnect(let name, let scheme, let authority, let path):
                [
                    Field(":method", "CONNECT"), Field(":protocol", name), Field(":scheme", scheme),
                    Field(":authority", authority), Field(":path", path),
                ]
            }
        return pseudo + fields.fields
    }

    /// Checks decoded fields and makes a head of them.
    ///
    /// - Throws: what is malformed about the request (RFC 9114 §4.1.2).
    init(validating lines: [FieldLine]) throws(MalformedMessage) {
        let (pseudo, fields) = try PseudoFields.split(
            lines, allowed: [":method", ":scheme", ":authority", ":path", ":protocol"], in: .request)
        guard let method = pseudo[":method"], FieldValidation.isToken(Array(method.utf8)) else {
            throw MalformedMessage("a request without a method")
        }
        let scheme = pseudo[":scheme"]
        let path = pseudo[":path"]
        let authority = try Self.authority(pseudo[":authority"], fields)
        self.fields = fields
        if let name = pseudo[":protocol"] {
            // RFC 8441 §4, RFC 9220 §3: CONNECT with a scheme and a path, as for other requests.
            guard method == "CONNECT" else { throw MalformedMessage(":protocol without CONNECT") }
            guard FieldValidation.isToken(Array(name.utf8)) else { throw MalformedMessage("an invalid :protocol") }
            guard let scheme, let path, let authority, Self.isScheme(scheme), Self.isPath(path) else {
                throw MalformedMessage("an extended CONNECT without scheme, path or authority")
            }
            target = .extendedConnect(protocol: name, scheme: scheme, authority: authority, path: path)
        } else if method == "CONNECT" {
            // RFC 9114 §4.4: :scheme and :path are omitted.
            guard scheme == nil, path == nil, let authority else {
                throw MalformedMessage("a CONNECT with a scheme or a path, or without an authority")
            }
            target = .connect(authority: authority)
        } else {
            guard let scheme, let path, let authority, Self.isScheme(scheme),
                Self.isPath(path) || (method == "OPTIONS" && path == "*")
            else { throw MalformedMessage("a request without scheme, path or authority") }
            target = .resource(method: method, scheme: scheme, authority: authority, path: path)
        }
    }

    /// RFC 9114 §4.3.1: :authority or Host, not empty; the same value when both are there.
    private static func authority(_ pseudo: String?, _ fields: FieldSection) throws(MalformedMessage) -> String? {
        let hosts = fields.fields.filter { $0.name == "host" }
        guard hosts.count <= 1 else { throw MalformedMessage("more than one Host field") }
        let host = hosts.first?.value
        if let pseudo, let host, pseudo != host { throw MalformedMessage(":authority and Host differ") }
        guard let authority = pseudo ?? host else { return nil }
        // RFC 9114 §4.3.1: user information is deprecated and must not come.
        let isValid =
            !authority.isEmpty && authority.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"@/?#".utf8.contains($0) }
        guard isValid else { throw MalformedMessage("an invalid authority") }
        return authority
    }

    private static func isScheme(_ text: String) -> Bool {
        guard let first = text.utf8.first, (first | 0x20) >= UInt8(ascii: "a"), (first | 0x20) <= UInt8(ascii: "z")
        else {
            return false
        }
        return FieldValidation.isToken(Array(text.utf8))
    }

    private static func isPath(_ text: String) -> Bool {
        text.utf8.first == UInt8(ascii: "/")
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "#") }
    }
}

/// The head of a response: the status code and the fields (RFC 9114 §4.3.2).
public struct ResponseHead: Hashable, Sendable {
    /// The status code, 100 to 599.
    public var status: Int
    /// The fields, without pseudo-header fields.
    public var fields: FieldSection

    /// Creates a head.
    public init(status: Int, fields: FieldSection = []) {
        self.status = status
        self.fields = fields
    }

    /// Whether another response to the same request follows (RFC 9110 §15.2).
    public var isInterim: Bool { status < 200 }
    /// Whether the request succeeded (RFC 9110 §15.3).
    public var isSuccessful: Bool { 200..<300 ~= status }

    /// Everything as it is encoded, pseudo-header fields first.
    var allFields: [Field] { [Field(":status", String(status))] + fields.fields }

    /// Checks decoded fields and makes a head of them.
    ///
    /// - Throws: what is malformed about the response (RFC 9114 §4.1.2).
    init(validating lines: [FieldLine]) throws(MalformedMessage) {
        let (pseudo, fields) = try PseudoFields.split(lines, allowed: [":status"], in: .response)
        guard let text = pseudo[":status"], text.utf8.count == 3,
            text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let status = Int(text),
            100..<600 ~= status
        else { throw MalformedMessage("a response without a status code") }
        // RFC 9114 §4.5: HTTP/3 has no 101 (Switching Protocols).
        guard status != 101 else { throw MalformedMessage("status 101, which HTTP/3 does not have") }
        self.status = status
        self.fields = fields
    }
}

/// The pseudo-header fields of a message: so few that they are looked through.
struct PseudoFields {
    private var values: [(name: String, value: String)] = []

    subscript(name: String) -> String? { values.first { $0.name == name }?.value }

    /// RFC 9114 §4.3: pseudo-header fields are defined ones, each once, before all others; the rest are valid fields.
    static func split(
        _ lines: [FieldLine], allowed: [String], in message: FieldValidation.Message
    ) throws(MalformedMessage) -> (pseudo: PseudoFields, fields: FieldSection) {
        var pseudo = PseudoFields()
        var fields = FieldSection()
        for line in lines {
            guard line.name.first == UInt8(ascii: ":") else {
                fields.append(try FieldValidation.field(line, in: message))
                continue
            }
            let name = String(decoding: line.name, as: UTF8.self)
            guard allowed.contains(name) else { throw MalformedMessage("an unknown pseudo-header field") }
            guard fields.fields.isEmpty else { throw MalformedMessage("\(name) after other fields") }
            guard FieldValidation.isValue(line.value) else { throw MalformedMessage("an invalid value of \(name)") }
            guard pseudo[name] == nil else { throw MalformedMessage("\(name) twice") }
            pseudo.values.append((name, String(decoding: line.value, as: UTF8.self)))
        }
        return (pseudo, fields)
    }

    /// RFC 9114 §4.3: trailers have no pseudo-header fields.
    static func checkTrailers(_ lines: [FieldLine]) throws(MalformedMessage) {
        _ = try split(lines, allowed: [], in: .trailers)
    }
}
