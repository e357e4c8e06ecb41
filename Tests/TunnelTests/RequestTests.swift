import HTTP3
import Primitives
import Testing

@testable import Tunnel

@Suite("Requests for tunnels")
struct TunnelRequestTests {
    @Test("connect-tcp, as protocol.md has it")
    func connectTCP() {
        let request = TunnelRequest(.connectTCP(.draft08), to: buildServer, credentials: .bearer("t0ken"))
        let head = request.head(gateway: "gw.example:4433")
        #expect(
            head.target
                == .extendedConnect(
                    protocol: "connect-tcp", scheme: "https", authority: "gw.example:4433",
                    path: "/.well-known/masque/tcp/build.internal/22/"))
        #expect(head.fields.onlyValue(of: "capsule-protocol") == "?1")
        #expect(head.fields.onlyValue(of: "authorization") == "Bearer t0ken")
        #expect(head.fields.fields.first { $0.name == "authorization" }?.sensitivity == .neverIndexed)
        #expect(RequestReading(head) == .tunnel(.connectTCP(.draft08), buildServer, .bearer("t0ken"), .none))
    }

    @Test("classic CONNECT")
    func classic() throws {
        let destination = try #require(Destination("[2001:db8::1]:443"))
        let head = TunnelRequest(.classic, to: destination, credentials: .bearer("t")).head(gateway: "gw")
        #expect(head.target == .connect(authority: "[2001:db8::1]:443"))
        #expect(head.fields.onlyValue(of: "proxy-authorization") == "Bearer t")
        #expect(head.fields.onlyValue(of: "authorization") == nil)
        #expect(RequestReading(head) == .tunnel(.classic, destination, .bearer("t"), .none))
    }

    @Test("the token of each draft stands for its capsules")
    func drafts() {
        for (token, draft) in [("connect-tcp", .draft08), ("connect-tcp-07", .draft08), ("connect-tcp-12", .draft12)]
            as [(String, ConnectTCPDraft)]
        {
            let head = RequestHead(
                .extendedConnect(
                    protocol: token, scheme: "https", authority: "gw",
                    path: "/.well-known/masque/tcp/build.internal/22/"))
            #expect(RequestReading(head) == .tunnel(.connectTCP(draft), buildServer, .none, .none))
        }
    }

    @Test("what is no tunnel has a status for an answer")
    func others() {
        let get = RequestHead(.resource(method: "GET", scheme: "https", authority: "gw", path: "/"))
        #expect(RequestReading(get) == .unavailable(status: 404))
        let udp = RequestHead(.extendedConnect(protocol: "connect-udp", scheme: "https", authority: "gw", path: "/"))
        #expect(RequestReading(udp) == .unavailable(status: 501))
    }

    @Test("a destination that cannot be understood is noted, not revealed")
    func unclear() {
        for target in [
            RequestHead.Target.connect(authority: "build.internal"), .connect(authority: "a:0"),
            .extendedConnect(protocol: "connect-tcp", scheme: "https", authority: "gw", path: "/elsewhere"),
            .extendedConnect(
                protocol: "connect-tcp", scheme: "http", authority: "gw",
                path: "/.well-known/masque/tcp/build.internal/22/"),
        ] {
            guard case .tunnel(_, nil, .none, .none) = RequestReading(RequestHead(target)) else {
                Issue.record("\(target) was read as something else")
                continue
            }
        }
    }

    @Test("Expect: 100-continue is noted")
    func expectation() {
        let head = RequestHead(.connect(authority: "build.internal:22"), fields: [Field("expect", "100-Continue")])
        #expect(RequestReading(head) == .tunnel(.classic, buildServer, .none, .toContinue))
    }

    static let fieldValues: [(String?, Credentials)] = [
        (nil, .none), ("", .none), ("Bearer", .none), ("Bearer ", .none), ("Basic YTpi", .none),
        ("Bearer a", .bearer("a")),
        ("bearer a", .bearer("a")), ("BEARER   a", .bearer("a")), ("Bearer a b", .none), ("Bearer é", .none),
        ("Bearer " + String(repeating: "x", count: 1024), .bearer(String(repeating: "x", count: 1024))),
        ("Bearer " + String(repeating: "x", count: 1025), .none),
    ]

    @Test("RFC 6750 §2.1: bearer credentials", arguments: fieldValues)
    func credentials(text: String?, credentials: Credentials) {
        #expect(Credentials(fieldValue: text) == credentials)
    }

    @Test("a token shows in no description")
    func secrecy() {
        #expect(!"\(Credentials.bearer("s3cret"))".contains("s3cret"))
        #expect(!String(reflecting: Credentials.bearer("s3cret")).contains("s3cret"))
        #expect(!"\(TunnelAction.authenticate(TunnelID(rawValue: 1), .bearer("s3cret")))".contains("s3cret"))
    }
}

@Suite("Answers")
struct TunnelResponseTests {
    @Test("success says capsule-protocol where capsules come")
    func success() {
        let head = TunnelResponse.established.head(for: .connectTCP(.draft08))
        #expect(head.status == 200)
        #expect(head.fields.onlyValue(of: "capsule-protocol") == "?1")
        #expect(TunnelResponse.established.head(for: .classic).fields.onlyValue(of: "capsule-protocol") == nil)
        #expect(TunnelResponse(head) == .established)
        #expect(TunnelResponse(ResponseHead(status: 204)) == .established)
    }

