import Primitives
import Testing

@Suite("Address text")
struct AddressTextTests {
    @Test(
        "IPv4 is a strict dotted quad",
        arguments: [
            ("0.0.0.0", 0), ("127.0.0.1", 0x7f00_0001), ("1.2.3.4", 0x0102_0304), ("255.255.255.255", 0xffff_ffff),
        ] as [(String, UInt32)])
    func readsIPv4(text: String, bits: UInt32) {
        #expect(IPAddress(text) == IPAddress(ipv4: bits))
        #expect(IPAddress(ipv4: bits).description == text)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.", ".1.2.3", "1..2.3",
            "1.2.3.4 ",
            " 1.2.3.4", "+1.2.3.4", "-1.2.3.4", "0x1.2.3.4", "1.2.3.4:80", "1.2.3.99999999999999999999", "１.2.3.4", ":",
            ":::",
            "::::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "::1:2:3:4:5:6:7:8",
            ":1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:", "12345::", "g::", "::1%1", "fe80::1%eth0", "[::1]", "::1.2.3", "::1.2.3.4.5",
            "::1.2.3.4:5",
            "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::01.2.3.4", "1:::2", "::-1", "::1/64", "localhost",
            "::ffff:1.2.3.256",
        ])
    func refuses(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "IPv6 is read in every form of RFC 4291 §2.2 and written as RFC 5952 says",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"),
            ("ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"),
            ("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"), ("FF01:0:0:0:0:0:0:101", "ff01::101"),
            // RFC 5952 §4.2.2: one group of zeros is not shortened; §4.2.3: the longest run is, then the first one.
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0db8::0001", "2001:db8::1"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:0:0:2:3:4:0:0", "1::2:3:4:0:0"),
            ("::13.1.68.3", "::d01:4403"), ("0:0:0:0:0:FFFF:129.144.52.38", "::ffff:129.144.52.38"),
            ("::ffff:7f00:1", "::ffff:127.0.0.1"), ("64:ff9b::c000:221", "64:ff9b::192.0.2.33"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ])
    func readsIPv6(text: String, canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
        #expect(IPAddress(text)?.family == .ipv6)
    }

    @Test("every address survives being written and read, as text and as bytes")
    func roundTrips() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<2_000 {
            // Groups of zeros are made likely, so that every place of `::` comes up.
            let groups = (0..<8).map { _ in
                UInt16.random(in: 0...3, using: &generator) < 2 ? 0 : UInt16.random(in: 0...(.max), using: &generator)
            }
            let words = (0..<2).map { half in
                groups[(half * 4)..<(half * 4 + 4)].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
            }
            let six = IPAddress(ipv6High: words[0], low: words[1])
            let four = IPAddress(ipv4: UInt32.random(in: 0...(.max), using: &generator))
            for address in [six, four] {
                #expect(IPAddress(address.description) == address)
                #expect(IPAddress(bytes: address.bytes) == address)
                let endpoint = NetworkAddress(
                    address, port: .random(in: 0...(.max), using: &generator),
                    scope: address.family == .ipv6 ? .random(in: 0...3, using: &generator) : 0)
                #expect(NetworkAddress(endpoint.description) == endpoint)
            }
        }
        #expect(IPAddress(bytes: [1, 2, 3]) == nil)
        #expect(IPAddress(bytes: []) == nil)
    }

    @Test("no text traps, whatever it is")
    func survivesAnyText() {
        var generator = SeededGenerator(seed: 2)
        let alphabet = Array("0123456789abcdefF:.[]%/ -é")
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...24, using: &generator)
            let text = String((0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
            if let address = IPAddress(text) { #expect(IPAddress(address.description) == address) }
            if let address = NetworkAddress(text) { #expect(NetworkAddress(address.description) == address) }
            if let prefix = IPPrefix(text) { #expect(IPPrefix(prefix.description) == prefix) }
        }
        #expect(IPAddress(String(repeating: ":", count: 100_000)) == nil)
        #expect(IPPrefix(String(repeating: "1", count: 100_000)) == nil)
    }

    @Test(
        "a transport address is an address and a port",
        arguments: [
            ("1.2.3.4:443", NetworkAddress(IPAddress(ipv4: 0x0102_0304), port: 443)),
            ("0.0.0.0:0", NetworkAddress(IPAddress(ipv4: 0), port: 0)),
            ("[::]:65535", NetworkAddress(IPAddress(ipv6High: 0, low: 0), port: 65_535)),
            ("[fe80::1%3]:443", NetworkAddress(IPAddress(ipv6High: 0xfe80 << 48, low: 1), port: 443, scope: 3)),
        ])
    func readsTransportAddress(text: String, address: NetworkAddress) {
        #expect(NetworkAddress(text) == address)
        #expect(address.description == text)
    }

    @Test(
        "what is no transport address is refused",
        arguments: [
            "", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:0443", ":443", "::1:443", "[::1]",
            "[::1]443",
            "[::1]:", "[]:443", "[:443", "]:443", "[1.2.3.4]:443", "[fe80::1%]:443", "[fe80::1%0]:443",
            "[fe80::1%eth0]:443",
            "[fe80::1%4294967296]:443", "[%1]:443", "1.2.3.4%1:443", "localhost:443", "[::1]x:443", "1.2.3.4:4 3",
        ])
    func refusesTransportAddress(text: String) {
        #expect(NetworkAddress(text) == nil)
    }
}
