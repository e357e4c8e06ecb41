import Primitives
import Testing

@testable import QUIC

/// A request with the fields that a test is about.
private func request(
    _ threshold: UInt64, delay: Int64 = 25, reordering: UInt64 = 3, sequence: UInt64 = 0
) -> AckFrequencyFrame {
    AckFrequencyFrame(
        sequence: sequence, threshold: threshold, maxAckDelayMicroseconds: UInt64(delay * 1_000),
        reorderingThreshold: reordering)
}

@Suite("Acknowledgement as often as the peer asks (draft-ietf-quic-ack-frequency §6)")
struct AckFrequencyReceiverTests {
    private func receive(_ number: UInt64, _ received: inout ReceivedPackets, ecn: ECN = .notCapable) {
        received.packetReceived(number, .ackEliciting, ecn: ecn, at: at(0))
    }

    /// The packets of those received one by one that have everything acknowledged at once.
    private func immediate(_ numbers: [UInt64], _ frame: AckFrequencyFrame) -> [UInt64] {
        var received = ReceivedPackets(space: .application)
        received.policy.frequencyRequested(frame)
        return numbers.filter { number in
            receive(number, &received)
            guard received.shouldAckNow(at: at(0)) else { return false }
            received.ackSent()
            return true
        }
    }

    @Test(
        "one more than the threshold may wait, and with 0 none",
        arguments: [(0, [0, 1, 2, 3, 4, 5]), (1, [1, 3, 5]), (4, [4]), (100, [])] as [(UInt64, [UInt64])])
    func threshold(_ threshold: UInt64, acknowledged: [UInt64]) {
        #expect(immediate([0, 1, 2, 3, 4, 5], request(threshold)) == acknowledged)
    }

    @Test("the largest threshold there is traps nowhere")
    func largestThreshold() {
        #expect(immediate([0, 1, 2], request(.max)).isEmpty)
        #expect(immediate([0, 2, 9, 5], request(.max, reordering: .max)).isEmpty)
    }

    @Test("a lone packet is acknowledged after the delay that was asked for")
    func delay() {
        var received = ReceivedPackets(space: .application)
        received.policy.frequencyRequested(request(50, delay: 7))
        receive(0, &received)
        #expect(received.ackDeadline == at(7))
        #expect(!received.shouldAckNow(at: at(6.9)) && received.shouldAckNow(at: at(7)))
    }

    @Test(
        "the examples of §6.2.1",
        arguments: [
            (3, [0, 1, 3, 4, 5, 8, 9, 10], [5, 9, 10]), (5, [0, 1, 3, 5, 6, 7, 8, 9], [7, 9]),
        ] as [(UInt64, [UInt64], [UInt64])])
    func examples(reordering: UInt64, numbers: [UInt64], acknowledged: [UInt64]) {
        #expect(immediate(numbers, request(1_000, reordering: reordering)) == acknowledged)
    }

    @Test("a reordering threshold of 1 has every gap told at once")
    func everyGap() {
        #expect(immediate([0, 1, 3, 4, 6], request(1_000, reordering: 1)) == [3, 6])
    }

    @Test("one that the peer has taken for lost is told at once")
    func late() {
        #expect(immediate([0, 2, 3, 4, 1], request(1_000)) == [4, 1])
        #expect(immediate([0, 2, 3, 1, 4], request(1_000)).isEmpty, "in time")
    }

    @Test("with a reordering threshold of 0 disorder waits, but not until ranges would be cut off")
    func anyDisorder() {
        let numbers = (0..<100 as Range<UInt64>).map { $0 * 2 }
        let acknowledged = immediate(numbers, request(1_000, reordering: 0))
        #expect(acknowledged.first == UInt64(AckPolicy.toleratedDisorder * 2))
        #expect(acknowledged.count == 3)
    }

    @Test("the newest request holds, whatever the order of their arrival")
    func sequence() {
        var policy = AckPolicy(space: .application)
        policy.frequencyRequested(request(9, sequence: 4))
        for old in [0, 3, 4] as [UInt64] {
            policy.frequencyRequested(request(20, sequence: old))
            #expect(policy.threshold == 10)
        }
        policy.frequencyRequested(request(20, sequence: 5))
        #expect(policy.threshold == 21)
    }

    @Test(
        "of marks in a row only the first is told at once, unless the threshold is as without a request (§6.4)",
        arguments: [(1, [true, true, false, true]), (2, [true, false, false, true])] as [(UInt64, [Bool])])
    func marks(_ threshold: UInt64, told: [Bool]) {
        var received = ReceivedPackets(space: .application)
        received.policy.frequencyRequested(request(threshold))
        var found: [Bool] = []
        for (number, ecn) in [ECN.congestionExperienced, .congestionExperienced, .ect0, .congestionExperienced]
            .enumerated()
        {
            receive(UInt64(number), &received, ecn: ecn)
            found.append(received.shouldAckNow(at: at(0)))
            received.ackSent()
        }
        #expect(found == told)
    }

