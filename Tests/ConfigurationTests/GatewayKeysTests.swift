import Configuration
import Cryptography
import Testing

@Suite("Keys that gateways share")
struct GatewayKeysTests {
    @Test("what is written is read again")
    func roundTrip() throws {
        let keys = GatewayKeys(ticketSecret: SecretBytes((0..<32).map { $0 }))
        let again = try GatewayKeys(text: keys.text, source: "keys")
        #expect(again.ticketSecret == keys.ticketSecret)
        #expect(keys.text.contains("version = 1"))
    }

    @Test(
        "what is wrong is named with its line and with what to do, and never repeats the secret",
        arguments: [
            ("", nil, "version"), ("version = 2\ntickets = \"AAAA\"", 1, "version"),
            ("version = 1", nil, "tickets is missing"),
            ("version = 1\ntickets = \"AAAA\"", 2, "tickets is not whole"),
            ("version = 1\ntickets = \"" + String(repeating: "!", count: 43) + "\"", 2, "tickets is not whole"),
            ("version = 1\nticket = 3", 2, "unknown key"),
        ] as [(String, Int?, String)])
    func faults(text: String, line: Int?, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try GatewayKeys(text: text, source: "keys") }
        #expect(error?.line == line)
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("AAAA") == false)
    }

    @Test("the configuration names the file")
    func configuration() throws {
        let surroundings = Surroundings(variables: [:], userID: 1)
        let text = "listen = [\"127.0.0.1:1\"]\n"
        let without = try GatewayConfiguration(text: text, source: "dir/g.toml", surroundings: surroundings)
        #expect(without.ticketSecret == nil)
        let with = try GatewayConfiguration(
            text: text + "ticket_secret = \"t.key\"", source: "dir/g.toml", surroundings: surroundings)
        #expect(with.ticketSecret == "dir/t.key")
    }
}
