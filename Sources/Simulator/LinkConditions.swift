public import Primitives

/// What one direction of a link does to the datagrams that enter it.
///
/// A datagram passes these stations in order: interceptor and named losses, MTU, ECN treatment, queue (drop-tail, marking),
/// serialisation at `rate`, random or burst loss, corruption, duplication, then `delay`, `jitter`, reordering and interruptions.
/// A lost datagram has therefore used its share of the rate, as on a radio link.
public struct LinkConditions: Hashable, Sendable {
    /// One-way propagation time.
    public var delay: Interval
    /// The most that is added to `delay`, evenly distributed. Jitter alone never reorders.
    public var jitter: Interval
    /// Bits a second of whole IP packets; nil for no limit and so no queue.
    public var rate: BitRate?
    /// What the queue in front of a link with a `rate` holds; a datagram that would exceed it is dropped.
    public var queue: QueueLength
    /// Random loss.
    public var loss: Loss
    /// Datagrams lost by their ordinal number in this direction, counted from 0 and without those an interceptor took.
    public var lostOrdinals: Set<Int>
    /// How often a second copy arrives.
    public var duplication: Probability
    /// How often and by how much a datagram is held back, so that later ones overtake it.
    public var reordering: Reordering?
    /// How often and for how long nothing arrives.
    public var interruptions: Interruptions?
    /// How often one to four bits of the payload are flipped (and the UDP checksum does not notice).
    public var corruption: Probability
    /// The largest IP packet carried, in bytes; a larger one vanishes silently. Nil for no limit.
    public var mtu: Int?
    /// What happens to the ECN bits.
    public var ecn: ECNTreatment
    /// The queue length above which ECN-capable datagrams are marked congestion-experienced; nil for never.
    public var markingThreshold: QueueLength?

    /// Creates conditions; without arguments an ideal wire.
    public init(
        delay: Interval = .zero,
        jitter: Interval = .zero,
        rate: BitRate? = nil,
        queue: QueueLength = .unlimited,
        loss: Loss = .none,
        lostOrdinals: Set<Int> = [],
        duplication: Probability = 0,
        reordering: Reordering? = nil,
        interruptions: Interruptions? = nil,
        corruption: Probability = 0,
        mtu: Int? = nil,
        ecn: ECNTreatment = .preserved,
        markingThreshold: QueueLength? = nil
    ) {
        self.delay = delay
        self.jitter = jitter
        self.rate = rate
        self.queue = queue
        self.loss = loss
        self.lostOrdinals = lostOrdinals
        self.duplication = duplication
        self.reordering = reordering
        self.interruptions = interruptions
        self.corruption = corruption
        self.mtu = mtu
        self.ecn = ecn
        self.markingThreshold = markingThreshold
    }

    /// A copy with some of the conditions changed.
    public func with(_ change: (inout LinkConditions) -> Void) -> LinkConditions {
        var copy = self
        change(&copy)
        return copy
    }

    /// No delay, no limit, no fault.
    public static var ideal: LinkConditions { LinkConditions() }
    /// One direction of the reference Wi-Fi link: 20 ms round trip, 100 Mbit/s, 50 ms of queue, MTU 1500.
    public static var wifi: LinkConditions {
        LinkConditions(
            delay: .milliseconds(10), rate: .megabits(100), queue: .time(.milliseconds(50)), mtu: 1_500)
    }
    /// One direction of the reference cellular link: 60 ms round trip, 40 Mbit/s, 100 ms of queue, MTU 1500.
    public static var cellular: LinkConditions {
        LinkConditions(
            delay: .milliseconds(30), rate: .megabits(40), queue: .time(.milliseconds(100)), mtu: 1_500)
    }
}

/// Random loss of one direction of a link.
public enum Loss: Hashable, Sendable {
    /// Nothing is lost.
    case none
    /// Each datagram is lost with this probability, independently of the others.
    case random(Probability)
    /// Loss in bursts.
    case burst(GilbertElliott)
}

/// The two-state loss model of Gilbert and Elliott: a good and a bad state, each with its own loss.
///
/// The mean length of a burst is 1 / `recovery` datagrams, the share of time in it `onset` / (`onset` + `recovery`).
public struct GilbertElliott: Hashable, Sendable {
    /// The probability, per datagram, of going from good to bad.
    public var onset: Probability
    /// The probability, per datagram, of going from bad to good.
    public var recovery: Probability
    /// Loss in the bad state.
    public var lossWhenBad: Probability
    /// Loss in the good state.
    public var lossWhenGood: Probability

    /// Creates the model.
    public init(
        onset: Probability, recovery: Probability, lossWhenBad: Probability = 1, lossWhenGood: Probability = 0
    ) {
        self.onset = onset
        self.recovery = recovery
        self.lossWhenBad = lossWhenBad
        self.lossWhenGood = lossWhenGood
    }
}

/// A length of the queue in front of a link.
public enum QueueLength: Hashable, Sendable {
    /// IP bytes waiting, the packet in serialisation included.
    case bytes(ByteCount)
    /// Time until the last byte now waiting will have left.
    case time(Interval)
    /// No bound.
    case unlimited
}

/// Datagrams held back so that later ones overtake them.
public struct Reordering: Hashable, Sendable {
    /// How often a datagram is held back.
    public var probability: Probability
    /// By how much.
    public var holdBack: Interval

    /// Creates a reordering.
    public init(_ probability: Probability, by holdBack: Interval) {
        self.probability = probability
        self.holdBack = holdBack
    }
}

/// What a link does to ECN bits, apart from marking its queue.
public enum ECNTreatment: Hashable, Sendable {
    /// Nothing.
    case preserved
    /// Every codepoint becomes not-capable.
    case cleared
    /// Every capable codepoint becomes this one (RFC 9000 §13.4.2: a path that mangles is to be found out).
    case rewritten(ECN)
    /// Datagrams with a capable codepoint vanish.
    case dropsCapable
}

/// Whether a direction of a link works, and whether its host can tell.
public enum LinkState: Hashable, Sendable {
    /// Works.
    case up
    /// Does not work, and the host knows: sending fails, the link monitor reports it.
    case down
    /// Does not work, but looks as if it did.
    case blackhole
}

/// A direction of a link, seen from the host it was attached for.
public enum Direction: UInt8, Hashable, Sendable, CaseIterable {
    /// Away from the host.
    case outbound
    /// Toward the host.
    case inbound

    /// The other one.
    var reversed: Direction { self == .outbound ? .inbound : .outbound }
}

/// Times in which nothing arrives, and at whose end everything does that was due: a radio that looks for other networks or saves
/// power, a host that is busy.
public struct Interruptions: Hashable, Sendable {
    /// From the end of one to the beginning of the next, on average; evenly distributed from zero to twice that.
    public var distance: Interval
    /// How long one lasts at most; evenly distributed from zero.
    public var longest: Interval

    /// Creates interruptions.
    public init(every distance: Interval, upTo longest: Interval) {
        self.distance = distance
        self.longest = longest
    }
}
