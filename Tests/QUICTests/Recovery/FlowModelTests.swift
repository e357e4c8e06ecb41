import Primitives
import Testing

@testable import QUIC

/// One bulk flow over one bottleneck in virtual time: a rate, a drop-tail queue, a delay; the receiver acknowledges as one
/// that was not asked to do so seldom. It drives LossDetector, NetworkPath and LossTimer as a connection does.
struct Flow {
    /// Size of every packet.
    static let size = 1_200

    struct Link {
        var bytesPerMillisecond: Double
        var oneWayMs: Double
        var queueBytes: Double
        /// Packets between two random losses; 0 for none.
        var lossEvery: Int = 0
        /// Marks instead of waiting for the queue to overflow, once it holds so many bytes.
        var markAbove: Double = .infinity
        /// Packets with these numbers are delayed so much longer.
        var delayed: Range<UInt64> = 0..<0
        var extraMs: Double = 0
        /// Nothing passes in this time.
        var outage: Range<Double> = 0..<0
    }

    /// Time does not pass any more.
    struct Stalled: Error {
        var time: Double
    }

    /// Steps of the longest flow; beyond it something goes round without time passing.
    static let maximumSteps = 300_000

    var bench: DetectorBench
    var link: Link
    private var steps = 0
    var timer = LossTimer(at: at(0))
    var received = ReceivedPackets(space: .application)
    var generator = SeededGenerator(seed: 7)
    var clock = 0.0
    /// When the bottleneck is done with what is queued.
    private var busyUntil = 0.0
    private var arrivals: [(time: Double, number: UInt64, ecn: ECN)] = []
    private var acknowledgements: [(time: Double, ranges: [ClosedRange<UInt64>], ecn: ECNCounts?)] = []
    private(set) var dropped = 0
    private(set) var sent = 0
    private(set) var delivered = 0
    private(set) var largestWindow = 0
    /// Bytes that the application still has; the flow is never limited by it when infinite.
    var applicationBytesPerMs = Double.infinity
    private var applicationCredit = 0.0

    init(_ algorithm: CongestionAlgorithm, _ link: Link) {
        bench = DetectorBench(algorithm: algorithm)
        self.link = link
        received.policy.measured(roundTrip: .microseconds(Int64(link.oneWayMs * 2_000)))
    }

    var path: NetworkPath { bench.path }
    var window: Int { path.congestion.window }

    /// The part of the bottleneck's capacity between two times that was delivered.
    mutating func utilisation(from start: Double, to end: Double) throws -> Double {
        try run(until: start)
        let before = delivered
        try run(until: end)
        return Double(delivered - before) / (link.bytesPerMillisecond * (end - start))
    }

    mutating func run(until end: Double) throws {
        while clock < end {
            steps += 1
            guard steps < Self.maximumSteps else { throw Stalled(time: clock) }
            try step(until: end)
            largestWindow = max(largestWindow, window)
        }
    }

    private mutating func step(until end: Double) throws {
        sendAll()
        var next = end
        if let arrival = arrivals.first { next = min(next, arrival.time) }
        if let acknowledgement = acknowledgements.first { next = min(next, acknowledgement.time) }
        if let deadline = received.ackDeadline { next = min(next, milliseconds(deadline)) }
        let alarm = nextAlarm()
        if let alarm { next = min(next, milliseconds(alarm.deadline)) }
        if let pace = path.nextSendTime(at: at(clock)) { next = min(next, milliseconds(pace)) }
        if applicationBytesPerMs < .infinity { next = min(next, clock + 1) }
        advance(to: max(next, clock))
        receiveData()
        try receiveAcknowledgements()
        if let alarm = nextAlarm(), alarm.deadline <= at(clock) { act(alarm.action) }
    }

    private func milliseconds(_ instant: Instant) -> Double { Double(instant.nanoseconds) / 1e6 }

    private mutating func advance(to time: Double) {
        if applicationBytesPerMs < .infinity {
            applicationCredit = min(applicationCredit + (time - clock) * applicationBytesPerMs, 20_000)
        }
        clock = time
    }

    private func nextAlarm() -> LossTimer.Alarm? {
        timer.alarm(
            initial: .init(), handshake: .init(), application: bench.detector.timerState,
            LossTimer.Conditions(
                handshake: .confirmed, peerAddressValidation: .complete, rtt: path.rtt, maxAckDelay: ms(25)))
    }

    private mutating func sendAll() {
        while path.sendBudget(at: at(clock)) >= Self.size {
            if applicationBytesPerMs < .infinity {
                guard applicationCredit >= Double(Self.size) else { return path.applicationLimited() }
                applicationCredit -= Double(Self.size)
            }
            sendPacket()
        }
    }

