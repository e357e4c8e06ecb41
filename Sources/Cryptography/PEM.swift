internal import COpenSSL

/// A memory BIO: the form in which OpenSSL reads and writes PEM.
@safe struct MemoryBIO: ~Copyable {
    let pointer: OpaquePointer?

    /// An empty BIO to write to.
    init() {
        unsafe pointer = BIO_new(BIO_s_mem())
        precondition(unsafe pointer != nil, "out of memory")
    }

    /// A BIO that yields a copy of `bytes`.
    init(_ bytes: [UInt8]) {
        self.init()
        // BIO_write copies; a memory BIO takes everything.
        _ = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe BIO_write(pointer, bytes.baseAddress, Int32(clamping: bytes.count))
        }
    }

    deinit { unsafe BIO_free_all(pointer) }

    /// What was written so far.
    var contents: [UInt8] {
        var start: UnsafePointer<UInt8>? = nil
        let count = unsafe godwit_bio_contents(pointer, &start)
        // The pointer stays valid until the BIO changes; the bytes are copied at once.
        return unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
    }
}
