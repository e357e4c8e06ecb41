internal import Primitives

/// From the head of a request to what the proxy does for it.
extension HTTPRequestHead {
    func proxyRequest() throws(HTTPProxyFault) -> HTTPProxyRequest {
        // RFC 9112 §3.2: a server must answer 400 to an HTTP/1.1 request without Host, and to any with more than one.
        let hosts = values(of: "host")
        guard hosts.count <= 1, minorVersion == 0 || hosts.count == 1 else {
            throw .malformed("there must be one Host field")
        }
        switch method {
        case "CONNECT": return try connect()
        case "TRACE":
            throw HTTPProxyFault(
                .methodNotAllowed, "TRACE is not forwarded: it would show the proxy's fields to the program")
        default: return try forward()
        }
    }

    // RFC 9110 §9.3.6: the target of CONNECT is host and port, nothing else.
    private func connect() throws(HTTPProxyFault) -> HTTPProxyRequest {
        guard let destination = HostPort(target) else {
            throw HTTPProxyFault(.badRequest, "CONNECT \(target.prefix(300)): the target is no HOST:PORT")
        }
        // A request for a tunnel has no body: bytes after the head are the tunnel's for us and must not be a body for others.
        guard try framing() == .none else { throw .malformed("CONNECT with a body") }
        return HTTPProxyRequest(destination: destination, kind: .tunnel, isHead: false)
    }

    private func forward() throws(HTTPProxyFault) -> HTTPProxyRequest {
        let (destination, originForm) = try absoluteTarget()
        let body = try framing()
        if method == "OPTIONS", !values(of: "max-forwards").isEmpty {
            // RFC 9110 §7.6.2 obliges whoever forwards it to count; refusing is the other way to obey.
            throw HTTPProxyFault(
                .notImplemented, "OPTIONS with Max-Forwards is not forwarded; send it without that field")
        }
        let dropped = try hopByHopNames()
        var head = Array("\(method) \(originForm) HTTP/1.\(minorVersion)\r\n".utf8)
        // RFC 9112 §3.2.2: a proxy replaces a received Host by the host of the target.
        head += Array("Host: \(HTTPRequestHead.hostField(destination))\r\n".utf8)
        for field in fields where field.name != "host" && !dropped.contains(field.name) {
            head += field.line
            head += [0x0d, 0x0a]
        }
        // RFC 9110 §7.6.3 not followed: no Via is added. The proxy is the user's own, and servers turn compression off on seeing one.
        head += Array("Connection: close\r\n\r\n".utf8)
        return HTTPProxyRequest(
            destination: destination, kind: .forward(head: head, body: body), isHead: method == "HEAD")
    }

    static func hostField(_ destination: HostPort) -> String {
        guard destination.port == 80 else { return destination.description }
        return String(destination.description.dropLast(3))
    }

    // RFC 9112 §3.2.2: absolute-form, RFC 3986 §3; rewritten to origin-form as §3.2.1 says.
    private func absoluteTarget() throws(HTTPProxyFault) -> (HostPort, String) {
        guard let separator = target.firstRange(of: "://") else {
            throw HTTPProxyFault(
                .badRequest,
                "this is a proxy, not a web server: set it as the program's HTTP proxy, and ask for http://HOST/ through it"
            )
        }
        let scheme = target[..<separator.lowerBound].lowercased()
        guard scheme == "http" else {
            let advice =
                scheme == "https"
                ? "https goes through CONNECT, which programs do when set to an HTTP proxy" : "ask for http://"
            throw HTTPProxyFault(.notImplemented, "the scheme of \(target.prefix(300)) is not forwarded; \(advice)")
        }
        let rest = target[separator.upperBound...]
        guard !rest.contains("#") else { throw .malformed("the target has a fragment") }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        // RFC 9110 §4.2.4: user information in a target from elsewhere is an error.
        guard !authority.contains("@") else { throw .malformed("the target has a user name in it") }
        guard let destination = HTTPRequestHead.destination(String(authority)) else {
            throw HTTPProxyFault(.badRequest, "\(target.prefix(300)): the target names no host, or an impossible port")
        }
        let path = String(rest.dropFirst(authority.count))
        // RFC 9112 §3.2.4: OPTIONS without a path is meant for the server as a whole.
        if path.isEmpty { return (destination, method == "OPTIONS" ? "*" : "/") }
        return (destination, path.hasPrefix("/") ? path : "/" + path)
    }

    private static func destination(_ authority: String) -> HostPort? {
        if let destination = HostPort(authority) { return destination }
        // RFC 3986 §3.2.3: the port may be left out, with its colon or without.
        let host = authority.hasSuffix(":") ? String(authority.dropLast()) : authority
        guard host.hasPrefix("[") || !host.contains(":"), let host = Host(host) else { return nil }
        return HostPort(host, port: 80)
    }

    /// RFC 9110 §7.6.1: what is for this connection only, and whatever else Connection names.
    private func hopByHopNames() throws(HTTPProxyFault) -> Set<String> {
        let named = list("connection") + list("proxy-connection")
        // Fields that delimit or direct the message are for everyone on the way; to drop one on request would change its meaning.
        for name in ["content-length", "transfer-encoding", "host", "trailer"] where named.contains(name) {
            throw .malformed("Connection names \(name)")
        }
        return Set(named).union([
            "connection", "proxy-connection", "keep-alive", "te", "upgrade", "proxy-authorization",
            "proxy-authenticate",
            "proxy-authentication-info",
        ])
    }

    /// How long the body is, RFC 9112 §6.3; whatever is not plain is refused.
    func framing() throws(HTTPProxyFault) -> HTTPRequestBody {
        let lengths = values(of: "content-length")
        let codings = list("transfer-encoding")
        if values(of: "transfer-encoding").isEmpty {
            guard let length = lengths.first else { return .none }
            guard lengths.count == 1, let count = HTTPRequestHead.contentLength(length) else {
                throw .malformed("Content-Length is not one number")
            }
            return .length(count)
        }
        // RFC 9112 §6.1: Transfer-Encoding with Content-Length, or in HTTP/1.0, is an attempt at smuggling or ought to be handled as one.
        guard lengths.isEmpty, minorVersion == 1 else {
            throw .malformed("Transfer-Encoding with Content-Length, or in HTTP/1.0")
        }
        guard codings.last == "chunked", codings.filter({ $0 == "chunked" }).count == 1 else {
            throw .malformed("Transfer-Encoding does not end with chunked")
        }
        return .chunked
    }

    private static func contentLength(_ text: ArraySlice<UInt8>) -> UInt64? {
        guard !text.isEmpty, text.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(String(decoding: text, as: UTF8.self))
    }
}
