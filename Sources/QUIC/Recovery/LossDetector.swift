import Primitives

/// Detects which packets of one packet number space arrived and which are lost (RFC 9002 §6.1, appendix A).
///
/// One packet number space may be sent over several network paths, one after the other or, while probing, at once. A packet
/// is judged against later packets of its own path, or of one that continues its books (packet threshold and time threshold
/// with that path's round-trip time); an acknowledgement of a later packet on another path only makes it lost after that path's probe timeout. Books of
/// other paths are never touched.
struct LossDetector {
    /// Later packets of the path that must be acknowledged before one is lost (RFC 9002 §6.1.1: kPacketThreshold).
    static let packetThreshold: UInt64 = 3
    /// How many skipped packet numbers are remembered: an acknowledgement of an older one goes unnoticed.
    static let rememberedSkips = 8
    /// How many probe timeouts a lost packet is remembered, so that its late acknowledgement is recognised.
    static let lossMemory: Int64 = 3

    let space: PacketNumberSpace
    /// The largest packet number the peer has acknowledged in this space.
    private(set) var largestAcknowledged: UInt64?
    /// When the next packet will count as lost without further acknowledgements (RFC 9002 §6.1.2).
    private(set) var lossTime: Instant?
    /// When the last ack-eliciting packet left (RFC 9002 appendix A.3).
    private(set) var timeOfLastAckEliciting: Instant?
    /// Ack-eliciting packets that are neither acknowledged nor lost.
    private(set) var ackElicitingInFlight = 0
    /// The peer's max_ack_delay.
    var maxAckDelay: Interval = .milliseconds(25)

    var ledger = SentPacketLedger()
    /// When memory that a burst took goes back, unless packets are sent before.
    var memoryDeadline: Instant?
    /// What was acknowledged on each path, under the name of its lineage; paths are few.
    private var progress: [PathProgress] = []
    private var skipped: [UInt64] = []
    private var ecnCounts = ECNCounts()
    private var markedSent: UInt64 = 0

    private struct PathProgress {
        var lineage: NetworkPathID
        var largestAcknowledged: UInt64
    }

    init(space: PacketNumberSpace) {
        self.space = space
    }

    /// The number of the next packet.
    var nextPacketNumber: UInt64 { ledger.next }

    /// Whether another packet may leave; when not, older ones have to be settled first.
    var hasRoom: Bool { ledger.hasRoom }

    /// What the loss-detection timer needs to know of this space.
    var timerState: LossTimer.SpaceState {
        LossTimer.SpaceState(
            lossTime: lossTime, timeOfLastAckEliciting: timeOfLastAckEliciting,
            ackElicitingInFlight: ackElicitingInFlight)
    }

    // MARK: Sending

    /// Leaves the next packet number out on purpose, and tells which it was. A peer that acknowledges it has not read what
    /// it acknowledges (RFC 9000 §21.4).
    mutating func skipPacketNumber() -> UInt64 {
        let number = ledger.next
        ledger.skip()
        if skipped.count >= Self.rememberedSkips { skipped.removeFirst() }
        skipped.append(number)
        return number
    }

    /// Enters a packet that leaves, in this space and in the books of its path. Numbers must grow.
    mutating func packetSent(_ packet: SentPacket, paths: NetworkPathTable) {
        let mark = paths[packet.path]?.books.packetSent(packet) ?? RateSampler.Mark()
        ledger.append(packet, mark: mark)
        memoryDeadline = nil
        if packet.ecn == .ect0 { markedSent &+= 1 }
        if packet.kind.isAckEliciting {
            ackElicitingInFlight += 1
            timeOfLastAckEliciting = packet.timeSent
        }
    }

    // MARK: Acknowledgement

