import Primitives
import Testing

@testable import Configuration

@Suite("TOML")
struct TOMLParserTests {
    func parse(_ text: String) throws -> TOMLNode { try TOMLNode.parse(text, source: "t") }

    /// The node at a path of keys and indices.
    func node(_ root: TOMLNode, _ path: [String]) -> TOMLNode? {
        path.reduce(Optional(root)) { node, part in
            switch node?.content {
            case .table(let entries): entries[part]
            case .array(let elements): Int(part).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
            default: nil
            }
        }
    }

    static let example = #"""
        # a comment = 1
        a = 1
        "b c".d = [ # comment ]
          "x # no comment ]", 'y"',
          [ 1,
            2 ],
        ]
        text = """
        fake = 1
        [fake]
        \""" still""""
        raw = '''
        fake2 = 1'''
        e = { f = 1, g = [3,
           4] }

        [h.i]
        j = 1
        [[k]]
        l = 1
        [[k]]
        l = 2
        [k.m]
        n = true
        [[k.o]]
        p = 1979-05-27T07:32:00Z
        """#

    @Test(
        "every value knows its line",
        arguments: [
            (["a"], 2), (["b c", "d"], 3), (["b c", "d", "0"], 4), (["b c", "d", "1"], 4), (["b c", "d", "2"], 5),
            (["b c", "d", "2", "1"], 6),
            (["text"], 8), (["raw"], 12), (["e", "f"], 14), (["e", "g", "1"], 15), (["h", "i"], 17),
            (["h", "i", "j"], 18), (["k", "0", "l"], 20),
            (["k", "1"], 21), (["k", "1", "l"], 22), (["k", "1", "m", "n"], 24), (["k", "1", "o", "0", "p"], 26),
        ])
    func lines(path: [String], line: Int) throws {
        #expect(node(try parse(Self.example), path)?.line == line)
    }

    @Test(
        "values are read in every notation",
        arguments: [
            ("0", .integer(0)), ("-17", .integer(-17)), ("+1_000", .integer(1_000)),
            ("0xDEAD_beef", .integer(0xdead_beef)), ("0o17", .integer(15)),
            ("0b101", .integer(5)), ("true", .boolean(true)), ("1.5", .other("a number with a fraction")),
            ("-6e-10", .other("a number with a fraction")),
            ("inf", .other("a number with a fraction")), ("1979-05-27", .other("a date or time")),
            ("1979-05-27 07:32:00.5+01:00", .other("a date or time")),
            ("07:32:00", .other("a date or time")), ("\"a\\tb\\\"\\\\\\u00e9\\U0001F600\"", .string("a\tb\"\\é😀")),
            ("'a\\tb'", .string("a\\tb")),
            ("\"\"", .string("")), ("\"\"\"\na\r\nb\\\n   c\"\"\"", .string("a\nbc")),
            ("'''a''b'''''", .string("a''b''")), ("[]", .array([])),
        ] as [(String, TOMLNode.Content)])
    func values(text: String, content: TOMLNode.Content) throws {
        #expect(node(try parse("a = \(text) # comment"), ["a"])?.content == content)
    }

    @Test(
        "what is no TOML is refused with its line",
        arguments: [
            "a", "a =", "= 1", "a = 1 b = 2", "a = 1\na = 2", "a.b = 1\na = 2", "a = 1\na.b = 2", "[a]\n[a]",
            "a = 1\n[a]", "[[a]]\n[a]", "[a]\n[[a]]", "a = []\n[[a]]",
            "[a.b]\n[a]\nb.c = 1", "a.b = 1\n[a]", "a = {}\n[a.b]", "a = {b = 1}\na.c = 2", "[a", "[a]]", "[[a]", "[]",
            "[a.]", "a. = 1", "a = [1 2]", "a = [,]", "a = [1",
            "a = {b = 1,}", "a = {b = 1\n}", "a = {b}", "a = \"x", "a = \"x\n\"", "a = 'x", "a = \"\"\"x",
            "a = \"\\x\"", "a = \"\\u12\"", "a = \"\\ud800\"", "a = \"\\u0000\"",
            "a = 01", "a = 1__0", "a = _1", "a = 1_", "a = +-1", "a = 0x", "a = 0xg", "a = 9999999999999999999999",
            "a = 1.", "a = .5", "a = 1e", "a = True",
            "a = yes", "a = 1979-05", "a = \u{0}", "# \u{1}", "a = \"\u{1f}\"", "a\rb = 1", "\"\"\"a\"\"\" = 1",
            "a = 127.0.0.1", "ä = 1",
        ])
    func refuses(text: String) {
        let error = #expect(throws: ConfigurationError.self) { try parse("\n" + text) }
        #expect((error?.line ?? 0) >= 2)
    }

    @Test("nesting has a bound")
    func nesting() throws {
        func nested(_ depth: Int) -> String {
            "a = " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(64))
        #expect(throws: ConfigurationError.self) { try parse(nested(65)) }
        #expect(throws: ConfigurationError.self) { try parse("a = " + String(repeating: "{b=", count: 10_000)) }
        #expect(throws: ConfigurationError.self) { try parse(String(repeating: "a.", count: 1_000) + "b") }
    }

    @Test("any text is parsed or refused")
    func garbage() {
        var generator = SeededGenerator(seed: 5)
        let alphabet = Array("[]{}=\"'#.,\\\n ab1-_\r\tué")
        for _ in 0..<10_000 {
            let length = Int.random(in: 0...30, using: &generator)
            let text = String((0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
            if let node = try? parse(text) { #expect(node.line == 1) }
        }
        for length in 0..<Self.example.utf8.count {
            _ = try? parse(String(decoding: Self.example.utf8.prefix(length), as: UTF8.self))
        }
    }
}
