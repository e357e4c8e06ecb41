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
    /// Whether the peer has answered on it.
    public var isValidated: Bool
    /// The smoothed round-trip time.
    public var smoothedRTT: Interval
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
        isValidated = path.validator.isValidated
        smoothedRTT = path.rtt.smoothed
        congestionWindow = ByteCount(path.congestion.window)
        bytesInFlight = ByteCount(path.bytesInFlight)
        maximumDatagramSize = path.datagramSize
        bytesSent = path.bytesSent
        bytesReceived = path.bytesReceived
        packetsLost = path.lostPackets
    }
}
