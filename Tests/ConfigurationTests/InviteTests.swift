import Configuration
import Primitives
import Testing

@Suite("Invites")
struct InviteTests {
    static let token = String(repeating: "A", count: 42) + "E"
    static let pin = "sha256/" + String(repeating: "-_", count: 21) + "8"

    @Test(
        "an invite is read and written back",
        arguments: [
            "godwit://\(token)@gateway.example.org:443?pin=\(pin)", "godwit://\(token)@192.0.2.1:4433?pin=\(pin)",
            "godwit://\(token)@[2001:db8::1]:443", "godwit://\(token)@gw:443?pin=\(pin)&pin=\(pin)",
        ])
    func roundTrips(text: String) throws {
        #expect(try Invite(text).text == text)
    }

    @Test(
        "the port is 443 when none is named",
        arguments: ["gateway.example.org", "192.0.2.1", "[2001:db8::1]", "gateway.example.org/"])
    func defaultPort(host: String) throws {
        let invite = try Invite("godwit://\(Self.token)@\(host)?pin=\(Self.pin)")
        #expect(invite.gateway.port == 443)
        #expect(invite.pins.count == 1)
        #expect(invite.token.text == Self.token)
    }

    @Test(
        "the error says which part is wrong",
        arguments: [
            ("", .noScheme), ("https://x@y", .noScheme), ("godwit:/\(token)@y", .noScheme), ("godwit://", .noToken),
            ("godwit://gateway:443", .noToken), ("godwit://@gateway", .badToken), ("godwit://abc@gateway", .badToken),
            ("godwit://\(token)A@gateway", .badToken), ("godwit://\(token.dropLast())F@gateway", .badToken),
            ("godwit://\(token)@", .noHost), ("godwit://\(token)@?pin=\(pin)", .noHost),
            ("godwit://\(token)@a:0", .badGateway("a:0")),
            ("godwit://\(token)@::1:443", .badGateway("::1:443")), ("godwit://\(token)@::1", .badGateway("::1")),
            ("godwit://\(token)@a b", .badGateway("a b")), ("godwit://\(token)@a:443/x", .badGateway("a:443/x")),
            ("godwit://\(token)@a?pin=sha256/abc", .badPin), ("godwit://\(token)@a?pin=md5/\(pin)", .badPin),
            ("godwit://\(token)@a?insecure=1", .unknownParameter("insecure=1")),
            ("godwit://\(token)@a?", .unknownParameter("")),
            ("godwit://\(String(repeating: "a", count: 5_000))", .tooLong),
        ] as [(String, InviteError)])
    func refuses(text: String, error: InviteError) {
        #expect(throws: error) { try Invite(text) }
    }

    @Test("an error is one line and never shows the token")
    func errorsAreDiscreet() {
        for text in ["godwit://\(Self.token)x@a", "godwit://\(Self.token)@a\nb", "godwit://\(Self.token)@a?\u{1b}[2J"] {
            do {
                _ = try Invite(text)
                Issue.record("\(text) was taken")
            } catch {
                #expect(!"\(error)".contains(Self.token))
                #expect(!"\(error)".unicodeScalars.contains { $0.value < 0x20 })
            }
        }
    }

    @Test("printing an invite or a token does not show the secret")
    func printing() throws {
        let invite = try Invite("godwit://\(Self.token)@a")
        var dumped = ""
        dump(invite, to: &dumped)
        for text in [
            "\(invite)", "\(invite.token)", String(reflecting: invite), String(reflecting: invite.token), dumped,
        ] {
            #expect(!text.contains(Self.token))
        }
        #expect("\(invite)" == "godwit://…@a:443")
    }

    @Test("random tokens are whole and differ")
    func randomTokens() throws {
        let tokens = (0..<100).map { _ in Token.generate() }
        #expect(Set(tokens).count == 100)
        for token in tokens { #expect(Token(token.text) == token) }
    }

    @Test("a list has one invite a line, with blank lines and comments between")
    func lists() throws {
        let text = "# mine\r\n\r\n  godwit://\(Self.token)@a  \ngodwit://\(Self.token)@b:1\n"
        #expect(try Invite.list(text, source: "invites").map(\.gateway.port) == [443, 1])
        #expect(throws: ConfigurationError.self) { try Invite.list("# none\n", source: "invites") }
        let fault = #expect(throws: ConfigurationError.self) { try Invite.list("\n\nnonsense", source: "invites") }
        #expect(fault?.line == 3)
    }

    @Test("a text of random bytes never traps")
    func garbage() throws {
        var generator = SeededGenerator(seed: 3)
        let valid = Array("godwit://\(Self.token)@[2001:db8::1]:443?pin=\(Self.pin)".utf8)
        for _ in 0..<3_000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator) / 2)
            if let invite = try? Invite(String(decoding: bytes, as: UTF8.self)) {
                #expect(try Invite(invite.text) == invite)
            }
        }
    }
}
