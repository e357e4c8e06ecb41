public import Primitives
public import QUIC

/// Whether a tunnel may go on as a client asks.
public enum ResumptionVerdict: Hashable, Sendable {
    /// It does.
    case resumed
    /// The request is late, repeated, or not about what this end holds: nothing changes.
    case conflict
}

/// A tunnel between two connections, of either role: what both ends need to go on at exactly the next byte.
///
/// Its holder keeps TCP open meanwhile. TCP may be read into `ring` as long as it `wantsBytes`; nothing can be written to it.
/// Whoever resumes it (`TunnelClient.resume`, `TunnelServer.resume`) takes it over; it must not be used after that, unless it
/// comes back.
public final class HeldTunnel {
    /// How far the direction from TCP is.
    public enum Outgoing: Hashable, Sendable {
        /// TCP may send more.
        case open
        /// Its FIN was read, and stands behind the ring's last byte.
        case ended
        /// It was reset.
        case reset
    }

    /// The tunnel's name.
    public let id: ResumptionID
    /// Which end this is.
    public let role: Role
    /// Where the tunnel leads; nil when this end was not told.
    public let destination: Destination?
    /// How long the gateway keeps it from the loss of its connection on; short when the client perhaps never learned its name.
    public let linger: Interval
    /// How long the gateway promised to keep it.
    let grantedLinger: Interval
    /// What TCP has sent from the position on that the peer has reported.
    public let ring: ByteRing
    /// Payload bytes handed to TCP.
    public let delivered: UInt64
    /// Whether TCP was told to send its FIN, after all payload of the peer.
    public let hasDeliveredEnd: Bool
    /// The position that the peer has reported last.
    public let peerDelivered: UInt64
    /// The largest position that the peer can have been sent.
    let sentPosition: UInt64
    /// The last generation that was asked for (client) or taken (gateway).
    public internal(set) var generation: UInt64
    /// How far the direction from TCP is.
    public private(set) var outgoing: Outgoing
    /// Whether TCP broke after it had sent everything: it takes nothing any more, and the peer hears of that when it has all.
    public private(set) var isRefused: Bool

    /// Creates a tunnel that was detached.
    init(
        _ id: ResumptionID, _ role: Role, to destination: Destination?, linger: Interval,
        grantedLinger: Interval, generation: UInt64, ring: ByteRing, outgoing: Outgoing, sentPosition: UInt64,
        peerDelivered: UInt64, delivered: UInt64, hasDeliveredEnd: Bool, isRefused: Bool
    ) {
        self.id = id
        self.role = role
        self.destination = destination
        self.linger = linger
        self.grantedLinger = grantedLinger
        self.generation = generation
        self.ring = ring
        self.outgoing = outgoing
        self.sentPosition = sentPosition
        self.peerDelivered = peerDelivered
        self.delivered = delivered
        self.hasDeliveredEnd = hasDeliveredEnd
        self.isRefused = isRefused
        // The transport refers to the ring no more: only what the peer has not reported is needed.
        ring.release(upTo: min(peerDelivered, ring.end))
    }

    /// What a process knows of a tunnel whose connection died with another process.
    public struct Record: Hashable, Sendable {
        /// The tunnel's name.
        public var id: ResumptionID
        /// Which end this is.
        public var role: Role
        /// Where the tunnel leads.
        public var destination: Destination?
        /// How long the gateway keeps it.
        public var linger: Interval
        /// The last generation that was asked for (client) or taken (gateway).
        public var generation: UInt64
        /// Whether TCP's FIN was read.
        public var outgoing: Outgoing
        /// The position that the peer has reported last, as far as is known: never more than it was.
        public var peerDelivered: UInt64
        /// Payload bytes handed to TCP, exactly.
        public var delivered: UInt64
        /// Whether TCP was told to send its FIN.
        public var hasDeliveredEnd: Bool
        /// Whether TCP broke after it had sent everything.
        public var isRefused: Bool

