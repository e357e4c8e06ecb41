import Primitives
import Testing

@testable import HTTP3

private func lines(_ pairs: [(String, String)]) -> [FieldLine] {
    pairs.map { FieldLine(name: Array($0.0.utf8), value: Array($0.1.utf8)) }
}

private let get: [(String, String)] = [
    (":method", "GET"), (":scheme", "https"), (":authority", "gw.example"), (":path", "/"),
]
private let connect: [(String, String)] = [(":method", "CONNECT"), (":authority", "build.internal:22")]
private let extended: [(String, String)] = [
    (":method", "CONNECT"), (":protocol", "connect-tcp"), (":scheme", "https"), (":authority", "gw.example"),
    (":path", "/x/"),
]

@Suite("Requests")
struct RequestTests {
    @Test("the three forms are told apart")
    func forms() throws {
        #expect(
            try RequestHead(validating: lines(get)).target
                == .resource(method: "GET", scheme: "https", authority: "gw.example", path: "/"))
        #expect(try RequestHead(validating: lines(connect)).target == .connect(authority: "build.internal:22"))
        #expect(
            try RequestHead(validating: lines(extended)).target
                == .extendedConnect(protocol: "connect-tcp", scheme: "https", authority: "gw.example", path: "/x/"))
    }

    @Test("what is sent is read back")
    func roundTrip() throws {
        let targets: [RequestHead.Target] = [
            .resource(method: "GET", scheme: "https", authority: "gw.example", path: "/a?b"),
            .connect(authority: "[2001:db8::1]:443"),
            .extendedConnect(protocol: "connect-tcp", scheme: "https", authority: "gw.example:4433", path: "/t/"),
        ]
        for target in targets {
            let head = RequestHead(target, fields: [Field("a", "b"), Field("a", "c")])
            let read = try RequestHead(validating: lines(head.allFields.map { ($0.name, $0.value) }))
            #expect(read == head)
        }
    }

    @Test("Host may stand for :authority, and must agree with it")
    func host() throws {
        let head = try RequestHead(
            validating: lines([(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "h")]))
        #expect(head.target == .resource(method: "GET", scheme: "https", authority: "h", path: "/"))
        _ = try RequestHead(validating: lines(get + [("host", "gw.example")]))
    }

    static let malformed: [(String, [(String, String)])] = [
        ("nothing", []),
        ("no method", Array(get.dropFirst())),
        ("no scheme", [get[0], get[2], get[3]]),
        ("no authority", [get[0], get[1], get[3]]),
        ("no path", Array(get.dropLast())),
        ("empty path", Array(get.dropLast()) + [(":path", "")]),
        ("path without slash", Array(get.dropLast()) + [(":path", "x")]),
        ("path with fragment", Array(get.dropLast()) + [(":path", "/#x")]),
        ("path with space", Array(get.dropLast()) + [(":path", "/a b")]),
        ("star without OPTIONS", Array(get.dropLast()) + [(":path", "*")]),
        ("empty authority", [get[0], get[1], (":authority", ""), get[3]]),
        ("user information", [get[0], get[1], (":authority", "me@gw"), get[3]]),
        ("empty method", [(":method", "")] + Array(get.dropFirst())),
        ("method that is no token", [(":method", "GE T")] + Array(get.dropFirst())),
        ("scheme that is none", [get[0], (":scheme", "1x"), get[2], get[3]]),
        ("pseudo-header field twice", get + [(":method", "GET")]),
        ("pseudo-header field after a field", Array(get.dropLast()) + [("a", "b"), get[3]]),
        ("response's pseudo-header field", get + [(":status", "200")]),
        ("unknown pseudo-header field", get + [(":x", "y")]),
        ("CONNECT with scheme", connect + [(":scheme", "https")]),
        ("CONNECT with path", connect + [(":path", "/")]),
        ("CONNECT without authority", [connect[0]]),
        ("extended CONNECT without scheme", extended.filter { $0.0 != ":scheme" }),
        ("extended CONNECT without path", extended.filter { $0.0 != ":path" }),
        ("extended CONNECT without authority", extended.filter { $0.0 != ":authority" }),
        (":protocol with GET", get + [(":protocol", "connect-tcp")]),
        (":protocol that is no token", [extended[0], (":protocol", "a b")] + extended.dropFirst(2)),
        ("upper case", get + [("Accept", "x")]),
        ("empty name", get + [("", "x")]),
        ("name with space", get + [("a b", "x")]),
        ("name with control character", get + [("a\u{0}", "x")]),
        ("line feed", get + [("a", "x\ny")]),
        ("carriage return", get + [("a", "x\ry")]),
        ("null", get + [("a", "x\u{0}y")]),
        ("delete", get + [("a", "x\u{7f}")]),
        ("space before", get + [("a", " x")]),
        ("tab behind", get + [("a", "x\t")]),
        ("connection", get + [("connection", "close")]),
        ("keep-alive", get + [("keep-alive", "1")]),
        ("proxy-connection", get + [("proxy-connection", "x")]),
        ("transfer-encoding", get + [("transfer-encoding", "chunked")]),
        ("upgrade", get + [("upgrade", "connect-tcp")]),
        ("te", get + [("te", "gzip")]),
        ("two hosts", get + [("host", "gw.example"), ("host", "gw.example")]),
        ("another host", get + [("host", "other")]),
    ]

    @Test("RFC 9114 §4.1.2: malformed requests are refused", arguments: malformed)
    func errors(name: String, pairs: [(String, String)]) {
        #expect(throws: MalformedMessage.self) { try RequestHead(validating: lines(pairs)) }
    }

    @Test("fields that are unusual but right are accepted")
    func unusual() throws {
        let head = try RequestHead(
            validating: lines(
                get + [("te", "trailers"), ("a", ""), ("b", "x\ty z"), ("c", "é"), ("!#$%&'*+-.^_`|~0", "1")]))
        #expect(head.fields.fields.count == 5)
        _ = try RequestHead(
            validating: lines([(":method", "OPTIONS"), (":scheme", "https"), (":authority", "g"), (":path", "*")]))
    }
}

