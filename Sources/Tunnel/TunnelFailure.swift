import HTTP3

/// Why there is no tunnel, or no longer.
///
/// One table says what each cause is called in Proxy-Status (RFC 9209 §2.3), which HTTP status and which SOCKS5 reply (RFC
/// 1928 §6) it has, and how a human is told.
public enum TunnelFailure: Error, Hashable, Sendable {
    // What the gateway finds out on its way to the destination.

    /// The destination refused the TCP connection.
    case connectionRefused
    /// The name does not exist or could not be resolved.
    case dnsError
    /// The name servers did not answer in time.
    case dnsTimeout
    /// The gateway's rules do not allow the destination.
    case destinationProhibited
    /// The gateway has no route to the destination.
    case destinationUnroutable
    /// The destination cannot be reached.
    case destinationUnavailable
    /// The destination did not answer in time.
    case connectionTimeout
    /// The destination closed the connection while it was being set up.
    case connectionTerminated
    /// Too many tunnels, or no memory for another one.
    case connectionLimitReached

    // What is wrong with the request.

    /// The gateway does not accept the credentials.
    case unauthorized
    /// The user may not do this.
    case requestDenied
    /// The gateway did not understand the request.
    case malformedRequest
    /// The gateway itself failed.
    case internalError

    // What a client finds out about the gateway.

    /// The gateway answered something unexpected.
    case unexpectedStatus(Int)
    /// The gateway gave the request up without an answer.
    case requestAborted
    /// The gateway is going away and did not look at the request: another connection may try it.
    case gatewayGoingAway
    /// The connection to the gateway was lost.
    case connectionLost
    /// The gateway has no such tunnel any more.
    case resumptionGone
    /// The gateway and this end do not agree on where the tunnel stands.
    case resumptionRefused
}

extension TunnelFailure {
    /// What stands in the table for a cause.
    struct Row {
        /// The error token in Proxy-Status; nil where none is sent.
        var proxyStatus: String?
        /// The status with which a gateway says it.
        var status: Int
        /// The status with which a local HTTP proxy says it to its own client.
        var localStatus: Int
        /// The SOCKS5 reply code.
        var socksReply: SOCKSReply
        /// How a human is told, before the destination.
        var sentence: String
        /// What the human can do.
        var advice: String
    }

    var row: Row {
        switch self {
        case .connectionRefused:
            Row(
                proxyStatus: "connection_refused", status: 502, localStatus: 502, socksReply: .connectionRefused,
                sentence: "connection refused by",
                advice: "is the service running there?")
        case .dnsError:
            Row(
                proxyStatus: "dns_error", status: 502, localStatus: 502, socksReply: .hostUnreachable,
                sentence: "the gateway cannot resolve the name of",
                advice: "check how it is spelt")
        case .dnsTimeout:
            Row(
                proxyStatus: "dns_timeout", status: 504, localStatus: 504, socksReply: .hostUnreachable,
                sentence: "the gateway's name servers did not answer for",
                advice: "try again, or give an address")
        case .destinationProhibited:
            Row(
                proxyStatus: "destination_ip_prohibited", status: 403, localStatus: 403, socksReply: .notAllowed,
                sentence: "the gateway's rules do not allow",
                advice: "its owner can, in [destinations] of gateway.toml")
        case .destinationUnroutable:
            Row(
                proxyStatus: "destination_ip_unroutable", status: 502, localStatus: 502,
                socksReply: .networkUnreachable, sentence: "the gateway has no route to",
                advice: "check the address")
        case .destinationUnavailable:
            Row(
                proxyStatus: "destination_unavailable", status: 503, localStatus: 503, socksReply: .hostUnreachable,
                sentence: "the gateway cannot reach",
                advice: "is that host up?")
        case .connectionTimeout:
            Row(
                proxyStatus: "connection_timeout", status: 504, localStatus: 504, socksReply: .timeToLiveExpired,
                sentence: "no answer in time from",
                advice: "is that host up, and do firewalls let the gateway through?")
        case .connectionTerminated:
            Row(
                proxyStatus: "connection_terminated", status: 502, localStatus: 502, socksReply: .generalFailure,
                sentence: "connection closed at once by",
                advice: "try again, or look into the log of that service")
        case .connectionLimitReached:
            Row(
                proxyStatus: "connection_limit_reached", status: 503, localStatus: 503, socksReply: .generalFailure,
                sentence: "the gateway has no room for another tunnel, to",
                advice: "end some, or have its owner raise [limits] of gateway.toml")
        case .unauthorized:
            Row(
                proxyStatus: nil, status: 401, localStatus: 502, socksReply: .notAllowed,
                sentence: "the gateway does not accept this invite; cannot connect to",
                advice: "ask its owner for a new invite")
        case .requestDenied:
            Row(
                proxyStatus: "http_request_denied", status: 403, localStatus: 403, socksReply: .notAllowed,
                sentence: "the gateway denies this user",
                advice: "ask its owner")
        case .malformedRequest:
            Row(
                proxyStatus: "http_request_error", status: 400, localStatus: 502, socksReply: .generalFailure,
                sentence: "the gateway did not understand the request for",
                advice: "is the same version of godwit at both ends?")
        case .internalError:
            Row(
                proxyStatus: "proxy_internal_error", status: 500, localStatus: 502, socksReply: .generalFailure,
                sentence: "the gateway failed to connect to",
                advice: "the gateway's log says why")
        case .unexpectedStatus(let status):
            Row(
                proxyStatus: nil, status: 502, localStatus: 502, socksReply: .generalFailure,
                sentence: "the gateway answered with status \(status) for",
                advice: "the gateway's log may say why")
        case .requestAborted:
            Row(
                proxyStatus: nil, status: 502, localStatus: 502, socksReply: .generalFailure,
                sentence: "the gateway gave up on",
                advice: "try again")
        case .gatewayGoingAway:
            Row(
                proxyStatus: nil, status: 503, localStatus: 503, socksReply: .generalFailure,
                sentence: "the gateway is shutting down; cannot connect to",
                advice: "try again soon")
        case .connectionLost:
            Row(
                proxyStatus: nil, status: 502, localStatus: 502, socksReply: .networkUnreachable,
                sentence: "the connection to the gateway was lost; cannot connect to",
                advice: "try again once the network is back")
        case .resumptionGone:
            Row(
                proxyStatus: nil, status: 410, localStatus: 502, socksReply: .generalFailure,
                sentence: "the gateway has given up the tunnel to",
                advice: "begin anew")
        case .resumptionRefused:
            Row(
                proxyStatus: nil, status: 409, localStatus: 502, socksReply: .generalFailure,
                sentence: "the gateway does not agree on where to go on with the tunnel to",
                advice: "begin anew")
        }
    }

