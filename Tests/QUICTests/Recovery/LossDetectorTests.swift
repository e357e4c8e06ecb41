import Primitives
import Testing

@testable import QUIC

@Suite("Loss detection (RFC 9002 §6.1)")
struct RecoveryLossDetectorTests {
    @Test func acknowledgedPacketsLeaveFlightAndGiveASample() throws {
        var bench = DetectorBench()
        for index in 0..<4 { bench.send(at(Double(index))) }
        #expect(bench.path.bytesInFlight == 4_800)
        #expect(bench.detector.ackElicitingInFlight == 4)
        #expect(bench.detector.timeOfLastAckEliciting == at(3))
        try bench.receive([0...3], at: at(53), ackDelay: ms(5))
        #expect(bench.acknowledged == [0, 1, 2, 3])
        #expect(bench.lost.isEmpty)
        #expect(bench.path.bytesInFlight == 0)
        #expect(bench.detector.ackElicitingInFlight == 0)
        #expect(bench.outcome.sample == .init(path: NetworkPathID(rawValue: 0), rtt: ms(50)))
        #expect(bench.path.rtt.smoothed == ms(50))
        #expect(bench.detector.lossTime == nil)
    }

    @Test func framesComeBackWithTheirPackets() throws {
        var bench = DetectorBench()
        let stream = SentFrame.stream(StreamID(rawValue: 0), offset: 10, length: 20, fin: .end)
        bench.send(at(0), frames: [stream, .maxData], largestAcknowledged: 9)
        bench.send(at(0), frames: [.handshakeDone])
        try bench.receive([0...0], at: at(10))
        var frames: [SentFrame] = []
        bench.outcome.acknowledged[0].frames.forEach { frames.append($0) }
        #expect(frames == [stream, .maxData])
        #expect(bench.outcome.acknowledged[0].largestAcknowledged == 9)
    }

    @Test func threeLaterPacketsMakeOneLost() throws {
        var bench = DetectorBench()
        for _ in 0..<5 { bench.send(at(0)) }
        try bench.receive([3...3], at: at(40))
        #expect(bench.acknowledged == [3])
        #expect(bench.lost == [0])
        #expect(bench.detector.lossTime == at(45), "9/8 of the only sample after sending")
        try bench.receive([3...4], at: at(41))
        #expect(bench.acknowledged == [4])
        #expect(bench.lost == [1])
        bench.detectLost(at: at(46))
        #expect(bench.lost.isEmpty)
        bench.detectLost(at: at(46.125))
        #expect(bench.lost == [2])
        #expect(bench.path.bytesInFlight == 0)
        #expect(bench.detector.lossTime == nil)
        #expect(bench.detector.ackElicitingInFlight == 0)
    }

    @Test func deadlineReachedAlwaysSettlesWhatItWasFor() throws {
        var bench = DetectorBench()
        bench.send(at(0))
        bench.send(at(0))
        try bench.receive([1...1], at: at(33.333_333))
        let deadline = try #require(bench.detector.lossTime)
        bench.detectLost(at: deadline)
        #expect(bench.lost == [0])
        #expect(bench.detector.lossTime == nil)
    }

    @Test func lateAcknowledgementIsRecognised() throws {
        var bench = DetectorBench()
        for _ in 0..<4 { bench.send(at(0)) }
        try bench.receive([3...3, 1...1], at: at(40))
        #expect(bench.lost == [0])
        try bench.receive([0...3], at: at(45))
        #expect(bench.acknowledged == [2])
        #expect(bench.acknowledgedLate == [0])
        #expect(bench.path.spuriousLosses == 1)
        #expect(bench.path.bytesInFlight == 0)
    }

    @Test func acknowledgementTooLateIsIgnored() throws {
        var bench = DetectorBench()
        for _ in 0..<4 { bench.send(at(0)) }
        try bench.receive([1...3], at: at(40))
        #expect(bench.lost == [0])
        bench.send(at(5_000))
        try bench.receive([1...4], at: at(5_040))
        bench.send(at(10_000))
        try bench.receive([0...5], at: at(10_040))
        #expect(bench.acknowledged == [5])
        #expect(bench.acknowledgedLate.isEmpty)
    }

    @Test(arguments: [[3...3], [2...9], [UInt64.max...UInt64.max], [0...3]] as [[ClosedRange<UInt64>]])
    func acknowledgingWhatWasNeverSentIsAViolation(ranges: [ClosedRange<UInt64>]) {
        var bench = DetectorBench()
        for _ in 0..<3 { bench.send(at(0)) }
        #expect(throws: TransportError.self) { try bench.receive(ranges, at: at(10)) }
    }

