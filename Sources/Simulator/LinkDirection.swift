import DequeModule
public import Primitives

/// What became of the datagrams that were offered to one direction of a link.
public struct LinkStatistics: Hashable, Sendable {
    /// Datagrams that entered, the dropped ones included.
    public internal(set) var offered = 0
    /// Datagrams that came out at the far end, duplicates included.
    public internal(set) var delivered = 0
    /// IP bytes that came out at the far end.
    public internal(set) var deliveredBytes: ByteCount = 0
    /// Datagrams dropped, by reason; the index is the reason's raw value.
    var droppedByReason = [Int](repeating: 0, count: DropReason.allCases.count)
    /// Datagrams that arrived twice.
    public internal(set) var duplicated = 0
    /// Datagrams held back by reordering.
    public internal(set) var heldBack = 0
    /// Datagrams with flipped bits.
    public internal(set) var corrupted = 0
    /// Datagrams marked congestion-experienced here.
    public internal(set) var marked = 0
    /// The most IP bytes that ever waited at once.
    public internal(set) var longestQueue: ByteCount = 0

    /// Datagrams dropped for one reason.
    public func dropped(_ reason: DropReason) -> Int { droppedByReason[Int(reason.rawValue)] }
    /// Datagrams dropped for any reason.
    public var dropped: Int { droppedByReason.reduce(0, +) }

    mutating func countDrop(_ reason: DropReason) { droppedByReason[Int(reason.rawValue)] += 1 }
}

/// What a scenario's interceptor decides about a datagram that enters a link.
public enum Interception: Sendable {
    /// Let it pass.
    case pass
    /// Take it.
    case drop
    /// Let these enter in its place: an altered one, copies with a forged source, or nothing.
    case replace([Datagram])
}

/// Looks at each datagram that enters one direction of a link, with its ordinal number from 0 and the time.
public typealias Interceptor = (_ datagram: Datagram, _ ordinal: Int, _ now: Instant) -> Interception

/// One direction of a link: queue, wire and faults.
///
/// A first-in first-out queue needs no events of its own: the moment a packet leaves is known when it enters.
/// A change of conditions therefore touches only packets that enter later.
public struct LinkDirection<Packet: LinkPacket> {
    /// What it does to packets that enter from now on.
    public var conditions: LinkConditions
    /// Whether it works.
    public var state: LinkState = .up
    var interceptor: Interceptor?
    /// Datagrams that came to the interceptor, or would have.
    var seen = 0
    /// What became of the packets so far.
    public private(set) var statistics = LinkStatistics()

    private var draws: Draws
    private var waiting: Deque<Waiting> = []
    private var waitingBytes: ByteCount = 0
    private var idleFrom = Instant(nanoseconds: .min)
    private var latestArrival = Instant(nanoseconds: .min)
    private var isInBurst = false
    private var interruption: Range<Instant>?

    /// A packet that has not wholly left the queue.
    private struct Waiting {
        var leaves: Instant
        var size: ByteCount
    }

    /// One generator per fault: turning one fault on does not change where another strikes.
    private struct Draws {
        var loss: SeededGenerator
        var corruption: SeededGenerator
        var duplication: SeededGenerator
        var jitter: SeededGenerator
        var reordering: SeededGenerator
        var interruptions: SeededGenerator

        init(seed: UInt64) {
            loss = .derived(from: seed, purpose: 1)
            corruption = .derived(from: seed, purpose: 2)
            duplication = .derived(from: seed, purpose: 3)
            jitter = .derived(from: seed, purpose: 4)
            reordering = .derived(from: seed, purpose: 5)
            interruptions = .derived(from: seed, purpose: 6)
        }
    }

    /// A packet on its way, and when it will be at the far end.
    public struct Arrival {
        /// The packet as it will arrive.
        public var packet: Packet
        /// When it will be at the far end.
        public var at: Instant
    }

    /// Creates a direction that works; same seed, same faults.
    public init(_ conditions: LinkConditions, seed: UInt64) {
        self.conditions = conditions
        draws = Draws(seed: seed)
    }

    /// Counts a packet that was taken before it could enter.
    mutating func intercept() {
        statistics.offered += 1
        statistics.countDrop(.intercepted)
    }

    /// Lets a packet enter; returns its arrival, or both arrivals of a duplicated one.
    public mutating func enter(
        _ packet: Packet, at now: Instant
    ) throws(Dropped) -> (first: Arrival, second: Arrival?) {
        let ordinal = statistics.offered
        statistics.offered += 1
        do {
            return try carry(packet, ordinal: ordinal, at: now)
        } catch {
            statistics.countDrop(error.reason)
            throw error
        }
    }

    /// Lets a packet leave at the far end, unless the link stopped working while it was under way.
    public mutating func leave(_ packet: Packet) throws(Dropped) {
        do {
            try requireWorking()
        } catch {
            statistics.countDrop(error.reason)
            throw error
        }
        statistics.delivered += 1
        statistics.deliveredBytes += ByteCount(packet.packetSize)
    }

    private func requireWorking() throws(Dropped) {
        switch state {
        case .up: return
        case .down: throw Dropped(.linkDown)
        case .blackhole: throw Dropped(.blackholed)
        }
    }

