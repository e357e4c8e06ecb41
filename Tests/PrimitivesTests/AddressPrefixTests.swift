import Primitives
import Testing

@Suite("Address blocks")
struct AddressPrefixTests {
    @Test(
        "a block contains its first and last address and not their neighbours",
        arguments: [
            ("10.8.0.0/16", ["10.8.0.0", "10.8.255.255"], ["10.7.255.255", "10.9.0.0", "::ffff:10.8.0.1"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::"]),
            ("192.0.2.1/32", ["192.0.2.1"], ["192.0.2.0", "192.0.2.2"]), ("192.0.2.1", ["192.0.2.1"], ["192.0.2.2"]),
            ("128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255"]),
            ("::/0", ["::", "ffff::1"], ["0.0.0.0"]),
            ("2001:db8::/32", ["2001:db8::1", "2001:db8:ffff::"], ["2001:db9::"]),
            ("2001:db8::/64", ["2001:db8::ffff:0:0:0"], ["2001:db8:0:1::"]),
            ("2001:db8::8000:0:0:0/65", ["2001:db8::8000:0:0:1"], ["2001:db8::1"]),
            ("::1/128", ["::1"], ["::2", "::"]),
        ])
    func contains(block: String, inside: [String], outside: [String]) throws {
        let prefix = try #require(IPPrefix(block))
        for text in inside { #expect(prefix.contains(try #require(IPAddress(text))), "\(text) in \(block)") }
        for text in outside { #expect(!prefix.contains(try #require(IPAddress(text))), "\(text) not in \(block)") }
    }

    @Test(
        "what is no block is refused",
        arguments: [
            "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", "10.0.0.1/8",
            "::/129",
            "2001:db8::1/64", "10.0.0.0/8 ", "10/8", "*", "fe80::%1/64",
        ])
    func refuses(text: String) {
        #expect(IPPrefix(text) == nil)
    }

    @Test("a block made from an address drops the bits behind the prefix and clamps the length")
    func masks() {
        #expect(IPPrefix(containing: IPAddress(ipv4: 0x0a08_0101), length: 16).description == "10.8.0.0/16")
        #expect(IPPrefix(containing: IPAddress(ipv4: 1), length: 99).description == "0.0.0.1/32")
        #expect(IPPrefix(containing: IPAddress(ipv6High: 1, low: 1), length: -5).description == "::/0")
    }
}
