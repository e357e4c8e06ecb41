/// A packet number space (RFC 9000 §12.3), in the order in which a handshake goes through them.
public enum PacketNumberSpace: UInt8, Hashable, Sendable, CaseIterable {
    /// Initial packets.
    case initial = 0
    /// Handshake packets.
    case handshake = 1
    /// 1-RTT packets.
    case application = 2
}
