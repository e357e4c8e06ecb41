import Primitives
import Testing

@testable import HTTP3

@Suite("Capsules of connect-tcp")
struct CapsuleTests {
    /// What capsules carry: payload joined, and whether it ended.
    struct Content: Equatable {
        var payload: [UInt8] = []
        var ends = 0
        var positions: [UInt64] = []
    }

    private func decode(_ pieces: [[UInt8]], with decoder: inout CapsuleDecoder) throws(CapsuleError) -> Content {
        var content = Content()
        for piece in pieces {
            var position = 0
            while let part = try decoder.next(piece.span, at: &position) {
                switch part {
                case .payload(let range): content.payload += piece[range]
                case .end: content.ends += 1
                case .delivered(let position): content.positions.append(position)
                }
            }
            #expect(position == piece.count)
        }
        return content
    }

    private func capsule(_ type: UInt64, _ payload: [UInt8]) -> [UInt8] { frame(type, payload) }

    @Test("the numbers are those of the drafts")
    func numbers() {
        // draft-ietf-httpbis-connect-tcp-11 §8.3 and the editors' copy of -12.
        #expect(ConnectTCPDraft.draft08.dataType == 0x2028_d7f0)
        #expect(ConnectTCPDraft.draft08.finalDataType == 0x2028_d7f1)
        #expect(ConnectTCPDraft.draft12.dataType == 0x2028_d7f2)
        #expect(ConnectTCPDraft.draft12.finalDataType == 0x2028_d7f3)
        #expect(ConnectTCPDraft(upgradeToken: "connect-tcp") == .draft08)
        #expect(ConnectTCPDraft(upgradeToken: "connect-tcp-12") == .draft12)
        #expect(ConnectTCPDraft(upgradeToken: "connect-udp") == nil)
    }

    @Test("payload of DATA and FINAL_DATA is joined, FINAL_DATA ends it", arguments: ConnectTCPDraft.allCases)
    func payload(draft: ConnectTCPDraft) throws {
        var bytes: [UInt8] = []
        draft.appendCapsuleHeader(.data, length: 3, to: &bytes)
        bytes += [1, 2, 3]
        draft.appendCapsuleHeader(.data, length: 0, to: &bytes)
        draft.appendCapsuleHeader(.finalData, length: 2, to: &bytes)
        bytes += [4, 5]
        var decoder = CapsuleDecoder()
        #expect(try decode([bytes], with: &decoder) == Content(payload: [1, 2, 3, 4, 5], ends: 1))
        #expect(decoder.isAtCapsuleBoundary)
        #expect(decoder.draft == draft)
    }

    @Test("whoever gets the last payload is told that it is the last, however it was cut")
    func lastPayload() throws {
        var bytes: [UInt8] = []
        ConnectTCPDraft.draft08.appendCapsuleHeader(.data, length: 1, to: &bytes)
        bytes.append(1)
        ConnectTCPDraft.draft08.appendCapsuleHeader(.finalData, length: 2, to: &bytes)
        bytes += [2, 3]
        var decoder = CapsuleDecoder()
        var position = 0
        let last = bytes.removeLast()
        #expect(try decoder.next(bytes.span, at: &position) == .payload(5..<6))
        #expect(!decoder.isEnding)
        let payload = try decoder.next(bytes.span, at: &position)
        #expect(payload == .payload(bytes.count - 1..<bytes.count) && !decoder.isEnding)
        position = 0
        bytes = [last]
        #expect(try decoder.next(bytes.span, at: &position) == .payload(0..<1))
        #expect(decoder.isEnding)
        decoder.putBack(1)
        #expect(!decoder.isEnding)
    }

    @Test("an empty FINAL_DATA ends the payload too")
    func emptyFinal() throws {
        var decoder = CapsuleDecoder()
        #expect(try decode([capsule(0x2028_d7f1, [])], with: &decoder) == Content(payload: [], ends: 1))
    }

    @Test("RFC 9297 §3.2: unknown capsules are skipped before, between and after")
    func unknown() throws {
        let unknown =
            capsule(0, [1, 2]) + capsule(0x2028_d7f4, []) + capsule(1 << 62 - 1, [UInt8](repeating: 9, count: 300))
        var decoder = CapsuleDecoder()
        let bytes = unknown + capsule(0x2028_d7f0, [7]) + unknown + capsule(0x2028_d7f1, [8]) + unknown
        #expect(try decode([bytes], with: &decoder) == Content(payload: [7, 8], ends: 1))
    }