    /// Every cause that a gateway can name in Proxy-Status.
    static let named: [TunnelFailure] = [
        .connectionRefused, .dnsError, .dnsTimeout, .destinationProhibited, .destinationUnroutable,
        .destinationUnavailable, .connectionTimeout, .connectionTerminated, .connectionLimitReached, .requestDenied,
        .malformedRequest, .internalError,
    ]

    /// The status with which a local HTTP proxy passes the cause on to its own client.
    public var localStatus: Int { row.localStatus }
    /// The SOCKS5 reply code.
    public var socksReply: SOCKSReply { row.socksReply }
    /// One line for a human: "connection refused by build.internal:22; is the service running there?".
    public func description(for destination: Destination) -> String {
        "\(row.sentence) \(destination); \(row.advice)"
    }

    /// Whether the same request may be made on another connection to the gateway, provided that no payload was taken: at the
    /// worst a destination sees a connection without a byte more.
    public var isSafeToRetry: Bool {
        switch self {
        case .gatewayGoingAway, .connectionLost: true
        case .connectionRefused, .dnsError, .dnsTimeout, .destinationProhibited, .destinationUnroutable,
            .destinationUnavailable, .connectionTimeout, .connectionTerminated, .connectionLimitReached, .unauthorized,
            .requestDenied, .malformedRequest, .internalError, .unexpectedStatus, .requestAborted, .resumptionGone,
            .resumptionRefused:
            false
        }
    }

    /// What the answer to a request to go on with a tunnel means.
    var ofResumption: TunnelFailure {
        switch self {
        case .unexpectedStatus(410): .resumptionGone
        case .unexpectedStatus(409): .resumptionRefused
        default: self
        }
    }

    /// What a gateway's answer means: the error of Proxy-Status where there is one that is known, else the status.
    init(status: Int, proxyStatus: String?) {
        // RFC 9209 §2: the first member is the intermediary closest to the destination.
        let errors = proxyStatus.flatMap(StructuredItem.parseList)?.compactMap { item -> String? in
            guard case .token(let error) = item.parameters["error"] else { return nil }
            return error
        }
        if let error = errors?.first, let cause = Self.named.first(where: { $0.row.proxyStatus == error }) {
            self = cause
            return
        }
        switch status {
        case 401, 407: self = .unauthorized
        case 403: self = .requestDenied
        case 504: self = .connectionTimeout
        default: self = .unexpectedStatus(status)
        }
    }
}

/// A SOCKS5 reply code (RFC 1928 §6).
public enum SOCKSReply: UInt8, Hashable, Sendable {
    /// succeeded
    case succeeded = 0x00
    /// general SOCKS server failure
    case generalFailure = 0x01
    /// connection not allowed by ruleset
    case notAllowed = 0x02
    /// Network unreachable
    case networkUnreachable = 0x03
    /// Host unreachable
    case hostUnreachable = 0x04
    /// Connection refused
    case connectionRefused = 0x05
    /// TTL expired
    case timeToLiveExpired = 0x06
    /// Command not supported
    case commandNotSupported = 0x07
    /// Address type not supported
    case addressTypeNotSupported = 0x08
}