    /// Takes an ACK frame that arrived at `now`; `payload` is what it was decoded from.
    ///
    /// `ackDelay` is the frame's delay in time; `maxAckDelay` caps it, and is nil before the handshake is confirmed.
    /// `arrival` is the path that it came on: of packets that left on another one it tells no round-trip time.
    /// - Throws: PROTOCOL_VIOLATION when it acknowledges a packet that was never sent.
    mutating func ackReceived(
        _ ack: AckFrame, in payload: Span<UInt8>, ackDelay: Interval, maxAckDelay: Interval?,
        on arrival: NetworkPath?, at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome
    ) throws(TransportError) {
        outcome.reset()
        // RFC 9000 §13.1: an acknowledgement of a packet that was not sent is a connection error.
        guard ack.largestAcknowledged < ledger.next else {
            throw TransportError(.protocolViolation, frameType: 0x02, "acknowledges a packet that was never sent")
        }
        var settling = Settling(isNewLargest: largestAcknowledged.map { ack.largestAcknowledged > $0 } ?? true)
        largestAcknowledged = max(largestAcknowledged ?? 0, ack.largestAcknowledged)

        var ranges = ack.ranges(in: payload)
        while let range = ranges.next() {
            for number in skipped where range.contains(number) {
                throw TransportError(.protocolViolation, frameType: 0x02, "acknowledges a packet number left out")
            }
            var number = range.lowerBound
            while let found = ledger.nextUnsettled(from: number, through: range.upperBound) {
                settle(found, at: now, paths: paths, settling: &settling, into: &outcome)
                number = found + 1
            }
        }
        guard outcome.isProgress else { return }
        noteProgress(settling, paths: paths)
        takeSample(
            ack, ackDelay: ackDelay, maxAckDelay: maxAckDelay, on: arrival, at: now, paths: paths, settling,
            into: &outcome)
        validateECN(ack, at: now, paths: paths, settling, into: &outcome)
        // RFC 9002 appendix A.7: losses first, so that a window that shrinks does not grow by the same ACK.
        findLost(at: now, paths: paths, into: &outcome)
        processAcknowledgements(at: now, paths: paths, sample: outcome.sample)
        advanceLedger(at: now, paths: paths)
    }

    /// What is gathered while the ranges of one ACK are walked.
    private struct Settling {
        var isNewLargest: Bool
        var largest: Newest?
        var elicited = false
        var markedNewly = 0
        /// The path that the packets with ECT(0) left on; nil when there are none.
        var markedPath: NetworkPathID?
        /// Whether they left on several.
        var isMarkedOnSeveral = false
        /// The path of the packet settled last, and the largest number on it since it was turned to.
        var pathID: NetworkPathID?
        var path: NetworkPath?
        var largestOnPath: UInt64 = 0

        struct Newest {
            var number: UInt64
            var timeSent: Instant
            var path: NetworkPathID
        }

        mutating func noteMarked(on path: NetworkPathID) {
            markedNewly += 1
            if let markedPath, markedPath != path { isMarkedOnSeveral = true }
            markedPath = path
        }

        /// Whether what an ACK counts can be laid to the path of its largest packet.
        var isMarkedOnLargest: Bool { !isMarkedOnSeveral && (markedPath == nil || markedPath == largest?.path) }
    }

    private mutating func settle(
        _ number: UInt64, at now: Instant, paths: NetworkPathTable, settling: inout Settling,
        into outcome: inout AckOutcome
    ) {
        let record = ledger[number]
        if record.ecn == .ect0 { settling.noteMarked(on: record.path) }
        if record.kind.isAckEliciting { settling.elicited = true }
        if number >= settling.largest?.number ?? 0 {
            settling.largest = .init(number: number, timeSent: record.timeSent, path: record.path)
        }
        if settling.pathID != record.path { enterPath(record.path, paths: paths, settling: &settling) }
        settling.largestOnPath = max(settling.largestOnPath, number)
        let packet = ledger.acknowledge(number)
        switch record.state {
        case .lost(at: let lostAt):
            settling.path?.books.lossWasSpurious(packet, lostAt: lostAt)
            outcome.appendAcknowledgedLate(packet)
        case .outstanding, .acknowledged, .empty:
            if record.kind.isAckEliciting { ackElicitingInFlight -= 1 }
            settling.path?.books.packetAcknowledged(packet, mark: record.mark, at: now)
            outcome.appendAcknowledged(packet)
        }
    }

    /// Turns to the path of the next packet; most ACKs are of one path, so that it is looked up once.
    private mutating func enterPath(_ id: NetworkPathID, paths: NetworkPathTable, settling: inout Settling) {
        noteProgress(settling, paths: paths)
        settling.pathID = id
        settling.path = paths[id]
        settling.largestOnPath = 0
    }

    private mutating func noteProgress(_ settling: Settling, paths: NetworkPathTable) {
        guard let id = settling.pathID else { return }
        let lineage = settling.path?.lineage ?? id
        for index in progress.indices where progress[index].lineage == lineage {
            progress[index].largestAcknowledged = max(progress[index].largestAcknowledged, settling.largestOnPath)
            return
        }
        progress.removeAll { entry in !paths.paths.contains { $0.lineage == entry.lineage } }
        progress.append(PathProgress(lineage: lineage, largestAcknowledged: settling.largestOnPath))
    }

    private func largestAcknowledged(in lineage: NetworkPathID) -> UInt64? {
        for index in progress.indices where progress[index].lineage == lineage {
            return progress[index].largestAcknowledged
        }
        return nil
    }