    @Test(
        "the draft forbids DATA and FINAL_DATA after FINAL_DATA",
        arguments: [0x2028_d7f0, 0x2028_d7f1, 0x2028_d7f2] as [UInt64])
    func afterFinal(type: UInt64) {
        var decoder = CapsuleDecoder()
        #expect(throws: CapsuleError.self) {
            try decode([capsule(0x2028_d7f1, []) + capsule(type, [])], with: &decoder)
        }
    }

    @Test("any cut of the input gives the same payload")
    func anyCut() throws {
        var generator = SeededGenerator(seed: 9297)
        for _ in 0..<300 {
            var bytes: [UInt8] = []
            var expected = Content()
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                let payload = randomBytes(Int.random(in: 0...80, using: &generator), using: &generator)
                let isData = Bool.random(using: &generator)
                bytes += capsule(isData ? 0x2028_d7f0 : 0x17, payload)
                if isData { expected.payload += payload }
            }
            bytes += capsule(0x2028_d7f1, [1, 2, 3])
            expected.payload += [1, 2, 3]
            expected.ends = 1
            var decoder = CapsuleDecoder()
            #expect(try decode(pieces(of: bytes, using: &generator), with: &decoder) == expected)
        }
    }

    @Test("payload that was put back comes again", arguments: [0x2028_d7f0, 0x2028_d7f1] as [UInt64])
    func putBack(type: UInt64) throws {
        for available in [3, 5] {
            var decoder = CapsuleDecoder()
            let bytes = Array(capsule(type, [1, 2, 3, 4, 5])[..<(5 + available)])
            var position = 0
            #expect(try decoder.next(bytes.span, at: &position) == .payload(5..<5 + available))
            decoder.putBack(3)
            position -= 3
            #expect(!decoder.isAtCapsuleBoundary)
            #expect(try decoder.next(bytes.span, at: &position) == .payload(2 + available..<5 + available))
            let end = try decoder.next(bytes.span, at: &position)
            #expect(end == (available == 5 && type == 0x2028_d7f1 ? .end : nil))
        }
    }

    @Test("random input never traps")
    func randomInput() {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<5000 {
            var decoder = CapsuleDecoder()
            var bytes = randomBytes(Int.random(in: 0..<40, using: &generator), using: &generator)
            if Bool.random(using: &generator) { bytes = varint(0x2028_d7f0 + UInt64(bytes.count % 4)) + bytes }
            _ = try? decode(pieces(of: bytes, using: &generator), with: &decoder)
        }
    }

    @Test("a report is read where it means something, in pieces of any size, between payload and after its end")
    func reports() throws {
        var bytes: [UInt8] = []
        TunnelDelivered.append(5, to: &bytes)
        bytes += capsule(0x2028_d7f0, [1, 2])
        TunnelDelivered.append(1 << 40, to: &bytes)
        bytes += capsule(0x2028_d7f1, [3])
        // A position in a longer form than it needs (RFC 9000 §16).
        bytes += capsule(TunnelDelivered.capsuleType, varint(7, width: 8))
        let wanted = Content(payload: [1, 2, 3], ends: 1, positions: [5, 1 << 40, 7])
        for size in [1, 2, 3, 5, bytes.count] {
            var decoder = CapsuleDecoder()
            decoder.reports = .understood
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                Array(bytes[$0..<min($0 + size, bytes.count)])
            }
            #expect(try decode(pieces, with: &decoder) == wanted)
            #expect(decoder.isAtCapsuleBoundary)
            // Elsewhere it is a capsule like any other that is unknown.
            var ignorant = CapsuleDecoder()
            #expect(try decode(pieces, with: &ignorant) == Content(payload: [1, 2, 3], ends: 1))
        }
    }

    @Test(
        "a report whose length is not its position's is malformed",
        arguments: [[], [0x40], [0x05, 0x05], [0xc0, 0, 0, 0, 0, 0, 0], [UInt8](repeating: 0, count: 9)])
    func malformedReports(payload: [UInt8]) {
        var decoder = CapsuleDecoder()
        decoder.reports = .understood
        let bytes = capsule(TunnelDelivered.capsuleType, payload) + capsule(0x2028_d7f0, [1])
        #expect(throws: CapsuleError.self) { try decode([bytes], with: &decoder) }
        var ignorant = CapsuleDecoder()
        #expect(throws: Never.self) { try decode([bytes], with: &ignorant) }
    }
}
