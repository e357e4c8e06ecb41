import Primitives

/// One network path: two addresses and the books that belong to them (RFC 9000 §9, RFC 9002).
///
/// Every sent packet names its path, and only that path's books learn of its acknowledgement or loss.
final class NetworkPath {
    let id: NetworkPathID
    /// Our address on the path.
    var local: NetworkAddress
    /// The peer's address on the path.
    var remote: NetworkAddress

    /// The first of the paths whose books this one continues, itself if none. They are one path of the network: packets
    /// that overtake each other on them are judged as on one.
    private(set) var lineage: NetworkPathID

    /// Round-trip times.
    var rtt = RTTEstimator()
    /// The congestion window.
    var congestion: CongestionController
    /// When the next packet may leave.
    var pacer: Pacer
    /// Whether packets are marked ECT(0).
    var ecn = ECNValidator()
    /// How large datagrams may be.
    var mtu: MTUDiscovery
    /// How fast the path delivers.
    var deliveryRate = RateSampler()

    /// Whether the peer has answered on the path.
    var validator = PathValidator()
    /// What a server may send before that.
    var amplification = AmplificationLimit.lifted
    /// Answers to the peer's challenges that wait to go out on this path.
    var challenges = ReceivedChallenges()
    /// Our connection ID in the packet that last arrived on the path: another one means that the peer moved on purpose.
    var destinationOfPeer: ConnectionID?
    /// Bytes of UDP payload sent and received.
    var bytesSent: UInt64 = 0
    var bytesReceived: UInt64 = 0

    /// Bytes of packets in flight on this path (RFC 9002 appendix B.2), of all packet number spaces.
    private(set) var bytesInFlight = 0
    /// When the last packet left on this path.
    private(set) var lastSent: Instant?
    /// When the last packet arrived on this path.
    private(set) var lastReceived: Instant?
    /// Packets declared lost, without probes.
    private(set) var lostPackets: UInt64 = 0
    /// Packets declared lost that arrived after all.
    private(set) var spuriousLosses: UInt64 = 0
    /// How often persistent congestion was established.
    private(set) var persistentCongestionCount: UInt64 = 0

    /// Opens the books of a new path. `ceiling` is the largest UDP payload that interface and peer accept.
    init(
        id: NetworkPathID, local: NetworkAddress, remote: NetworkAddress, algorithm: CongestionAlgorithm = .cubic,
        ceiling: Int
    ) {
        self.id = id
        lineage = id
        self.local = local
        self.remote = remote
        mtu = MTUDiscovery(ceiling: ceiling)
        congestion = CongestionController(algorithm, datagramSize: MTUDiscovery.base)
        pacer = Pacer(
            window: congestion.window, smoothedRTT: rtt.smoothed, datagramSize: MTUDiscovery.base, phase: .slowStart)
    }

    // MARK: What may leave

    /// Bytes that the congestion window still admits.
    var windowAvailable: Int { max(0, congestion.window - bytesInFlight) }

    /// Largest datagram that ordinary packets may fill.
    var datagramSize: Int { mtu.currentSize }

    /// Bytes that window and pacer admit at `now`. A started datagram may be completed: the window may be overdrawn by less
    /// than one datagram. Zero: wait for an acknowledgement, or for `nextSendTime` when the window is open.
    func sendBudget(at now: Instant) -> Int {
        let window = windowAvailable
        return window == 0 ? 0 : min(window, pacer.budget(at: now))
    }

    /// When the pacer admits the next full datagram; nil when at once or when the window is closed.
    func nextSendTime(at now: Instant) -> Instant? {
        windowAvailable == 0 ? nil : pacer.nextSendTime(for: mtu.currentSize, at: now)
    }

    /// Notes that the application has nothing more to send; of no account while the window is full.
    func applicationLimited() {
        guard windowAvailable > 0 else { return }
        deliveryRate.applicationLimited(bytesInFlight: bytesInFlight)
    }

    /// Notes that a datagram arrived on this path.
    func datagramReceived(at now: Instant) {
        lastReceived = now
    }

    /// The probe timeout of this path without back-off.
    func probeTimeout(maxAckDelay: Interval) -> Interval { rtt.probeTimeout(maxAckDelay: maxAckDelay) }

    // MARK: Books, kept by LossDetector

    /// Enters a packet that leaves, and tells what to remember for the delivery rate.
    func packetSent(_ packet: SentPacket) -> RateSampler.Mark {
        lastSent = packet.timeSent
        if packet.ecn == .ect0 { ecn.markedPacketSent() }
        guard packet.kind.isInFlight else { return RateSampler.Mark() }
        let mark = deliveryRate.packetSent(bytesInFlight: bytesInFlight, at: packet.timeSent)
        bytesInFlight += packet.size
        congestion.packetSent(size: packet.size, bytesInFlight: bytesInFlight, at: packet.timeSent)
        pacer.sent(packet.size, at: packet.timeSent)
        if case .probe(mtu: let size?) = packet.kind { mtu.probeSent(size) }
        return mark
    }

