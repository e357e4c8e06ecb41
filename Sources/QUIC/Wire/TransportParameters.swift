public import Primitives

/// What an endpoint tells its peer about itself during the handshake (RFC 9000 §18.2).
///
/// A new value has the defaults of the RFC: what a peer means that leaves every parameter out. Limits of 0 forbid.
public struct TransportParameters: Hashable, Sendable {
    /// max_idle_timeout, in whole milliseconds on the wire; zero: no time-out.
    public var maxIdleTimeout: Interval = .zero
    /// max_udp_payload_size: the longest UDP payload that the sender of the parameters takes, in bytes.
    public var maxUDPPayloadSize: UInt64 = 65_527
    /// initial_max_data
    public var initialMaxData: UInt64 = 0
    /// initial_max_stream_data_bidi_local: for streams that the sender of the parameters opens.
    public var initialMaxStreamDataBidiLocal: UInt64 = 0
    /// initial_max_stream_data_bidi_remote: for streams that its peer opens.
    public var initialMaxStreamDataBidiRemote: UInt64 = 0
    /// initial_max_stream_data_uni
    public var initialMaxStreamDataUni: UInt64 = 0
    /// initial_max_streams_bidi
    public var initialMaxStreamsBidi: UInt64 = 0
    /// initial_max_streams_uni
    public var initialMaxStreamsUni: UInt64 = 0
    /// ack_delay_exponent: the delay of an ACK frame counts in units of 2^n microseconds.
    public var ackDelayExponent: UInt8 = 3
    /// max_ack_delay, in whole milliseconds on the wire.
    public var maxAckDelay: Interval = .milliseconds(25)
    /// disable_active_migration: the peer may not migrate while it uses the address of the handshake.
    public var disablesActiveMigration = false
    /// active_connection_id_limit: how many connection IDs of its peer the sender of the parameters keeps.
    public var activeConnectionIDLimit: UInt64 = 2
    /// max_datagram_frame_size (RFC 9221 §3): zero: no DATAGRAM frames.
    public var maxDatagramFrameSize: UInt64 = 0
    /// grease_quic_bit (RFC 9287 §3): the sender of the parameters accepts packets without the fixed bit.
    public var greasesQUICBit = false
    /// min_ack_delay (draft-ietf-quic-ack-frequency), in microseconds on the wire; nil: no ACK_FREQUENCY frames.
    public var minAckDelay: Interval?
    /// initial_source_connection_id
    public var initialSourceConnectionID: ConnectionID?
    /// original_destination_connection_id; from servers only.
    public var originalDestinationConnectionID: ConnectionID?
    /// retry_source_connection_id; from servers only, after a Retry.
    public var retrySourceConnectionID: ConnectionID?
    /// stateless_reset_token, of the connection ID of the handshake; from servers only.
    public var statelessResetToken: StatelessResetToken?
    /// preferred_address; from servers only.
    public var preferredAddress: PreferredAddress?

    /// The defaults of RFC 9000 §18.2.
    public init() {}
}

/// Where a server would rather be reached, once the handshake is confirmed (RFC 9000 §9.6).
public struct PreferredAddress: Hashable, Sendable {
    /// The address for clients that speak IPv4.
    public var ipv4: NetworkAddress?
    /// The address for clients that speak IPv6.
    public var ipv6: NetworkAddress?
    /// The connection ID with sequence number 1, to be used toward that address.
    public var connectionID: ConnectionID
    /// The reset token of that connection ID.
    public var statelessResetToken: StatelessResetToken

    /// Creates a preferred address; a family that is nil is sent as zeros.
    public init(
        ipv4: NetworkAddress?, ipv6: NetworkAddress?, connectionID: ConnectionID,
        statelessResetToken: StatelessResetToken
    ) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.connectionID = connectionID
        self.statelessResetToken = statelessResetToken
    }
}

/// The numbers of transport parameters on the wire.
enum TransportParameterID: UInt64, CaseIterable {
    case originalDestinationConnectionID = 0x00
    case maxIdleTimeout = 0x01
    case statelessResetToken = 0x02
    case maxUDPPayloadSize = 0x03
    case initialMaxData = 0x04
    case initialMaxStreamDataBidiLocal = 0x05
    case initialMaxStreamDataBidiRemote = 0x06
    case initialMaxStreamDataUni = 0x07
    case initialMaxStreamsBidi = 0x08
    case initialMaxStreamsUni = 0x09
    case ackDelayExponent = 0x0a
    case maxAckDelay = 0x0b
    case disableActiveMigration = 0x0c
    case preferredAddress = 0x0d
    case activeConnectionIDLimit = 0x0e
    case initialSourceConnectionID = 0x0f
    case retrySourceConnectionID = 0x10
    /// RFC 9221 §3
    case maxDatagramFrameSize = 0x20
    /// RFC 9287 §3
    case greaseQUICBit = 0x2ab2
    /// draft-ietf-quic-ack-frequency §3
    case minAckDelay = 0xff04_de1b

    /// Whether a client must not send it (RFC 9000 §18.2).
    var isFromServerOnly: Bool {
        switch self {
        case .originalDestinationConnectionID, .preferredAddress, .retrySourceConnectionID, .statelessResetToken: true
        case .maxIdleTimeout, .maxUDPPayloadSize, .initialMaxData, .initialMaxStreamDataBidiLocal,
            .initialMaxStreamDataBidiRemote, .initialMaxStreamDataUni, .initialMaxStreamsBidi, .initialMaxStreamsUni,
            .ackDelayExponent, .maxAckDelay, .disableActiveMigration, .activeConnectionIDLimit,
            .initialSourceConnectionID, .maxDatagramFrameSize, .greaseQUICBit, .minAckDelay:
            false
        }
    }
}

/// The connection IDs that an endpoint saw in the packets of a handshake (RFC 9000 §7.3).
public struct HandshakeConnectionIDs: Hashable, Sendable {
    /// The Source Connection ID of the peer's first Initial packet.
    public var peerInitialSource: ConnectionID
    /// The Destination Connection ID of the client's very first Initial packet.
    public var originalDestination: ConnectionID
    /// The Source Connection ID of the Retry packet that was answered; nil without one.
    public var retrySource: ConnectionID?

    /// Creates the record.
    public init(peerInitialSource: ConnectionID, originalDestination: ConnectionID, retrySource: ConnectionID?) {
        self.peerInitialSource = peerInitialSource
        self.originalDestination = originalDestination
        self.retrySource = retrySource
    }
}

extension TransportParameters {
    /// Checks that the connection IDs which `sender` authenticated are those of its packets (RFC 9000 §7.3).
    public func checkConnectionIDs(
        against seen: HandshakeConnectionIDs, from sender: Role
    ) throws(TransportError) {
        // RFC 9000 §7.3: absence and mismatch are TRANSPORT_PARAMETER_ERROR; the Retry one is present if and only if
        // there was a Retry.
        guard initialSourceConnectionID == seen.peerInitialSource else {
            throw TransportError(.transportParameterError, "initial_source_connection_id is not that of the packets")
        }
        guard sender == .server else { return }
        guard originalDestinationConnectionID == seen.originalDestination else {
            throw TransportError(
                .transportParameterError, "original_destination_connection_id is not that of the packets")
        }
        guard retrySourceConnectionID == seen.retrySource else {
            throw TransportError(.transportParameterError, "retry_source_connection_id is not that of the packets")
        }
    }
}
