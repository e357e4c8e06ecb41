internal import COpenSSL

/// Key material: immutable bytes that are wiped when the last reference goes, and compared in constant time.
@safe public final class SecretBytes: Sendable {
    /// The number of bytes.
    public let count: Int
    // Written only before `init` returns and in `deinit`, so that sharing it between threads is sound.
    private nonisolated(unsafe) let storage: UnsafeMutablePointer<UInt8>

    /// Copies bytes; the caller's copy is the caller's to wipe.
    public convenience init(_ bytes: [UInt8]) {
        self.init(copying: bytes.span)
    }

    /// Copies bytes; the caller's copy is the caller's to wipe.
    public convenience init(copying bytes: Span<UInt8>) {
        self.init(count: bytes.count) { target in
            for index in 0..<target.count { target[index] = bytes[index] }
        }
    }

    /// Creates `count` bytes, which `body` is given zeroed and fills in place, so that no other copy need exist.
    public init(count: Int, filledBy body: (inout MutableSpan<UInt8>) -> Void) {
        self.count = count
        // One owner allocates and frees the bytes: an array might copy them behind our back and leave the copy unwiped.
        unsafe storage = .allocate(capacity: max(count, 1))
        unsafe storage.initialize(repeating: 0, count: max(count, 1))
        var target = unsafe MutableSpan(_unsafeStart: storage, count: count)
        body(&target)
    }

    deinit {
        // OPENSSL_cleanse is not removed by the optimiser as a plain store before a free would be.
        unsafe OPENSSL_cleanse(storage, count)
        unsafe storage.deallocate()
    }

    /// The bytes, for as long as the object is borrowed.
    public var span: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get {
            // The storage lives as long as the object and never changes.
            unsafe _overrideLifetime(Span(_unsafeStart: storage, count: count), borrowing: self)
        }
    }
}

extension SecretBytes: Equatable {
    /// Compares in a time that depends on the lengths only.
    public static func == (a: SecretBytes, b: SecretBytes) -> Bool { constantTimeEqual(a.span, b.span) }
}

extension SecretBytes: CustomStringConvertible {
    /// The length; never the bytes, so that no log can carry them.
    public var description: String { "\(count) secret bytes" }
}

/// Whether two byte strings are the same, in a time that depends on their lengths only.
public func constantTimeEqual(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    // Pointers are valid for the call; lengths were compared above.
    return unsafe a.withUnsafeBufferPointer { left in
        unsafe b.withUnsafeBufferPointer { right in
            unsafe left.isEmpty || CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
        }
    }
}
