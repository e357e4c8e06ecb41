/// A point on a monotonic clock, in nanoseconds from an origin that only the clock's owner knows.
///
/// Protocol code never reads a clock: every input carries the instant at which it happened.
public struct Instant: Hashable, Comparable, Sendable {
    /// Nanoseconds since the clock's origin.
    public var nanoseconds: Int64

    /// Creates an instant from nanoseconds since the clock's origin.
    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The clock's origin.
    @inlinable
    public static var origin: Instant { Instant(nanoseconds: 0) }

    @inlinable
    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Later by an interval; saturates at the ends of the range.
    @inlinable
    public static func + (a: Instant, b: Interval) -> Instant {
        Instant(nanoseconds: a.nanoseconds.addingSaturating(b.nanoseconds))
    }

    /// Earlier by an interval; saturates at the ends of the range.
    @inlinable
    public static func - (a: Instant, b: Interval) -> Instant {
        Instant(nanoseconds: a.nanoseconds.subtractingSaturating(b.nanoseconds))
    }

    /// The interval from `b` to `a`.
    @inlinable
    public static func - (a: Instant, b: Instant) -> Interval {
        Interval(nanoseconds: a.nanoseconds.subtractingSaturating(b.nanoseconds))
    }

    @inlinable
    public static func += (a: inout Instant, b: Interval) { a = a + b }
}

/// A signed span of time in nanoseconds; arithmetic saturates.
public struct Interval: Hashable, Comparable, Sendable {
    /// Length in nanoseconds.
    public var nanoseconds: Int64

    /// Creates an interval from nanoseconds.
    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The empty interval.
    @inlinable
    public static var zero: Interval { Interval(nanoseconds: 0) }
    /// The longest interval that can be expressed, about 292 years.
    @inlinable
    public static var max: Interval { Interval(nanoseconds: .max) }

    /// An interval of whole nanoseconds.
    @inlinable
    public static func nanoseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n) }
    /// An interval of whole microseconds.
    @inlinable
    public static func microseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n.multiplyingSaturating(1_000)) }
    /// An interval of whole milliseconds.
    @inlinable
    public static func milliseconds(_ n: Int64) -> Interval {
        Interval(nanoseconds: n.multiplyingSaturating(1_000_000))
    }
    /// An interval of whole seconds.
    @inlinable
    public static func seconds(_ n: Int64) -> Interval {
        Interval(nanoseconds: n.multiplyingSaturating(1_000_000_000))
    }

    /// Length in microseconds, rounded toward zero.
    @inlinable
    public var microseconds: Int64 { nanoseconds / 1_000 }
    /// Length in milliseconds, rounded toward zero.
    @inlinable
    public var milliseconds: Int64 { nanoseconds / 1_000_000 }
    /// Length in seconds, for display and for formulas that are stated in seconds.
    @inlinable
    public var seconds: Double { Double(nanoseconds) / 1e9 }

    @inlinable
    public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable
    public static func + (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds.addingSaturating(b.nanoseconds))
    }
    @inlinable
    public static func - (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds.subtractingSaturating(b.nanoseconds))
    }
    @inlinable
    public static func * (a: Interval, b: Int64) -> Interval {
        Interval(nanoseconds: a.nanoseconds.multiplyingSaturating(b))
    }
    /// Division by a constant; `b` must not be zero.
    @inlinable
    public static func / (a: Interval, b: Int64) -> Interval { Interval(nanoseconds: a.nanoseconds / b) }
    @inlinable
    public static func += (a: inout Interval, b: Interval) { a = a + b }

    /// The distance from zero.
    @inlinable
    public var magnitude: Interval {
        nanoseconds < 0 ? Interval(nanoseconds: Int64(0).subtractingSaturating(nanoseconds)) : self
    }
}

extension FixedWidthInteger {
    /// The sum, or the nearest representable value.
    @inlinable
    public func addingSaturating(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    /// The difference, or the nearest representable value.
    @inlinable
    public func subtractingSaturating(_ other: Self) -> Self {
        let (difference, overflow) = subtractingReportingOverflow(other)
        guard overflow else { return difference }
        return Self.isSigned && other < 0 ? .max : .min
    }

    /// The product, or the nearest representable value.
    @inlinable
    public func multiplyingSaturating(_ other: Self) -> Self {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) != (other < 0) ? .min : .max) : product
    }
}

extension Optional<Instant> {
    /// The earlier of two deadlines, of which each may be none.
    @inlinable
    public func sooner(_ other: Instant?) -> Instant? {
        guard let self else { return other }
        guard let other else { return self }
        return Swift.min(self, other)
    }
}

extension Instant {
    /// This one if it comes after another one.
    @inlinable
    public func after(_ other: Instant) -> Instant? { self > other ? self : nil }
}
