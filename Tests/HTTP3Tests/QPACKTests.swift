import Primitives
import Testing

@testable import HTTP3

@Suite("QPACK")
struct QPACKTests {
    private func decode(_ bytes: [UInt8], limit: Int = 10_000) throws(HTTP3Error) -> FieldSectionDecoder.Outcome {
        try FieldSectionDecoder.decode(bytes.span, limit: limit)
    }

    private func line(_ name: String, _ value: String) -> FieldLine {
        FieldLine(name: Array(name.utf8), value: Array(value.utf8))
    }

    @Test("RFC 9204 B.1: literal field line with name reference")
    func nameReference() throws {
        let bytes = hex("0000 510b 2f69 6e64 6578 2e68 746d 6c")
        #expect(try decode(bytes) == .fields([line(":path", "/index.html")]))
    }

    @Test(
        "RFC 9204 B.2, B.4: sections that refer to the dynamic table are QPACK_DECOMPRESSION_FAILED",
        arguments: ["0381 10 11", "0500 80 c1 81"])
    func dynamicSections(text: String) {
        let error = #expect(throws: HTTP3Error.self) { try decode(hex(text)) }
        #expect(error?.code == .qpackDecompressionFailed)
    }

    @Test("RFC 9204 Appendix A: the static table has 99 entries, the known ones at their places")
    func staticTable() {
        #expect(StaticTable.entries.count == 99)
        let known: [(Int, String, String)] = [
            (0, ":authority", ""), (1, ":path", "/"), (15, ":method", "CONNECT"), (17, ":method", "GET"),
            (23, ":scheme", "https"), (25, ":status", "200"), (27, ":status", "404"), (28, ":status", "503"),
            (46, "content-type", "application/json"), (59, "vary", "accept-encoding"), (63, ":status", "100"),
            (84, "authorization", ""),
            (85, "content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
            (98, "x-frame-options", "sameorigin"),
        ]
        for (index, name, value) in known {
            #expect(StaticTable.entries[index] == (name, value))
            #expect(StaticTable.index(of: name, value: value) == index)
        }
    }

    @Test("every static entry decodes by its index, the one after the last is an error")
    func staticReferences() throws {
        for (index, entry) in StaticTable.entries.enumerated() {
            var bytes: [UInt8] = [0, 0]
            PrefixedInteger.encode(UInt64(index), prefix: 6, pattern: 0xc0, to: &bytes)
            #expect(try decode(bytes) == .fields([line(entry.name, entry.value)]))
        }
        for index in [99, 100, 1 << 40] as [UInt64] {
            var bytes: [UInt8] = [0, 0]
            PrefixedInteger.encode(index, prefix: 6, pattern: 0xc0, to: &bytes)
            #expect(throws: HTTP3Error.self) { try decode(bytes) }
        }
    }

    static let invalid: [(String, String)] = [
        ("nothing", ""), ("no Base", "00"), ("Required Insert Count 1", "01 00"), ("negative Base", "00 80"),
        ("unfinished Base", "00 7f"), ("Required Insert Count unfinished", "ff"), ("dynamic index", "0000 80"),
        ("dynamic name", "0000 40 00"), ("post-base index", "0000 10"), ("post-base name", "0000 00 00"),
        ("never-indexed post-base name", "0000 08 00"), ("index unfinished", "0000 ff"),
        ("index endless", "0000 ff ff ff ff ff ff ff ff ff ff ff 7f"), ("no value", "0000 51"),
        ("value shorter than its length", "0000 51 02 61"), ("name shorter than its length", "0000 22 61"),
        ("value length endless", "0000 51 7f ff ff ff ff ff ff ff ff ff ff 01"),
        ("Huffman with bad padding", "0000 51 81 18"), ("Huffman with EOS", "0000 51 84 ff ff ff ff"),
    ]

    @Test("what cannot be decoded is QPACK_DECOMPRESSION_FAILED", arguments: invalid)
    func errors(name: String, text: String) {
        let error = #expect(throws: HTTP3Error.self) { try decode(hex(text)) }
        #expect(error?.code == .qpackDecompressionFailed)
    }

    @Test("RFC 9204 §4.5.1.2: any Base goes with a Required Insert Count of 0")
    func base() throws {
        #expect(try decode(hex("0005 d1")) == .fields([line(":method", "GET")]))
        #expect(try decode(hex("00 7f80 01")) == .fields([]))
    }

    @Test("RFC 9114 §4.2.2: a section beyond the limit is too large, one at the limit is not")
    func limit() throws {
        let bytes = FieldSectionEncoder.encode([Field("a", "bcd"), Field("e", "f")])
        let size = 4 + 32 + 2 + 32
        #expect(try decode(bytes, limit: size) == .fields([line("a", "bcd"), line("e", "f")]))
        #expect(try decode(bytes, limit: size - 1) == .tooLarge)
        #expect(try decode(bytes, limit: 35) == .tooLarge)
        #expect(try decode(bytes, limit: 0) == .tooLarge)
    }

    @Test("a section of static references cannot expand beyond the limit")
    func expansion() throws {
        let bytes = [0, 0] + [UInt8](repeating: 0xc0 | 23, count: 16_000)
        #expect(try decode(bytes, limit: 16 * 1024) == .tooLarge)
    }

    @Test("the encoder uses the shortest form, and never an index for a secret")
    func encoding() {
        #expect(
            FieldSectionEncoder.encode([Field(":method", "CONNECT"), Field(":status", "200")]) == hex("0000 cf d9"))
        // A name of the static table with a value in Huffman's code.
        #expect(
            FieldSectionEncoder.encode([Field(":path", "www.example.com")])
                == hex("0000 51 8c f1e3c2e5f23a6ba0ab90f4ff"))
        // The N bit: 0111 with static index 84.
        #expect(FieldSectionEncoder.encode([Field("authorization", "", .neverIndexed)]) == hex("0000 7f45 00"))
        #expect(FieldSectionEncoder.encode([Field("authorization", "")]) == hex("0000 ff15"))
        // A new name: 001, N, H, and the length; "zz" is not shorter in Huffman's code.
        #expect(FieldSectionEncoder.encode([Field("zz", "z", .neverIndexed)]).dropFirst(2).first == 0x32)
    }

    @Test("RFC 9204 §4.5.4: the value of a secret is not compressed")
    func plainSecrets() {
        #expect(
            FieldSectionEncoder.encode([Field("authorization", "aaaaaaaa", .neverIndexed)])
                == hex("0000 7f45 08 6161616161616161"))
    }

    @Test("fields that begin as the ones before them are encoded as they would be alone")
    func repeating() {
        var encoder = RepeatingFieldEncoder()
        let status = Field(":status", "200")
        let secrets = ["one", "two"].map { Field("tunnel-resumption", $0, .neverIndexed) }
        let sections = [
            [status, secrets[0]], [status, secrets[1]], [status], [], [secrets[0], status],
            [Field(":status", "404"), secrets[0], status], [status, secrets[0], secrets[1]],
        ]
        for fields in sections + sections.reversed() {
            #expect(encoder.encode(fields) == FieldSectionEncoder.encode(fields))
        }
    }

    @Test("what is encoded decodes to the same, for any fields")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 9204)
        let names = StaticTable.entries.map(\.name) + ["x", "capsule-protocol", "tunnel-resumption"]
        for _ in 0..<200 {
            let fields = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                let count = Int.random(in: 0...200, using: &generator)
                let value = String(
                    decoding: (0..<count).map { _ in UInt8.random(in: 0x20...0x7e, using: &generator) }, as: UTF8.self)
                return Field(
                    names.randomElement(using: &generator) ?? "x", value,
                    Bool.random(using: &generator) ? .ordinary : .neverIndexed)
            }
            #expect(try decode(FieldSectionEncoder.encode(fields)) == .fields(fields.map { line($0.name, $0.value) }))
        }
    }

    @Test("integers up to 62 bits are read back with every prefix, larger ones refused")
    func integers() {
        for prefix in 1...8 {
            for value in [0, 1, 30, 31, 126, 127, 128, 254, 255, 1337, 1 << 32, PrefixedInteger.maximum] {
                var bytes: [UInt8] = []
                PrefixedInteger.encode(value, prefix: prefix, pattern: 0, to: &bytes)
                var position = 0
                #expect(PrefixedInteger.decode(bytes.span, at: &position, prefix: prefix) == value)
                #expect(position == bytes.count)
                // RFC 7541 §5.1: without its last byte it is not complete.
                var start = 0
                #expect(PrefixedInteger.decode(Array(bytes.dropLast()).span, at: &start, prefix: prefix) == nil)
            }
            var bytes: [UInt8] = []
            PrefixedInteger.encode(PrefixedInteger.maximum + 1, prefix: prefix, pattern: 0, to: &bytes)
            var position = 0
            #expect(PrefixedInteger.decode(bytes.span, at: &position, prefix: prefix) == nil)
        }
        // RFC 7541 C.1.2: 1337 with a 5-bit prefix.
        var bytes: [UInt8] = []
        PrefixedInteger.encode(1337, prefix: 5, pattern: 0, to: &bytes)
        #expect(bytes == [31, 154, 10])
    }

    @Test("random input never traps")
    func randomInput() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<5000 {
            let bytes = [0, 0] + randomBytes(Int.random(in: 0..<40, using: &generator), using: &generator)
            _ = try? decode(bytes, limit: Int.random(in: 0..<500, using: &generator))
        }
    }
}

