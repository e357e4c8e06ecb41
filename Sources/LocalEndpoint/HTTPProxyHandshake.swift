/// The server's side of an HTTP proxy connection until the tunnel is known (RFC 9110 §9.3.6, RFC 9112 §3.2), fed with bytes as they come.
///
/// After each `receive`, ask `outcome`. No byte beyond the request's head is taken: what follows belongs to the tunnel.
/// One request is served on a connection, see `HTTPProxyRequest.Kind.forward`.
public struct HTTPProxyHandshake: Sendable {
    /// What the request came to.
    public enum Outcome: Hashable, Sendable {
        /// Open a tunnel for it.
        case request(HTTPProxyRequest)
        /// Send these bytes and close.
        case fail([UInt8], HTTPProxyFault)
    }

    /// Bytes in the longest head of a request, first line and fields; a longer one is answered with 431.
    public static let longestHead = 64 << 10

    /// Empty lines that are overlooked before a request, RFC 9112 §2.2; more are answered with 400.
    static let mostLeadingEmptyLines = 4

    private var head: [UInt8] = []
    private var emptyLines = 0
    private var lineStart = 0
    private let authorization: [UInt8]?

    /// What the request came to, once its head has been read.
    public private(set) var outcome: Outcome?

    /// A proxy that is open to everyone who reaches it.
    public init() { authorization = nil }

    /// A proxy that demands a user and a password (RFC 7617).
    public init(user: String, password: String) {
        authorization = base64(Array("\(user):\(password)".utf8))
    }

    /// Takes bytes from the program and returns how many of them belonged to the head.
    public mutating func receive(_ bytes: Span<UInt8>) -> Int {
        var taken = 0
        while taken < bytes.count, outcome == nil {
            let byte = bytes[taken]
            taken += 1
            head.append(byte)
            if head.count == 1, !Self.beginsRequest(byte) {
                // Refused before anything is waited for that will not come.
                fail(.malformed("this is no HTTP; set the program to an HTTP proxy"))
            } else if byte == UInt8(ascii: "\n") {
                lineEnded()
            } else if head.count >= HTTPProxyHandshake.longestHead {
                fail(
                    HTTPProxyFault(
                        .fieldsTooLarge, "the request's head is longer than 64 KiB; send fewer or shorter fields"))
            }
        }
        return taken
    }

    /// Whether a request, or an empty line before it, can begin with `byte`; SOCKS and TLS begin otherwise.
    private static func beginsRequest(_ byte: UInt8) -> Bool {
        HTTPRequestHead.isTokenCharacter(byte) || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n")
    }

    private mutating func lineEnded() {
        // RFC 9112 §2.2 lets a recipient take a bare LF for a line's end; two readers that differ in it can be played off against
        // each other, so it is not taken here.
        let line = head[lineStart...]
        guard line.count >= 2, head[head.count - 2] == UInt8(ascii: "\r") else {
            return fail(.malformed("a line does not end with CR LF"))
        }
        let isEmpty = line.count == 2
        if isEmpty, lineStart == 0 {
            emptyLines += 1
            head = []
            if emptyLines > HTTPProxyHandshake.mostLeadingEmptyLines { fail(.malformed("empty lines and no request")) }
            return
        }
        lineStart = head.count
        if isEmpty { finish() }
    }

    private mutating func finish() {
        do throws(HTTPProxyFault) {
            let request = try HTTPRequestHead(head[...])
            do throws(HTTPProxyFault) {
                try checkAuthorization(request)
                outcome = .request(try request.proxyRequest())
            } catch {
                let isHead = request.method == "HEAD"
                outcome = .fail(HTTPProxyResponse.failure(error.status, error.description, omittingBody: isHead), error)
            }
        } catch {
            fail(error)
        }
        head = []
    }

    private mutating func fail(_ fault: HTTPProxyFault) {
        outcome = .fail(HTTPProxyResponse.failure(fault.status, fault.description), fault)
        head = []
    }

    private func checkAuthorization(_ request: HTTPRequestHead) throws(HTTPProxyFault) {
        guard let authorization else { return }
        let presented = request.values(of: "proxy-authorization")
        guard presented.count == 1, let value = presented.first,
            value.count > 6, String(decoding: value.prefix(6), as: UTF8.self).lowercased() == "basic "
        else {
            throw HTTPProxyFault(
                .authenticationRequired,
                "this proxy wants a user and a password; give them to the program (curl: --proxy-user)")
        }
        let given = value.dropFirst(6).drop { $0 == UInt8(ascii: " ") }
        // Compared in a time that depends on the lengths only.
        guard given.count == authorization.count,
            zip(given, authorization).reduce(UInt8(0), { $0 | ($1.0 ^ $1.1) }) == 0
        else {
            throw HTTPProxyFault(
                .authenticationRequired, "wrong user or password for this proxy; check the program's settings")
        }
    }
}

/// RFC 4648 §4 with padding.
private func base64(_ bytes: [UInt8]) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
        for position in 0..<4 {
            let isPadding = position > group.count
            text.append(isPadding ? UInt8(ascii: "=") : alphabet[Int(word >> UInt32(18 - 6 * position) & 0x3f)])
        }
    }
    return text
}
