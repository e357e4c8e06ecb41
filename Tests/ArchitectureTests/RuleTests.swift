import Testing

/// The rules find what they forbid and nothing else: each snippet with the lines it must be blamed for.
@Suite("A rule of the house")
struct RuleTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var rule: Rule
        var path: String
        var code: String
        var lines: [Int]

        init(_ rule: Rule, in path: String = "Sources/QUIC/A.swift", _ code: String, lines: [Int]) {
            self.rule = rule
            self.path = path
            self.code = code
            self.lines = lines
        }

        var testDescription: String { "\(rule) in \(path): \(code.prefix(60))" }
    }

    static let imports: [Case] = [
        Case(.imports, "import Primitives\npublic import TLS\n@_spi(X) internal import Cryptography", lines: []),
        Case(.imports, "import Foundation", lines: [1]),
        Case(.imports, "import Primitives\npublic import EventLoop", lines: [2]),
        Case(.imports, "@preconcurrency import Glibc", lines: [1]),
        Case(.imports, "import struct Foundation.Data", lines: [1]),
        Case(.imports, "import HTTP3", lines: [1]),
        Case(.imports, "import DequeModule\nimport HeapModule", lines: []),
        Case(.imports, "// import Foundation\nlet a = \"\"\"\nimport Foundation\n\"\"\"", lines: []),
        Case(.imports, in: "Sources/EventLoop/A.swift", "import Glibc\nimport CEvent", lines: []),
        Case(.imports, in: "Sources/EventLoop/A.swift", "import QUIC", lines: [1]),
        Case(.imports, in: "Sources/HTTP3/A.swift", "import COpenSSL", lines: [1]),
        Case(.imports, in: "Sources/Gateway/A.swift", "import LocalEndpoint", lines: [1]),
        Case(.imports, in: "Sources/Simulator/A.swift", "import EventLoop", lines: [1]),
        Case(.imports, in: "Sources/Cellar/A.swift", "let a = 1", lines: [1]),
        Case(.imports, in: "Tests/QUICTests/A.swift", "import Foundation", lines: []),
    ]

    static let clock: [Case] = [
        Case(.clock, "clock_gettime(CLOCK_MONOTONIC, &t)", lines: [1]),
        Case(.clock, "let a = 1\nlet c = ContinuousClock.now\nlet d: SuspendingClock", lines: [2, 3]),
        Case(.clock, "let d = Date()", lines: [1]),
        Case(.clock, "let d = Date(seconds: 4)", lines: []),
        Case(.clock, "let t = time(nil)", lines: [1]),
        Case(.clock, "func time(nil: Int) {}\nqueue = .time(most)\nlink.time(nil)", lines: []),
        Case(.clock, "try await Task.sleep(for: .seconds(1))", lines: [1]),
        Case(.clock, "sleep(3)", lines: [1]),
        Case(.clock, "// clock_gettime\nlet a = \"clock_gettime\"", lines: []),
        Case(.clock, "let a = \"now \\(clock_gettime(1))\"", lines: [1]),
        Case(.clock, in: "Sources/EventLoop/Clock.swift", "clock_gettime(CLOCK_MONOTONIC, &t)", lines: []),
        Case(.clock, in: "Tests/QUICTests/A.swift", "let c = ContinuousClock()", lines: [1]),
    ]

    static let randomness: [Case] = [
        Case(.randomness, "var g = SystemRandomNumberGenerator()", lines: [1]),
        Case(.randomness, "let a = Int.random(in: 0..<3)", lines: [1]),
        Case(.randomness, "let a: Int = .random(in: 0..<3)", lines: [1]),
        Case(.randomness, "let a = Int.random(in: 0..<3, using: &generator)", lines: []),
        Case(.randomness, "let a = Int.random(\n    in: 0..<3,\n    using: &g)", lines: []),
        Case(.randomness, "let a = list.shuffled()\nlet b = list.shuffled(using: &g)", lines: [1]),
        Case(.randomness, "let a = list.randomElement()", lines: [1]),
        Case(.randomness, "let a = random() % 3", lines: [1]),
        Case(.randomness, "let loss: Loss = .random(0.1)\ncase random(Probability)\ncase .random(let p): 1", lines: []),
        Case(.randomness, "let a = Bool.random()\nlet token = Token.random()", lines: [1]),
        Case(.randomness, "let a = systemRandomBytes(count: 8)", lines: [1]),
        Case(.randomness, in: "Sources/Configuration/A.swift", "let a = systemRandomBytes(count: 8)", lines: []),
        Case(.randomness, "let a = arc4random_uniform(3)", lines: [1]),
        Case(.randomness, "let a = key.hashValue", lines: [1]),
        Case(.randomness, in: "Sources/Cryptography/A.swift", "var g = SystemRandomNumberGenerator()", lines: []),
        Case(.randomness, in: "Tests/QUICTests/A.swift", "let a = Bool.random()", lines: [1]),
    ]

    static let safety: [Case] = [
        Case(.unsafeCode, "let a = unsafe f()", lines: [1]),
        Case(.unsafeCode, "// unsafe\nlet a = \"unsafe\"\nlet unsafely = 1", lines: []),
        Case(.unsafeCode, "nonisolated(unsafe) var a = 1", lines: [1]),
        Case(.unsafeCode, in: "Sources/TLS/A.swift", "let a = unsafe f()", lines: []),
        Case(.unsafeCode, in: "Sources/Primitives/ByteRing.swift", "let a = unsafe f()", lines: []),
        Case(.unsafeCode, in: "Sources/Primitives/RangeSet.swift", "let a = unsafe f()", lines: [1]),
        Case(.traps, "let a = try! f()", lines: [1]),
        Case(.traps, "let a = b as! C", lines: [1]),
        Case(.traps, "let a = b!\nlet c = d[0]!.e\nlet f = g()!", lines: [1, 2, 3]),
        Case(.traps, "var a: Int!", lines: [1]),
        Case(.traps, "if !a, a != b, !(c), x!=y { print(\"b!\") }  // c!", lines: []),
        Case(.traps, "let a = \"\\(b!)\"", lines: [1]),
    ]

    static let keeping: [Case] = [
        Case(.length, String(repeating: "\n", count: 450), lines: []),
        Case(.length, String(repeating: "\n", count: 451), lines: [451]),
        Case(.concurrency, "func f() async {\n    await g()\n}", lines: [1, 2]),
        Case(.concurrency, "actor A {}\nlet asynchronous = 1", lines: [1]),
        Case(.concurrency, in: "Sources/EventLoop/A.swift", "func f() async {}", lines: []),
        Case(.packageAccess, "package func f() {}\nlet package = 1", lines: [1]),
        Case(.unfinished, "let a = 1  // TODO: more", lines: [1]),
        Case(.unfinished, "/* one\n   FIXME */", lines: [2]),
        Case(.unfinished, "let a = \"TODO\"  // a method", lines: []),
    ]

    @Test(arguments: imports + clock + randomness + safety + keeping)
    func blamesTheLinesThatBreakIt(example: Case) {
        let found = example.rule.violations(in: SourceFile(path: example.path, example.code))
        #expect(found.map(\.line) == example.lines)
        #expect(found.allSatisfy { $0.path == example.path && !$0.what.isEmpty })
    }
}

