/// Numbers that RFC 9000 fixes, or leaves to us.
enum TransportLimits {
    /// The smallest maximum datagram size that a path must carry, in bytes of UDP payload (RFC 9000 §14).
    static let minimumDatagramSize = 1200
    /// The largest UDP payload, in bytes (RFC 9000 §18.2, max_udp_payload_size).
    static let maximumDatagramSize = 65_527
    /// The longest address validation token that a client takes, in bytes; a longer one is ignored. What it leaves of an
    /// Initial packet has to hold a useful part of the ClientHello.
    static let longestToken = 800
    /// The smallest datagram that holds a challenge and an answer, in bytes. A path whose anti-amplification limit allows
    /// less counts as blocked.
    static let smallestDatagram = 64
    /// The smallest datagram that holds any ACK frame of one range, in bytes. While less is allowed no timer runs for it.
    static let smallestAcknowledgement = 128
}
