import Primitives
import Testing

@testable import QUIC

@Suite("ACK frames (RFC 9000 §19.3)")
struct AckFrameTests {
    static func ranges(_ frame: AckFrame, in payload: [UInt8]) -> [ClosedRange<UInt64>] {
        var iterator = frame.ranges(in: payload.span)
        var found: [ClosedRange<UInt64>] = []
        while let range = iterator.next() { found.append(range) }
        return found
    }

    static func encode(
        _ ranges: [Range<UInt64>], ecn: ECNCounts? = nil, space: Int = 2_048
    ) -> (bytes: [UInt8], count: Int) {
        var count = 0
        let bytes = written { count = $0.writeAck(ranges: ranges, encodedDelay: 300, ecn: ecn, space: space) }
        return (bytes, count)
    }

    static func randomRanges(_ generator: inout SeededGenerator) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        var next = randomVarint(&generator) / 4
        for _ in 0..<Int.random(in: 1...90, using: &generator) {
            let length = UInt64.random(in: 1...200, using: &generator)
            ranges.append(next..<next + length)
            next += length + UInt64.random(in: 1...20_000, using: &generator)
        }
        return ranges
    }

    @Test("a literal frame gives the ranges of the RFC's arithmetic")
    func literal() throws {
        // Largest 100, first range 2, then gap 1 and length 3, then gap 0 and length 0.
        let bytes = hexBytes("0240640502 02 0103 0000")
        guard case .ack(let ack)? = try frames(bytes).first else {
            Issue.record("not an ACK frame")
            return
        }
        #expect(ack.encodedDelay == 5 && ack.ecn == nil)
        #expect(Self.ranges(ack, in: bytes) == [98...100, 92...95, 90...90])
    }

    @Test("all ranges come back, largest first, with the delay and the ECN counts")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 18)
        for round in 0..<300 {
            let sent = Self.randomRanges(&generator)
            let ecn =
                round.isMultiple(of: 2)
                ? nil
                : ECNCounts(
                    ect0: randomVarint(&generator), ect1: randomVarint(&generator),
                    congestionExperienced: randomVarint(&generator))
            let (bytes, count) = Self.encode(sent, ecn: ecn)
            guard case .ack(let ack)? = try frames(bytes).first else {
                Issue.record("not an ACK frame")
                continue
            }
            #expect(count == sent.count && ack.ecn == ecn && ack.encodedDelay == 300)
            #expect(Self.ranges(ack, in: bytes) == sent.reversed().map { $0.lowerBound...$0.upperBound - 1 })
            #expect(ByteWriter.ackSize(ranges: sent, count: count, encodedDelay: 300, ecn: ecn) == bytes.count)
        }
    }

    @Test("where space is short, as many of the largest ranges as fit are told")
    func shortSpace() throws {
        var generator = SeededGenerator(seed: 19)
        for _ in 0..<300 {
            let sent = Self.randomRanges(&generator)
            let ecn = ECNCounts(ect0: 1_000, ect1: 0, congestionExperienced: 5)
            let space = Int.random(in: 0...120, using: &generator)
            let (bytes, count) = Self.encode(sent, ecn: ecn, space: space)
            #expect(bytes.count <= space)
            guard count > 0 else {
                #expect(bytes.isEmpty)
                #expect(ByteWriter.ackSize(ranges: sent, count: 1, encodedDelay: 300, ecn: ecn) > space)
                continue
            }
            guard case .ack(let ack)? = try frames(bytes).first else {
                Issue.record("not an ACK frame")
                continue
            }
            #expect(
                Self.ranges(ack, in: bytes) == sent.suffix(count).reversed().map { $0.lowerBound...$0.upperBound - 1 })
            if count < sent.count {
                #expect(ByteWriter.ackSize(ranges: sent, count: count + 1, encodedDelay: 300, ecn: ecn) > space)
            }
        }
    }

    @Test("without packets there is no frame")
    func empty() {
        let (bytes, count) = Self.encode([])
        #expect(bytes.isEmpty && count == 0)
    }
}
