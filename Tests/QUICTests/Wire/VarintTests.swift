import Primitives
import Testing

@testable import QUIC

@Suite("Variable-length integers (RFC 9000 §16, appendix A.1)")
struct VarintTests {
    @Test(
        "sample encodings decode",
        arguments: [
            ("c2197c5eff14e88c", 151_288_809_941_952_652), ("9d7f3e7d", 494_878_333), ("7bbd", 15_293), ("25", 37),
            ("4025", 37),
        ] as [(String, UInt64)])
    func samplesDecode(text: String, value: UInt64) throws {
        let bytes = hexBytes(text)
        var reader = ByteReader(bytes.span)
        let decoded = try reader.readVarint()
        let end = reader.position
        #expect(decoded == value)
        #expect(end == bytes.count)
    }

    @Test(
        "the shortest form is written",
        arguments: [
            (0, "00"), (63, "3f"), (64, "4040"), (16_383, "7fff"), (16_384, "80004000"), (1_073_741_823, "bfffffff"),
            (1_073_741_824, "c000000040000000"), (Varint.max, "ffffffffffffffff"),
        ] as [(UInt64, String)])
    func shortestForm(value: UInt64, text: String) {
        #expect(written { $0.writeVarint(value) } == hexBytes(text))
        #expect(Varint.width(of: value) == hexBytes(text).count)
    }

    @Test("a wider form decodes to the same value", arguments: [1, 2, 4, 8])
    func widerForm(width: Int) throws {
        let bytes = written { $0.writeVarint(37, width: width) }
        var reader = ByteReader(bytes.span)
        let decoded = try reader.readVarint()
        #expect(decoded == 37)
        #expect(bytes.count == width)
    }

    @Test("every truncation is noticed")
    func truncation() {
        for text in ["c2197c5eff14e88c", "9d7f3e7d", "7bbd", "25"] {
            let bytes = hexBytes(text)
            for count in bytes.indices {
                var reader = ByteReader(bytes.span.extracting(0..<count))
                let value = try? reader.readVarint()
                #expect(value == nil)
            }
        }
    }

    @Test("random values survive the round trip")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<2_000 {
            let value = randomVarint(&generator)
            let bytes = written(capacity: 8) { $0.writeVarint(value) }
            var reader = ByteReader(bytes.span)
            let decoded = try reader.readVarint()
            #expect(decoded == value)
        }
    }
}
