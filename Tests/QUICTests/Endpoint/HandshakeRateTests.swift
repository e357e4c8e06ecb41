import Primitives
import Testing

@testable import QUIC

@Suite("Handshakes of one network") struct HandshakeRateTests {
    private let now = Instant(nanoseconds: 5_000_000_000)

    @Test("a second's first handshakes need no proof, the next second begins anew") func unproven() {
        var rate = HandshakeRate()
        let address = IPAddress(ipv4: 0x0a01_0203)
        for _ in 0..<HandshakeRate.unprovenPerSecond {
            #expect(rate.unprovenBegan(from: address, at: now) == .welcome)
        }
        #expect(rate.unprovenBegan(from: address, at: now) == .needsProof)
        #expect(rate.unprovenBegan(from: address, at: now + .milliseconds(999)) == .needsProof)
        #expect(rate.unprovenBegan(from: address, at: now + .seconds(1)) == .welcome)
    }

    @Test(
        "a /24 or /56 counts as one, IPv4 in IPv6 as IPv4",
        arguments: [
            ("10.1.2.3", "10.1.2.250", true), ("10.1.2.3", "10.1.3.3", false), ("10.1.2.3", "::ffff:10.1.2.9", true),
            ("2001:db8:1:200::1", "2001:db8:1:2ff::9", true), ("2001:db8:1:200::1", "2001:db8:1:300::1", false),
        ])
    func networks(first: String, second: String, isSame: Bool) throws {
        var rate = HandshakeRate()
        let first = try #require(IPAddress(first))
        let second = try #require(IPAddress(second))
        for _ in 0..<HandshakeRate.unprovenPerSecond { _ = rate.unprovenBegan(from: first, at: now) }
        #expect(rate.unprovenBegan(from: second, at: now) == (isSame ? .needsProof : .welcome))
    }

    @Test("very many handshakes are too many even with proof") func proven() {
        var rate = HandshakeRate()
        let address = IPAddress(ipv4: 0x0a01_0203)
        for _ in 0..<HandshakeRate.provenPerSecond {
            #expect(rate.provenBegan(from: address, at: now) == .welcome)
        }
        #expect(rate.provenBegan(from: address, at: now) == .excessive)
        // Who has no proof is counted apart: made-up sources do not shut out who has.
        #expect(rate.unprovenBegan(from: address, at: now) == .welcome)
    }

    @Test("a table full of networks makes further ones prove their address, and grows no more") func bound() {
        var rate = HandshakeRate()
        for index in 0..<UInt32(HandshakeRate.maximumNetworks) {
            #expect(rate.unprovenBegan(from: IPAddress(ipv4: 0x0b00_0000 + index << 8), at: now) == .welcome)
        }
        let further = IPAddress(ipv4: 0xc000_0201)
        #expect(rate.unprovenBegan(from: further, at: now) == .needsProof)
        #expect(rate.provenBegan(from: further, at: now) == .welcome)
    }
}