@Suite("Telling code from prose")
struct SourceTextTests {
    private static func code(_ text: String) -> String { SourceText(text).codeLines.joined(separator: "\n") }

    @Test(arguments: [
        ("a // b", "a     "),
        ("a /* b /* c */ d */ e", "a                   e"),
        (#"a("b")c"#, #"a(" ")c"#),
        (#""a\"b" c"#, #""    " c"#),
        (#""x \(y(z)) w" v"#, #""   (y(z))  " v"#),
        (#""\(a["b"])" c"#, #"" (a[" "])" c"#),
        (##"#"a"b\(c)\#(d)"# e"##, ##"#"         (d)"# e"##),
        ("\"\"\"\na \"b\" // c\n\"\"\" d", "\"\"\"\n          \n\"\"\" d"),
    ])
    func keepsOnlyCode(text: String, code: String) {
        #expect(Self.code(text) == code)
    }

    @Test func keepsOnlyCommentsInTheComments() {
        let text = SourceText("a // b\n/* c\nd */ e")
        #expect(text.commentLines == ["  // b", "/* c", "d */  "])
        #expect(text.lineCount == 2)
    }
}

@Suite("The manifest")
struct ManifestTests {
    @Test func namesRoomsAndTheirDependencies() {
        let manifest = Manifest(
            """
            func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target { .target(name: name) }
            targets: [
                room("A", []),
                room("B", ["A", deque]),
                room(
                    "C",
                    [
                        "A", "B", toml,
                    ]),
                .executableTarget(name: "d", dependencies: ["C", argumentParser], swiftSettings: strict),
            ]
            """)
        #expect(
            manifest.dependencies == [
                "A": [], "B": ["A", "deque"], "C": ["A", "B", "toml"], "d": ["C", "argumentParser"],
            ])
    }
}
