public import Primitives
public import Tunnel

/// What a program asked the HTTP proxy for, ready to be carried out.
public struct HTTPProxyRequest: Hashable, Sendable {
    /// What to do with the tunnel once it is up.
    public enum Kind: Hashable, Sendable {
        /// CONNECT: answer `HTTPProxyResponse.established`, then relay.
        case tunnel
        /// A request for `http://…`: send `head` into the tunnel first, then what `body` lets through of the program's bytes.
        ///
        /// The origin's answer is relayed as it is. The request asks the origin to close after it, so that the program sees the end of
        /// the connection and brings its next request, perhaps for another host, on a new one: one exchange a connection.
        case forward(head: [UInt8], body: HTTPRequestBody)
    }

    /// Where the tunnel leads.
    public var destination: HostPort
    /// What to do with it.
    public var kind: Kind
    /// Whether an answer of ours must have no body (RFC 9110 §9.3.2).
    var isHead: Bool

    /// The answer that tells the program why there is no tunnel; close after it.
    public func failure(_ status: HTTPProxyResponse.Status, _ reason: String) -> [UInt8] {
        HTTPProxyResponse.failure(status, reason, omittingBody: isHead)
    }
}

/// Answers of the local HTTP proxy itself.
public enum HTTPProxyResponse {
    /// A status code with its phrase, RFC 9110 §15.
    public struct Status: Hashable, Sendable {
        /// The three-digit code.
        public let code: Int
        /// The phrase behind it.
        public let phrase: String

        public static let badRequest = Status(code: 400, phrase: "Bad Request")
        public static let forbidden = Status(code: 403, phrase: "Forbidden")
        public static let methodNotAllowed = Status(code: 405, phrase: "Method Not Allowed")
        public static let authenticationRequired = Status(code: 407, phrase: "Proxy Authentication Required")
        public static let fieldsTooLarge = Status(code: 431, phrase: "Request Header Fields Too Large")
        public static let notImplemented = Status(code: 501, phrase: "Not Implemented")
        public static let badGateway = Status(code: 502, phrase: "Bad Gateway")
        public static let serviceUnavailable = Status(code: 503, phrase: "Service Unavailable")
        public static let gatewayTimeout = Status(code: 504, phrase: "Gateway Timeout")
        public static let versionNotSupported = Status(code: 505, phrase: "HTTP Version Not Supported")

        /// The status by which a failed tunnel is passed on, see `TunnelFailure.localStatus`.
        public init(of failure: TunnelFailure) {
            switch failure.localStatus {
            case 403: self = .forbidden
            case 503: self = .serviceUnavailable
            case 504: self = .gatewayTimeout
            default: self = .badGateway
            }
        }

        private init(code: Int, phrase: String) {
            self.code = code
            self.phrase = phrase
        }
    }

    /// The answer to CONNECT once the tunnel is up.
    public static var established: [UInt8] { Array("HTTP/1.1 200 Connection Established\r\n\r\n".utf8) }

    /// An answer with one line of text that says what failed; the connection ends with it.
    public static func failure(_ status: Status, _ reason: String) -> [UInt8] {
        failure(status, reason, omittingBody: false)
    }

    static func failure(_ status: Status, _ reason: String, omittingBody isBodyless: Bool) -> [UInt8] {
        let line = reason.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : String($0) }.joined() + "\n"
        var head = "HTTP/1.1 \(status.code) \(status.phrase)\r\n"
        if status == .authenticationRequired {
            head += "Proxy-Authenticate: Basic realm=\"godwit\", charset=\"UTF-8\"\r\n"
        }
        // RFC 9110 §15.5.6: a 405 lists what is allowed.
        if status == .methodNotAllowed { head += "Allow: CONNECT, GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n" }
        head +=
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: \(line.utf8.count)\r\nConnection: close\r\n\r\n"
        return Array((isBodyless ? head : head + line).utf8)
    }
}

/// Why a program's request to the HTTP proxy was refused: the status, and one line for the program and the log.
public struct HTTPProxyFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The status of the answer.
    public let status: HTTPProxyResponse.Status
    /// What is wrong and what to do.
    public let description: String

    init(_ status: HTTPProxyResponse.Status, _ description: String) {
        self.status = status
        self.description = description
    }

    static func malformed(_ what: String) -> HTTPProxyFault {
        HTTPProxyFault(.badRequest, "malformed request: \(what)")
    }
}
