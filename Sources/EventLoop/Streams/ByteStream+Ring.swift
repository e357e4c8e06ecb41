public import Primitives

extension ByteStream {
    /// Bytes for which a ring makes room before a read, as far as its limit allows: what a fast peer fills at once.
    public static let readSize = 64 * 1024

    /// Bytes that one read takes at most: what is worked on next should be in the processor's cache then.
    public static let mostPerRead = 128 * 1024

    /// Reads straight into the free part of a ring, with one call.
    public func read(into ring: ByteRing) -> ReadOutcome {
        var outcome = ReadOutcome.wouldBlock
        // The regions are the ring's own and used during the call only.
        unsafe ring.withWritableRegions(minimum: Self.readSize) { first, second in
            let head = unsafe UnsafeMutableRawBufferPointer(rebasing: first.prefix(Self.mostPerRead))
            let tail = unsafe UnsafeMutableRawBufferPointer(rebasing: second.prefix(Self.mostPerRead - head.count))
            outcome = unsafe read(into: head, tail)
            guard case .bytes(let count) = outcome else { return 0 }
            return count
        }
        return outcome
    }
}
