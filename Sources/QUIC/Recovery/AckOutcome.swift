import Primitives

/// What an ACK, or the passing of time, settled. The caller keeps one and hands it in again, so that its arrays keep their
/// memory; every operation that fills it empties it first.
struct AckOutcome {
    /// Packets acknowledged for the first time, the highest ranges first.
    private(set) var acknowledged: [SentPacket] = []
    /// Packets that had been declared lost and arrived after all: their frames need no (further) retransmission.
    private(set) var acknowledgedLate: [SentPacket] = []
    /// Packets declared lost, oldest first: their frames go out again.
    private(set) var lost: [SentPacket] = []
    /// The largest packet number newly acknowledged.
    private(set) var largestNewlyAcknowledged: UInt64?
    /// The path that took a round-trip time sample, and the sample.
    var sample: PathSample?
    /// The path on which congestion was marked (ECN-CE).
    var congestionMarked: NetworkPathID?
    /// The path whose window fell to its minimum.
    var persistentCongestion: NetworkPathID?

    /// A round-trip time measured on a path.
    struct PathSample: Equatable {
        var path: NetworkPathID
        var rtt: Interval
    }

    /// Whether an ACK acknowledged anything that it had not before.
    var isProgress: Bool { !acknowledged.isEmpty || !acknowledgedLate.isEmpty }

    mutating func reset() {
        acknowledged.removeAll(keepingCapacity: true)
        acknowledgedLate.removeAll(keepingCapacity: true)
        lost.removeAll(keepingCapacity: true)
        largestNewlyAcknowledged = nil
        sample = nil
        congestionMarked = nil
        persistentCongestion = nil
    }

    mutating func appendAcknowledged(_ packet: consuming SentPacket) {
        largestNewlyAcknowledged = max(largestNewlyAcknowledged ?? 0, packet.packetNumber)
        acknowledged.append(packet)
    }

    mutating func appendAcknowledgedLate(_ packet: consuming SentPacket) {
        largestNewlyAcknowledged = max(largestNewlyAcknowledged ?? 0, packet.packetNumber)
        acknowledgedLate.append(packet)
    }

    mutating func appendLost(_ packet: SentPacket) { lost.append(packet) }
}
