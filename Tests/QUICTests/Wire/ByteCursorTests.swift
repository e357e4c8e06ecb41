import Primitives
import Testing

@testable import QUIC

@Suite("Byte cursors")
struct ByteCursorTests {
    @Test("bulk writes copy every byte to its place")
    func bulkWrite() {
        for count in [0, 1, 7, 64, 1_200] {
            let source = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let bytes = written { writer in
                writer.write(0xaa)
                writer.write(source.span)
                writer.write(repeating: 0xbb, count: 3)
            }
            #expect(bytes == [0xaa] + source + [0xbb, 0xbb, 0xbb])
        }
    }

    @Test("bulk writes leave the bytes around them alone")
    func neighbours() {
        var buffer: [UInt8] = [1, 2, 3, 4, 5]
        let source: [UInt8] = [9, 8]
        do {
            var span = buffer.mutableSpan
            span.copy(source.span, at: 2)
        }
        #expect(buffer == [1, 2, 9, 8, 5])
        let nothing: [UInt8] = []
        do {
            var span = buffer.mutableSpan
            span.copy(nothing.span, at: 5)
        }
        #expect(buffer == [1, 2, 9, 8, 5])
    }

    @Test("reserved fields are filled in big-endian order")
    func reservedField() {
        let bytes = written { writer in
            writer.write(7)
            let field = writer.reserve(4)
            writer.write(8)
            writer.bytes.fill(field, with: 0x1_0203_0405)
        }
        #expect(bytes == [7, 2, 3, 4, 5, 8])
    }

    @Test("ranges longer than the rest are refused whatever their length")
    func longRanges() {
        let bytes: [UInt8] = [1, 2, 3]
        for count in [4, UInt64(Int.max), UInt64(Int.max) + 1, UInt64.max] {
            var reader = ByteReader(bytes.span)
            let range = try? reader.readRange(count: count)
            #expect(range == nil)
        }
    }

    @Test("a cursor can start anywhere, also past the end")
    func startingPoint() {
        let bytes: [UInt8] = [1, 2, 3]
        for (start, remaining) in [(-1, 3), (0, 3), (2, 1), (3, 0), (9, 0)] {
            let rest = ByteReader(bytes.span, from: start).remaining
            #expect(rest == remaining)
        }
    }

    @Test("connection IDs of every length survive the round trip", arguments: 0...20)
    func connectionIDs(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: 0xf1 &+ $0 &* 13) }
        let id = ConnectionID(bytes)
        #expect(id?.bytes == bytes)
        #expect(written { $0.write(id ?? .empty) } == bytes)
        #expect(id.map { value in (0..<value.count).map { value[$0] } } == bytes)
    }

    @Test("connection IDs differ when a byte or the length does")
    func connectionIDEquality() {
        #expect(ConnectionID([1, 2]) != ConnectionID([1, 2, 0]))
        #expect(ConnectionID([1, 2]) != ConnectionID([1, 3]))
        #expect(ConnectionID([UInt8](repeating: 1, count: 21)) == nil)
    }
}
