/// A cursor that encodes into a caller's buffer, in place.
///
/// Callers ask `remaining` before they write what may not fit; writing past the end is a programming error and traps.
public struct ByteWriter: ~Copyable, ~Escapable {
    /// The whole buffer, written and not yet written.
    public var bytes: MutableSpan<UInt8>
    /// Bytes written so far; the index of the next one.
    public private(set) var position: Int

    /// Starts at the first byte of `bytes`.
    @_lifetime(&bytes)
    public init(_ bytes: inout MutableSpan<UInt8>) {
        self.bytes = bytes._mutatingExtracting(0..<bytes.count)
        position = 0
    }

    /// Goes on at `position`; what stands before it is kept.
    @_lifetime(&bytes)
    init(_ bytes: inout MutableSpan<UInt8>, at position: Int) {
        self.init(bytes: bytes._mutatingExtracting(0..<bytes.count), position: position)
    }

    @_lifetime(copy bytes)
    private init(bytes: consuming MutableSpan<UInt8>, position: Int) {
        self.bytes = bytes
        self.position = position
    }

    /// Takes back what was written from `position` on.
    @_lifetime(self: copy self)
    mutating func rewind(to position: Int) {
        precondition(position <= self.position, "rewinding forward")
        self.position = position
    }

    /// Bytes that still fit.
    public var remaining: Int { bytes.count - position }

    /// Appends one byte.
    @_lifetime(self: copy self)
    public mutating func write(_ byte: UInt8) {
        bytes[position] = byte
        position += 1
    }

    /// Appends a big-endian unsigned integer of `width` bytes; higher bits of `value` are dropped.
    @_lifetime(self: copy self)
    public mutating func write(_ value: UInt64, width: Int) {
        // Whole words where there are such: every number of a packet passes here.
        switch width {
        case 1: bytes[position] = UInt8(truncatingIfNeeded: value)
        case 2: bytes.store(UInt16(truncatingIfNeeded: value).bigEndian, at: position)
        case 4: bytes.store(UInt32(truncatingIfNeeded: value).bigEndian, at: position)
        case 8: bytes.store(value.bigEndian, at: position)
        default: bytes.fill(position..<position + width, with: value)
        }
        position += width
    }

    /// Appends a variable-length integer in its shortest form (RFC 9000 §16); `value` is below 2^62.
    @_lifetime(self: copy self)
    public mutating func writeVarint(_ value: UInt64) {
        writeVarint(value, width: Varint.width(of: value))
    }

    /// Appends a variable-length integer in a form of `width` bytes (1, 2, 4 or 8) that can hold it.
    @_lifetime(self: copy self)
    public mutating func writeVarint(_ value: UInt64, width: Int) {
        let prefix = UInt64(width.trailingZeroBitCount) << UInt64(8 * width - 2)
        write(prefix | value, width: width)
    }

    /// Appends bytes.
    @_lifetime(self: copy self)
    public mutating func write(_ source: Span<UInt8>) {
        bytes.copy(source, at: position)
        position += source.count
    }

    /// Appends `count` times the same byte.
    @_lifetime(self: copy self)
    public mutating func write(repeating byte: UInt8, count: Int) {
        var target = bytes._mutatingExtracting(position..<position + count)
        target.update(repeating: byte)
        position += count
    }

    /// Leaves `count` bytes to be filled in by the caller through `bytes`, and tells where they stand.
    @_lifetime(self: copy self)
    public mutating func reserve(_ count: Int) -> Range<Int> {
        precondition(count <= remaining, "reserve past the end of the buffer")
        let start = position
        position += count
        return start..<position
    }
}

extension MutableSpan<UInt8> {
    /// Fills a field that was reserved before with a big-endian unsigned integer; higher bits of `value` are dropped.
    @_lifetime(self: copy self)
    mutating func fill(_ field: Range<Int>, with value: UInt64) {
        var rest = value
        for index in field.reversed() {
            self[index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
    }
}

/// Variable-length integers (RFC 9000 §16).
public enum Varint {
    /// The largest value that can be expressed.
    public static let max: UInt64 = 1 << 62 - 1

    /// Bytes that the shortest form of `value` takes.
    @inlinable
    public static func width(of value: UInt64) -> Int {
        if value < 1 << 6 { return 1 }
        if value < 1 << 14 { return 2 }
        if value < 1 << 30 { return 4 }
        return 8
    }
}
