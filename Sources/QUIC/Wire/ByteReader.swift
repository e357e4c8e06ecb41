/// A cursor over received bytes: it checks the length before every index, so that no input can trap it.
public struct ByteReader: ~Escapable {
    /// What the cursor runs over.
    public let bytes: Span<UInt8>
    /// Bytes consumed so far; the index of the next one.
    public private(set) var position: Int

    /// Starts at the first byte of `bytes`.
    @_lifetime(copy bytes)
    public init(_ bytes: Span<UInt8>) {
        self.bytes = bytes
        position = 0
    }

    /// Starts at the byte with index `start`, or at the end when there is no such byte.
    @_lifetime(copy bytes)
    public init(_ bytes: Span<UInt8>, from start: Int) {
        self.bytes = bytes
        position = min(max(start, 0), bytes.count)
    }

    /// Bytes not yet consumed.
    public var remaining: Int { bytes.count - position }
    /// Whether everything was consumed.
    public var isAtEnd: Bool { position == bytes.count }

    /// Consumes one byte.
    @_lifetime(self: copy self)
    public mutating func readByte() throws(Truncated) -> UInt8 {
        guard position < bytes.count else { throw Truncated() }
        let byte = bytes[position]
        position += 1
        return byte
    }

    /// Consumes a big-endian unsigned integer of `width` bytes (1 to 8).
    @_lifetime(self: copy self)
    public mutating func readInteger(width: Int) throws(Truncated) -> UInt64 {
        guard width <= remaining else { throw Truncated() }
        var value: UInt64 = 0
        for index in position..<position + width { value = value << 8 | UInt64(bytes[index]) }
        position += width
        return value
    }

    /// Consumes a variable-length integer (RFC 9000 §16).
    @_lifetime(self: copy self)
    public mutating func readVarint() throws(Truncated) -> UInt64 {
        guard position < bytes.count else { throw Truncated() }
        let first = bytes[position]
        let width = 1 << Int(first >> 6)
        guard width <= remaining else { throw Truncated() }
        var value = UInt64(first & 0x3f)
        for index in position + 1..<position + width { value = value << 8 | UInt64(bytes[index]) }
        position += width
        return value
    }

    /// Consumes `count` bytes and tells where in `bytes` they stand.
    @_lifetime(self: copy self)
    public mutating func readRange(count: UInt64) throws(Truncated) -> Range<Int> {
        guard count <= UInt64(remaining) else { throw Truncated() }
        let start = position
        position += Int(count)
        return start..<position
    }

    /// Consumes everything that is left and tells where in `bytes` it stands.
    @_lifetime(self: copy self)
    public mutating func readRest() -> Range<Int> {
        let start = position
        position = bytes.count
        return start..<position
    }

    /// Consumes bytes up to the first one that differs from `byte`, and tells how many there were.
    @_lifetime(self: copy self)
    public mutating func skipRun(of byte: UInt8) -> Int {
        let start = position
        while position < bytes.count, bytes[position] == byte { position += 1 }
        return position - start
    }
}

/// The bytes end before the value does.
public struct Truncated: Error, Equatable {
    /// Creates the error.
    public init() {}
}
