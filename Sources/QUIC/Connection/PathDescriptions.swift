public import Primitives

/// Which path an event is about.
public struct PathDescription: Hashable, Sendable {
    /// The path's number in its connection.
    public var id: NetworkPathID
    /// This end's address.
    public var local: NetworkAddress
    /// The peer's address.
    public var remote: NetworkAddress

    init(_ path: NetworkPath) {
        id = path.id
        local = path.local
        remote = path.remote
    }
}

/// What is known of a network path.
public struct PathStatus: Hashable, Sendable {
    /// What a path is to the connection.
    public enum Use: Hashable, Sendable {
        /// It carries the connection's data.
        case active
        /// It is known, and can be made active.
        case standby
    }

    /// Which path this is about.
    public var path: PathDescription
    /// What the path is to the connection.
    public var use: Use
    /// How far the peer has proven that it is there (RFC 9000 §8.2).
    public enum Validation: Hashable, Sendable {
        /// Nothing was asked yet.
        case unvalidated
        /// Asked, and not answered yet.
        case validating
        /// The peer has answered.
        case validated
        /// The peer did not answer in time.
        case failed
    }

    /// How far path validation is. A path that is validated once more counts as validated until that fails.
    public var validation: Validation
    /// Whether the peer has answered on it.
    public var isValidated: Bool { validation == .validated }
    /// The smoothed round-trip time.
    public var smoothedRTT: Interval
    /// The mean deviation of the round-trip time.
    public var rttVariation: Interval
    /// What chooses the congestion window.
    public var congestionControl: CongestionAlgorithm
    /// The congestion window.
    public var congestionWindow: ByteCount
    /// Bytes sent and neither acknowledged nor lost.
    public var bytesInFlight: ByteCount
    /// The datagram size that the path is known to carry, in bytes of UDP payload.
    public var maximumDatagramSize: Int
    /// Bytes of UDP payload sent on it.
    public var bytesSent: UInt64
    /// Bytes of UDP payload received on it.
    public var bytesReceived: UInt64
    /// Packets sent on it and declared lost.
    public var packetsLost: UInt64

    init(_ path: NetworkPath, use: Use) {
        self.path = PathDescription(path)
        self.use = use
        validation =
            switch path.validator.state {
            case .unvalidated: .unvalidated
            case .validating: .validating
            case .validated, .revalidating: .validated
            case .failed: .failed
            }
        smoothedRTT = path.rtt.smoothed
        rttVariation = path.rtt.variation
        congestionControl = path.congestion.algorithm
        congestionWindow = ByteCount(path.congestion.window)
        bytesInFlight = ByteCount(path.bytesInFlight)
        maximumDatagramSize = path.datagramSize
        bytesSent = path.bytesSent
        bytesReceived = path.bytesReceived
        packetsLost = path.lostPackets
    }
}