    @Test func acknowledgingASkippedNumberIsAViolation() throws {
        var bench = DetectorBench()
        bench.send(at(0))
        #expect(bench.detector.skipPacketNumber() == 1)
        bench.send(at(0))
        try bench.receive([2...2, 0...0], at: at(10))
        #expect(bench.acknowledged == [0, 2])
        bench.send(at(10))
        do {
            try bench.receive([0...3], at: at(20))
            Issue.record("acknowledging packet 1 must be refused")
        } catch {
            #expect(error.code == .protocolViolation)
            #expect(error.frameType == 0x02)
        }
    }

    @Test func repeatedAcknowledgementsSettleNothing() throws {
        var bench = DetectorBench()
        bench.send(at(0))
        try bench.receive([0...0], at: at(10))
        try bench.receive([0...0], at: at(99))
        #expect(!bench.outcome.isProgress)
        #expect(bench.outcome.sample == nil)
        #expect(bench.path.rtt.latest == ms(10))
    }

    @Test func noSampleWithoutANewLargestOrAnythingAckEliciting() throws {
        var bench = DetectorBench()
        bench.send(at(0))
        bench.send(at(0))
        bench.send(at(0), kind: .ackOnly)
        try bench.receive([1...1], at: at(10))
        #expect(bench.outcome.sample != nil)
        try bench.receive([0...1], at: at(90))
        #expect(bench.acknowledged == [0])
        #expect(bench.outcome.sample == nil, "the largest was acknowledged before")
        try bench.receive([0...2], at: at(95))
        #expect(bench.acknowledged == [2])
        #expect(bench.outcome.sample == nil, "nothing newly acknowledged is ack-eliciting")
    }

    @Test func ackDelayOfInitialPacketsIsNotUsed() throws {
        var bench = DetectorBench(.initial)
        bench.handshakeMaxAckDelay = nil
        bench.send(at(0))
        try bench.receive([0...0], at: at(100))
        bench.send(at(100))
        try bench.receive([1...1], at: at(300), ackDelay: ms(50))
        #expect(bench.path.rtt.smoothed == (ms(100) * 7 + ms(200)) / 8)
    }

    @Test func acknowledgementOnlyPacketsAreNeitherInFlightNorLost() throws {
        var bench = DetectorBench()
        bench.send(at(0), kind: .ackOnly)
        bench.send(at(0), kind: .padded)
        for _ in 0..<4 { bench.send(at(0)) }
        #expect(bench.path.bytesInFlight == 6_000)
        try bench.receive([5...5], at: at(20))
        #expect(bench.lost == [1, 2])
        #expect(bench.path.congestion.congestionEventCount == 1)
    }

    @Test func lossOfProbesIsNoCongestion() throws {
        var bench = DetectorBench()
        bench.send(at(0), size: 1_452, kind: .probe(mtu: 1_452))
        bench.send(at(0), kind: .probe(mtu: nil))
        for _ in 0..<4 { bench.send(at(0)) }
        let window = bench.path.congestion.window
        try bench.receive([2...5], at: at(20))
        #expect(bench.lost == [0, 1])
        #expect(bench.path.congestion.window >= window)
        #expect(bench.path.congestion.congestionEventCount == 0)
        #expect(bench.path.bytesInFlight == 0)
    }

    @Test func discardedKeysTakeBytesOutOfFlightWithoutAVerdict() throws {
        var bench = DetectorBench(.handshake)
        for _ in 0..<10 { bench.send(at(0)) }
        bench.detector.discard(paths: bench.paths)
        #expect(bench.path.bytesInFlight == 0)
        #expect(bench.detector.timerState == LossTimer.SpaceState())
        #expect(bench.path.congestion.congestionEventCount == 0)
        #expect(bench.path.lostPackets == 0)
        bench.send(at(5))
        try bench.receive([10...10], at: at(30))
        #expect(bench.acknowledged == [10])
    }

