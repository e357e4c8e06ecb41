import HeapModule
public import Primitives
public import Simulator

/// What comes out of an emulated link, and on which side.
public enum Delivery<Packet> {
    /// For the network beyond the link, sent by the host.
    case outbound(Packet)
    /// For the host.
    case inbound(Packet)
}

/// A link between a host and the rest of the world, with a network address translator at its far end.
///
/// It is called and never calls: hand it packets with `enter`, take what is due with `nextDelivery`, come back at
/// `nextDeadline`. Which faults it adds is decided by its seed and the order of the packets.
public struct EmulatedLink<Packet: LinkPacket> {
    /// What the commands call it.
    public let name: String
    /// How it was made; `restore` leads back here.
    public let original: LinkConditions
    /// Whether the sender of a packet above the MTU is told (ICMP), if the packet is of a kind that can be.
    public var tellsMTU = false

    private var outbound: LinkDirection<Packet>
    private var inbound: LinkDirection<Packet>
    private var translator: AddressTranslator?
    private var underWay: Heap<UnderWay> = []
    private var sequence: UInt64 = 0
    private var lateness = Lateness()

    private struct UnderWay: Comparable {
        var at: Instant
        /// Of two that arrive together the first to enter comes first.
        var sequence: UInt64
        var direction: Direction
        var packet: Packet

        static func < (a: UnderWay, b: UnderWay) -> Bool { (a.at, a.sequence) < (b.at, b.sequence) }
        static func == (a: UnderWay, b: UnderWay) -> Bool { a.sequence == b.sequence }
    }

    /// Creates a link that is the same in both directions.
    ///
    /// - Parameter outside: the translator's outside addresses, the first used first; without any nothing is translated.
    public init(_ name: String, _ conditions: LinkConditions, outside: [IPAddress] = [], seed: UInt64) {
        self.name = name
        original = conditions
        outbound = LinkDirection(conditions, seed: seed)
        inbound = LinkDirection(conditions, seed: ~seed)
        if !outside.isEmpty {
            translator = AddressTranslator(
                outside: outside, behaviour: TranslatorBehaviour(filtering: .endpointIndependent))
        }
    }

    /// A packet came from the host (outbound) or for it (inbound).
    ///
    /// - Returns: the error for its sender, where the packet was too large and the link tells.
    public mutating func enter(_ packet: Packet, _ direction: Direction, at now: Instant) -> Refusal? {
        do throws(Dropped) {
            switch direction {
            case .outbound:
                push(try outbound.enter(packet, at: now), direction)
            case .inbound:
                let translated = try translator?.translateInbound(packet, at: now) ?? packet
                push(try inbound.enter(translated, at: now), direction)
            }
        } catch {
            guard error.reason == .aboveMTU, tellsMTU, let mtu = self[direction].mtu else { return nil }
            return Refusal(mtu: mtu)
        }
        return nil
    }

    /// A packet was larger than the link carries, which its sender may know.
    public struct Refusal: Hashable, Sendable {
        /// What the link carries, in bytes.
        public var mtu: Int
    }

    private mutating func push(
        _ arrivals: (first: LinkDirection<Packet>.Arrival, second: LinkDirection<Packet>.Arrival?),
        _ direction: Direction
    ) {
        push(arrivals.first, direction)
        if let second = arrivals.second { push(second, direction) }
    }

    private mutating func push(_ arrival: LinkDirection<Packet>.Arrival, _ direction: Direction) {
        sequence += 1
        underWay.insert(UnderWay(at: arrival.at, sequence: sequence, direction: direction, packet: arrival.packet))
    }

    /// When the next packet is due; nil while none is under way.
    public var nextDeadline: Instant? { underWay.min?.at }

    /// Takes the next packet that is due by `horizon`, which may lie ahead of `now` by what the caller's timers are coarse.
    public mutating func nextDelivery(at now: Instant, dueBy horizon: Instant) -> Delivery<Packet>? {
        while let next = underWay.min, next.at <= horizon {
            underWay.removeMin()
            do throws(Dropped) {
                switch next.direction {
                case .outbound:
                    try outbound.leave(next.packet)
                    lateness.add(now - next.at)
                    return .outbound(translator?.translateOutbound(next.packet, at: now) ?? next.packet)
                case .inbound:
                    try inbound.leave(next.packet)
                    lateness.add(now - next.at)
                    return .inbound(next.packet)
                }
            } catch {}
        }
        return nil
    }

    /// Conditions of a direction; a change touches packets that enter later.
    public subscript(direction: Direction) -> LinkConditions {
        get { direction == .outbound ? outbound.conditions : inbound.conditions }
        set { if direction == .outbound { outbound.conditions = newValue } else { inbound.conditions = newValue } }
    }

    /// Whether it works; what is under way while it does not is lost.
    public var state: LinkState {
        get { outbound.state }
        set {
            outbound.state = newValue
            inbound.state = newValue
        }
    }

    /// What became of the packets of a direction.
    public func statistics(_ direction: Direction) -> LinkStatistics {
        direction == .outbound ? outbound.statistics : inbound.statistics
    }

    /// How late packets were taken, compared with when they were due; starts anew with each call.
    public mutating func takeLateness() -> Lateness {
        defer { lateness = Lateness() }
        return lateness
    }

    /// Makes the translator forget its mappings; without one nothing happens.
    public mutating func rebind(_ rebinding: Rebinding) { translator?.rebind(rebinding) }

    /// Sets how long a mapping of the translator lives without outbound packets; nil for ever. Forgets the mappings.
    public mutating func setMappingLifetime(_ lifetime: Interval?) {
        guard let outside = translator?.outsideAddresses else { return }
        translator = AddressTranslator(
            outside: outside,
            behaviour: TranslatorBehaviour(filtering: .endpointIndependent, idleLifetime: lifetime))
    }

    /// Makes everything as it was at first but the translator's mappings.
    public mutating func restore() {
        self[.outbound] = original
        self[.inbound] = original
        state = .up
        tellsMTU = false
    }
}

/// How late an emulator handed packets on: its own share of delay and jitter.
public struct Lateness: Hashable, Sendable {
    /// Packets handed on.
    public private(set) var count = 0
    /// The sum over all packets.
    public private(set) var sum = Interval.zero
    /// The latest packet.
    public private(set) var worst = Interval.zero
    /// Packets later than a millisecond.
    public private(set) var aboveMillisecond = 0

    mutating func add(_ late: Interval) {
        let late = max(late, .zero)
        count += 1
        sum += late
        worst = max(worst, late)
        if late > .milliseconds(1) { aboveMillisecond += 1 }
    }

    /// The mean; zero without packets.
    public var mean: Interval { count == 0 ? .zero : sum / Int64(count) }
}