    @Test("IMMEDIATE_ACK has the next acknowledgement leave at once")
    func immediateAck() {
        var received = ReceivedPackets(space: .application)
        received.policy.frequencyRequested(request(50))
        received.policy.acknowledgementRequested()
        receive(0, &received)
        #expect(received.shouldAckNow(at: at(0)))
    }
}

@Suite("Acknowledgement by the rate at which packets arrive (RFC 9000 §13.2.2)")
struct AckRateTests {
    /// An endpoint that has received a packet each 0.1 ms for 60 ms over a path of 20 ms: 200 in a round trip.
    private func busy() -> (received: ReceivedPackets, next: UInt64, now: Double) {
        var received = ReceivedPackets(space: .application)
        received.policy.measured(roundTrip: ms(20))
        for number in 0..<600 as Range<UInt64> {
            let now = Double(number) / 10
            received.packetReceived(number, .ackEliciting, ecn: .notCapable, at: at(now))
            if received.shouldAckNow(at: at(now)) { received.ackSent() }
        }
        received.ackSent()
        return (received, 600, 60)
    }

    @Test("a fast transfer is acknowledged at each tenth packet")
    func fast() {
        var (received, next, now) = busy()
        #expect(received.policy.threshold == AckPolicy.largestOwnThreshold)
        for _ in 0..<9 {
            received.packetReceived(next, .ackEliciting, ecn: .notCapable, at: at(now))
            #expect(!received.shouldAckNow(at: at(now)))
            next += 1
        }
        #expect(received.ackDeadline == at(now + 1.25), "a sixteenth of the round trip")
        received.packetReceived(next, .ackEliciting, ecn: .notCapable, at: at(now))
        #expect(received.shouldAckNow(at: at(now)))
    }

    @Test(
        "at least sixteen times in a round trip, and not so seldom that packets wait for a millisecond",
        arguments: [
            (10, 4, 2), (32, 4, 2), (64, 4, 4), (128, 4, 8), (160, 4, 10), (8_000, 4, 10), (128, 100, 2), (310, 100, 3),
            (820, 100, 8), (8_000, 100, 10),
        ] as [(Int, Double, UInt64)])
    func scaled(perRound: Int, roundTrip: Double, threshold: UInt64) {
        var policy = AckPolicy(space: .application)
        policy.measured(roundTrip: ms(roundTrip))
        for index in 0...2 * perRound {
            policy.ackElicitingReceived(
                .inOrder, ecn: .notCapable, at: at(Double(index) * roundTrip / Double(perRound)))
        }
        #expect(policy.threshold == threshold)
    }

    @Test("after a pause every second packet is acknowledged again, and on another path")
    func pause() {
        var (received, next, _) = busy()
        received.packetReceived(next, .ackEliciting, ecn: .notCapable, at: at(500))
        #expect(received.policy.threshold == 2)
        (received, next, _) = busy()
        received.policy.pathChanged()
        #expect(received.policy.threshold == 2)
    }

    @Test("a gap is told at once, and again when the peer can find a loss by it")
    func loss() {
        var (received, next, now) = busy()
        var told: [UInt64] = []
        for number in next + 1...next + 6 {
            received.packetReceived(number, .ackEliciting, ecn: .notCapable, at: at(now))
            guard received.shouldAckNow(at: at(now)) else { continue }
            told.append(number - next)
            received.ackSent()
        }
        #expect(told == [1, 3])
        received.packetReceived(next, .ackEliciting, ecn: .notCapable, at: at(now))
        #expect(received.shouldAckNow(at: at(now)), "late")
    }
}

@Suite("What is asked of a peer that knows ACK_FREQUENCY")
struct AckFrequencyRequestTests {
    private func supported(minimum: Int64 = 1, maximum: Int64 = 25) -> AckFrequencyRequests {
        var requests = AckFrequencyRequests()
        requests.announced(minAckDelay: ms(Double(minimum)), maxAckDelay: ms(Double(maximum)))
        return requests
    }

    private func next(
        _ requests: inout AckFrequencyRequests, packets: Int, rtt: Double = 40, at time: Double = 0
    ) -> AckFrequencyFrame? {
        requests.next(window: packets * 1_000, datagramSize: 1_000, smoothedRTT: ms(rtt), at: at(time))
    }

