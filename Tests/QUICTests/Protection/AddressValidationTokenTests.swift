import Cryptography
import Primitives
import Testing

@testable import QUIC

@Suite("Address validation tokens (RFC 9000 §8.1)")
struct AddressValidationTokenTests {
    static let key = AddressValidationTokenKey(SecretBytes([UInt8](repeating: 1, count: 32)))
    static let otherKey = AddressValidationTokenKey(SecretBytes([UInt8](repeating: 2, count: 32)))
    static let client = NetworkAddress(IPAddress(ipv4: 0xc000_0201), port: 5_000)
    static let clientV6 = NetworkAddress(IPAddress(ipv6High: 0x2001_0db8 << 32, low: 7), port: 5_000)
    static let retry = AddressValidationToken.retry(
        originalDestination: connectionID("0102030405060708"), retrySource: connectionID("1112131415161718"))
    static let issued: UInt64 = 1_700_000_000

    static func seal(_ token: AddressValidationToken, for client: NetworkAddress = client) -> [UInt8] {
        var generator = SeededGenerator(seed: 21)
        return key.seal(token, for: client, unixSeconds: issued, using: &generator)
    }

    static func open(
        _ token: [UInt8], from client: NetworkAddress = client, at seconds: UInt64 = issued
    ) -> AddressValidationVerdict {
        key.open(token.span, from: client, unixSeconds: seconds)
    }

    @Test("both kinds come back to the address they were given to")
    func valid() {
        for token in [Self.retry, .newToken] {
            for client in [Self.client, Self.clientV6] {
                #expect(Self.open(Self.seal(token, for: client), from: client) == .valid(token))
            }
        }
    }

    @Test("another address makes a token worthless")
    func wrongAddress() {
        let other = NetworkAddress(IPAddress(ipv4: 0xc000_0202), port: 5_000)
        for token in [Self.retry, .newToken] {
            #expect(Self.open(Self.seal(token), from: other) == .wrongAddress(token))
            #expect(Self.open(Self.seal(token), from: Self.clientV6) == .wrongAddress(token))
        }
    }

    @Test("another port matters to a Retry token only")
    func otherPort() {
        let other = NetworkAddress(Self.client.ip, port: 5_001)
        #expect(Self.open(Self.seal(Self.retry), from: other) == .wrongAddress(Self.retry))
        #expect(Self.open(Self.seal(.newToken), from: other) == .valid(.newToken))
    }

    @Test("tokens expire after their lifetime, and are not taken from the future")
    func lifetime() {
        let lifetimes: [(AddressValidationToken, UInt64)] = [
            (Self.retry, AddressValidationTokenKey.retryLifetime),
            (.newToken, AddressValidationTokenKey.newTokenLifetime),
        ]
        for (token, lifetime) in lifetimes {
            let sealed = Self.seal(token)
            #expect(Self.open(sealed, at: Self.issued + lifetime) == .valid(token))
            #expect(Self.open(sealed, at: Self.issued + lifetime + 1) == .expired(token))
            #expect(Self.open(sealed, at: .max) == .expired(token))
            #expect(Self.open(sealed, at: Self.issued - AddressValidationTokenKey.clockTolerance) == .valid(token))
            #expect(
                Self.open(sealed, at: Self.issued - AddressValidationTokenKey.clockTolerance - 1) == .expired(token))
            #expect(Self.open(sealed, at: 0) == .expired(token))
        }
    }

    @Test("changed, truncated, foreign and random tokens are garbage")
    func garbage() {
        let sealed = Self.seal(Self.retry)
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 0x20
            #expect(Self.open(changed) == .garbage)
            #expect(Self.open(Array(sealed[..<index])) == .garbage)
        }
        let underOtherKey = Self.otherKey.open(sealed.span, from: Self.client, unixSeconds: Self.issued)
        #expect(underOtherKey == .garbage)
        #expect(Self.open([UInt8](repeating: 1, count: 2_000)) == .garbage)
        var generator = SeededGenerator(seed: 22)
        for _ in 0..<300 {
            #expect(Self.open(randomBytes(Int.random(in: 0...120, using: &generator), &generator)) == .garbage)
        }
    }

    @Test("two tokens for the same client have nothing in common, and neither shows what it holds")
    func unlinkable() {
        var generator = SeededGenerator(seed: 23)
        let tokens = (0..<2).map { _ in
            Self.key.seal(Self.retry, for: Self.client, unixSeconds: Self.issued, using: &generator)
        }
        #expect(zip(tokens[0], tokens[1]).filter { $0 == $1 }.count < 10)
        #expect(tokens[0].count <= AddressValidationTokenKey.maximumLength)
    }
}
