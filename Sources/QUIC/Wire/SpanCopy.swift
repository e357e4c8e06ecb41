extension MutableSpan<UInt8> {
    /// Copies all of `source` to the bytes from `offset` on; traps when they do not fit.
    ///
    /// `MutableSpan` of this toolchain has no bulk copy, and a loop costs a bounds check for every byte of payload.
    @_lifetime(self: copy self)
    public mutating func copy(_ source: Span<UInt8>, at offset: Int) {
        guard !source.isEmpty else { return }
        precondition(
            offset >= 0 && offset <= count && source.count <= count - offset, "copy past the end of the buffer")
        // The bounds were checked above; exclusive access to self rules out overlap.
        unsafe withUnsafeMutableBufferPointer { target in
            unsafe source.withUnsafeBufferPointer { bytes in
                guard let from = bytes.baseAddress, let to = target.baseAddress else { return }
                unsafe (to + offset).update(from: from, count: bytes.count)
            }
        }
    }
}
