import Primitives

/// The books of one network path: what RFC 9002 keeps per path, as one value.
///
/// LossDetector makes the entries, in this order: what an ACK acknowledged, what is found lost, then the ends of both.
struct PathBooks {
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

    /// What this network carried when it was last used, until the first round-trip time tells whether it is the same.
    var remembered: NetworkMemory.Entry?

    /// Whether the connection has gone on to another path: what is lost from here on says nothing of congestion.
    private(set) var isLeft = false

    /// Bytes of packets in flight on this path (RFC 9002 appendix B.2), of all packet number spaces.
    private(set) var bytesInFlight = 0
    /// When the last packet left on this path.
    private(set) var lastSent: Instant?
    /// Packets declared lost, without probes.
    private(set) var lostPackets: UInt64 = 0
    /// Packets declared lost that arrived after all.
    private(set) var spuriousLosses: UInt64 = 0
    /// How often persistent congestion was established.
    private(set) var persistentCongestionCount: UInt64 = 0

    /// Opens the books of a new path. `ceiling` is the largest UDP payload that interface and peer accept.
    init(_ algorithm: CongestionAlgorithm, ceiling: Int) {
        mtu = MTUDiscovery(ceiling: ceiling)
        congestion = CongestionController(algorithm, datagramSize: MTUDiscovery.base)
        pacer = Pacer(
            window: congestion.window, smoothedRTT: rtt.smoothed, datagramSize: MTUDiscovery.base, phase: .slowStart)
    }

    // MARK: What may leave

    /// Bytes that the congestion window still admits.
    var windowAvailable: Int { max(0, congestion.window - bytesInFlight) }

    /// Bytes that window and pacer admit at `now`.
    mutating func sendBudget(at now: Instant) -> Int {
        let window = windowAvailable
        return window == 0 ? 0 : min(window, pacer.budget(at: now))
    }

    /// When the pacer admits the next full datagram; nil when at once or when the window is closed.
    mutating func nextSendTime(at now: Instant) -> Instant? {
        windowAvailable == 0 ? nil : pacer.nextSendTime(for: mtu.currentSize, at: now)
    }

    /// Notes that the application has nothing more to send; of no account while the window is full.
    mutating func applicationLimited() {
        guard windowAvailable > 0 else { return }
        deliveryRate.applicationLimited(bytesInFlight: bytesInFlight)
    }

    // MARK: Entries

    /// Enters a packet that leaves, and tells what to remember for the delivery rate.
    mutating func packetSent(_ packet: SentPacket) -> RateSampler.Mark {
        lastSent = packet.timeSent
        if packet.ecn == .ect0 { ecn.markedPacketSent() }
        guard packet.kind.isInFlight else { return RateSampler.Mark() }
        var mark = deliveryRate.packetSent(bytesInFlight: bytesInFlight, at: packet.timeSent)
        // A challenge on a standby says nothing of what the path carries.
        if case .probe(mtu: nil) = packet.kind { mark.isApplicationLimited = true }
        bytesInFlight += packet.size
        mark.inFlight = bytesInFlight
        congestion.packetSent(size: packet.size, bytesInFlight: bytesInFlight, mark: mark, at: packet.timeSent)
        pacer.sent(packet.size, at: packet.timeSent)
        if case .probe(mtu: let size?) = packet.kind { mtu.probeSent(size) }
        return mark
    }

