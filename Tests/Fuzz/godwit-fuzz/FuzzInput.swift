/// Takes the fuzzer's bytes apart, from the front. Where there are none left it gives zeros, so that every input means
/// something.
struct FuzzInput {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    var isEmpty: Bool { bytes.isEmpty }

    mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    /// A number below `limit`, from one byte.
    mutating func number(below limit: Int) -> Int { Int(byte()) % max(1, limit) }

    /// A number of two bytes, the higher one first.
    mutating func word() -> Int { Int(byte()) << 8 | Int(byte()) }

    /// So many bytes, or as many as there are.
    mutating func take(_ count: Int) -> [UInt8] {
        let taken = bytes.prefix(count)
        bytes = bytes.dropFirst(count)
        return Array(taken)
    }

    /// Bytes behind a length of two bytes.
    mutating func block(atMost limit: Int = 2_000) -> [UInt8] { take(min(word(), limit)) }

    mutating func rest() -> [UInt8] {
        defer { bytes = [] }
        return Array(bytes)
    }
}

/// Bytes cut in two at a place that the first byte chooses, for decoders that take pieces: both ways must come to the same.
func pieces(_ input: [UInt8]) -> (whole: [UInt8], first: [UInt8], second: [UInt8]) {
    guard let position = input.first else { return ([], [], []) }
    let whole = Array(input.dropFirst())
    let cut = Int(position) % (whole.count + 1)
    return (whole, Array(whole[..<cut]), Array(whole[cut...]))
}

extension [UInt8] {
    /// With its length before it, as `FuzzInput.block` reads it.
    var asBlock: [UInt8] { [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + self }
}
