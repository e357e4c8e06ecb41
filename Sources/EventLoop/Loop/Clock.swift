internal import Glibc
public import Primitives

/// The only place of the project that reads a clock.
///
/// Protocol code gets its time from `EventLoop.now`, which is read once per wake-up and with each batch of datagrams; the other
/// readings are for what happens rarely: certificates, logs, noticing that the machine slept.
public enum Clock {
    /// The monotonic clock, which stands still while the machine sleeps; from outside of this room for measuring only.
    public static func monotonic() -> Instant { Instant(nanoseconds: read(CLOCK_MONOTONIC)) }

    /// The time that the machine has slept since it was started.
    ///
    /// A growth between two readings means that the machine was suspended for that long in between.
    public static func timeAsleep() -> Interval {
        Interval(nanoseconds: max(0, read(CLOCK_BOOTTIME) - read(CLOCK_MONOTONIC)))
    }

    /// Seconds since 1970-01-01 00:00 UTC, for certificates and logs.
    public static func unixTime() -> Int64 { read(CLOCK_REALTIME) / 1_000_000_000 }

    /// Milliseconds since 1970-01-01 00:00 UTC, for logs.
    public static func unixMilliseconds() -> Int64 { read(CLOCK_REALTIME) / 1_000_000 }

    /// Has the calling thread do nothing for so long: for programs whose calls block, never on a loop.
    public static func wait(_ interval: Interval) {
        let (seconds, rest) = max(0, interval.nanoseconds).quotientAndRemainder(dividingBy: 1_000_000_000)
        var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(rest))
        var left = timespec()
        // A signal only cuts it short; what is left is written to `left`.
        while unsafe nanosleep(&wanted, &left) != 0, errno == EINTR { wanted = left }
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        // Fails only for a clock that does not exist; writes nothing but `time`.
        _ = unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
