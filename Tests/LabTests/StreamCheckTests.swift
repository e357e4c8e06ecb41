import Testing

@testable import Lab

@Suite("What arrived of a numbered stream")
struct StreamCheckTests {
    static let pieceSize = 1_000

    static func checked(_ pieces: [[UInt8]]) -> StreamCheck {
        var check = StreamCheck()
        for piece in pieces { check.take(piece) }
        return check
    }

    @Test(arguments: [1, 7, 8, 9, 1_000, 65_536])
    func isRightInPiecesOfEverySize(size: Int) {
        let whole = NumberedStream.bytes(from: 0, count: 70_000)
        var pieces: [[UInt8]] = []
        for start in stride(from: 0, to: whole.count, by: size) {
            pieces.append(Array(whole[start..<min(start + size, whole.count)]))
        }
        let check = Self.checked(pieces)
        #expect(check.fault == nil && check.count == whole.count)
    }

    @Test func isTheSameWhereverItIsCut() {
        let whole = NumberedStream.bytes(from: 0, count: 100)
        for offset in 0..<50 {
            for count in [0, 1, 8, 13, 50] {
                #expect(
                    NumberedStream.bytes(from: offset, count: count) == Array(whole[offset..<(offset + count)]))
            }
        }
    }

    @Test func tellsLostBytes() {
        let first = NumberedStream.bytes(from: 0, count: Self.pieceSize)
        let later = NumberedStream.bytes(from: Self.pieceSize + 1_350, count: Self.pieceSize)
        #expect(Self.checked([first, later]).fault == .lost(1_350, at: Self.pieceSize))
    }

    @Test func tellsRepeatedBytes() {
        let first = NumberedStream.bytes(from: 0, count: Self.pieceSize)
        #expect(Self.checked([first, first]).fault == .repeated(Self.pieceSize, at: Self.pieceSize))
    }

    @Test func tellsCorruptBytes() {
        var piece = NumberedStream.bytes(from: 0, count: Self.pieceSize)
        piece[500] ^= 4
        #expect(Self.checked([piece]).fault == .corrupt(at: 500))
    }

    @Test func keepsTheFirstFault() {
        let first = NumberedStream.bytes(from: 0, count: Self.pieceSize)
        let check = Self.checked([first, first, [0, 0, 0]])
        #expect(check.fault == .repeated(Self.pieceSize, at: Self.pieceSize))
        #expect(check.count == 2 * Self.pieceSize + 3)
    }
}
