import Cryptography
import Primitives

/// What a packet is written for.
enum PacketPlan: Equatable {
    /// Acknowledgements, handshake and stream data, whatever waits.
    case data(PacketAllowance)
    /// PING and PADDING of a size that the path is not yet known to carry (RFC 9000 §14.3).
    case mtuProbe(size: Int)
    /// Probing frames (RFC 9000 §9.1); `ping` makes the packet non-probing.
    case path(challenge: UInt64?, responses: [UInt64], ping: Bool)
    case close(Closing.Cause)
}

/// What a packet may carry.
enum PacketAllowance: Hashable {
    /// The window is full or the pacer holds back: nothing that is ack-eliciting.
    case acknowledgementsOnly
    /// Whatever there is.
    case everything
    /// RFC 9002 §6.2.4: one ack-eliciting packet, whatever the window says.
    case probe
}

/// A packet that is written but not sealed: PADDING can still be added.
struct OutgoingPacket {
    let space: PacketSpace
    let path: NetworkPath
    let number: UInt64
    /// Where the parts of the packet stand in the buffer.
    var layout: PacketLayout
    /// Where the payload ends; padding and the tag follow.
    var payloadEnd: Int
    var frames = SentFrames()
    var kind = SentPacket.Kind.ackOnly
    var largestAcknowledged: UInt64?
    /// RFC 9000 §14.1, §8.2.1: the datagram is to be expanded to 1,200 bytes.
    var wantsExpansion = false

    /// Bytes of the packet once it is sealed.
    var size: Int {
        max(payloadEnd, layout.packetNumber.lowerBound + PacketNumber.maximumLength) + CipherSuite.tagLength
            - layout.start
    }

    mutating func append(_ frame: SentFrame) {
        frames.append(frame)
        kind = .ackEliciting
    }
}

/// What the datagrams of one transmission have in common.
struct OutgoingBatch {
    /// The 1-RTT packets whose headers are still to be protected.
    var run: SealedRun
    /// The codepoint of all of them, since the kernel takes one for a whole batch; nil before the first packet is sealed.
    private(set) var ecn: ECN?

    /// A batch whose codepoint its first packet decides.
    init(_ run: consuming SealedRun) { self.run = run }

    /// A batch that leaves with this codepoint.
    init(_ run: consuming SealedRun, ecn: ECN) {
        self.run = run
        self.ecn = ecn
    }

    /// The codepoint that `packet` leaves with.
    mutating func chooseECN(for packet: OutgoingPacket) -> ECN {
        if let ecn { return ecn }
        let validator = packet.path.ecn
        let chosen = packet.kind.isAckEliciting ? validator.codepoint : validator.codepointOfAcknowledgements
        ecn = chosen
        return chosen
    }
}
