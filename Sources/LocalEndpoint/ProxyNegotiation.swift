import Configuration
import Driver
import Primitives
import Tunnel

/// What a program and a local proxy say to each other before there is a tunnel: SOCKS5 or HTTP, behind one shape.
enum ProxyNegotiation {
    case socks(SOCKS5Handshake)
    case http(HTTPProxyHandshake)

    /// What the bytes so far have come to.
    enum Step {
        /// More bytes are needed; these are to be sent meanwhile.
        case reply([UInt8])
        /// A tunnel is wanted.
        case connect(ProxyRequest)
        /// There will be no tunnel: send these bytes and close.
        case fail([UInt8], reason: String)
    }

    static func socks(_ credentials: LocalConfiguration.ProxyCredentials?) -> ProxyNegotiation {
        .socks(credentials.map { SOCKS5Handshake(user: $0.user, password: $0.password) } ?? SOCKS5Handshake())
    }

    static func http(_ credentials: LocalConfiguration.ProxyCredentials?) -> ProxyNegotiation {
        .http(credentials.map { HTTPProxyHandshake(user: $0.user, password: $0.password) } ?? HTTPProxyHandshake())
    }

    /// Takes bytes; tells how many of them belonged to the negotiation and what follows.
    mutating func receive(_ bytes: [UInt8]) -> (taken: Int, steps: [Step]) {
        switch self {
        case .socks(var handshake):
            let taken = handshake.receive(bytes.span)
            var steps: [Step] = []
            while let action = handshake.nextAction() {
                switch action {
                case .reply(let bytes): steps.append(.reply(bytes))
                case .connect(let destination): steps.append(.connect(ProxyRequest(to: destination, .socks)))
                case .fail(let bytes, let fault): steps.append(.fail(bytes, reason: "\(fault)"))
                }
            }
            self = .socks(handshake)
            return (taken, steps)
        case .http(var handshake):
            let taken = handshake.receive(bytes.span)
            self = .http(handshake)
            switch handshake.outcome {
            case nil: return (taken, [])
            case .fail(let bytes, let fault): return (taken, [.fail(bytes, reason: "\(fault)")])
            case .request(let request):
                return (taken, [.connect(ProxyRequest(to: request.destination, .http(request)))])
            }
        }
    }
}

/// What a program asked a local proxy for, and how it is to be answered.
struct ProxyRequest {
    enum Language {
        case socks
        case http(HTTPProxyRequest)
    }

    let destination: Destination
    private let language: Language

    init(to destination: Destination, _ language: Language) {
        self.destination = destination
        self.language = language
    }

    /// What the program hears when the tunnel is up.
    var success: [UInt8] {
        switch language {
        case .socks: SOCKSReply.succeeded.message
        case .http(let request): request.kind == .tunnel ? HTTPProxyResponse.established : []
        }
    }

    /// What goes into the tunnel before anything that the program sends: a request that was rewritten.
    var head: [UInt8] {
        if case .http(let request) = language, case .forward(let head, _) = request.kind { head } else { [] }
    }

    /// What is let through of what the program sends behind a request that was rewritten.
    var body: RequestBodyFilter? {
        guard case .http(let request) = language, case .forward(_, let body) = request.kind else { return nil }
        return RequestBodyFilter(body)
    }

    /// What the program hears when there is no tunnel.
    func refusal(_ failure: TunnelFailure) -> [UInt8] {
        switch language {
        case .socks: failure.socksReply.message
        case .http(let request):
            request.failure(HTTPProxyResponse.Status(of: failure), failure.description(for: destination))
        }
    }
}

/// Keeps everything behind a request's body from the origin.
final class RequestBodyFilter: IngressFilter {
    private var body: HTTPRequestBody

    init(_ body: HTTPRequestBody) { self.body = body }

    func admit(_ bytes: Span<UInt8>) -> IngressVerdict {
        let count = body.accept(bytes)
        return body.isBroken ? .violation : .bytes(count)
    }
}
