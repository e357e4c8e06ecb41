import Primitives

/// What networks carried that a connection was in before, so that a return does not begin like a first visit
/// (handover between a few networks is the usual case; draft-ietf-tsvwg-careful-resume).
struct NetworkMemory: Equatable {
    /// Networks that are remembered; the oldest is forgotten first. Bounds memory per connection.
    static let maximumEntries = 8
    /// How long a network is remembered: later, others may use it.
    static let lifetime = Interval.seconds(900)
    /// A round-trip time this many times longer than before is another network, or one under load.
    static let longestRTTFactor: Int64 = 10

    /// What one network carried.
    struct Entry: Equatable, Sendable {
        /// The congestion window in bytes.
        var window: Int
        /// The smallest round-trip time.
        var minimumRTT: Interval
        /// When it was left.
        var leftAt: Instant

        /// Whether a network with this round-trip time may be the same one.
        func isPlausible(for sample: Interval, at now: Instant) -> Bool {
            now - leftAt <= NetworkMemory.lifetime && sample >= minimumRTT / 2
                && sample <= minimumRTT * NetworkMemory.longestRTTFactor
        }
    }

    private struct Known: Equatable {
        var local: IPAddress
        var remote: IPAddress
        var entry: Entry
    }

    /// The most recently left one last.
    private var known: [Known] = []

    /// Enters what a path carried that is left; ports do not matter, a NAT changes them.
    mutating func remember(_ path: NetworkPath, at now: Instant) {
        guard let entry = path.books.entry(at: now) else { return }
        known.removeAll { $0.local == path.local.ip && $0.remote == path.remote.ip }
        if known.count == Self.maximumEntries { known.removeFirst() }
        known.append(Known(local: path.local.ip, remote: path.remote.ip, entry: entry))
    }

    /// What the network between two addresses carried; nil when it was never left.
    func recall(from local: IPAddress, to remote: IPAddress) -> Entry? {
        known.last { $0.local == local && $0.remote == remote }?.entry
    }
}