        /// Creates a record.
        public init(
            id: ResumptionID, role: Role, destination: Destination?, linger: Interval, generation: UInt64,
            outgoing: Outgoing, peerDelivered: UInt64, delivered: UInt64, hasDeliveredEnd: Bool,
            isRefused: Bool = false
        ) {
            self.id = id
            self.role = role
            self.destination = destination
            self.linger = linger
            self.generation = generation
            self.outgoing = outgoing
            self.peerDelivered = peerDelivered
            self.delivered = delivered
            self.hasDeliveredEnd = hasDeliveredEnd
            self.isRefused = isRefused
        }
    }

    /// Rebuilds a tunnel from what is known of it and the bytes that TCP has sent; nil when they contradict each other.
    ///
    /// The ring holds every byte from `record.peerDelivered` on. All of it is taken for sent: the peer knows better.
    public convenience init?(restoring record: Record, _ ring: ByteRing) {
        let (limit, isTooMuch) = ring.end.addingReportingOverflow(record.outgoing == .ended ? 1 : 0)
        guard !isTooMuch, record.peerDelivered <= limit, min(record.peerDelivered, ring.end) >= ring.start else {
            return nil
        }
        self.init(
            record.id, record.role, to: record.destination, linger: record.linger, grantedLinger: record.linger,
            generation: record.generation, ring: ring, outgoing: record.outgoing, sentPosition: limit,
            peerDelivered: record.peerDelivered,
            delivered: record.delivered, hasDeliveredEnd: record.hasDeliveredEnd, isRefused: record.isRefused)
    }
}

extension HeldTunnel {
    /// What is known of it, to be restored with its ring by another process.
    public var record: Record {
        Record(
            id: id, role: role, destination: destination, linger: linger, generation: generation, outgoing: outgoing,
            peerDelivered: peerDelivered, delivered: delivered, hasDeliveredEnd: hasDeliveredEnd,
            isRefused: isRefused)
    }

    /// The position up to which payload was handed to TCP; the FIN counts as one.
    public var deliveredPosition: UInt64 { delivered + (hasDeliveredEnd ? 1 : 0) }

    /// Whether TCP is closed in both directions, in order: it needs no holder any more, only the peer has to learn of it.
    public var isTCPClosed: Bool { outgoing == .ended && hasDeliveredEnd }

    /// Bytes of memory that its buffer takes.
    public var memory: Int { ring.capacity }

    /// Whether what a client asks for fits; changes nothing.
    public func verdict(on request: ResumptionRequest, to destination: Destination?) -> ResumptionVerdict {
        let isOurs = request.id == id && destination == self.destination
        return isOurs && request.generation > generation && holds(request.delivered) ? .resumed : .conflict
    }

    /// Whether everything from `position` on can be sent to the peer, which may have got that far.
    func holds(_ position: UInt64) -> Bool { peerDelivered <= position && position <= sentPosition }
}

// MARK: - TCP while nobody carries the tunnel

extension HeldTunnel {
    /// Bytes that its ring may hold at most: no more can be taken back from a peer.
    public static let largestRing = TunnelRelay.replayLimit

    /// How many bytes may be read from TCP into the ring now; 0 when TCP is not to be read.
    public var wantsBytes: Int { outgoing == .open ? ring.freeSpace : 0 }

    /// TCP's FIN was read.
    public func finArrived() {
        guard outgoing == .open else { return }
        outgoing = .ended
    }

    /// TCP was reset, or failed in another way.
    ///
    /// - Returns: How far TCP was when it had sent everything before, and the peer has not got all of that: the tunnel is held on.
    ///   Else nil: a client resumes only to say so; a gateway forgets the tunnel.
    public func resetArrived() -> BrokenTCP? {
        guard outgoing == .ended, peerDelivered <= ring.end else {
            giveUp()
            return nil
        }
        isRefused = true
        return BrokenTCP(readEnd: ring.end, written: delivered)
    }

    /// The tunnel is to end with a reset of the other end's TCP.
    public func giveUp() {
        outgoing = .reset
        // Nobody will want its bytes.
        ring.reset(to: ring.end)
    }
}