    @Test("every failure that a gateway names comes back as itself", arguments: TunnelFailure.named)
    func roundTrip(failure: TunnelFailure) {
        for form in [TunnelForm.classic, .connectTCP(.draft08)] {
            let head = TunnelResponse.failed(failure).head(for: form)
            #expect(TunnelResponse(head) == .failed(failure))
            #expect(head.status >= 400)
        }
    }

    @Test("an unauthorised request gets a challenge and nothing more")
    func unauthorized() {
        let classic = TunnelResponse.failed(.unauthorized).head(for: .classic)
        #expect(classic == ResponseHead(status: 407, fields: [Field("proxy-authenticate", "Bearer")]))
        let templated = TunnelResponse.failed(.unauthorized).head(for: .connectTCP(.draft08))
        #expect(templated == ResponseHead(status: 401, fields: [Field("www-authenticate", "Bearer")]))
        #expect(TunnelResponse(classic) == .failed(.unauthorized))
        #expect(TunnelResponse(templated) == .failed(.unauthorized))
    }

    static let table: [(TunnelFailure, String?, Int, Int, SOCKSReply, String)] = [
        (
            .connectionRefused, "connection_refused", 502, 502, .connectionRefused,
            "connection refused by build.internal:22; is the service running there?"
        ),
        (
            .dnsError, "dns_error", 502, 502, .hostUnreachable,
            "the gateway cannot resolve the name of build.internal:22; check how it is spelt"
        ),
        (
            .dnsTimeout, "dns_timeout", 504, 504, .hostUnreachable,
            "the gateway's name servers did not answer for build.internal:22; try again, or give an address"
        ),
        (
            .destinationProhibited, "destination_ip_prohibited", 403, 403, .notAllowed,
            "the gateway's rules do not allow build.internal:22; its owner can, in [destinations] of gateway.toml"
        ),
        (
            .destinationUnroutable, "destination_ip_unroutable", 502, 502, .networkUnreachable,
            "the gateway has no route to build.internal:22; check the address"
        ),
        (
            .destinationUnavailable, "destination_unavailable", 503, 503, .hostUnreachable,
            "the gateway cannot reach build.internal:22; is that host up?"
        ),
        (
            .connectionTimeout, "connection_timeout", 504, 504, .timeToLiveExpired,
            "no answer in time from build.internal:22; is that host up, and do firewalls let the gateway through?"
        ),
        (
            .connectionTerminated, "connection_terminated", 502, 502, .generalFailure,
            "connection closed at once by build.internal:22; try again, or look into the log of that service"
        ),
        (
            .connectionLimitReached, "connection_limit_reached", 503, 503, .generalFailure,
            "the gateway has no room for another tunnel, to build.internal:22; end some, or have its owner raise [limits] of gateway.toml"
        ),
        (
            .unauthorized, nil, 401, 502, .notAllowed,
            "the gateway does not accept this invite; cannot connect to build.internal:22; ask its owner for a new invite"
        ),
        (
            .requestDenied, "http_request_denied", 403, 403, .notAllowed,
            "the gateway denies this user build.internal:22; ask its owner"
        ),
        (
            .malformedRequest, "http_request_error", 400, 502, .generalFailure,
            "the gateway did not understand the request for build.internal:22; is the same version of godwit at both ends?"
        ),
        (
            .internalError, "proxy_internal_error", 500, 502, .generalFailure,
            "the gateway failed to connect to build.internal:22; the gateway's log says why"
        ),
        (
            .unexpectedStatus(418), nil, 502, 502, .generalFailure,
            "the gateway answered with status 418 for build.internal:22; the gateway's log may say why"
        ),
        (.requestAborted, nil, 502, 502, .generalFailure, "the gateway gave up on build.internal:22; try again"),
        (
            .gatewayGoingAway, nil, 503, 503, .generalFailure,
            "the gateway is shutting down; cannot connect to build.internal:22; try again soon"
        ),
        (
            .connectionLost, nil, 502, 502, .networkUnreachable,
            "the connection to the gateway was lost; cannot connect to build.internal:22; try again once the network is back"
        ),
    ]

    @Test("each cause has its names in every language", arguments: table)
    func names(failure: TunnelFailure, error: String?, status: Int, local: Int, reply: SOCKSReply, sentence: String) {
        let row = failure.row
        #expect(row.proxyStatus == error)
        #expect(row.status == status)
        #expect(failure.localStatus == local)
        #expect(failure.socksReply == reply)
        #expect(failure.description(for: buildServer) == sentence)
    }

    @Test("only what says that the gateway did nothing may be tried again")
    func retry() {
        #expect(Self.table.map(\.0).filter(\.isSafeToRetry) == [.gatewayGoingAway, .connectionLost])
    }

    @Test("what a stranger's gateway says is understood as far as it goes")
    func strangers() {
        func failure(_ status: Int, _ proxyStatus: String?) -> TunnelFailure {
            TunnelFailure(status: status, proxyStatus: proxyStatus)
        }
        #expect(failure(502, "envoy; error=connection_timeout; details=\"x\"") == .connectionTimeout)
        // RFC 9209 §2: the first one is closest to the destination.
        #expect(failure(502, "a; error=dns_error, b; error=proxy_internal_error") == .dnsError)
        #expect(failure(502, "a, b; error=connection_refused") == .connectionRefused)
        #expect(failure(502, "a; error=something_new") == .unexpectedStatus(502))
        #expect(failure(503, "not ; = structured") == .unexpectedStatus(503))
        #expect(failure(504, nil) == .connectionTimeout)
        #expect(failure(403, nil) == .requestDenied)
        #expect(failure(407, nil) == .unauthorized)
        #expect(failure(301, nil) == .unexpectedStatus(301))
    }
}
