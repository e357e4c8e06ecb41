public import Primitives

extension ByteStream {
    /// Bytes for which a ring makes room before a read, as far as its limit allows: what a fast peer fills at once.
    public static let readSize = 64 * 1024

    /// Reads straight into the free part of a ring, with one call.
    public func read(into ring: ByteRing) -> ReadOutcome {
        var outcome = ReadOutcome.wouldBlock
        // The regions are the ring's own and used during the call only.
        unsafe ring.withWritableRegions(minimum: Self.readSize) { first, second in
            outcome = unsafe read(into: first, second)
            guard case .bytes(let count) = outcome else { return 0 }
            return count
        }
        return outcome
    }
}
