/// Numbers that RFC 9000 fixes.
enum TransportLimits {
    /// The smallest maximum datagram size that a path must carry, in bytes of UDP payload (RFC 9000 §14).
    static let minimumDatagramSize = 1200
    /// The largest UDP payload, in bytes (RFC 9000 §18.2, max_udp_payload_size).
    static let maximumDatagramSize = 65_527
}
