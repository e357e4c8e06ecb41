/// What every transfer carries: the byte at an offset depends on nothing but the offset, so that each one is checked.
enum BenchmarkPattern {
    /// Bytes after which it begins anew; a prime, so that no buffer's size hides a byte that is displaced.
    static let period = 65_521
    /// Bytes written and read at once.
    static let piece = 256 * 1024

    /// The stream from the beginning of a period, so long that a piece from any offset lies in it.
    private static let bytes: [UInt8] = {
        var state: UInt32 = 1
        let once = (0..<period).map { _ -> UInt8 in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: state >> 24)
        }
        return (0..<(period + piece)).map { once[$0 % period] }
    }()

    /// Writes so many bytes of the stream from its beginning.
    static func write(_ count: UInt64, to stream: BlockingStream) throws(BenchmarkFailure) {
        var offset: UInt64 = 0
        while offset < count {
            let start = Int(offset % UInt64(period))
            let length = Int(min(UInt64(piece), count - offset))
            try stream.write(bytes.span.extracting(start..<start + length))
            offset += UInt64(length)
        }
    }

    /// Reads to the end, or until `isEnough` of the bytes so far, and compares every byte.
    ///
    /// - Returns: how many bytes came.
    static func check(
        _ stream: BlockingStream, until isEnough: (UInt64) -> Bool = { _ in false }
    ) throws(BenchmarkFailure) -> UInt64 {
        var buffer = [UInt8](repeating: 0, count: piece)
        var offset: UInt64 = 0
        while !isEnough(offset) {
            var region = buffer.mutableSpan
            let count = try stream.read(into: &region)
            if count == 0 { break }
            let start = Int(offset % UInt64(period))
            guard bytes[start..<start + count] == buffer[..<count] else {
                throw BenchmarkFailure("a byte came wrong between offsets \(offset) and \(offset + UInt64(count))")
            }
            offset += UInt64(count)
        }
        return offset
    }
}