    /// Enters a packet that was in flight and is now acknowledged.
    func packetAcknowledged(_ packet: SentPacket, mark: RateSampler.Mark, at now: Instant) {
        guard packet.kind.isInFlight else { return }
        removeFromFlight(packet)
        congestion.packetAcknowledged(size: packet.size, sentAt: packet.timeSent)
        deliveryRate.packetAcknowledged(mark, size: packet.size, timeSent: packet.timeSent, at: now)
        if case .probe(mtu: let size?) = packet.kind {
            mtu.probeAcknowledged(size)
            congestion.datagramSizeChanged(to: mtu.currentSize)
        } else {
            mtu.packetAcknowledged(packet.size)
        }
    }

    /// Ends the entries of one ACK. `sample` is the round-trip time it gave this path, if it did.
    func acknowledgementsProcessed(sample: Interval?, at now: Instant) {
        congestion.acknowledgementsProcessed(rtt: rtt, sample: sample, at: now)
        deliveryRate.acknowledgementsProcessed(minimumRTT: rtt.minimum, at: now)
        adjustPacer(at: now)
    }

    /// Enters a packet that was in flight and is declared lost.
    func packetLost(_ packet: SentPacket, at now: Instant) {
        guard packet.kind.isInFlight else { return }
        removeFromFlight(packet)
        if packet.ecn == .ect0 { ecn.markedPacketLost() }
        switch packet.kind {
        case .probe(mtu: let size):
            // RFC 9000 §14.4, §9.4: the loss of a probe is no sign of congestion.
            if let size { mtu.probeLost(size) }
        case .ackOnly, .padded, .ackEliciting:
            lostPackets &+= 1
            mtu.packetLost(packet.size)
            congestion.packetLost(sentAt: packet.timeSent, at: now)
        }
    }

    /// Ends the entries of one round of losses.
    func lossesProcessed(_ persistence: CongestionPersistence, at now: Instant) {
        mtu.lossesProcessed(at: now)
        congestion.datagramSizeChanged(to: mtu.currentSize)
        if persistence == .persistent {
            persistentCongestionCount &+= 1
            congestion.persistentCongestionEstablished()
            rtt.restartMinimum()
        }
        adjustPacer(at: now)
    }

    /// Enters a packet that is sent again elsewhere, because this path does not work any more.
    func givenUp(_ packet: SentPacket) {
        removeFromFlight(packet)
        congestion.flightGivenUp()
        if case .probe(mtu: _?) = packet.kind { mtu.probeGivenUp() }
    }

    /// Takes a packet out of flight without a verdict: its keys are gone.
    func removeFromFlight(_ packet: SentPacket) {
        guard packet.kind.isInFlight else { return }
        bytesInFlight = max(0, bytesInFlight - packet.size)
    }

    /// Enters the late arrival of a packet that was declared lost at `lostAt`.
    func lossWasSpurious(_ packet: SentPacket, lostAt: Instant) {
        switch packet.kind {
        case .probe(mtu: let size):
            if let size { mtu.probeAcknowledged(size) }
        case .ackOnly, .padded, .ackEliciting:
            spuriousLosses &+= 1
            mtu.packetAcknowledged(packet.size)
            congestion.lossWasSpurious(lostAt: lostAt)
        }
    }

    private func adjustPacer(at now: Instant) {
        pacer.adjust(
            window: congestion.window, smoothedRTT: rtt.smoothed, datagramSize: mtu.currentSize,
            phase: congestion.isInSlowStart ? .slowStart : .congestionAvoidance, at: now)
    }

    // MARK: Change of address

    /// Starts the books anew, because the peer's address changed and the path with it (RFC 9000 §9.4). What is in flight
    /// stays in flight.
    func resetBooks() {
        lineage = id
        rtt = RTTEstimator()
        congestion = CongestionController(congestion.algorithm, datagramSize: MTUDiscovery.base)
        pacer = Pacer(
            window: congestion.window, smoothedRTT: rtt.smoothed, datagramSize: MTUDiscovery.base, phase: .slowStart)
        ecn = ECNValidator()
        mtu = MTUDiscovery(ceiling: mtu.ceiling)
        deliveryRate = RateSampler()
    }

    /// Continues the books of `other`, because only the peer's port changed: most likely a NAT that forgot, and the same
    /// path (RFC 9000 §9.4). Bytes in flight stay with the path they left on.
    func adoptBooks(of other: NetworkPath) {
        lineage = other.lineage
        rtt = other.rtt
        congestion = other.congestion
        pacer = other.pacer
        ecn = other.ecn
        mtu = other.mtu
        deliveryRate = other.deliveryRate
    }
}

/// Whether losses lasted so long that the window falls to its minimum (RFC 9002 §7.6).
enum CongestionPersistence: Equatable, Sendable {
    case transient
    case persistent
}

/// The network paths of a connection; few, so that a look-up is a short walk.
struct NetworkPathTable {
    /// In the order in which they came.
    private(set) var paths: [NetworkPath] = []

    /// The path of that name; nil when it is gone.
    subscript(id: NetworkPathID) -> NetworkPath? {
        for path in paths where path.id == id { return path }
        return nil
    }

    /// The path between two addresses.
    func path(from local: NetworkAddress, to remote: NetworkAddress) -> NetworkPath? {
        for path in paths where path.remote == remote && path.local == local { return path }
        return nil
    }

    mutating func append(_ path: NetworkPath) {
        paths.append(path)
    }

    /// Forgets a path; what is still in flight on it is found lost without touching any books.
    mutating func remove(_ id: NetworkPathID) {
        paths.removeAll { $0.id == id }
    }
}