@Suite("Responses and trailers")
struct ResponseTests {
    @Test("a response has a status and fields")
    func response() throws {
        let head = try ResponseHead(validating: lines([(":status", "502"), ("proxy-status", "x")]))
        #expect(head == ResponseHead(status: 502, fields: [Field("proxy-status", "x")]))
        #expect(!head.isInterim && !head.isSuccessful)
        #expect(ResponseHead(status: 103).isInterim)
        #expect(ResponseHead(status: 204).isSuccessful)
    }

    static let malformed: [(String, [(String, String)])] = [
        ("nothing", []), ("no status", [("a", "b")]), ("two digits", [(":status", "20")]),
        ("four digits", [(":status", "2000")]), ("sign", [(":status", "+20")]), ("below 100", [(":status", "099")]),
        ("above 599", [(":status", "600")]), ("101", [(":status", "101")]),
        ("twice", [(":status", "200"), (":status", "200")]),
        ("request's field", [(":status", "200"), (":path", "/")]), ("te", [(":status", "200"), ("te", "trailers")]),
        ("connection", [(":status", "200"), ("connection", "x")]),
    ]

    @Test("RFC 9114 §4.3.2: malformed responses are refused", arguments: malformed)
    func errors(name: String, pairs: [(String, String)]) {
        #expect(throws: MalformedMessage.self) { try ResponseHead(validating: lines(pairs)) }
    }

    @Test("RFC 9114 §4.3: trailers have no pseudo-header fields")
    func trailers() throws {
        try PseudoFields.checkTrailers(lines([("grpc-status", "0")]))
        #expect(throws: MalformedMessage.self) { try PseudoFields.checkTrailers(lines([(":status", "200")])) }
        #expect(throws: MalformedMessage.self) { try PseudoFields.checkTrailers(lines([("A", "b")])) }
    }

    @Test("a field that must stand alone has no value when it comes twice; lists are joined")
    func values() {
        let fields: FieldSection = [Field("a", "1"), Field("b", "2"), Field("a", "3")]
        #expect(fields.onlyValue(of: "a") == nil)
        #expect(fields.onlyValue(of: "b") == "2")
        #expect(fields.combinedValue(of: "a") == "1, 3")
        #expect(fields.combinedValue(of: "c") == nil)
    }
}
