import Configuration
import Testing

@Suite("Users")
struct UsersFileTests {
    @Test("a user is found by the token and by nothing else")
    func lookUp() throws {
        var file = UsersFile()
        let tokens = (0..<50).map { _ in Token.generate() }
        for (index, token) in tokens.enumerated() { try file.add("user\(index)", token: token, created: 0) }
        for (index, token) in tokens.enumerated() { #expect(file.user(for: token)?.name == "user\(index)") }
        #expect(file.user(for: .generate()) == nil)
        try file.remove("user7")
        #expect(file.user(for: tokens[7]) == nil)
        #expect(file.user(for: tokens[8])?.name == "user8")
        #expect(file.user(for: tokens[49])?.name == "user49")
    }

    @Test("users survive being written and read, and no token is written")
    func roundTrips() throws {
        var file = UsersFile()
        let token = Token.generate()
        try file.add("laptop", token: token, created: 1_795_230_245)
        try file.add("a.b_c@d-e", token: .generate(), created: 0)
        #expect(try UsersFile(text: file.text, source: "users.toml") == file)
        #expect(!file.text.contains(token.text))
        #expect(file.text.contains(token.hash.description))
        #expect(file.users.first?.created == "2026-11-21T03:04:05Z")
        #expect(try UsersFile(text: "", source: "users.toml").users.isEmpty)
    }

    @Test("a name is there once, and only names that are names")
    func names() throws {
        var file = UsersFile()
        try file.add("laptop", token: .generate(), created: 0)
        #expect(throws: UsersError.exists("laptop")) { try file.add("laptop", token: .generate(), created: 0) }
        for name in ["", "a b", "a\"b", "a\nb", "é", String(repeating: "a", count: 65)] {
            #expect(throws: UsersError.unusableName(name)) { try file.add(name, token: .generate(), created: 0) }
        }
        #expect(throws: UsersError.unknown("phone")) { try file.remove("phone") }
    }

    @Test("a file that was edited badly is refused with its line")
    func badFiles() {
        let hash = Token.generate().hash
        let cases = [
            ("[[user]]\ntoken = \"\(hash)\"", 1), ("[[user]]\nname = \"a\"", 1),
            ("[[user]]\nname = \"a\"\ntoken = \"x\"", 3),
            ("[[user]]\nname = \"a b\"\ntoken = \"\(hash)\"", 2), ("[[users]]", 1), ("user = 1", 1),
            ("[[user]]\nname = \"a\"\ntoken = \"\(hash)\"\n[[user]]\nname = \"b\"\ntoken = \"\(hash)\"", 5),
            ("[[user]]\nname = \"a\"\ntoken = \"\(hash)\"\nadmin = true", 4),
        ]
        for (text, line) in cases {
            let fault = #expect(throws: ConfigurationError.self) { try UsersFile(text: text, source: "users.toml") }
            #expect(fault?.line == line, "\(text): \(fault?.description ?? "")")
        }
    }
}
