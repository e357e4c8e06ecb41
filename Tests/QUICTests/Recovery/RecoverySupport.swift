import Primitives

@testable import QUIC

/// An instant so many milliseconds after the origin of a test.
func at(_ milliseconds: Double) -> Instant {
    Instant(nanoseconds: Int64((milliseconds * 1_000_000).rounded()))
}

/// An interval of so many milliseconds.
func ms(_ milliseconds: Double) -> Interval {
    Interval(nanoseconds: Int64((milliseconds * 1_000_000).rounded()))
}

/// An ACK frame with the ranges given from the largest down, and the packet it stands in.
func acknowledgement(_ ranges: [ClosedRange<UInt64>], ecn: ECNCounts? = nil) -> (frame: AckFrame, payload: [UInt8]) {
    var payload: [UInt8] = []
    func append(_ value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) {
            let byte = UInt8(truncatingIfNeeded: value >> UInt64(shift))
            payload.append(shift == 56 ? byte | 0xc0 : byte)
        }
    }
    var smallest = ranges[0].lowerBound
    for range in ranges.dropFirst() {
        append(smallest - range.upperBound - 2)
        append(range.upperBound - range.lowerBound)
        smallest = range.lowerBound
    }
    let frame = AckFrame(
        largestAcknowledged: ranges[0].upperBound, encodedDelay: 0,
        firstRange: ranges[0].upperBound - ranges[0].lowerBound, additionalRangeCount: UInt64(ranges.count - 1),
        additionalRanges: 0..<payload.count, ecn: ecn)
    return (frame, payload)
}

/// A loss detector with its paths, for tests that say only what matters to them.
struct DetectorBench {
    var detector: LossDetector
    var paths = NetworkPathTable()
    var outcome = AckOutcome()
    var handshakeMaxAckDelay: Interval? = .milliseconds(25)

    init(_ space: PacketNumberSpace = .application, pathCount: UInt32 = 1, algorithm: CongestionAlgorithm = .newReno) {
        detector = LossDetector(space: space)
        for index in 0..<pathCount { paths.append(Self.path(index, algorithm)) }
    }

    static func path(_ index: UInt32, _ algorithm: CongestionAlgorithm = .cubic, ceiling: Int = 1_472) -> NetworkPath {
        NetworkPath(
            id: NetworkPathID(rawValue: index),
            local: NetworkAddress(IPAddress(ipv4: 0x0a00_0001 + index), port: 1_000),
            remote: NetworkAddress(IPAddress(ipv4: 0x0a00_0101), port: 443), algorithm: algorithm, ceiling: ceiling)
    }

    var path: NetworkPath { paths.paths[0] }

    @discardableResult
    mutating func send(
        _ time: Instant, size: Int = 1_200, kind: SentPacket.Kind = .ackEliciting, ecn: ECN = .notCapable,
        path: UInt32 = 0, frames: [SentFrame] = [], largestAcknowledged: UInt64? = nil
    ) -> UInt64 {
        var sentFrames = SentFrames()
        for frame in frames { sentFrames.append(frame) }
        let number = detector.nextPacketNumber
        detector.packetSent(
            SentPacket(
                packetNumber: number, timeSent: time, size: size, kind: kind, ecn: ecn,
                path: NetworkPathID(rawValue: path), largestAcknowledged: largestAcknowledged, frames: sentFrames),
            paths: paths)
        return number
    }

    mutating func receive(
        _ ranges: [ClosedRange<UInt64>], at now: Instant, ackDelay: Interval = .zero, ecn: ECNCounts? = nil,
        on arrival: UInt32? = nil
    ) throws(TransportError) {
        let (frame, payload) = acknowledgement(ranges, ecn: ecn)
        try detector.ackReceived(
            frame, in: payload.span, ackDelay: ackDelay, maxAckDelay: handshakeMaxAckDelay,
            on: arrival.flatMap { paths[NetworkPathID(rawValue: $0)] } ?? pathOfLargest(in: ranges), at: now,
            paths: paths,
            into: &outcome)
    }

    /// Where the acknowledgement comes from unless a test says otherwise: the path that its largest packet left on.
    private func pathOfLargest(in ranges: [ClosedRange<UInt64>]) -> NetworkPath? {
        guard let largest = ranges.first?.upperBound, largest < detector.nextPacketNumber,
            largest >= detector.ledger.first
        else { return nil }
        return paths[detector.ledger[largest].path]
    }

    mutating func detectLost(at now: Instant) {
        detector.detectLost(at: now, paths: paths, into: &outcome)
    }

    var acknowledged: [UInt64] { outcome.acknowledged.map(\.packetNumber).sorted() }
    var acknowledgedLate: [UInt64] { outcome.acknowledgedLate.map(\.packetNumber).sorted() }
    var lost: [UInt64] { outcome.lost.map(\.packetNumber) }
}
