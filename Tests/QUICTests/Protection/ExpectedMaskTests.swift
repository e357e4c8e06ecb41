import Cryptography
import Primitives
import Testing

@testable import QUIC

@Suite("Header protection of packets that arrive together (RFC 9001 §5.4)")
struct ExpectedMaskTests {
    /// Where the sample of a 1-RTT packet stands: behind the first byte, the connection ID and four bytes of number.
    static let sampleOffset = 1 + ConnectionIDTable.length + HeaderProtection.sampleOffset

    static func sample(_ bytes: [UInt8], _ index: Int, segmentSize: Int) -> [UInt8] {
        let start = index * segmentSize + sampleOffset
        return Array(bytes[start..<start + CipherSuite.sampleLength])
    }

    @Test("masks made together are those of each packet's sample", arguments: CipherSuite.allCases)
    func together(suite: CipherSuite) {
        let key = HeaderProtectionKey(suite: suite, key: SecretBytes([UInt8](repeating: 3, count: suite.keyLength)))
        var generator = SeededGenerator(seed: 21)
        var masks = ExpectedMasks()
        for count in [2, 7, 64] {
            let bytes = (0..<count * 50 - 10).map { _ in UInt8.random(in: 0...255, using: &generator) }
            masks.make(for: bytes.span, segmentSize: 50, sampleOffset: Self.sampleOffset, key: key)
            for index in 0..<count {
                let sample = Self.sample(bytes, index, segmentSize: 50)
                let taken = masks.take(for: sample.span)
                #expect(taken == key.mask(sample: sample.span))
            }
            let again = masks.take(for: Self.sample(bytes, 0, segmentSize: 50).span)
            #expect(again == nil)
        }
    }

    @Test("a mask is never given out for another sample")
    func strangers() {
        let key = HeaderProtectionKey(suite: .aes128GCM, key: SecretBytes([UInt8](repeating: 3, count: 16)))
        var generator = SeededGenerator(seed: 22)
        let bytes = (0..<4 * 50).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for byte in 0..<CipherSuite.sampleLength {
            var masks = ExpectedMasks()
            masks.make(for: bytes.span, segmentSize: 50, sampleOffset: Self.sampleOffset, key: key)
            var sample = Self.sample(bytes, 1, segmentSize: 50)
            sample[byte] ^= 1
            let taken = masks.take(for: sample.span)
            #expect(taken == nil)
        }
        // A packet that is left out costs the others nothing.
        var masks = ExpectedMasks()
        masks.make(for: bytes.span, segmentSize: 50, sampleOffset: Self.sampleOffset, key: key)
        let sample = Self.sample(bytes, 2, segmentSize: 50)
        let taken = masks.take(for: sample.span)
        #expect(taken == key.mask(sample: sample.span))
    }

    @Test("packets that were announced open, in order, with gaps, and across a key update")
    func announced() throws {
        let (a, b) = KeyUpdateTests.pair()
        try KeyUpdateTests.exchange(a, b)
        try KeyUpdateTests.exchange(b, a)
        var packets = (0..<6).map { _ in a.packet() }
        a.keys.requestUpdate()
        packets += (0..<6).map { _ in a.packet() }
        let run = packets.flatMap(\.self)
        b.keys.expect(run.span, segmentSize: 60, packetNumberOffset: 1 + ConnectionIDTable.length)
        for (index, packet) in packets.enumerated() where index != 3 { #expect(try b.receive(packet)) }
        // What was announced and left out opens later, with a mask of its own.
        #expect(try b.receive(packets[3]))
        #expect(b.keys.updateCount == 1)
    }

    @Test("a forged packet among them is refused, and the others open")
    func forged() throws {
        let (a, b) = KeyUpdateTests.pair()
        var packets = (0..<8).map { _ in a.packet() }
        packets[2][30] ^= 1
        packets[5][12] ^= 0x80
        let run = packets.flatMap(\.self)
        b.keys.expect(run.span, segmentSize: 60, packetNumberOffset: 1 + ConnectionIDTable.length)
        for (index, packet) in packets.enumerated() {
            #expect(try b.receive(packet) == ![2, 5].contains(index))
        }
    }

    @Test("anything may be announced")
    func nonsense() {
        let (_, b) = KeyUpdateTests.pair()
        var generator = SeededGenerator(seed: 23)
        for _ in 0..<300 {
            let count = Int.random(in: 0...400, using: &generator)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let size = Int.random(in: 1...70, using: &generator)
            b.keys.expect(bytes.span, segmentSize: size, packetNumberOffset: 1 + ConnectionIDTable.length)
        }
        OneRTTKeys().expect([UInt8](repeating: 1, count: 100).span, segmentSize: 50, packetNumberOffset: 9)
    }

    static func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.span.isEqual(to: b.span) }

    @Test("bytes are compared whole, at every length")
    func comparison() {
        for length in 0..<40 {
            let bytes = (0..<length).map { UInt8($0) }
            #expect(Self.areEqual(bytes, bytes))
            #expect(!Self.areEqual(bytes, bytes + [1]))
            for index in 0..<length {
                var other = bytes
                other[index] ^= 0x40
                #expect(!Self.areEqual(bytes, other))
            }
        }
    }
}
