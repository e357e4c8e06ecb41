import Primitives
import Testing

@testable import HTTP3

/// The bytes that hexadecimal digits stand for; spaces are skipped.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// `count` bytes from a generator.
func randomBytes(_ count: Int, using generator: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}

/// Cuts bytes into pieces of random sizes, some of them empty.
func pieces(of bytes: [UInt8], using generator: inout SeededGenerator) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var start = 0
    while start < bytes.count {
        let count = min(bytes.count - start, Int.random(in: 0...7, using: &generator))
        pieces.append(Array(bytes[start..<start + count]))
        start += count
    }
    return pieces
}

/// The variable-length encoding of a value, in a form of `width` bytes or the shortest.
func varint(_ value: UInt64, width: Int? = nil) -> [UInt8] {
    guard let width else {
        var bytes: [UInt8] = []
        bytes.appendVarint(value)
        return bytes
    }
    var bytes = (0..<width).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    bytes[0] |= UInt8(width.trailingZeroBitCount) << 6
    return bytes
}

/// A frame with its header.
func frame(_ type: UInt64, _ payload: [UInt8]) -> [UInt8] {
    varint(type) + varint(UInt64(payload.count)) + payload
}