    private mutating func sendPacket() {
        let ecn = path.ecn.codepoint
        let number = bench.send(at(clock), size: Self.size, ecn: ecn)
        sent += 1
        let queued = max(0, busyUntil - clock) * link.bytesPerMillisecond
        let isRandomLoss = link.lossEvery > 0 && Int.random(in: 0..<link.lossEvery, using: &generator) == 0
        guard queued + Double(Self.size) <= link.queueBytes, !isRandomLoss, !link.outage.contains(clock) else {
            dropped += 1
            return
        }
        busyUntil = max(busyUntil, clock) + Double(Self.size) / link.bytesPerMillisecond
        let extra = link.delayed.contains(number) ? link.extraMs : 0
        let mark: ECN = ecn == .ect0 && queued > link.markAbove ? .congestionExperienced : ecn
        let arrival = (busyUntil + link.oneWayMs + extra, number, mark)
        let index = arrivals.lastIndex { $0.time <= arrival.0 }.map { $0 + 1 } ?? 0
        arrivals.insert(arrival, at: index)
    }

    private mutating func receiveData() {
        while let arrival = arrivals.first, arrival.time <= clock {
            arrivals.removeFirst()
            delivered += Self.size
            received.packetReceived(arrival.number, .ackEliciting, ecn: arrival.ecn, at: at(clock))
            if received.shouldAckNow(at: at(clock)) { acknowledge() }
        }
        if received.shouldAckNow(at: at(clock)) { acknowledge() }
    }

    private mutating func acknowledge() {
        let ranges = received.rangesToReport.reversed().map { $0.lowerBound...$0.upperBound - 1 }
        acknowledgements.append((clock + link.oneWayMs, Array(ranges), received.reportedECN))
        received.ackSent()
    }

    private mutating func receiveAcknowledgements() throws {
        while let acknowledgement = acknowledgements.first, acknowledgement.time <= clock {
            acknowledgements.removeFirst()
            try bench.receive(acknowledgement.ranges, at: at(clock), ecn: acknowledgement.ecn)
            if bench.outcome.isProgress { timer.acknowledged(.complete, at: at(clock)) }
            // The receiver forgets what the sender knows that it knows.
            received.ackAcknowledged(largest: acknowledgement.ranges[0].lowerBound)
        }
    }

    private mutating func act(_ action: LossTimer.Action) {
        switch action {
        case .detectLoss: bench.detectLost(at: at(clock))
        case .probe(_, let packets):
            timer.probed(at: at(clock))
            for _ in 0..<packets { sendPacket() }
        }
    }
}

@Suite("One flow over a bottleneck")
struct RecoveryFlowModelTests {
    /// 20 Mb/s, 40 ms round trip (100,000 bytes in flight), a queue of one such product.
    private static let link = Flow.Link(bytesPerMillisecond: 2_500, oneWayMs: 20, queueBytes: 100_000)

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func usesTheBottleneck(algorithm: CongestionAlgorithm) throws {
        var flow = Flow(algorithm, Self.link)
        let utilisation = try flow.utilisation(from: 1_000, to: 4_000)
        #expect(utilisation > 0.96, "\(utilisation)")
        // What slow start overshot by, and little since.
        #expect(flow.dropped < 300, "\(flow.dropped) of \(flow.sent) lost")
        #expect(flow.path.persistentCongestionCount == 0)
        #expect(flow.path.spuriousLosses == 0)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func shallowQueueStillGivesMost(algorithm: CongestionAlgorithm) throws {
        var link = Self.link
        link.queueBytes = 30_000
        var flow = Flow(algorithm, link)
        let utilisation = try flow.utilisation(from: 2_000, to: 5_000)
        #expect(utilisation > 0.75, "\(utilisation)")
    }

    @Test func slowStartOfADeepQueueEndsWithoutLoss() throws {
        var link = Self.link
        link.queueBytes = 1_500_000
        var flow = Flow(.cubic, link)
        try flow.run(until: 3_500)
        #expect(flow.dropped == 0)
        #expect(!flow.path.congestion.isInSlowStart)
        #expect(flow.path.congestion.congestionEventCount == 0)
        // What the path holds, 100,000, and a little more.
        #expect(flow.window > 100_000 && flow.window < 250_000, "\(flow.window)")
    }

    /// The queue of a new path must not overflow at the end of slow start: its loss holds the application up for a round
    /// trip through a full queue. Wi-Fi and cellular with the queues that such networks have.
    @Test(
        "slow start of a new path ends without loss and with the path full",
        arguments: [(12_500, 10, 50), (5_000, 30, 100), (2_500, 20, 60), (1_250, 50, 150)] as [(Double, Double, Double)]
    )
    func slowStartEndsBeforeTheQueueOverflows(bytesPerMs: Double, oneWayMs: Double, queueMs: Double) throws {
        var flow = Flow(
            .cubic,
            Flow.Link(bytesPerMillisecond: bytesPerMs, oneWayMs: oneWayMs, queueBytes: bytesPerMs * queueMs))
        let utilisation = try flow.utilisation(from: 1_000, to: 2_500)
        #expect(flow.dropped == 0)
        #expect(utilisation > 0.97, "\(utilisation)")
    }