    private mutating func carry(
        _ entering: Packet, ordinal: Int, at now: Instant
    ) throws(Dropped) -> (first: Arrival, second: Arrival?) {
        var packet = entering
        try requireWorking()
        if conditions.lostOrdinals.contains(ordinal) { throw Dropped(.lost) }
        if let mtu = conditions.mtu, packet.packetSize > mtu { throw Dropped(.aboveMTU) }
        packet.ecn = try treated(packet.ecn)
        let departure = try enqueue(&packet, at: now)
        if isLost() { throw Dropped(.lost) }
        corrupt(&packet)
        let first = Arrival(packet: packet, at: arrival(departingAt: departure))
        guard draws.duplication.happens(conditions.duplication) else { return (first, nil) }
        statistics.duplicated += 1
        return (first, Arrival(packet: packet, at: arrival(departingAt: departure)))
    }

    private func treated(_ ecn: ECN) throws(Dropped) -> ECN {
        guard ecn != .notCapable else { return ecn }
        switch conditions.ecn {
        case .preserved: return ecn
        case .cleared: return .notCapable
        case .rewritten(let other): return other
        case .dropsCapable: throw Dropped(.ecnCapable)
        }
    }

    /// Puts the packet into the queue and returns when its last bit has left.
    private mutating func enqueue(_ packet: inout Packet, at now: Instant) throws(Dropped) -> Instant {
        guard let rate = conditions.rate else { return now }
        while let head = waiting.first, head.leaves <= now {
            waiting.removeFirst()
            waitingBytes -= head.size
        }
        let size = ByteCount(packet.packetSize)
        let start = max(now, idleFrom)
        if exceeds(conditions.queue, bytes: waitingBytes + size, time: start - now) { throw Dropped(.queueFull) }
        // RFC 3168 §5: a queue marks instead of dropping, but only what is ECN-capable.
        if let threshold = conditions.markingThreshold, packet.ecn == .ect0 || packet.ecn == .ect1,
            exceeds(threshold, bytes: waitingBytes, time: start - now)
        {
            packet.ecn = .congestionExperienced
            statistics.marked += 1
        }
        idleFrom = start + rate.interval(for: size)
        waiting.append(Waiting(leaves: idleFrom, size: size))
        waitingBytes += size
        statistics.longestQueue = max(statistics.longestQueue, waitingBytes)
        return idleFrom
    }

    private func exceeds(_ bound: QueueLength, bytes: ByteCount, time: Interval) -> Bool {
        switch bound {
        case .bytes(let most): bytes > most
        case .time(let most): time > most
        case .unlimited: false
        }
    }

    private mutating func isLost() -> Bool {
        switch conditions.loss {
        case .none:
            return false
        case .random(let probability):
            return draws.loss.happens(probability)
        case .burst(let model):
            if draws.loss.happens(isInBurst ? model.recovery : model.onset) { isInBurst.toggle() }
            return draws.loss.happens(isInBurst ? model.lossWhenBad : model.lossWhenGood)
        }
    }

    /// The most bits that one corruption flips.
    private static var mostFlippedBits: UInt64 { 4 }

    private mutating func corrupt(_ packet: inout Packet) {
        guard draws.corruption.happens(conditions.corruption), packet.payloadBitCount > 0 else { return }
        statistics.corrupted += 1
        let flips = 1 + draws.corruption.number(upTo: Self.mostFlippedBits - 1)
        for _ in 0..<flips {
            packet.flipPayloadBit(Int(draws.corruption.number(upTo: UInt64(packet.payloadBitCount - 1))))
        }
    }

    private mutating func arrival(departingAt departure: Instant) -> Instant {
        var arrival = departure + conditions.delay
        if conditions.jitter > .zero {
            arrival += .nanoseconds(Int64(draws.jitter.number(upTo: UInt64(conditions.jitter.nanoseconds))))
        }
        if let reordering = conditions.reordering, draws.reordering.happens(reordering.probability) {
            statistics.heldBack += 1
            return interrupted(arrival + reordering.holdBack)
        }
        latestArrival = max(latestArrival, interrupted(arrival))
        return latestArrival
    }

    /// When something arrives that is due at an instant.
    private mutating func interrupted(_ arrival: Instant) -> Instant {
        guard let interruptions = conditions.interruptions else { return arrival }
        var interruption = interruption ?? drawn(interruptions, after: arrival)
        while interruption.upperBound <= arrival {
            interruption = drawn(interruptions, after: interruption.upperBound)
        }
        self.interruption = interruption
        return interruption.contains(arrival) ? interruption.upperBound : arrival
    }

    private mutating func drawn(_ interruptions: Interruptions, after instant: Instant) -> Range<Instant> {
        let start = instant + drawn(upTo: interruptions.distance * 2)
        // One that has no length would be no progress.
        return start..<start + drawn(upTo: interruptions.longest) + .nanoseconds(1)
    }

    private mutating func drawn(upTo most: Interval) -> Interval {
        .nanoseconds(Int64(draws.interruptions.number(upTo: UInt64(most.nanoseconds))))
    }
}

/// A packet ended its way here.
public struct Dropped: Error {
    /// Why.
    public var reason: DropReason
    init(_ reason: DropReason) { self.reason = reason }
}
