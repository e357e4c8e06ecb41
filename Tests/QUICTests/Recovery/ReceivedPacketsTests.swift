import Primitives
import Testing

@testable import QUIC

@Suite("Received packets and their acknowledgement (RFC 9000 §13.2)")
struct RecoveryReceivedPacketsTests {
    private func receive(
        _ numbers: [UInt64], _ received: inout ReceivedPackets,
        _ elicitation: ReceivedPackets.AckElicitation = .ackEliciting, at time: Double = 0
    ) {
        for number in numbers { received.packetReceived(number, elicitation, ecn: .notCapable, at: at(time)) }
    }

    @Test func everySecondPacketIsAcknowledgedAtOnce() {
        var received = ReceivedPackets(space: .application)
        receive([0], &received)
        #expect(!received.shouldAckNow(at: at(0)))
        #expect(received.owesAck)
        #expect(received.ackDeadline == at(25))
        receive([1], &received, at: 3)
        #expect(received.shouldAckNow(at: at(3)))
        received.ackSent()
        #expect(!received.shouldAckNow(at: at(1_000)))
        #expect(received.ackDeadline == nil)
        #expect(!received.owesAck)
        #expect(!received.hasNews)
    }

    @Test func aSinglePacketIsAcknowledgedAfterTheDelay() {
        var received = ReceivedPackets(space: .application, maxAckDelay: ms(10))
        receive([0], &received, at: 5)
        #expect(!received.shouldAckNow(at: at(14.9)))
        #expect(received.shouldAckNow(at: at(15)))
    }

    @Test(arguments: [PacketNumberSpace.initial, .handshake])
    func handshakePacketsAreAcknowledgedAtOnce(space: PacketNumberSpace) {
        var received = ReceivedPackets(space: space)
        receive([0], &received)
        #expect(received.shouldAckNow(at: at(0)))
    }

    struct Order: Sendable {
        var name: String
        var before: [UInt64]
        var next: UInt64
        var isImmediate: Bool
    }

    static let orders = [
        Order(name: "first", before: [], next: 0, isImmediate: false),
        Order(name: "first, though not numbered 0", before: [], next: 5, isImmediate: false),
        Order(name: "next", before: [0], next: 1, isImmediate: false),
        Order(name: "opens a gap", before: [0], next: 2, isImmediate: true),
        Order(name: "fills a gap", before: [0, 2], next: 1, isImmediate: true),
        Order(name: "after an old gap", before: [0, 2], next: 3, isImmediate: false),
    ]

    @Test(arguments: orders)
    func disorderIsToldAtOnce(_ test: Order) {
        var received = ReceivedPackets(space: .application)
        receive(test.before, &received)
        received.ackSent()
        receive([test.next], &received)
        #expect(received.shouldAckNow(at: at(0)) == test.isImmediate, "\(test.name)")
    }

    @Test func packetsBetweenThatAskForNothingAreNoGap() {
        var received = ReceivedPackets(space: .application)
        receive([0], &received)
        receive([1], &received, .notAckEliciting)
        received.ackSent()
        receive([2], &received)
        #expect(!received.shouldAckNow(at: at(0)))
    }

    @Test func congestionMarksAreToldAtOnce() {
        var received = ReceivedPackets(space: .application)
        received.packetReceived(0, .ackEliciting, ecn: .congestionExperienced, at: at(0))
        #expect(received.shouldAckNow(at: at(0)))
        #expect(received.reportedECN == ECNCounts(congestionExperienced: 1))
    }

    @Test func packetsThatAskForNothingGetNoAcknowledgement() {
        var received = ReceivedPackets(space: .application)
        receive([0, 1, 2, 9], &received, .notAckEliciting)
        #expect(!received.shouldAckNow(at: at(1_000)))
        #expect(received.ackDeadline == nil)
        #expect(received.hasNews)
        #expect(Array(received.rangesToReport) == [0..<3, 9..<10])
    }

    @Test func duplicatesAreRecognisedAndChangeNothing() {
        var received = ReceivedPackets(space: .application)
        receive([0, 1, 5], &received)
        received.ackSent()
        #expect(received.novelty(of: 1) == .duplicate)
        #expect(received.novelty(of: 3) == .new)
        #expect(received.novelty(of: 6) == .new)
        receive([1, 5], &received)
        #expect(received.duplicateCount == 2)
        #expect(!received.owesAck)
    }

    @Test func oldRangesGiveWayAndCountAsDuplicates() {
        var received = ReceivedPackets(space: .application)
        let numbers = (0..<UInt64(ReceivedPackets.maximumRanges + 10)).map { $0 * 2 }
        receive(numbers, &received)
        #expect(received.novelty(of: 1) == .duplicate)
        #expect(received.novelty(of: 19) == .duplicate)
        #expect(received.novelty(of: 21) == .new)
        #expect(received.rangesToReport.count == ReceivedPackets.maximumReportedRanges)
        #expect(received.rangesToReport.last == 274..<275)
    }

    @Test func rangesThePeerKnowsOfAreNotReportedAgain() {
        var received = ReceivedPackets(space: .application)
        receive([0, 1, 4, 5, 8], &received)
        received.ackAcknowledged(largest: 5)
        #expect(Array(received.rangesToReport) == [8..<9])
        receive([3], &received)
        #expect(Array(received.rangesToReport) == [3..<6, 8..<9], "late, and never told before")
        #expect(received.novelty(of: 2) == .new)
        #expect(received.novelty(of: 4) == .duplicate)
        received.ackAcknowledged(largest: 100)
        #expect(Array(received.rangesToReport) == [8..<9], "the largest is always reported")
        received.ackAcknowledged(largest: .max)
    }

    @Test func countsByCodepoint() {
        var received = ReceivedPackets(space: .application)
        #expect(received.reportedECN == nil)
        for (number, ecn) in [ECN.ect0, .ect0, .ect1, .congestionExperienced, .notCapable].enumerated() {
            received.packetReceived(UInt64(number), .ackEliciting, ecn: ecn, at: at(0))
            received.packetReceived(UInt64(number), .ackEliciting, ecn: ecn, at: at(0))
        }
        #expect(received.reportedECN == ECNCounts(ect0: 2, ect1: 1, congestionExperienced: 1))
    }

    @Test func delayCountsFromTheArrivalOfTheLargest() {
        var received = ReceivedPackets(space: .application)
        receive([4], &received, at: 10)
        receive([2], &received, at: 15)
        #expect(received.encodedAckDelay(exponent: 3, at: at(18)) == 1_000)
        #expect(received.encodedAckDelay(exponent: 0, at: at(18)) == 8_000)
        #expect(received.encodedAckDelay(exponent: 255, at: at(18)) == 0)
        #expect(received.encodedAckDelay(exponent: 3, at: at(0)) == 0)
        #expect(received.encodedAckDelay(exponent: 3, at: Instant(nanoseconds: .max)) > 0)
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func agreesWithASet(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var received = ReceivedPackets(space: .application)
        var model: Set<UInt64> = []
        for _ in 0..<2_000 {
            let number = UInt64.random(in: 0..<200, using: &generator)
            #expect((received.novelty(of: number) == .duplicate) == model.contains(number))
            received.packetReceived(number, .ackEliciting, ecn: .notCapable, at: at(0))
            model.insert(number)
        }
        #expect(received.largest == model.max())
    }
}
