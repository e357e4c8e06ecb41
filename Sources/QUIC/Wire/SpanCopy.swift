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

    /// Stores the bytes of a word, as they stand in memory, from `offset` on; traps when they do not fit.
    @_lifetime(self: copy self)
    @inline(__always)
    mutating func store<Word: FixedWidthInteger & BitwiseCopyable>(_ word: Word, at offset: Int) {
        // Integers have no padding, and that the word fits is checked.
        var target = unsafe mutableBytes
        target.storeBytes(of: word, toByteOffset: offset, as: Word.self)
    }
}

extension Span<UInt8> {
    /// Whether the bytes are those of `other`; for bytes that are no secret.
    func isEqual(to other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        let width = MemoryLayout<UInt64>.size
        guard count >= width else { return indices.allSatisfy { self[$0] == other[$0] } }
        // Words, the last of which may overlap the one before; every load lies inside both, as their lengths are the same.
        var offset = 0
        while offset < count {
            let place = Swift.min(offset, count - width)
            let left = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self)
            let right = unsafe other.bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self)
            guard left == right else { return false }
            offset += width
        }
        return true
    }
}