    /// RFC 9002 §5.1: a sample when the largest acknowledged packet is newly so and any newly so was ack-eliciting. Out on
    /// one path and back on another is the round trip of neither.
    private func takeSample(
        _ ack: AckFrame, ackDelay: Interval, maxAckDelay: Interval?, on arrival: NetworkPath?, at now: Instant,
        paths: NetworkPathTable, _ settling: Settling, into outcome: inout AckOutcome
    ) {
        guard let largest = settling.largest, largest.number == ack.largestAcknowledged, settling.elicited,
            let path = paths[largest.path], arrival?.lineage == path.lineage
        else { return }
        let sample = now - largest.timeSent
        // RFC 9002 §5.3: the delay of Initial packets is not used.
        path.books.rtt.sampled(
            sample, ackDelay: space == .initial ? .zero : ackDelay, maxAckDelay: maxAckDelay, at: now)
        outcome.sample = AckOutcome.PathSample(path: largest.path, rtt: path.rtt.latest)
    }

    private mutating func validateECN(
        _ ack: AckFrame, at now: Instant, paths: NetworkPathTable, _ settling: Settling, into outcome: inout AckOutcome
    ) {
        // RFC 9000 §13.4.2.1: ACKs that arrive out of order must not fail validation.
        guard settling.isNewLargest, let largest = settling.largest, let path = paths[largest.path] else { return }
        let increase = ack.ecn.flatMap { ecnCounts.increase(to: $0) }
        if let counts = ack.ecn { ecnCounts = counts }
        // RFC 9000 §13.4.2: ECN is validated for each path. The counts of packets that left on another say nothing of this one.
        guard settling.isMarkedOnLargest else { return }
        let congestion = path.books.ecn.acknowledged(
            newlyMarked: settling.markedNewly, increase: increase, total: ack.ecn, sentMarked: markedSent)
        guard congestion == .experienced else { return }
        outcome.congestionMarked = largest.path
        path.books.congestion.congestionExperienced(sentAt: largest.timeSent, at: now)
    }

    private func processAcknowledgements(at now: Instant, paths: NetworkPathTable, sample: AckOutcome.PathSample?) {
        for path in paths.paths {
            path.books.acknowledgementsProcessed(sample: sample?.path == path.id ? sample?.rtt : nil, at: now)
        }
    }

    // MARK: Loss

    /// Declares what is lost by the passing of time: `lossTime` is reached.
    mutating func detectLost(at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome) {
        outcome.reset()
        findLost(at: now, paths: paths, into: &outcome)
        advanceLedger(at: now, paths: paths)
    }

    private mutating func findLost(at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome) {
        lossTime = nil
        guard let largest = largestAcknowledged else { return }
        var number = ledger.first
        while let found = ledger.nextOutstanding(from: number, through: largest) {
            number = found + 1
            let deadline = lossDeadline(of: found, paths: paths)
            guard let deadline, deadline > now else {
                declareLost(found, at: now, paths: paths, into: &outcome)
                continue
            }
            lossTime = min(lossTime ?? deadline, deadline)
        }
        guard !outcome.lost.isEmpty else { return }
        endLosses(at: now, paths: paths, into: &outcome)
    }

    /// When a packet below the largest acknowledged one counts as lost; nil when it does already.
    private func lossDeadline(of number: UInt64, paths: NetworkPathTable) -> Instant? {
        let packet = ledger[number]
        guard let path = paths[packet.path] else { return nil }
        guard let largest = largestAcknowledged(in: path.lineage), largest > number else {
            // Later packets arrived over another path only, which may be faster: nothing but time can tell.
            return packet.timeSent + crossingDelay(of: path, paths: paths)
        }
        // RFC 9002 §6.1.1
        if largest - number >= Self.packetThreshold { return nil }
        // RFC 9002 §6.1.2
        return packet.timeSent + path.rtt.lossDelay
    }

    /// How long a packet of one path may take to be acknowledged over another. Once the connection has left the path it is
    /// half a round trip on each and some tolerance; otherwise nobody knows where its acknowledgements go.
    private func crossingDelay(of path: NetworkPath, paths: NetworkPathTable) -> Interval {
        guard path.books.isLeft else { return path.probeTimeout(maxAckDelay: effectiveMaxAckDelay) }
        let newest = progress.max { $0.largestAcknowledged < $1.largestAcknowledged }
        let other = paths.paths.first { $0.lineage == newest?.lineage } ?? path
        let crossing = (path.rtt.smoothed + other.rtt.smoothed) / 2
        // RFC 9002 §6.1.2: the same tolerance as on one path.
        return max(path.rtt.lossDelay, crossing + crossing / 8)
    }

    private var effectiveMaxAckDelay: Interval { space == .application ? maxAckDelay : .zero }

    private mutating func declareLost(
        _ number: UInt64, at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome
    ) {
        guard ledger[number].kind.isInFlight else {
            _ = ledger.forget(number)
            return
        }
        let mark = ledger[number].mark
        let packet = ledger.declareLost(number, at: now)
        if packet.kind.isAckEliciting { ackElicitingInFlight -= 1 }
        paths[packet.path]?.books.packetLost(packet, mark: mark, at: now)
        outcome.appendLost(packet)
    }

