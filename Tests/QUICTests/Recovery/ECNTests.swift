import Primitives
import Testing

@testable import QUIC

@Suite("ECN validation (RFC 9000 §13.4.2)")
struct RecoveryECNTests {
    enum Step: Sendable {
        case sent(Int)
        case lost(Int)
        /// Newly acknowledged marked packets, what the counts grew by and what they are (nil: no counts), what was sent.
        case acknowledged(Int, increase: ECNCounts?, total: ECNCounts?, sent: UInt64)
    }

    struct Case: Sendable {
        var name: String
        var steps: [Step]
        var state: ECNValidator.State
        var congestion: ECNValidator.Congestion = .none
    }

    static let cases: [Case] = [
        Case(name: "starts by marking", steps: [.sent(9)], state: .testing),
        Case(name: "waits after ten", steps: [.sent(10)], state: .unknown),
        Case(
            name: "counts add up while testing",
            steps: [.sent(3), .acknowledged(2, increase: .init(ect0: 2), total: .init(ect0: 2), sent: 3)],
            state: .capable),
        Case(
            name: "counts add up later",
            steps: [.sent(10), .acknowledged(2, increase: .init(ect0: 2), total: .init(ect0: 2), sent: 10)],
            state: .capable),
        Case(
            name: "CE counts as arrived and is congestion",
            steps: [
                .sent(10),
                .acknowledged(
                    2, increase: .init(ect0: 1, congestionExperienced: 1),
                    total: .init(ect0: 1, congestionExperienced: 1), sent: 10),
            ], state: .capable, congestion: .experienced),
        Case(
            name: "no counts", steps: [.sent(10), .acknowledged(2, increase: nil, total: nil, sent: 10)], state: .failed
        ),
        Case(
            name: "no counts for packets without marks",
            steps: [.sent(10), .acknowledged(0, increase: nil, total: nil, sent: 10)], state: .unknown),
        Case(
            name: "counts fell (or were not there)",
            steps: [.sent(10), .acknowledged(1, increase: nil, total: .init(ect0: 1), sent: 10)], state: .failed),
        Case(
            name: "marks removed on the way",
            steps: [.sent(10), .acknowledged(3, increase: .init(ect0: 2), total: .init(ect0: 2), sent: 10)],
            state: .failed),
        Case(
            name: "more than were sent",
            steps: [.sent(10), .acknowledged(3, increase: .init(ect0: 11), total: .init(ect0: 11), sent: 10)],
            state: .failed),
        Case(
            name: "ECT(1) was never sent",
            steps: [
                .sent(10),
                .acknowledged(1, increase: .init(ect0: 1, ect1: 1), total: .init(ect0: 1, ect1: 1), sent: 10),
            ],
            state: .failed),
        Case(
            name: "more counted than newly acknowledged: an ACK was lost",
            steps: [.sent(10), .acknowledged(1, increase: .init(ect0: 5), total: .init(ect0: 5), sent: 10)],
            state: .capable),
        Case(name: "all marked packets lost", steps: [.sent(10), .lost(10)], state: .failed),
        Case(name: "all but one lost", steps: [.sent(10), .lost(9)], state: .unknown),
        Case(name: "ten of a larger batch lost", steps: [.sent(64), .lost(10)], state: .unknown),
        Case(name: "few lost while testing", steps: [.sent(5), .lost(5)], state: .testing),
        Case(
            name: "lost while testing, and the rest later", steps: [.sent(5), .lost(5), .sent(5), .lost(5)],
            state: .failed),
        Case(
            name: "failure is for good",
            steps: [
                .sent(10), .lost(10),
                .acknowledged(
                    2, increase: .init(ect0: 2, congestionExperienced: 1),
                    total: .init(ect0: 2, congestionExperienced: 1),
                    sent: 10),
            ], state: .failed),
        Case(
            name: "absurd counts",
            steps: [
                .sent(10),
                .acknowledged(
                    Int.max, increase: .init(ect0: .max, congestionExperienced: .max),
                    total: .init(ect0: .max, congestionExperienced: .max), sent: .max),
            ], state: .capable, congestion: .experienced),
        Case(
            name: "every one of the first ten with CE",
            steps: [
                .sent(10),
                .acknowledged(
                    4, increase: .init(congestionExperienced: 4), total: .init(congestionExperienced: 4), sent: 10),
                .acknowledged(
                    6, increase: .init(congestionExperienced: 6), total: .init(congestionExperienced: 10), sent: 10),
            ], state: .failed, congestion: .none),
    ]

    @Test(arguments: cases)
    func followsTheTable(_ test: Case) {
        var validator = ECNValidator()
        var congestion = ECNValidator.Congestion.none
        for step in test.steps {
            switch step {
            case .sent(let count): for _ in 0..<count { validator.markedPacketSent() }
            case .lost(let count): for _ in 0..<count { validator.markedPacketLost() }
            case .acknowledged(let newly, let increase, let total, let sent):
                congestion = validator.acknowledged(
                    newlyMarked: newly, increase: increase, total: total, sentMarked: sent)
            }
        }
        #expect(validator.state == test.state, "\(test.name)")
        #expect(congestion == test.congestion, "\(test.name)")
    }

    @Test func marksWhileTestingAndWhenCapable() {
        var validator = ECNValidator()
        #expect(validator.codepoint == .ect0)
        for _ in 0..<10 { validator.markedPacketSent() }
        #expect(validator.codepoint == .notCapable)
        _ = validator.acknowledged(newlyMarked: 1, increase: .init(ect0: 1), total: .init(ect0: 1), sentMarked: 10)
        #expect(validator.codepoint == .ect0)
    }

    @Test func detectorReportsMarksOnceAndReducesTheWindow() throws {
        var bench = DetectorBench()
        for _ in 0..<6 { bench.send(at(0), ecn: .ect0) }
        try bench.receive([0...1], at: at(20), ecn: .init(ect0: 2))
        #expect(bench.path.ecn.state == .capable)
        #expect(bench.outcome.congestionMarked == nil)
        let window = bench.path.congestion.window
        try bench.receive([0...3], at: at(21), ecn: .init(ect0: 3, congestionExperienced: 1))
        #expect(bench.outcome.congestionMarked == NetworkPathID(rawValue: 0))
        #expect(bench.path.congestion.window == window / 2)
        try bench.receive([0...5], at: at(22), ecn: .init(ect0: 4, congestionExperienced: 2))
        #expect(bench.path.congestion.window == window / 2, "once in a recovery period")
    }

    @Test func reorderedAcknowledgementsDoNotFailValidation() throws {
        var bench = DetectorBench()
        for _ in 0..<6 { bench.send(at(0), ecn: .ect0) }
        try bench.receive([5...5, 0...2], at: at(20), ecn: .init(ect0: 6))
        try bench.receive([0...3], at: at(21), ecn: .init(ect0: 4))
        #expect(bench.path.ecn.state == .capable)
    }

    @Test func bleachedMarksTurnMarkingOff() throws {
        var bench = DetectorBench()
        for _ in 0..<10 { bench.send(at(0), ecn: .ect0) }
        try bench.receive([0...4], at: at(20))
        #expect(bench.path.ecn.state == .failed)
        #expect(bench.path.ecn.codepoint == .notCapable)
    }

    @Test func vanishingMarksTurnMarkingOff() throws {
        var bench = DetectorBench()
        for _ in 0..<10 { bench.send(at(0), ecn: .ect0) }
        bench.send(at(10))
        bench.send(at(10))
        bench.send(at(10))
        try bench.receive([12...12], at: at(60))
        #expect(bench.path.ecn.state == .failed)
    }
}
