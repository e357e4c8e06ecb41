import Primitives
import Testing

@testable import Tunnel

@Suite("The path of connect-tcp")
struct DestinationTests {
    static let pairs: [(String, String)] = [
        ("build.internal:22", "/.well-known/masque/tcp/build.internal/22/"),
        ("192.0.2.1:80", "/.well-known/masque/tcp/192.0.2.1/80/"),
        ("[2001:db8::1]:443", "/.well-known/masque/tcp/2001%3Adb8%3A%3A1/443/"),
        ("a_b-c.example:65535", "/.well-known/masque/tcp/a_b-c.example/65535/"),
        ("xn--bcher-kva.example:1", "/.well-known/masque/tcp/xn--bcher-kva.example/1/"),
    ]

    @Test("a destination and its path", arguments: pairs)
    func path(text: String, path: String) throws {
        let destination = try #require(Destination(text))
        #expect(ConnectTCPTemplate.path(to: destination) == path)
        #expect(ConnectTCPTemplate.destination(ofPath: path) == destination)
    }

    @Test("escapes that are not needed, and in lower case, mean the same")
    func escapes() {
        #expect(
            ConnectTCPTemplate.destination(ofPath: "/.well-known/masque/tcp/%62uild%2einternal/22/")
                == buildServer)
        #expect(
            ConnectTCPTemplate.destination(ofPath: "/.well-known/masque/tcp/2001%3adb8%3a%3a1/443/")
                == Destination("[2001:db8::1]:443"))
    }

    @Test(
        "anything else is no destination",
        arguments: [
            "", "/", "/.well-known/masque/tcp/", "/.well-known/masque/tcp//22/", "/.well-known/masque/tcp/a/", "a/22/",
            "/.well-known/masque/tcp/a/22", "/.well-known/masque/tcp/a/22/x", "/.well-known/masque/tcp/a/22//",
            "/.well-known/masque/tcp/a/0/", "/.well-known/masque/tcp/a/65536/", "/.well-known/masque/tcp/a/022/",
            "/.well-known/masque/tcp/a/-1/", "/.well-known/masque/tcp/a/+1/", "/.well-known/masque/tcp/a/x/",
            "/.well-known/masque/tcp/a//", "/.well-known/masque/tcp/a/22/?x", "/.well-known/masque/udp/a/22/",
            "/.well-known/masque/tcp/2001:db8::1/22/", "/.well-known/masque/tcp/%5B2001%3Adb8%3A%3A1%5D/22/",
            "/.well-known/masque/tcp/a%/22/", "/.well-known/masque/tcp/a%2/22/", "/.well-known/masque/tcp/a%zz/22/",
            "/.well-known/masque/tcp/a%00b/22/", "/.well-known/masque/tcp/a%2Fb/22/",
            "/.well-known/masque/tcp/fe80%3A%3A1%25eth0/22/",
            "/.well-known/masque/tcp/a%40b/22/", "/.well-known/masque/tcp/127.1/22/",
            "/.well-known/masque/tcp/0x7f000001/22/",
            "/.well-known/masque/tcp/*/22/", "/.well-known/masque/tcp/a/2%32/",
            "/.well-known/masque/tcp/" + String(repeating: "a", count: 900) + "/22/",
        ])
    func invalid(path: String) {
        #expect(ConnectTCPTemplate.destination(ofPath: path) == nil)
    }

    @Test("random paths never trap")
    func randomPaths() {
        var generator = SeededGenerator(seed: 2)
        let alphabet = Array("/%3Aa.12[]:".utf8)
        for _ in 0..<5000 {
            let count = Int.random(in: 0..<20, using: &generator)
            let rest = (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            let path = ConnectTCPTemplate.prefix + String(decoding: rest, as: UTF8.self)
            if let destination = ConnectTCPTemplate.destination(ofPath: path) {
                #expect(ConnectTCPTemplate.destination(ofPath: ConnectTCPTemplate.path(to: destination)) == destination)
            }
        }
    }
}