    private func endLosses(at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome) {
        for path in paths.paths where outcome.lost.contains(where: { $0.path == path.id }) {
            let persistence = self.persistence(of: outcome.lost, on: path)
            if persistence == .persistent { outcome.persistentCongestion = path.id }
            path.books.lossesProcessed(persistence, at: now)
        }
    }

    /// Whether the losses of a path span the time that makes congestion persistent, with nothing acknowledged between.
    ///
    /// RFC 9002 §7.6.2 lets a sender look at the acknowledged space alone.
    private func persistence(of lost: [SentPacket], on path: NetworkPath) -> CongestionPersistence {
        // RFC 9002 §7.6.2: only losses after the first sample count, since the duration hangs on it.
        guard let firstSample = path.rtt.firstSampleTime else { return .transient }
        // RFC 9002 §7.6.1: max_ack_delay is in the duration whatever the space.
        let duration = path.rtt.persistentCongestionDuration(maxAckDelay: maxAckDelay)
        var runStart: SentPacket?
        var previous: UInt64 = 0
        for packet in lost where packet.path == path.id && packet.kind.isAckEliciting && packet.timeSent > firstSample {
            if let start = runStart, !arrivedBetween(previous, packet.packetNumber, on: path.id) {
                if packet.timeSent - start.timeSent > duration { return .persistent }
            } else {
                runStart = packet
            }
            previous = packet.packetNumber
        }
        return .transient
    }

    private func arrivedBetween(_ lower: UInt64, _ upper: UInt64, on path: NetworkPathID) -> Bool {
        var number = lower + 1
        while number < upper {
            if ledger.state(of: number) == .acknowledged, ledger[number].path == path { return true }
            number += 1
        }
        return false
    }

    /// Losses before this instant need not be remembered.
    func forgettingHorizon(at now: Instant, paths: NetworkPathTable) -> Instant {
        var longest = RTTEstimator.granularity
        for path in paths.paths { longest = max(longest, path.probeTimeout(maxAckDelay: effectiveMaxAckDelay)) }
        return now - longest * Self.lossMemory
    }

    // MARK: Giving up

    /// Declares everything lost that is in flight on a path that does not work any more, so that its frames leave again at
    /// once on another. No path learns of congestion; late acknowledgements are still recognised.
    mutating func markAllLost(
        onPath id: NetworkPathID, at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome
    ) {
        outcome.reset()
        giveUp(at: now, paths: paths, into: &outcome) { $0 == id }
    }

    /// Declares everything lost that is in flight: a Retry asks for the first flight again (RFC 9002 §6.3).
    mutating func markAllLost(at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome) {
        outcome.reset()
        giveUp(at: now, paths: paths, into: &outcome) { _ in true }
    }

    private mutating func giveUp(
        at now: Instant, paths: NetworkPathTable, into outcome: inout AckOutcome, where matches: (NetworkPathID) -> Bool
    ) {
        var number = ledger.first
        while let found = ledger.nextOutstanding(from: number, through: .max) {
            number = found + 1
            guard matches(ledger[found].path) else { continue }
            guard ledger[found].kind.isInFlight else {
                _ = ledger.forget(found)
                continue
            }
            let packet = ledger.declareLost(found, at: now)
            if packet.kind.isAckEliciting { ackElicitingInFlight -= 1 }
            paths[packet.path]?.books.givenUp(packet)
            outcome.appendLost(packet)
        }
        if ackElicitingInFlight == 0 { lossTime = nil }
    }

    /// Forgets everything, because the keys of the space are discarded: bytes leave flight without a verdict
    /// (RFC 9002 §6.4).
    mutating func discard(paths: NetworkPathTable) {
        var number = ledger.first
        while let found = ledger.nextOutstanding(from: number, through: .max) {
            number = found + 1
            let packet = ledger.forget(found)
            paths[packet.path]?.books.removeFromFlight(packet)
        }
        ledger.forgetAll()
        ackElicitingInFlight = 0
        lossTime = nil
        timeOfLastAckEliciting = nil
    }
}

extension ECNCounts {
    /// What the counts grew by; nil when one of them fell, which they never do.
    func increase(to newer: ECNCounts) -> ECNCounts? {
        guard newer.ect0 >= ect0, newer.ect1 >= ect1, newer.congestionExperienced >= congestionExperienced else {
            return nil
        }
        return ECNCounts(
            ect0: newer.ect0 - ect0, ect1: newer.ect1 - ect1,
            congestionExperienced: newer.congestionExperienced - congestionExperienced)
    }
}
