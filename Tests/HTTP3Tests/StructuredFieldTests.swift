import Primitives
import Testing

@testable import HTTP3

@Suite("Structured fields")
struct StructuredFieldTests {
    static let items: [(String, StructuredItem)] = [
        ("?1", StructuredItem(.boolean(true))), ("?0", StructuredItem(.boolean(false))),
        ("0", StructuredItem(.integer(0))), ("-42", StructuredItem(.integer(-42))),
        ("999999999999999", StructuredItem(.integer(999_999_999_999_999))),
        ("1.5", StructuredItem(.decimal(thousandths: 1500))), ("-0.001", StructuredItem(.decimal(thousandths: -1))),
        ("\"a \\\"b\\\\\"", StructuredItem(.string("a \"b\\"))), ("godwit", StructuredItem(.token("godwit"))),
        ("*a/b:c", StructuredItem(.token("*a/b:c"))), ("::", StructuredItem(.bytes([]))),
        (":aGVsbG8=:", StructuredItem(.bytes(Array("hello".utf8)))),
        (":aGVsbG8:", StructuredItem(.bytes(Array("hello".utf8)))),
        (
            "proxy; error=connection_refused;next-hop=\"192.0.2.1\";x",
            StructuredItem(
                .token("proxy"),
                parameters: [
                    ("error", .token("connection_refused")), ("next-hop", .string("192.0.2.1")), ("x", .boolean(true)),
                ])
        ),
        ("  1;a=1;b;a=2  ", StructuredItem(.integer(1), parameters: [("a", .integer(2)), ("b", .boolean(true))])),
        (":AAEC:;linger=86400", StructuredItem(.bytes([0, 1, 2]), parameters: [("linger", .integer(86400))])),
    ]

    @Test("RFC 8941 §3.3: items", arguments: items)
    func parse(text: String, item: StructuredItem) {
        #expect(StructuredItem(parsing: text) == item)
    }

    @Test("what is serialized is read back")
    func roundTrip() {
        for (_, item) in Self.items { #expect(StructuredItem(parsing: item.serialized) == item) }
        #expect(StructuredItem(.boolean(true)).serialized == "?1")
        #expect(
            StructuredItem(.token("godwit"), parameters: [("error", .token("dns_error")), ("x", .boolean(true))])
                .serialized
                == "godwit;error=dns_error;x")
    }

    @Test(
        "RFC 8941 §4.2: what is no item is refused whole",
        arguments: [
            "", " ", "?", "?2", "?true", "-", "1.", "1.2345", "1234567890123456", "1234567890123.1", "--1", "\"a",
            "\"a\\b\"",
            "\"\u{e9}\"", "\"a\tb\"", ":a", ":a:", ":====:", ":a=b=:", ":!!!!:", "a;", "a;A=1", "a;b=", "a b", "a,b",
            "(a b)",
            "@1659578233", "1 ;a", "!x",
        ])
    func invalid(text: String) {
        #expect(StructuredItem(parsing: text) == nil)
    }

    @Test("RFC 8941 §3.1: lists")
    func lists() {
        #expect(StructuredItem.parseList("") == [])
        #expect(StructuredItem.parseList("a, b;x=1 ,\tc")?.map(\.value) == [.token("a"), .token("b"), .token("c")])
        for text in ["a,", ",a", "a,,b", "a b", "(a b)"] { #expect(StructuredItem.parseList(text) == nil) }
    }

    @Test("the number of members and parameters is bounded")
    func bounds() {
        let many = Array(repeating: "a", count: StructuredItem.maximumListCount)
        #expect(StructuredItem.parseList(many.joined(separator: ","))?.count == StructuredItem.maximumListCount)
        #expect(StructuredItem.parseList((many + ["a"]).joined(separator: ",")) == nil)
        let parameters = (0...StructuredFieldParser.maximumParameterCount).map { ";p\($0)" }.joined()
        #expect(StructuredItem(parsing: "a" + parameters) == nil)
    }

    // RFC 4648 §10.
    @Test(
        "RFC 4648 §10: base 64",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ])
    func base64(text: String, encoded: String) {
        #expect(Base64.encode(Array(text.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(text.utf8))
    }

    @Test("random input never traps")
    func randomInput() {
        var generator = SeededGenerator(seed: 8941)
        let alphabet = Array("?10-.;=,:\"\\ab*Z/ +\t(".utf8)
        for _ in 0..<5000 {
            let count = Int.random(in: 0..<20, using: &generator)
            let text = String(
                decoding: (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }, as: UTF8.self)
            if let item = StructuredItem(parsing: text) { #expect(StructuredItem(parsing: item.serialized) == item) }
            _ = StructuredItem.parseList(text)
        }
    }
}
