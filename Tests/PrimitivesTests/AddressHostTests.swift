import Primitives
import Testing

@Suite("Hosts and ports")
struct AddressHostTests {
    @Test(
        "a host is an address or a name",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("[2001:DB8::1]", "2001:db8::1"), ("localhost", "localhost"),
            ("Build.Internal", "build.internal"), ("example.com.", "example.com"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("_x.example", "_x.example"), ("1.example", "1.example"), ("3com.com", "3com.com"), ("a-b", "a-b"),
        ])
    func reads(text: String, canonical: String) throws {
        let host = try #require(Host(text))
        #expect(host.description == canonical)
        #expect(Host(host.description) == host)
    }

    @Test(
        "what is neither is refused",
        arguments: [
            "", ".", "..", "a..b", ".a", "a..", "-a", "a-", "a b", "a/b", "a:b", "a@b", "münchen.example", "127.1",
            "2130706433", "0x7f.1",
            "0x7f000001", "1.2.3.4.5", "1.2.3.256", "a.0X1", "[127.0.0.1]", "[]", "[", "]", "[::1", "[a]", "fe80::1%1",
            "a\u{0}b", "a\r\nb",
            String(repeating: "a", count: 64), String(repeating: "a.", count: 130) + "a",
        ])
    func refuses(text: String) {
        #expect(Host(text) == nil)
    }

    @Test(
        "host and port survive being written and read",
        arguments: ["build.internal:22", "192.0.2.1:80", "[2001:db8::1]:443", "localhost:65535"])
    func roundTrips(text: String) {
        #expect(HostPort(text)?.description == text)
    }

    @Test(
        "an unclear host and port is refused",
        arguments: [
            "", ":", ":80", "a", "a:", "a:0", "a:65536", "a:080", "a:b", "::1:80", "[::1]", "[::1]80", "a:80:80",
            "a: 80", "a:-1",
        ])
    func refusesPair(text: String) {
        #expect(HostPort(text) == nil)
    }
}
