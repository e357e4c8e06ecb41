public import Primitives

/// What an end of a connection asks of the transport and allows its peer.
public struct TransportConfiguration: Sendable {
    /// Ends the connection after this long without a packet; the smaller of both ends' values counts (RFC 9000 §10.1).
    public var idleTimeout: Interval = .seconds(30)
    /// Ends a connection whose handshake takes longer: a tampered handshake can stall without an error.
    public var handshakeTimeout: Interval = .seconds(10)
    /// Sends a PING after this long without a packet while `keepAlive` is wanted; nil: never.
    public var keepAliveInterval: Interval?
    /// How long this end may delay an acknowledgement (max_ack_delay).
    public var maximumAckDelay: Interval = .milliseconds(25)
    /// The shortest delay of an acknowledgement that the peer may ask for with ACK_FREQUENCY frames (min_ack_delay); nil:
    /// that extension is neither offered nor used.
    public var minimumAckDelay: Interval? = AckPolicy.defaultMinAckDelay
    /// Windows and numbers of the streams that the peer may use.
    public var streams = StreamConfiguration()
    /// Connection IDs of the peer that this end stores (active_connection_id_limit, at least 2).
    public var activeConnectionIDLimit = 8
    /// The congestion controller of new network paths.
    public var congestionControl: CongestionAlgorithm = .standard
    /// Packets after which this end updates the keys of 1-RTT packets; nil: half of what the cipher allows (RFC 9001 §6.6).
    public var packetsPerKeyPhase: UInt64?
    /// The largest datagram that path MTU discovery tries, in bytes of UDP payload; a path may lower it.
    public var largestDatagram = 16_384
    /// The largest DATAGRAM frame that this end accepts (RFC 9221); 0: none.
    public var maximumDatagramFrameSize = 0
    /// Whether the fixed bit of received packets may have any value (RFC 9287).
    public var acceptsGreasedFixedBit = true
    /// Whether a client may leave the address of the handshake (disable_active_migration is its negation).
    public var allowsActiveMigration = true
    /// Which preferred addresses of a server a client moves to (RFC 9000 §9.6).
    public var preferredAddresses = PreferredAddressScope.global

    /// Creates the defaults.
    public init() {}

    /// The min_ack_delay that is announced, in whole microseconds; draft-ietf-quic-ack-frequency §3: not above max_ack_delay.
    var announcedMinAckDelay: Interval? {
        minimumAckDelay.map { .microseconds(min(max($0, .zero), maximumAckDelay).microseconds) }
    }
}

/// Where a server may send its clients with a preferred address: an attacker's could aim at the client's own network
/// (RFC 9000 §21.5.3).
public enum PreferredAddressScope: Hashable, Sendable {
    /// Addresses of the public internet.
    case global
    /// Any address of a host: for servers inside a private network.
    case any

    /// Whether a client moves to `address`; others are ignored.
    public func contains(_ address: IPAddress) -> Bool {
        switch self {
        case .global: address.isGlobal
        case .any: !address.isMulticast && !address.isUnspecified && address.purpose != .broadcast
        }
    }
}

extension TransportParameters {
    /// What this end announces to its peer; the connection IDs and tokens of a connection are added by its endpoint.
    init(_ configuration: TransportConfiguration) {
        self.init()
        maxIdleTimeout = configuration.idleTimeout
        maxAckDelay = configuration.maximumAckDelay
        minAckDelay = configuration.announcedMinAckDelay
        activeConnectionIDLimit = UInt64(max(2, configuration.activeConnectionIDLimit))
        maxDatagramFrameSize = UInt64(max(0, configuration.maximumDatagramFrameSize))
        disablesActiveMigration = !configuration.allowsActiveMigration
        greasesQUICBit = configuration.acceptsGreasedFixedBit
        configuration.streams.announce(in: &self)
    }

    /// The unit of the ACK Delay field that this end sends: the default of RFC 9000 §18.2.
    static let defaultAckDelayExponent: UInt8 = 3
}
