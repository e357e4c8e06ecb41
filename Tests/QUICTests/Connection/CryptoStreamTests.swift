import Primitives
import Testing

@testable import QUIC

@Suite("CRYPTO streams (RFC 9000 §7.5)") struct CryptoStreamTests {
    private let content = (0..<200).map { UInt8($0) }

    private func receive(_ stream: inout CryptoStream, _ range: Range<Int>) throws {
        try stream.receive(offset: UInt64(range.lowerBound), data: content[range].span)
    }

    @Test(
        "pieces in any order, overlapping and repeated, come out once and in order", arguments: 0..<30 as Range<UInt64>)
    func reassembly(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var stream = CryptoStream()
        var taken: [UInt8] = []
        var rounds = 0
        while taken.count < content.count, rounds < 10_000 {
            rounds += 1
            let start = Int.random(in: 0..<content.count, using: &generator)
            try receive(&stream, start..<min(content.count, start + Int.random(in: 0...20, using: &generator)))
            taken += stream.takeReadable() ?? []
        }
        #expect(taken == content)
        #expect(!stream.hasGap)
    }

    @Test("bytes behind a gap wait for it") func gap() throws {
        var stream = CryptoStream()
        try receive(&stream, 10..<20)
        #expect(stream.takeReadable() == nil)
        #expect(stream.hasGap)
        try receive(&stream, 0..<12)
        #expect(stream.takeReadable() == Array(content[0..<20]))
    }

    @Test(
        "what lies beyond the window is CRYPTO_BUFFER_EXCEEDED",
        arguments: [(65_535, true), (65_536, false), (Int(Varint.max) - 1, false)])
    func window(_ row: (offset: Int, fits: Bool)) throws {
        var stream = CryptoStream()
        let error: TransportError?
        do throws(TransportError) {
            try stream.receive(offset: UInt64(row.offset), data: [UInt8](repeating: 1, count: 1).span)
            error = nil
        } catch let thrown {
            error = thrown
        }
        #expect(error?.code == (row.fits ? nil : .cryptoBufferExceeded))
    }

    @Test("the window moves with what was taken") func movingWindow() throws {
        var stream = CryptoStream()
        let block = [UInt8](repeating: 3, count: 60_000)
        for round in 0..<UInt64(5) {
            try stream.receive(offset: round * 60_000, data: block.span)
            #expect(stream.takeReadable()?.count == 60_000)
        }
        try stream.receive(offset: 0, data: block.span)
        #expect(stream.takeReadable() == nil)
    }

    @Test("one-byte fragments are bounded in number") func fragments() throws {
        var stream = CryptoStream()
        let error = #expect(throws: TransportError.self) {
            for index in 0..<UInt64(30_000) { try stream.receive(offset: 2 * index + 1, data: [UInt8(1)].span) }
        }
        #expect(error?.code == .cryptoBufferExceeded)
    }

    @Test("lost bytes go out again, acknowledged ones do not") func retransmission() {
        var stream = CryptoStream()
        stream.write(content)
        #expect(stream.nextToSend(atMost: 120) == 0..<120)
        #expect(stream.nextToSend(atMost: 120) == 120..<200)
        #expect(!stream.hasToSend)
        stream.acknowledged(offset: 50, length: 50)
        stream.lost(offset: 0, length: 120)
        #expect(stream.nextToSend(atMost: 500) == 0..<50)
        #expect(stream.nextToSend(atMost: 10) == 100..<110)
        stream.acknowledged(offset: 100, length: 20)
        #expect(stream.nextToSend(atMost: 500) == nil)
    }

    @Test("after a Retry everything goes out again (§17.2.5.3)") func retry() {
        var stream = CryptoStream()
        stream.write(content)
        _ = stream.nextToSend(atMost: 500)
        stream.sendAgain()
        #expect(stream.nextToSend(atMost: 500) == 0..<200)
    }
}
