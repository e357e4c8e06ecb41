import Primitives
import Testing

@testable import HTTP3

@Suite("Huffman code of RFC 7541")
struct HuffmanTests {
    // RFC 7541 Appendix C.4 and C.6.
    static let vectors: [(text: String, encoded: String)] = [
        ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
        ("no-cache", "a8eb10649cbf"),
        ("custom-key", "25a849e95ba97d7f"),
        ("custom-value", "25a849e95bb8e8b4bf"),
        ("302", "6402"),
        ("private", "aec3771a4b"),
        ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
        ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        ("307", "640eff"),
        ("gzip", "9bd9ab"),
        (
            "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
        ),
    ]

    @Test("vectors of RFC 7541 Appendix C", arguments: vectors)
    func vector(text: String, encoded: String) {
        var bytes: [UInt8] = []
        HuffmanCode.encode(text.utf8, to: &bytes)
        #expect(bytes == hex(encoded))
        #expect(HuffmanCode.encodedCount(text.utf8) == bytes.count)
        #expect(HuffmanCode.decode(bytes.span, limit: 1000) == Array(text.utf8))
    }

    @Test("every byte value survives, alone and in random company")
    func roundTrip() {
        for byte in UInt8.min ... .max {
            var bytes: [UInt8] = []
            HuffmanCode.encode([byte], to: &bytes)
            #expect(HuffmanCode.decode(bytes.span, limit: 1) == [byte])
        }
        var generator = SeededGenerator(seed: 7541)
        for _ in 0..<300 {
            let text = randomBytes(Int.random(in: 0..<60, using: &generator), using: &generator)
            var bytes: [UInt8] = []
            HuffmanCode.encode(text, to: &bytes)
            #expect(HuffmanCode.decode(bytes.span, limit: text.count) == text)
        }
    }

    @Test("the code of EOS has 30 ones and the lengths fill the code space")
    func codeSpace() {
        #expect(HuffmanCode.lengths.count == 257)
        #expect(HuffmanCode.tables.codes[256] == 0x3fff_ffff)
        #expect(HuffmanCode.lengths.reduce(0.0) { $0 + 1 / Double(UInt64(1) << UInt64($1)) } == 1)
    }

    @Test(
        "RFC 7541 §5.2: EOS, padding of eight bits or more, and padding that is not EOS are errors",
        arguments: [
            "ffffffff",  // EOS and two bits
            "fffffffc",  // EOS with wrong padding
            "1fff",  // 'a' (00011), then eleven ones
            "18",  // 'a' padded with zeros
            "f1e3c2e5f23a6ba0ab90f4ffff",  // a whole byte of padding
            "f1e3c2e5f23a6ba0ab90f4fe",
        ])
    func invalid(encoded: String) {
        #expect(HuffmanCode.decode(hex(encoded).span, limit: 1000) == nil)
    }

    @Test("nothing beyond the limit is decoded")
    func limit() {
        let bytes = hex("f1e3c2e5f23a6ba0ab90f4ff")
        #expect(HuffmanCode.decode(bytes.span, limit: 14) == nil)
        #expect(HuffmanCode.decode(bytes.span, limit: 15) != nil)
    }

    @Test("random input never traps, and what decodes encodes to the same bytes")
    func randomInput() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<5000 {
            let bytes = randomBytes(Int.random(in: 0..<24, using: &generator), using: &generator)
            guard let text = HuffmanCode.decode(bytes.span, limit: 100) else { continue }
            var again: [UInt8] = []
            HuffmanCode.encode(text, to: &again)
            #expect(again == bytes)
        }
    }
}
