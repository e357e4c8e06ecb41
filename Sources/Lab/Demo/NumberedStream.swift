import Primitives

/// Endless bytes whose every piece tells its own place: words of eight bytes that count up.
///
/// A receiver can therefore say not only that something is wrong but what: bytes missing, bytes from before, or others.
struct NumberedStream {
    /// Bytes of a word.
    static let wordSize = 8
    /// What a word's number is multiplied with, so that neighbours differ in many bits: odd, so that it can be undone.
    private static let spread: UInt64 = 0x9E37_79B9_7F4A_7C15
    /// What undoes the multiplication.
    private static let inverse: UInt64 = 0xF1DE_83E1_9937_733D

    /// The bytes from an offset on.
    static func bytes(from offset: Int, count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + wordSize)
        for number in (offset / wordSize)...((offset + count) / wordSize) {
            let bits = UInt64(truncatingIfNeeded: number) &* spread
            for shift in 0..<UInt64(wordSize) { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * shift))) }
        }
        bytes.removeFirst(offset % wordSize)
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

extension NumberedStream {
    /// Bytes in a piece that surely tells where it belongs: two words, however they are cut.
    static let tellingSize = 3 * wordSize - 1

    /// Where a piece of the stream belongs; nil for bytes that are not of it.
    static func offset(of piece: [UInt8]) -> Int? {
        guard piece.count >= tellingSize else { return nil }
        for shift in 0..<wordSize {
            let (first, second) = (number(piece, at: shift), number(piece, at: shift + wordSize))
            // Bytes of something else pass for two neighbours once in 2^64 times.
            guard second == first &+ 1, let word = Int(exactly: first), word <= Int.max / wordSize - 1 else { continue }
            return word * wordSize - shift
        }
        return nil
    }

    private static func number(_ piece: [UInt8], at offset: Int) -> UInt64 {
        piece[offset..<(offset + wordSize)].reversed().reduce(0) { $0 << 8 | UInt64($1) } &* inverse
    }
}

/// Checks what arrives of a numbered stream.
struct StreamCheck {
    /// What was wrong with a piece.
    enum Fault: Hashable, Sendable, CustomStringConvertible {
        /// So many bytes are missing at an offset.
        case lost(Int, at: Int)
        /// Bytes from so far before came at an offset: repeated, or in another order.
        case repeated(Int, at: Int)
        /// Bytes that were never sent came at an offset.
        case corrupt(at: Int)

        var description: String {
            switch self {
            case .lost(let count, let offset): "\(count) bytes lost at \(offset)"
            case .repeated(let count, let offset): "bytes from \(count) before came at \(offset)"
            case .corrupt(let offset): "corrupt bytes at \(offset)"
            }
        }
    }

    /// Bytes that came.
    private(set) var count = 0
    /// The first fault; later ones would only follow from it.
    private(set) var fault: Fault?

    /// Takes the next bytes.
    mutating func take(_ bytes: [UInt8]) {
        defer { count += bytes.count }
        guard fault == nil else { return }
        let expected = NumberedStream.bytes(from: count, count: bytes.count)
        guard bytes != expected else { return }
        let index = zip(bytes, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
        fault = Self.explain(Array(bytes[index...].prefix(NumberedStream.tellingSize)), at: count + index)
    }

    private static func explain(_ piece: [UInt8], at offset: Int) -> Fault {
        guard let found = NumberedStream.offset(of: piece), found != offset else { return .corrupt(at: offset) }
        return found > offset ? .lost(found - offset, at: offset) : .repeated(offset - found, at: offset)
    }
}
