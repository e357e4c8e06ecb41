internal import COpenSSL

/// Random numbers from a ChaCha20 keystream under a 32-byte seed.
///
/// Nobody who lacks the seed can predict them: `system()` is for production, where the kernel gives the seed, and a
/// seed from a simulation reproduces the same numbers. Copies share one keystream, so that no two of them ever give
/// the same number; not for use by two threads at a time.
public struct KeyedGenerator: RandomNumberGenerator {
    /// Bytes in a seed.
    public static let seedLength = 32

    private let keystream: Keystream

    /// Starts the keystream of a seed of 32 bytes; one of another length is hashed to 32.
    public init(seed: [UInt8]) {
        keystream = Keystream(key: seed.count == Self.seedLength ? seed : SHA256.digest(seed.span))
    }

    /// Starts the keystream of a simulation's seed.
    public init(simulationSeed: UInt64) {
        self.init(seed: (0..<8).map { UInt8(truncatingIfNeeded: simulationSeed >> (8 * $0)) })
    }

    /// A generator whose seed comes from the system's source of randomness.
    public static func system() -> KeyedGenerator {
        KeyedGenerator(seed: systemRandomBytes(count: seedLength))
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        var value: UInt64 = 0
        for _ in 0..<8 { value = value << 8 | UInt64(keystream.nextByte()) }
        return value
    }

    /// Overwrites every byte of `bytes` with random ones.
    public mutating func fill(_ bytes: inout MutableSpan<UInt8>) {
        for index in 0..<bytes.count { bytes[index] = keystream.nextByte() }
    }

    /// An array of random bytes.
    public mutating func bytes(count: Int) -> [UInt8] {
        (0..<count).map { _ in keystream.nextByte() }
    }
}

/// Random bytes straight from the system's generator, for keys that are made once.
public func systemRandomBytes(count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // The pointer is valid for the call and has room for `count` bytes.
    let done = unsafe bytes.withUnsafeMutableBufferPointer { bytes in
        unsafe bytes.isEmpty || RAND_priv_bytes(bytes.baseAddress, Int32(clamping: bytes.count)) == 1
    }
    precondition(done, "the system gives no random bytes")
    return bytes
}

/// A ChaCha20 keystream, made a few blocks at a time.
private final class Keystream {
    /// Bytes made in one call; eight blocks keep the vector units busy and little is thrown away.
    private static let batch = 512

    private let context: CipherContext
    private var buffer = [UInt8](repeating: 0, count: Keystream.batch)
    private var position = Keystream.batch

    init(key: [UInt8]) {
        unsafe context = CipherContext(CipherSuite.chaCha20Poly1305.maskCipher, key: key.span, direction: .encrypt)
        let counterAndNonce = [UInt8](repeating: 0, count: 16)
        // The counter and the nonce are copied by the call.
        let done = unsafe counterAndNonce.withUnsafeBufferPointer { start in
            unsafe EVP_EncryptInit_ex2(context.pointer, nil, nil, start.baseAddress, nil)
        }
        precondition(done == 1, "libcrypto cannot start a keystream")
    }

    func nextByte() -> UInt8 {
        if position == Self.batch { refill() }
        let byte = buffer[position]
        // A number that was given out is forgotten.
        buffer[position] = 0
        position += 1
        return byte
    }

    private func refill() {
        // Every byte was given out and zeroed: encrypting zeros in place yields the keystream.
        let pointer = unsafe context.pointer
        let done = unsafe buffer.withUnsafeMutableBufferPointer { buffer in
            var count: Int32 = 0
            return unsafe EVP_EncryptUpdate(
                pointer, buffer.baseAddress, &count, buffer.baseAddress, Int32(buffer.count))
        }
        precondition(done == 1, "libcrypto cannot continue a keystream")
        position = 0
    }
}