    /// Enters a packet that was in flight and is now acknowledged.
    mutating func packetAcknowledged(_ packet: SentPacket, mark: RateSampler.Mark, at now: Instant) {
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
    mutating func acknowledgementsProcessed(sample: Interval?, at now: Instant) {
        if let sample { recall(sample, at: now) }
        deliveryRate.acknowledgementsProcessed(minimumRTT: rtt.minimum, at: now)
        congestion.acknowledgementsProcessed(
            rtt: rtt, sample: sample,
            delivery: CongestionController.Delivery(
                sample: deliveryRate.sample, bytesInFlight: bytesInFlight, fitting: fittingWindow), at: now)
        if congestion.isHoldingBack { deliveryRate.applicationLimited(bytesInFlight: bytesInFlight) }
        adjustPacer(at: now)
    }

    /// The part of the shortest round trip that may pass in the queue, and the least time: enough to keep the path busy
    /// while acknowledgements come in batches.
    static let queueShare: Int64 = 4
    static let shortestQueue = Interval.milliseconds(10)

    /// The window that fills the path and leaves its queue nearly empty: what it delivers in its shortest round trip and a
    /// little more. Nil before anything is known.
    private var fittingWindow: Int? {
        guard let minimum = rtt.minimum, let rate = deliveryRate.capacity else { return nil }
        let time = minimum + max(minimum / Self.queueShare, Self.shortestQueue)
        return Int(saturating: Double(rate.bitsPerSecond) / 8 * time.seconds)
    }

    /// What is worth remembering of the network; nil while it has carried nothing.
    func entry(at now: Instant) -> NetworkMemory.Entry? {
        guard let minimum = rtt.minimum, lastSent != nil else { return nil }
        return NetworkMemory.Entry(window: carriedWindow, minimumRTT: minimum, leftAt: now)
    }

    /// The window to come back with: what the path has carried, not what its queue has held besides.
    var carriedWindow: Int { min(congestion.carriedWindow, fittingWindow ?? .max) }

    /// Enters how long a challenge took to be answered: the first thing that is known of a new path's round-trip time. The
    /// peer does not delay the answer, and without it probes would wait for the time that a path of 333 ms needs.
    mutating func probed(roundTrip: Interval, at now: Instant) {
        guard rtt.firstSampleTime == nil else { return }
        rtt.sampled(roundTrip, ackDelay: .zero, maxAckDelay: nil, at: now)
        recall(roundTrip, at: now)
        adjustPacer(at: now)
    }

    /// Starts from what the network carried before, if this is it by its round-trip time.
    private mutating func recall(_ sample: Interval, at now: Instant) {
        guard let entry = remembered else { return }
        remembered = nil
        if entry.isPlausible(for: sample, at: now) { congestion.restore(entry.window) }
    }

    // MARK: Leaving and returning

    /// The connection goes on over another path.
    mutating func left() { isLeft = true }

    /// How long a path may rest before what is known of it is taken with caution.
    static let restLimit = Interval.seconds(1)
    /// How long it may rest before its MTU and its treatment of ECN are tried again.
    static let proofLimit = Interval.seconds(10)

    /// The path is used again. After a rest the network may be another one, or shared with others: half of what it carried,
    /// until acknowledgements confirm it.
    mutating func returned(at now: Instant) {
        isLeft = false
        guard let lastSent, now - lastSent > Self.restLimit else { return }
        congestion.restore(carriedWindow)
        if now - lastSent > Self.proofLimit {
            mtu = MTUDiscovery(ceiling: mtu.ceiling)
            congestion.datagramSizeChanged(to: mtu.currentSize)
            ecn = ECNValidator()
        }
        adjustPacer(at: now)
    }

    /// The path works again after an outage.
    mutating func silenceEnded(at now: Instant) {
        congestion.restore(carriedWindow)
        adjustPacer(at: now)
    }

    /// Enters a packet that was in flight and is declared lost; `mark` is what was remembered with it.
    mutating func packetLost(
        _ packet: SentPacket, mark: RateSampler.Mark = RateSampler.Mark(), at now: Instant
    ) {
        guard packet.kind.isInFlight else { return }
        if isLeft { return givenUp(packet) }
        removeFromFlight(packet)
        if packet.ecn == .ect0 { ecn.markedPacketLost() }
        switch packet.kind {
        case .probe(mtu: let size):
            // RFC 9000 §14.4, §9.4: the loss of a probe is no sign of congestion.
            if let size { mtu.probeLost(size) }
        case .ackOnly, .padded, .ackEliciting:
            lostPackets &+= 1
            mtu.packetLost(packet.size)
            deliveryRate.packetLost(size: packet.size)
            congestion.packetLost(
                sentAt: packet.timeSent,
                CongestionController.Loss(
                    packetNumber: packet.packetNumber, size: packet.size, mark: mark,
                    lostSince: Int(clamping: deliveryRate.lost &- mark.lost)), at: now)
        }
    }

    /// Ends the entries of one round of losses.
    mutating func lossesProcessed(_ persistence: CongestionPersistence, at now: Instant) {
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
    mutating func givenUp(_ packet: SentPacket) {
        removeFromFlight(packet)
        congestion.flightGivenUp()
        if case .probe(mtu: _?) = packet.kind { mtu.probeGivenUp() }
    }

    /// Takes a packet out of flight without a verdict: its keys are gone.
    mutating func removeFromFlight(_ packet: SentPacket) {
        guard packet.kind.isInFlight else { return }
        bytesInFlight = max(0, bytesInFlight - packet.size)
    }

    /// Enters the late arrival of a packet that was declared lost at `lostAt`.
    mutating func lossWasSpurious(_ packet: SentPacket, lostAt: Instant) {
        switch packet.kind {
        case .probe(mtu: let size):
            if let size { mtu.probeAcknowledged(size) }
        case .ackOnly, .padded, .ackEliciting:
            spuriousLosses &+= 1
            mtu.packetAcknowledged(packet.size)
            congestion.lossWasSpurious(lostAt: lostAt)
        }
    }

    private mutating func adjustPacer(at now: Instant) {
        if let rate = congestion.pacingRate {
            return pacer.adjust(bytesPerSecond: rate, datagramSize: mtu.currentSize, at: now)
        }
        pacer.adjust(
            window: congestion.window, smoothedRTT: rtt.smoothed, datagramSize: mtu.currentSize,
            phase: congestion.isInSlowStart ? .slowStart : .congestionAvoidance, at: now)
    }

    // MARK: Change of address

    /// Forgets what was learned of the path; what is in flight stays in flight, and the counts go on.
    mutating func reset() {
        let fresh = PathBooks(congestion.algorithm, ceiling: mtu.ceiling)
        learned(from: fresh)
    }

    /// Takes over what `other` has learned of the same path of the network; bytes in flight stay where they are.
    mutating func learned(from other: PathBooks) {
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