    @Test func slowStartLosesAPartOfTheWindowAtMost() throws {
        var link = Self.link
        link.queueBytes = 200_000
        var flow = Flow(.cubic, link)
        while flow.path.congestion.congestionEventCount == 0 { try flow.run(until: flow.clock + 1) }
        try flow.run(until: flow.clock + 100)
        // Doubling to the end would lose as much as path and queue hold together, 250 packets.
        #expect(flow.dropped < 150, "\(flow.dropped)")
        #expect(flow.largestWindow < 480_000, "\(flow.largestWindow)")
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func randomLossesDoNotStallIt(algorithm: CongestionAlgorithm) throws {
        var link = Self.link
        link.lossEvery = 1_000
        var flow = Flow(algorithm, link)
        let utilisation = try flow.utilisation(from: 1_000, to: 4_000)
        // RFC 9438 §5.2: Reno's share is 1.22 packets over the root of the loss rate in a round trip: here 0.46.
        #expect(utilisation > 0.4, "\(utilisation)")
        #expect(flow.path.persistentCongestionCount == 0)
    }

    @Test func cubicIsBackAtTheWindowOfTheLossSooner() throws {
        // A long path with little of a queue: after the first loss Reno takes 200 round trips of 200 ms, CUBIC 7 seconds.
        let link = Flow.Link(bytesPerMillisecond: 2_500, oneWayMs: 100, queueBytes: 40_000)
        var reno = Flow(.newReno, link)
        var cubic = Flow(.cubic, link)
        let (slow, fast) = (
            try reno.utilisation(from: 2_000, to: 8_000), try cubic.utilisation(from: 2_000, to: 8_000)
        )
        #expect(fast > slow + 0.05, "\(fast) against \(slow)")
        #expect(fast > 0.8, "\(fast)")
    }

    @Test func marksKeepTheQueueShortWithoutLoss() throws {
        var link = Self.link
        link.queueBytes = 300_000
        link.markAbove = 40_000
        var flow = Flow(.cubic, link)
        let utilisation = try flow.utilisation(from: 1_000, to: 4_000)
        #expect(utilisation > 0.95, "\(utilisation)")
        #expect(flow.dropped == 0)
        #expect(flow.path.ecn.state == .capable)
        #expect(flow.path.congestion.congestionEventCount > 1)
    }

    @Test func slowApplicationDoesNotInflateTheWindow() throws {
        var flow = Flow(.cubic, Self.link)
        flow.applicationBytesPerMs = 100
        try flow.run(until: 5_000)
        #expect(flow.window <= 30_000, "\(flow.window)")
        #expect(flow.dropped == 0)
        #expect(flow.path.deliveryRate.isLatestApplicationLimited)
    }

    @Test func reorderingGivesTheWindowBack() throws {
        var link = Self.link
        link.delayed = 2_000..<2_003
        link.extraMs = 15
        var flow = Flow(.cubic, link)
        try flow.run(until: 3_000)
        #expect(flow.path.spuriousLosses == 3)
        #expect(flow.path.congestion.undoneEventCount == 1)
    }

    @Test(arguments: [CongestionAlgorithm.newReno, .cubic])
    func outageIsPersistentCongestionAndTheFlowRecovers(algorithm: CongestionAlgorithm) throws {
        var link = Self.link
        link.outage = 1_000..<2_500
        var flow = Flow(algorithm, link)
        try flow.run(until: 2_500)
        #expect(flow.timer.probeCount >= 3)
        // Half of the window that fits the path, which is where Reno begins again, takes two seconds more.
        let utilisation = try flow.utilisation(from: 6_000, to: 7_000)
        #expect(utilisation > 0.9, "\(utilisation)")
        #expect(flow.path.persistentCongestionCount == 1)
        #expect(flow.timer.probeCount == 0)
    }

    @Test func rateEstimateIsTheBottlenecks() throws {
        var flow = Flow(.cubic, Self.link)
        try flow.run(until: 3_000)
        let rate = try #require(flow.path.deliveryRate.estimate)
        #expect(abs(Double(rate.bitsPerSecond) - 20e6) < 2e6, "\(rate)")
    }

    @Test func sameSeedSameFlow() throws {
        var link = Self.link
        link.lossEvery = 200
        var (a, b) = (Flow(.cubic, link), Flow(.cubic, link))
        try a.run(until: 2_000)
        try b.run(until: 2_000)
        #expect(a.path.congestion == b.path.congestion)
        #expect(a.path.rtt == b.path.rtt)
        #expect(a.sent == b.sent && a.dropped == b.dropped)
    }
}