@Suite("QPACK instruction streams with a table of capacity 0")
struct QPACKInstructionTests {
    @Test("RFC 9204 §4.3.1: setting the capacity to 0 is fine, any number of times")
    func capacityZero() throws {
        let bytes = hex("20 20 20")
        try QPACKEncoderStream().receive(bytes.span)
    }

    @Test(
        "RFC 9204 §3.2.3, §4.3: a larger capacity and every entry are QPACK_ENCODER_STREAM_ERROR",
        arguments: ["21", "3fbd01", "c00f", "4a63", "02", "00", "20 21"])
    func encoderStream(text: String) {
        let bytes = hex(text)
        let error = #expect(throws: HTTP3Error.self) { try QPACKEncoderStream().receive(bytes.span) }
        #expect(error?.code == .qpackEncoderStreamError)
    }

    @Test("RFC 9204 §4.4.2: cancellations are fine, in any pieces")
    func cancellations() throws {
        for pieces in [["48 40 7f 80 01 48"], ["7f", "80", "80 01", "40"]] {
            var stream = QPACKDecoderStream()
            for piece in pieces {
                let bytes = hex(piece)
                try stream.receive(bytes.span)
            }
        }
    }

    @Test(
        "RFC 9204 §4.4: acknowledgments and insert counts are QPACK_DECODER_STREAM_ERROR",
        arguments: ["84", "00", "01", "48 84", "7f ff ff ff ff ff ff ff ff ff ff 01"])
    func decoderStream(text: String) {
        var stream = QPACKDecoderStream()
        let bytes = hex(text)
        let error = #expect(throws: HTTP3Error.self) { try stream.receive(bytes.span) }
        #expect(error?.code == .qpackDecoderStreamError)
    }
}
