import Primitives

/// Slows down who guesses tokens: after some failures a source has to wait, twice as long with each further one.
///
/// One for each worker. The source is the client's IPv4 address or IPv6 /64 network, since a client has a whole one.
struct FailureLimiter {
    /// Failures that cost nothing: a user who mistypes.
    static let freeFailures = 5
    /// The wait after the first failure beyond the free ones.
    static let firstWait = Interval.seconds(1)
    /// The longest wait; also how long a source is remembered after its last failure.
    static let longestWait = Interval.seconds(300)
    /// Sources remembered at once; beyond it the one that failed longest ago is forgotten. Bounds memory.
    static let maximumSources = 16_384

    private struct Record {
        var failures = 0
        var blockedUntil = Instant.origin
        var last = Instant.origin
    }

    private var records: [IPAddress: Record] = [:]

    /// Whether a source may try now.
    func mayTry(_ source: IPAddress, at now: Instant) -> Bool {
        guard let record = records[Self.network(of: source)] else { return true }
        return now >= record.blockedUntil
    }

    mutating func failed(_ source: IPAddress, at now: Instant) {
        let network = Self.network(of: source)
        var record = records[network] ?? Record()
        if now - record.last > Self.longestWait { record = Record() }
        record.failures += 1
        record.last = now
        let excess = record.failures - Self.freeFailures
        if excess > 0 {
            let wait = Self.firstWait * (1 << Int64(min(excess - 1, 16)))
            record.blockedUntil = now + min(wait, Self.longestWait)
        }
        records[network] = record
        if records.count > Self.maximumSources { forgetOldest() }
    }

    mutating func succeeded(_ source: IPAddress) { records[Self.network(of: source)] = nil }

    private mutating func forgetOldest() {
        guard let oldest = records.min(by: { $0.value.last < $1.value.last }) else { return }
        records[oldest.key] = nil
    }

    private static func network(of source: IPAddress) -> IPAddress {
        let address = source.effective
        return address.family == .ipv4 ? address : IPAddress(ipv6High: address.high, low: 0)
    }
}
