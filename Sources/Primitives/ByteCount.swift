/// A number of bytes; arithmetic saturates, so that figures a peer invents cannot trap.
public struct ByteCount: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral {
    /// The number of bytes.
    public var bytes: Int64

    /// Creates a count from an integer literal of bytes.
    @inlinable
    public init(integerLiteral value: Int64) { bytes = value }
    /// Creates a count from a number of bytes; a value too large to hold becomes the largest one.
    @inlinable
    public init(_ bytes: some BinaryInteger) { self.bytes = Int64(clamping: bytes) }

    /// A count of kibibytes.
    @inlinable
    public static func kibibytes(_ n: Int64) -> ByteCount { ByteCount(n.multiplyingSaturating(1 << 10)) }
    /// A count of mebibytes.
    @inlinable
    public static func mebibytes(_ n: Int64) -> ByteCount { ByteCount(n.multiplyingSaturating(1 << 20)) }

    /// No bytes.
    @inlinable
    public static var zero: ByteCount { 0 }
    /// The largest count that can be expressed.
    @inlinable
    public static var max: ByteCount { ByteCount(Int64.max) }

    /// The number of bytes as `Int`.
    @inlinable
    public var int: Int { Int(clamping: bytes) }

    @inlinable
    public static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }
    @inlinable
    public static func + (a: ByteCount, b: ByteCount) -> ByteCount { ByteCount(a.bytes.addingSaturating(b.bytes)) }
    @inlinable
    public static func - (a: ByteCount, b: ByteCount) -> ByteCount {
        ByteCount(a.bytes.subtractingSaturating(b.bytes))
    }
    @inlinable
    public static func * (a: ByteCount, b: Int64) -> ByteCount { ByteCount(a.bytes.multiplyingSaturating(b)) }
    /// Division by a constant; `b` must not be zero.
    @inlinable
    public static func / (a: ByteCount, b: Int64) -> ByteCount { ByteCount(a.bytes / b) }
    @inlinable
    public static func += (a: inout ByteCount, b: ByteCount) { a = a + b }
    @inlinable
    public static func -= (a: inout ByteCount, b: ByteCount) { a = a - b }
}

/// A rate of transfer.
public struct BitRate: Hashable, Comparable, Sendable {
    /// Bits in a second.
    public var bitsPerSecond: Int64

    /// Creates a rate from bits in a second.
    @inlinable
    public init(bitsPerSecond: Int64) { self.bitsPerSecond = bitsPerSecond }

    /// A rate in units of 10^6 bits a second.
    @inlinable
    public static func megabits(_ n: Int64) -> BitRate { BitRate(bitsPerSecond: n.multiplyingSaturating(1_000_000)) }

    /// The rate at which `count` passes in `interval`; the fastest rate when the interval is not positive.
    @inlinable
    public init(_ count: ByteCount, in interval: Interval) {
        guard interval > .zero else {
            bitsPerSecond = .max
            return
        }
        let perSecond = Double(count.bytes) * 8e9 / Double(interval.nanoseconds)
        bitsPerSecond = perSecond >= 9e18 ? .max : Int64(perSecond)
    }

    /// The time that `count` takes at this rate; the longest interval when the rate is not positive.
    @inlinable
    public func interval(for count: ByteCount) -> Interval {
        guard bitsPerSecond > 0 else { return .max }
        let nanoseconds = Double(count.bytes) * 8e9 / Double(bitsPerSecond)
        return nanoseconds >= 9e18 ? .max : Interval(nanoseconds: Int64(nanoseconds))
    }

    @inlinable
    public static func < (a: BitRate, b: BitRate) -> Bool { a.bitsPerSecond < b.bitsPerSecond }
}