    @Test("nothing of a peer that did not announce it")
    func unsupported() {
        var requests = AckFrequencyRequests()
        #expect(next(&requests, packets: 10_000) == nil)
        #expect(requests.ping == .ping)
        requests.ackElicitingSent(size: 1 << 20)
        #expect(!requests.isEndOfBurst(datagramSize: 1_000, at: at(0)))
        #expect(supported().ping == .immediateAck)
    }

    @Test("no more packets to wait while the window is small, or a quarter of it is what RFC 9000 acknowledges")
    func smallWindow() {
        for (window, size, threshold) in [(95_000, 1_000, 1), (96_000, 1_000, 23), (140_000, 40_000, 1)] {
            var requests = supported()
            let frame = requests.next(window: window, datagramSize: size, smoothedRTT: ms(40), at: at(0))
            #expect(frame?.threshold == UInt64(threshold))
            #expect(frame?.maxAckDelay == ms(5), "the last packet of a round is not held back for long")
        }
    }

    @Test("nothing that RFC 9000 has anyway")
    func nothingNew() {
        var requests = supported()
        #expect(next(&requests, packets: 10, rtt: 120) == nil)
        #expect(next(&requests, packets: 200, rtt: 120) != nil)
    }

    @Test("a quarter of the window, an eighth of the round trip, and losses as soon as they can be found")
    func wanted() throws {
        var requests = supported()
        let frame = try #require(next(&requests, packets: 200))
        #expect(frame == request(49, delay: 5, reordering: LossDetector.packetThreshold))
    }

    @Test(
        "a delay between the peer's min_ack_delay and its max_ack_delay",
        arguments: [(0.1, 1), (8, 1), (80, 10), (400, 25), (10_000, 25)] as [(Double, Int64)])
    func delays(rtt: Double, delay: Int64) throws {
        var requests = supported()
        #expect(try #require(next(&requests, packets: 200, rtt: rtt)).maxAckDelay == ms(Double(delay)))
        var narrow = supported(minimum: 12, maximum: 12)
        #expect(try #require(next(&narrow, packets: 200, rtt: rtt)).maxAckDelay == ms(12))
    }

    @Test("asked again when it has changed by half, and once in a round trip at most")
    func changes() throws {
        var requests = supported()
        _ = next(&requests, packets: 200)
        #expect(next(&requests, packets: 400, at: 39) == nil, "too soon")
        #expect(next(&requests, packets: 396, at: 100) == nil, "hardly more")
        #expect(next(&requests, packets: 104, at: 100) == nil, "hardly less")
        #expect(next(&requests, packets: 400, at: 100)?.sequence == 1)
        #expect(next(&requests, packets: 200, at: 200)?.sequence == 2)
        #expect(next(&requests, packets: 200, rtt: 80, at: 300)?.maxAckDelay == ms(10))
        #expect(next(&requests, packets: 2, rtt: 80, at: 400)?.threshold == 1, "a window that has collapsed")
    }

    @Test("while packets get lost as often as RFC 9000 has it, at once and for two round trips")
    func losses() throws {
        var requests = supported()
        _ = next(&requests, packets: 200)
        requests.lossFound(at: at(10))
        #expect(next(&requests, packets: 200, at: 10)?.threshold == 1)
        #expect(next(&requests, packets: 200, at: 89) == nil)
        #expect(next(&requests, packets: 200, at: 91)?.threshold == 49)
    }

    @Test("asked again with a new number when the last frame got lost, and at once on another path")
    func again() throws {
        var requests = supported()
        _ = next(&requests, packets: 200)
        requests.lost(0)
        #expect(next(&requests, packets: 200, at: 1)?.sequence == 1)
        requests.lost(0)
        #expect(next(&requests, packets: 200, at: 2) == nil, "a newer one is on its way")
        requests.pathChanged()
        #expect(next(&requests, packets: 10, at: 3)?.threshold == 1)
    }

    @Test("the end of a burst is acknowledged at once, but no oftener than by the delay")
    func endOfBurst() {
        var requests = supported()
        requests.ackElicitingSent(size: 100_000)
        #expect(!requests.isEndOfBurst(datagramSize: 1_000, at: at(0)), "nothing was asked")
        _ = next(&requests, packets: 200)
        #expect(requests.isEndOfBurst(datagramSize: 1_000, at: at(0)))
        requests.immediateRequested(at: at(0))
        requests.ackElicitingSent(size: 1_999)
        #expect(!requests.isEndOfBurst(datagramSize: 1_000, at: at(10)), "too little")
        requests.ackElicitingSent(size: 1)
        #expect(requests.isEndOfBurst(datagramSize: 1_000, at: at(10)))
        #expect(!requests.isEndOfBurst(datagramSize: 1_000, at: at(4)), "too soon")
    }
}
