import Primitives

/// Finds the largest datagram that a network path carries (RFC 8899, RFC 9000 §14.3).
///
/// Sizes are UDP payloads. From the base it climbs over the sizes that networks usually have; where one fails below what
/// Ethernet carries it halves the distance. Large packets that keep vanishing are a black hole: back to the base, and another search later.
/// ```
///            next size arrives            nothing left to try
///  searching ◄───────────────┐ searching ─────────────────────► complete
///     ▲                                                            │
///     ├──────── raise timer ───────────────────────────────────────┤
///     └──────── black-hole timer ◄── black hole ◄──────────────────┘ (from searching, too)
/// ```
struct MTUDiscovery: Equatable, Sendable {
    /// The size that every path of QUIC carries (RFC 9000 §14: BASE_PLPMTU).
    static let base = 1_200
    /// The largest UDP payload over IPv4; no search goes beyond it.
    static let maximumCeiling = 65_507
    /// Sizes that networks usually carry: tunnels, Ethernet over IPv6 and IPv4, a page, jumbo frames, and the largest.
    static let ladder = [1_372, 1_452, 1_472, 4_052, 8_952, 16_332, 65_507]
    /// The largest size for which a gap between two rungs is searched: what Ethernet carries. Tunnels leave any size below
    /// it; above it networks are built for one of the usual sizes, and each size tried costs as many bytes again.
    static let largestSearched = 1_472
    /// Lost probes of one size after which it counts as too large (RFC 8899 §5.1.2: MAX_PROBES).
    static let maximumProbes = 3
    /// Differences that are not worth another probe.
    static let resolution = 20
    /// How long a result stands before larger sizes are tried again (RFC 8899 §5.1.1: PMTU_RAISE_TIMER).
    static let raiseInterval = Interval.seconds(600)
    /// How long to stay at the base after a black hole.
    static let blackHoleInterval = Interval.seconds(60)
    /// Loss bursts in a row, with packets above the base and none of them arriving between, that make a black hole.
    static let blackHoleBursts = 3

    private enum Phase: Equatable, Sendable {
        /// Trying sizes; everything from `failed` on is too large.
        case searching(failed: Int)
        /// At rest until the timer.
        case resting(until: Instant)
        /// At rest; the timer starts with the next call that knows the time.
        case complete
    }

    /// The size that datagrams may have.
    private(set) var currentSize: Int
    /// The size that no search goes beyond: what interface and peer accept.
    private(set) var ceiling: Int
    /// Black holes seen so far.
    private(set) var blackHoleCount: UInt64 = 0

    private var phase: Phase
    /// The probe on its way.
    private var probeInFlight: Int?
    /// Probes of the size now tried that were lost.
    private var lostProbes = 0
    /// Loss bursts since a packet of their size arrived.
    private var suspectBursts = 0
    private var isBurstSuspect = false
    /// The smallest size above the base that was lost in those bursts; an arrival of that size or more ends the suspicion.
    private var suspectSize = Int.max

    /// Starts at the base; `ceiling` is what interface and peer accept.
    init(ceiling: Int) {
        currentSize = Self.base
        self.ceiling = Self.clampedCeiling(ceiling)
        phase = .complete
        restart()
    }

    private static func clampedCeiling(_ ceiling: Int) -> Int { min(max(ceiling, base), maximumCeiling) }

    /// Follows what interface and peer accept: max_udp_payload_size has arrived, or the interface's MTU changed.
    mutating func ceilingChanged(to newCeiling: Int) {
        let newCeiling = Self.clampedCeiling(newCeiling)
        guard newCeiling != ceiling else { return }
        ceiling = newCeiling
        currentSize = min(currentSize, newCeiling)
        restart()
    }

    /// The size of a probe that should leave at `now`; nil when none is due. One probe is on its way at a time.
    mutating func nextProbeSize(at now: Instant) -> Int? {
        guard probeInFlight == nil else { return nil }
        switch phase {
        case .searching(let failed):
            return nextSize(below: failed)
        case .complete:
            phase = .resting(until: now + Self.raiseInterval)
            return nil
        case .resting(let until):
            guard now >= until else { return nil }
            restart()
            return nextProbeSize(at: now)
        }
    }

    /// Notes that a probe left.
    mutating func probeSent(_ size: Int) {
        probeInFlight = size
    }

    /// Takes the arrival of a probe: its size is usable.
    mutating func probeAcknowledged(_ size: Int) {
        if probeInFlight == size { probeInFlight = nil }
        guard size > currentSize, size <= ceiling else { return }
        currentSize = size
        lostProbes = 0
        endSuspicion()
        if case .searching(let failed) = phase, nextSize(below: failed) == nil { phase = .complete }
    }

    /// Takes the loss of a probe; after the third of one size a smaller one is tried.
    mutating func probeLost(_ size: Int) {
        guard probeInFlight == size else { return }
        probeInFlight = nil
        guard case .searching(let failed) = phase else { return }
        lostProbes += 1
        guard lostProbes >= Self.maximumProbes else { return }
        lostProbes = 0
        let lowered = min(failed, size)
        phase = nextSize(below: lowered) == nil ? .complete : .searching(failed: lowered)
    }

    /// Takes the end of a probe that says nothing of its size.
    mutating func probeGivenUp() {
        probeInFlight = nil
    }

    /// Takes the arrival of a packet that was no probe.
    mutating func packetAcknowledged(_ size: Int) {
        if size >= suspectSize { endSuspicion() }
    }

    /// Takes the loss of a packet that was no probe; `lossesProcessed` ends the burst.
    mutating func packetLost(_ size: Int) {
        guard size > Self.base, size <= currentSize else { return }
        isBurstSuspect = true
        suspectSize = min(suspectSize, size)
    }

    /// Ends a burst of losses: after several with nothing large arriving in between the path is a black hole.
    mutating func lossesProcessed(at now: Instant) {
        guard isBurstSuspect else { return }
        isBurstSuspect = false
        suspectBursts += 1
        guard suspectBursts >= Self.blackHoleBursts else { return }
        // RFC 8899 §4.3: large packets vanish though smaller ones arrive.
        endSuspicion()
        lostProbes = 0
        probeInFlight = nil
        blackHoleCount &+= 1
        currentSize = Self.base
        phase = .resting(until: now + Self.blackHoleInterval)
    }

    private mutating func endSuspicion() {
        suspectBursts = 0
        isBurstSuspect = false
        suspectSize = .max
    }

    private mutating func restart() {
        probeInFlight = nil
        lostProbes = 0
        phase = nextSize(below: ceiling + 1) == nil ? .complete : .searching(failed: ceiling + 1)
    }

    /// The size to try between what works and what is known to fail; nil when that is not worth a probe.
    private func nextSize(below failed: Int) -> Int? {
        let highest = min(failed - 1, ceiling)
        guard highest > currentSize else { return nil }
        // Nothing has failed yet below the ceiling: the next usual size, and last the ceiling itself.
        if failed > ceiling {
            return Self.ladder.first { $0 > currentSize && $0 < highest } ?? highest
        }
        guard failed - currentSize > Self.resolution else { return nil }
        if let usual = Self.ladder.first(where: { $0 > currentSize && $0 < failed }) { return usual }
        guard currentSize < Self.largestSearched else { return nil }
        return currentSize + (failed - currentSize) / 2
    }
}
