import Cryptography
import Primitives
import Testing

@testable import QUIC

@Suite("Stateless resets (RFC 9000 §10.3)")
struct StatelessResetTests {
    static let token = StatelessResetToken(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)

    @Test("a reset looks like a short header, is unpredictable, and ends with the token")
    func content() throws {
        var generator = SeededGenerator(seed: 6)
        let length = try #require(StatelessReset.length(answering: 100))
        let first = written { $0.writeStatelessReset(Self.token, length: length, using: &generator) }
        let second = written { $0.writeStatelessReset(Self.token, length: length, using: &generator) }
        #expect(first.count == length && first != second)
        #expect(first[0] & 0xc0 == 0x40)
        #expect(Array(first.suffix(16)) == Array(1...16))
        #expect(StatelessReset.token(in: first.span) == Self.token)
    }

    @Test(
        "a reset is smaller than what it answers, and never too small to be one",
        arguments: [
            (0, nil), (21, nil), (22, 21), (23, 22), (43, 42), (44, 43), (1_200, 43), (Int.max, 43),
        ] as [(Int, Int?)])
    func length(trigger: Int, length: Int?) {
        #expect(StatelessReset.length(answering: trigger) == length)
    }

    @Test("datagrams below 21 bytes are no resets")
    func tooShort() {
        let bytes = [UInt8](repeating: 0x40, count: 21)
        #expect(StatelessReset.token(in: bytes.span.extracting(0..<20)) == nil)
        #expect(StatelessReset.token(in: bytes.span) != nil)
    }

    @Test("tokens follow from the static key and the connection ID alone")
    func derivation() {
        let key = StatelessResetKey(SecretBytes([UInt8](repeating: 1, count: 32)))
        let sameKey = StatelessResetKey(SecretBytes([UInt8](repeating: 1, count: 32)))
        let otherKey = StatelessResetKey(SecretBytes([UInt8](repeating: 2, count: 32)))
        let id = connectionID("0102030405060708")
        #expect(key.token(for: id) == sameKey.token(for: id))
        #expect(key.token(for: id) != otherKey.token(for: id))
        #expect(key.token(for: id) != key.token(for: connectionID("0102030405060709")))
        #expect(key.token(for: id).isEqualInConstantTime(to: sameKey.token(for: id)))
        #expect(!key.token(for: id).isEqualInConstantTime(to: otherKey.token(for: id)))
    }
}