    @Test func probesRepeatTheOldestFramesWhichStayInFlight() throws {
        var bench = DetectorBench()
        for index in UInt64(0)..<5 {
            bench.send(
                at(0), kind: index == 1 ? .ackOnly : .ackEliciting, frames: [.newConnectionID(sequence: index)])
        }
        try bench.receive([0...0], at: at(10))
        var frames: [SentFrame] = []
        bench.detector.framesOfOldest(2, into: &frames)
        #expect(frames == [.newConnectionID(sequence: 2), .newConnectionID(sequence: 3)])
        #expect(bench.detector.ackElicitingInFlight == 3)
        frames = []
        bench.detector.framesOfOldest(20, into: &frames)
        #expect(frames.count == 3)
    }

    @Test func retryBringsEverythingBackWithoutCongestion() {
        var bench = DetectorBench(.initial)
        for _ in 0..<3 { bench.send(at(0)) }
        bench.detector.markAllLost(at: at(20), paths: bench.paths, into: &bench.outcome)
        #expect(bench.lost == [0, 1, 2])
        #expect(bench.path.bytesInFlight == 0)
        #expect(bench.path.congestion.congestionEventCount == 0)
        #expect(bench.detector.ackElicitingInFlight == 0)
    }

    @Test func absurdTimesDoNotTrap() throws {
        let times = [Instant(nanoseconds: .min), at(0), Instant(nanoseconds: .max)]
        for sent in times {
            for received in times {
                var bench = DetectorBench(algorithm: .cubic)
                for _ in 0..<20 { bench.send(sent) }
                try bench.receive([19...19, 3...5], at: received, ackDelay: .max)
                try bench.receive([0...19], at: received, ackDelay: Interval(nanoseconds: .min))
                for _ in 0..<20 { bench.send(received) }
                try bench.receive([30...30], at: sent, ackDelay: .zero)
                bench.detectLost(at: Instant(nanoseconds: .max))
                #expect(bench.path.bytesInFlight >= 0)
            }
        }
    }
}

@Suite("Loss detection over several network paths")
struct RecoveryPathsTests {
    private func warm(_ bench: inout DetectorBench) throws {
        bench.send(at(0), path: 0)
        try bench.receive([0...0], at: at(100))
        bench.send(at(100), path: 1)
        try bench.receive([1...1], at: at(110))
        #expect(bench.paths.paths[0].rtt.smoothed == ms(100))
        #expect(bench.paths.paths[1].rtt.smoothed == ms(10))
    }

    @Test func fasterPathDoesNotMakeTheSlowerOnesPacketsLost() throws {
        var bench = DetectorBench(pathCount: 2)
        try warm(&bench)
        for _ in 0..<4 { bench.send(at(200), path: 0) }
        for _ in 0..<10 { bench.send(at(201), path: 1) }
        try bench.receive([6...15], at: at(211))
        #expect(bench.lost.isEmpty)
        #expect(bench.paths.paths[0].bytesInFlight == 4_800)
        #expect(bench.paths.paths[1].bytesInFlight == 0)
        try bench.receive([2...15], at: at(300))
        #expect(bench.acknowledged == [2, 3, 4, 5])
        #expect(bench.outcome.sample == nil)
        #expect(bench.paths.paths[0].congestion.congestionEventCount == 0)
    }

    @Test func packetsLeftBehindOnAPathAreLostAfterItsProbeTimeout() throws {
        var bench = DetectorBench(pathCount: 2)
        try warm(&bench)
        for _ in 0..<2 { bench.send(at(200), path: 0) }
        for _ in 0..<4 { bench.send(at(201), path: 1) }
        try bench.receive([4...7], at: at(211))
        // 100 + 4 × 50 + 25 milliseconds after sending
        #expect(bench.detector.lossTime == at(525))
        bench.detectLost(at: at(525))
        #expect(bench.lost == [2, 3])
        #expect(bench.paths.paths[0].congestion.congestionEventCount == 1)
        #expect(bench.paths.paths[1].congestion.congestionEventCount == 0)
    }

    @Test func lateAcknowledgementsAndLossesStayInTheirOwnBooks() throws {
        var bench = DetectorBench(pathCount: 2)
        try warm(&bench)
        for _ in 0..<6 { bench.send(at(200), path: 0) }
        let window = bench.paths.paths[1].congestion.window
        bench.send(at(250), path: 1)
        try bench.receive([7...7], at: at(300))
        #expect(bench.lost == [2, 3, 4])
        #expect(bench.paths.paths[1].congestion.window == window)
        #expect(bench.paths.paths[1].bytesInFlight == 1_200)
        let smoothed = bench.paths.paths[1].rtt
        try bench.receive([2...7], at: at(301))
        #expect(bench.acknowledgedLate == [2, 3, 4])
        #expect(bench.paths.paths[0].spuriousLosses == 3)
        #expect(bench.paths.paths[1].rtt == smoothed)
        #expect(bench.paths.paths[1].spuriousLosses == 0)
    }

