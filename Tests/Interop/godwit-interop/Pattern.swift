import Primitives
import QUIC

/// Bytes that both ends can compute: the byte at an offset depends on the offset alone (see support/pattern.py).
enum Pattern {
    /// Bytes after which the pattern begins again; a prime, so that a piece in the wrong place shows.
    static let period = 65_521

    /// One period: the upper bytes of a linear congruential generator.
    static let block: [UInt8] = {
        var state: UInt32 = 1
        return (0..<period).map { _ in
            state = (state &* 1_103_515_245 &+ 12_345) & 0x7fff_ffff
            return UInt8(truncatingIfNeeded: state >> 16)
        }
    }()
}

/// Takes bytes in order and remembers where they first differ from the pattern.
struct PatternChecker {
    private(set) var count: UInt64 = 0
    private(set) var firstDifference: UInt64?

    mutating func feed(_ bytes: Span<UInt8>) {
        let block = Pattern.block
        var position = Int(count % UInt64(Pattern.period))
        if firstDifference == nil {
            for index in bytes.indices {
                guard bytes[index] == block[position] else {
                    firstDifference = count + UInt64(index)
                    break
                }
                position += 1
                if position == Pattern.period { position = 0 }
            }
        }
        count += UInt64(bytes.count)
    }
}

/// Gives a stream the pattern, in pieces, as it takes them.
struct PatternSource {
    /// Bytes that may wait in the stream; more is written once some of them have left.
    private static let mostUnsent = 1 << 20

    let total: UInt64
    private(set) var written: UInt64 = 0

    init(total: UInt64) { self.total = total }

    var isExhausted: Bool { written == total }

    /// Writes as much as may wait.
    ///
    /// - Returns: the number of bytes written.
    mutating func fill(_ id: StreamID, of connection: Connection) -> UInt64 {
        let before = written
        while !isExhausted, connection.unsentBytes(on: id) < Self.mostUnsent {
            let start = Int(written % UInt64(Pattern.period))
            let count = Int(min(total - written, UInt64(Pattern.period - start)))
            let piece = Array(Pattern.block[start..<start + count])
            connection.write(piece.span, to: id)
            written += UInt64(count)
        }
        return written - before
    }
}
