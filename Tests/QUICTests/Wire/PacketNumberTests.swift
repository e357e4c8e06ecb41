import Primitives
import Testing

@testable import QUIC

@Suite("Packet number truncation (RFC 9000 §17.1, appendices A.2 and A.3)")
struct PacketNumberTests {
    @Test(
        "the length lets the peer tell which packet is meant",
        arguments: [
            (0xac5c02, 0xabe8b3, 2), (0xace8fe, 0xabe8b3, 3), (0, nil, 1), (126, nil, 1), (127, nil, 2),
            (10, 9, 1), (137, 9, 2), (136, 9, 1), (1 << 40, nil, 4), (1 << 23, 0, 4), (1 << 23 - 1, 0, 3),
        ] as [(UInt64, UInt64?, Int)])
    func encodedLength(packetNumber: UInt64, largestAcknowledged: UInt64?, length: Int) {
        #expect(PacketNumber.encodedLength(of: packetNumber, largestAcknowledged: largestAcknowledged) == length)
    }

    @Test("the sample decodes")
    func sample() {
        #expect(PacketNumber.decode(truncated: 0x9b32, length: 2, largestReceived: 0xa82f30ea) == 0xa82f9b32)
    }

    @Test(
        "the number closest to the expected one is taken",
        arguments: [
            (0x00, 1, nil, 0), (0xff, 1, nil, 0xff), (0x00, 1, 0xff, 0x100), (0xff, 1, 0x100, 0xff),
            (0x80, 1, 0xff, 0x180), (0x81, 1, 0xff, 0x81),
            (0xffff_ffff, 4, PacketNumber.maximum, PacketNumber.maximum),
            (0x0000_0000, 4, PacketNumber.maximum, PacketNumber.maximum - 0xffff_ffff),
        ] as [(UInt64, Int, UInt64?, UInt64)])
    func decode(truncated: UInt64, length: Int, largestReceived: UInt64?, packetNumber: UInt64) {
        #expect(
            PacketNumber.decode(truncated: truncated, length: length, largestReceived: largestReceived) == packetNumber)
    }

    @Test("what a sender encodes, its peer decodes, whatever arrived before")
    func roundTrip() {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<5_000 {
            let packetNumber = generator.next() >> UInt64.random(in: 2...62, using: &generator)
            let inFlight = min(packetNumber, UInt64.random(in: 1..<1 << 22, using: &generator))
            let acknowledged = packetNumber == 0 ? nil : packetNumber - max(inFlight, 1)
            let length = PacketNumber.encodedLength(of: packetNumber, largestAcknowledged: acknowledged)
            let truncated = packetNumber & (1 << UInt64(8 * length) - 1)
            // The peer received what it acknowledged, and perhaps anything sent up to this packet.
            let received = acknowledged.map { UInt64.random(in: $0...packetNumber, using: &generator) }
            #expect(
                PacketNumber.decode(truncated: truncated, length: length, largestReceived: received) == packetNumber)
        }
    }

    @Test("no input traps")
    func total() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<5_000 {
            let length = Int.random(in: 1...4, using: &generator)
            let truncated = generator.next() & (1 << UInt64(8 * length) - 1)
            let decoded = PacketNumber.decode(
                truncated: truncated, length: length, largestReceived: randomVarint(&generator))
            #expect(decoded & (1 << UInt64(8 * length) - 1) == truncated)
        }
    }
}