    @Test func deadPathGivesItsFramesBackWithoutCongestionAnywhere() throws {
        var bench = DetectorBench(pathCount: 2)
        try warm(&bench)
        for index in UInt64(0)..<3 { bench.send(at(200), path: 0, frames: [.newConnectionID(sequence: index)]) }
        bench.send(at(201), path: 1)
        bench.detector.markAllLost(
            onPath: NetworkPathID(rawValue: 0), at: at(205), paths: bench.paths, into: &bench.outcome)
        #expect(bench.lost == [2, 3, 4])
        #expect(bench.outcome.lost.map(\.frames.first) == (0..<3).map { .newConnectionID(sequence: $0) })
        #expect(bench.paths.paths[0].bytesInFlight == 0)
        #expect(bench.paths.paths[1].bytesInFlight == 1_200)
        #expect(bench.detector.ackElicitingInFlight == 1)
        #expect(bench.paths.paths.allSatisfy { $0.congestion.congestionEventCount == 0 })
        try bench.receive([2...5], at: at(300))
        #expect(bench.acknowledgedLate == [2, 3, 4])
        #expect(bench.paths.paths[0].congestion.undoneEventCount == 0)
    }

    @Test func packetsOfAForgottenPathAreLostWithoutBooks() throws {
        var bench = DetectorBench(pathCount: 2)
        try warm(&bench)
        bench.send(at(200), path: 0)
        bench.send(at(200), path: 1)
        bench.paths.remove(NetworkPathID(rawValue: 0))
        try bench.receive([3...3], at: at(211))
        #expect(bench.lost == [2])
        #expect(bench.detector.ackElicitingInFlight == 0)
    }

    @Test func booksStartAnewOrAreAdopted() throws {
        var bench = DetectorBench(pathCount: 2)
        try warm(&bench)
        let (old, new) = (bench.paths.paths[0], bench.paths.paths[1])
        new.adoptBooks(of: old)
        #expect(new.rtt == old.rtt)
        #expect(new.congestion == old.congestion)
        new.resetBooks()
        #expect(new.rtt == RTTEstimator())
        #expect(new.congestion.window == CongestionController.initialWindow(datagramSize: 1_200))
        #expect(new.datagramSize == MTUDiscovery.base)
    }

    @Test func aPathThatContinuesTheBooksOfAnotherIsTheSamePathToLossDetection() throws {
        var bench = DetectorBench(pathCount: 2)
        bench.send(at(0), path: 0)
        try bench.receive([0...0], at: at(100))
        for _ in 0..<4 { bench.send(at(100), path: 0) }
        // A NAT forgot the port: what is in flight to the old one is gone.
        bench.paths.paths[1].adoptBooks(of: bench.paths.paths[0])
        for _ in 0..<4 { bench.send(at(110), path: 1) }
        try bench.receive([5...8], at: at(210))
        #expect(bench.lost == [1, 2, 3, 4])
        #expect(bench.paths.paths[0].bytesInFlight == 0)
        #expect(bench.paths.paths[1].congestion.congestionEventCount == 0)
    }

    @Test func pathsAreFoundByNameAndAddresses() {
        let bench = DetectorBench(pathCount: 3)
        let second = bench.paths.paths[1]
        #expect(bench.paths[NetworkPathID(rawValue: 1)] === second)
        #expect(bench.paths[NetworkPathID(rawValue: 9)] == nil)
        #expect(bench.paths.path(from: second.local, to: second.remote) === second)
        #expect(bench.paths.path(from: second.remote, to: second.local) == nil)
    }

    @Test("an acknowledgement that comes on another path tells no round-trip time of either")
    func acknowledgementOnAnotherPath() throws {
        var bench = DetectorBench(pathCount: 2)
        bench.send(at(0), path: 1)
        try bench.receive([0...0], at: at(40), on: 0)
        #expect(bench.acknowledged == [0])
        #expect(bench.outcome.sample == nil)
        #expect(bench.paths.paths.allSatisfy { $0.rtt.firstSampleTime == nil })
        bench.send(at(50), path: 1)
        try bench.receive([0...1], at: at(110), on: 1)
        #expect(bench.outcome.sample?.rtt == ms(60))
    }
}
