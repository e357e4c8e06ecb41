/// The part of a representation that a 206 answer has (RFC 9110 §14.4): `bytes 500-999/8000`.
struct ContentRange: Hashable, Sendable {
    /// The first byte.
    let first: UInt64
    /// The last byte, itself included.
    let last: UInt64
    /// Bytes in the whole representation; nil when the answer does not say (`*`).
    let completeLength: UInt64?

    /// Nil for anything else, also for the form without a part that a 416 answer has.
    init?(_ text: ArraySlice<UInt8>) {
        let words = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 2, String(decoding: words[0], as: UTF8.self).lowercased() == "bytes" else { return nil }
        let parts = words[1].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let ends = parts[0].split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Octet.decimal(ends[0]), let last = Octet.decimal(ends[1]), first <= last
        else { return nil }
        let isUnknown = parts[1].elementsEqual([UInt8(ascii: "*")])
        let completeLength = isUnknown ? nil : Octet.decimal(parts[1])
        guard isUnknown || completeLength.map({ last < $0 }) == true else { return nil }
        self.first = first
        self.last = last
        self.completeLength = completeLength
    }

    /// Bytes in the part.
    var count: UInt64 { last - first + 1 }
}
