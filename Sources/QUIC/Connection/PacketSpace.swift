import Primitives
import TLS

/// Names one of the packet number spaces that multipath QUIC has for 1-RTT packets (RFC 10069); plain QUIC has one.
///
/// Not to be confused with a network path: the one space of plain QUIC moves between network paths as it migrates.
struct PathIdentifier: Hashable {
    let rawValue: UInt32

    /// The path identifier of the handshake.
    static let zero = PathIdentifier(rawValue: 0)
}

/// A packet number space (RFC 9000 §12.3) with what belongs to it alone: keys, acknowledgements both ways, CRYPTO data.
final class PacketSpace {
    /// One packet number in about this many is skipped, so that a peer that acknowledges what it has not received is
    /// found out (RFC 9000 §21.4).
    static let averagePacketsBetweenSkips: UInt64 = 500

    let level: EncryptionLevel
    let identifier: PathIdentifier
    var received: ReceivedPackets
    var loss: LossDetector
    var crypto = CryptoStream()
    /// The keys of the Initial and Handshake levels; 1-RTT keys, which change, belong to the connection.
    var keys = PacketKeyPair()
    /// Packets to send although the congestion window is full (RFC 9002 §6.2.4).
    var probesToSend = 0
    private var packetsUntilSkip: UInt64

    init(
        _ level: EncryptionLevel, identifier: PathIdentifier = .zero, configuration: TransportConfiguration,
        using generator: inout some RandomNumberGenerator
    ) {
        self.level = level
        self.identifier = identifier
        received = ReceivedPackets(space: level.packetNumberSpace, maxAckDelay: configuration.maximumAckDelay)
        loss = LossDetector(space: level.packetNumberSpace)
        packetsUntilSkip = Self.drawSkip(using: &generator)
    }

    /// The number that the next packet gets.
    var nextPacketNumber: UInt64 { loss.nextPacketNumber }

    /// Leaves a packet number out now and then; called after each packet.
    func skipPacketNumberIfDue(using generator: inout some RandomNumberGenerator) {
        guard level == .oneRTT else { return }
        packetsUntilSkip -= 1
        guard packetsUntilSkip == 0 else { return }
        _ = loss.skipPacketNumber()
        packetsUntilSkip = Self.drawSkip(using: &generator)
    }

    private static func drawSkip(using generator: inout some RandomNumberGenerator) -> UInt64 {
        UInt64.random(in: 1..<2 * averagePacketsBetweenSkips, using: &generator)
    }
}

extension EncryptionLevel {
    /// The packet number space of the level (RFC 9000 §12.3).
    var packetNumberSpace: PacketNumberSpace {
        switch self {
        case .initial: .initial
        case .handshake: .handshake
        case .oneRTT: .application
        }
    }

    /// The kind of packet that is protected with the level's keys.
    var packetType: PacketType {
        switch self {
        case .initial: .initial
        case .handshake: .handshake
        case .oneRTT: .oneRTT
        }
    }
}
