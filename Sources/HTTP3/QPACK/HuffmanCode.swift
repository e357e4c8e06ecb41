/// The Huffman code of RFC 7541 Appendix B.
///
/// The code is canonical: among symbols of one length, codes count up with the symbol, and the next length goes on from
/// there. So the lengths say it all, and decoding needs one comparison a length and one table of symbols.
enum HuffmanCode {
    /// Bits of each symbol's code; index 256 is EOS.
    static let lengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28,
        28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15,
        6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
        20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23,
        23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22,
        22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26,
        27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27,
        26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
    ]

    /// The end-of-string symbol, which is never sent whole.
    static let endOfString = 256
    /// Bits of the longest code.
    static let maximumLength = 30

    /// Everything that follows from the lengths.
    struct Tables: Sendable {
        /// Each symbol's code, in the lowest bits.
        var codes = [UInt32](repeating: 0, count: 257)
        /// Symbols by length, then by number.
        var symbols: [UInt16] = []
        /// By length: the first code, aligned to the left of 30 bits.
        var first = [UInt32](repeating: 0, count: maximumLength + 1)
        /// By length: the end of its codes, aligned to the left of 30 bits; codes below it are not longer.
        var end = [UInt32](repeating: 0, count: maximumLength + 1)
        /// By length: where its symbols begin in `symbols`.
        var offset = [Int](repeating: 0, count: maximumLength + 1)

        init() {
            var code: UInt32 = 0
            for length in 1...maximumLength {
                code <<= 1
                let shift = UInt32(maximumLength - length)
                first[length] = code << shift
                offset[length] = symbols.count
                for symbol in 0...endOfString where lengths[symbol] == length {
                    codes[symbol] = code
                    symbols.append(UInt16(symbol))
                    code += 1
                }
                end[length] = code << shift
            }
        }
    }

    static let tables = Tables()

    /// Bytes that the encoded form of `text` takes.
    static func encodedCount(_ text: some Sequence<UInt8>) -> Int {
        var bits = 0
        for byte in text { bits += Int(lengths[Int(byte)]) }
        return (bits + 7) / 8
    }

    /// Appends the encoded form of `text`, filled up with the first bits of EOS (RFC 7541 §5.2).
    static func encode(_ text: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        let codes = tables.codes
        var window: UInt64 = 0
        var count = 0
        for byte in text {
            let length = Int(lengths[Int(byte)])
            window = window << UInt64(length) | UInt64(codes[Int(byte)])
            count += length
            while count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: window >> UInt64(count)))
            }
        }
        guard count > 0 else { return }
        let padding = UInt64(8 - count)
        bytes.append(UInt8(truncatingIfNeeded: window << padding | (1 << padding - 1)))
    }

    /// Decodes `input`; nil when it is not a valid encoding or decodes to more than `limit` bytes.
    static func decode(_ input: Span<UInt8>, limit: Int) -> [UInt8]? {
        let tables = tables
        var output: [UInt8] = []
        output.reserveCapacity(min(limit, input.count * 2))
        var window: UInt64 = 0
        var count = 0
        for index in input.indices {
            window = window << 8 | UInt64(input[index])
            count += 8
            while count >= 5 {
                let (symbol, length) = match(window, count: count, tables)
                guard length <= count else { break }
                // RFC 7541 §5.2: EOS in the string is an error.
                guard symbol != endOfString, output.count < limit else { return nil }
                output.append(UInt8(truncatingIfNeeded: symbol))
                count -= length
                window &= (1 << UInt64(count)) - 1
            }
        }
        // RFC 7541 §5.2: padding is shorter than a byte and the beginning of EOS, which is all ones.
        guard count < 8, window == (1 << UInt64(count)) - 1 else { return nil }
        return output
    }

    /// The first symbol in the lowest `count` bits of `window`, with its length; longer than `count` when the symbol is
    /// not complete.
    private static func match(_ window: UInt64, count: Int, _ tables: Tables) -> (symbol: Int, length: Int) {
        let aligned =
            count >= maximumLength
            ? UInt32(truncatingIfNeeded: window >> UInt64(count - maximumLength))
            : UInt32(truncatingIfNeeded: window << UInt64(maximumLength - count))
        for length in 5..<maximumLength where aligned < tables.end[length] {
            let rank = (aligned - tables.first[length]) >> UInt32(maximumLength - length)
            return (Int(tables.symbols[tables.offset[length] + Int(rank)]), length)
        }
        let rank = aligned - tables.first[maximumLength]
        return (Int(tables.symbols[tables.offset[maximumLength] + Int(rank)]), maximumLength)
    }
}
