import Primitives

extension TransportParameters {
    /// Smallest max_udp_payload_size, in bytes (RFC 9000 §18.2).
    static let smallestMaxUDPPayloadSize: UInt64 = 1_200
    /// Largest ack_delay_exponent (RFC 9000 §18.2).
    static let largestAckDelayExponent: UInt64 = 20
    /// Largest max_ack_delay, in milliseconds (RFC 9000 §18.2).
    static let largestMaxAckDelay: UInt64 = 1 << 14 - 1
    /// The longest max_idle_timeout that is told apart from a longer one, in milliseconds: a year.
    static let longestIdleTimeout: UInt64 = 366 * 86_400 * 1000
    /// Smallest active_connection_id_limit (RFC 9000 §18.2).
    static let smallestActiveConnectionIDLimit: UInt64 = 2

    /// Decodes the content of the quic_transport_parameters extension that `sender` sent.
    ///
    /// Any bytes give parameters or TRANSPORT_PARAMETER_ERROR; unknown parameters are ignored (RFC 9000 §7.4.2).
    public init(decoding bytes: Span<UInt8>, from sender: Role) throws(TransportError) {
        self.init()
        var reader = ByteReader(bytes)
        var seen: Set<UInt64> = []
        while !reader.isAtEnd {
            let (number, range) = try Self.readParameter(&reader)
            var value = ParameterValue(bytes.extracting(range), of: number)
            // RFC 9000 §7.4: a parameter is not sent more than once.
            guard seen.insert(number).inserted else { throw value.failure("occurs twice") }
            guard let id = TransportParameterID(rawValue: number) else { continue }
            // RFC 9000 §18.2: a client does not send the parameters that describe a server.
            guard sender == .server || !id.isFromServerOnly else { throw value.failure("only a server may send it") }
            try decode(id, from: &value)
            try value.end()
        }
        // draft-ietf-quic-ack-frequency §3: min_ack_delay above max_ack_delay is TRANSPORT_PARAMETER_ERROR.
        if let minAckDelay, minAckDelay > maxAckDelay {
            throw TransportError(.transportParameterError, "min_ack_delay above max_ack_delay")
        }
    }

    private static func readParameter(
        _ reader: inout ByteReader
    ) throws(TransportError) -> (number: UInt64, value: Range<Int>) {
        do {
            let number = try reader.readVarint()
            return (number, try reader.readRange(count: try reader.readVarint()))
        } catch {
            throw TransportError(.transportParameterError, "transport parameters end early")
        }
    }

    private mutating func decode(
        _ id: TransportParameterID, from value: inout ParameterValue
    ) throws(TransportError) {
        switch id {
        case .originalDestinationConnectionID: originalDestinationConnectionID = try value.connectionID()
        case .maxIdleTimeout:
            maxIdleTimeout = .milliseconds(Int64(clamping: min(try value.varint(), Self.longestIdleTimeout)))
        case .statelessResetToken: statelessResetToken = try value.statelessResetToken()
        case .maxUDPPayloadSize: maxUDPPayloadSize = try value.varint(in: Self.smallestMaxUDPPayloadSize...Varint.max)
        case .initialMaxData: initialMaxData = try value.varint()
        case .initialMaxStreamDataBidiLocal: initialMaxStreamDataBidiLocal = try value.varint()
        case .initialMaxStreamDataBidiRemote: initialMaxStreamDataBidiRemote = try value.varint()
        case .initialMaxStreamDataUni: initialMaxStreamDataUni = try value.varint()
        case .initialMaxStreamsBidi: initialMaxStreamsBidi = try value.varint(in: 0...StreamID.maximumCount)
        case .initialMaxStreamsUni: initialMaxStreamsUni = try value.varint(in: 0...StreamID.maximumCount)
        case .ackDelayExponent:
            ackDelayExponent = UInt8(truncatingIfNeeded: try value.varint(in: 0...Self.largestAckDelayExponent))
        case .maxAckDelay:
            maxAckDelay = .milliseconds(Int64(clamping: try value.varint(in: 0...Self.largestMaxAckDelay)))
        case .disableActiveMigration: disablesActiveMigration = true
        case .preferredAddress: preferredAddress = try value.preferredAddress()
        case .activeConnectionIDLimit:
            activeConnectionIDLimit = try value.varint(in: Self.smallestActiveConnectionIDLimit...Varint.max)
        case .initialSourceConnectionID: initialSourceConnectionID = try value.connectionID()
        case .retrySourceConnectionID: retrySourceConnectionID = try value.connectionID()
        case .maxDatagramFrameSize: maxDatagramFrameSize = try value.varint()
        case .greaseQUICBit: greasesQUICBit = true
        case .minAckDelay: minAckDelay = .microseconds(Int64(clamping: try value.varint()))
        }
    }
}

/// The value of one parameter, whose number every error names.
private struct ParameterValue: ~Escapable {
    private var reader: ByteReader
    private let number: UInt64

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>, of number: UInt64) {
        reader = ByteReader(bytes)
        self.number = number
    }

    func failure(_ reason: String) -> TransportError {
        TransportError(.transportParameterError, "transport parameter \(number): \(reason)")
    }

    /// Checks that the value was read to its end.
    func end() throws(TransportError) {
        guard reader.isAtEnd else { throw failure("value has trailing bytes") }
    }

    @_lifetime(self: copy self)
    mutating func varint(in allowed: ClosedRange<UInt64> = 0...Varint.max) throws(TransportError) -> UInt64 {
        guard let value = try? reader.readVarint() else { throw failure("value ends early") }
        guard allowed.contains(value) else { throw failure("value \(value) is out of range") }
        return value
    }

    /// A connection ID that takes up the rest of the value.
    @_lifetime(self: copy self)
    mutating func connectionID() throws(TransportError) -> ConnectionID {
        guard let id = ConnectionID(reader.bytes.extracting(reader.readRest())) else {
            throw failure("connection ID of more than 20 bytes")
        }
        return id
    }

    @_lifetime(self: copy self)
    mutating func statelessResetToken() throws(TransportError) -> StatelessResetToken {
        StatelessResetToken(high: try integer(width: 8), low: try integer(width: 8))
    }

    @_lifetime(self: copy self)
    mutating func preferredAddress() throws(TransportError) -> PreferredAddress {
        let ipv4 = IPAddress(ipv4: UInt32(truncatingIfNeeded: try integer(width: 4)))
        let ipv4Port = UInt16(truncatingIfNeeded: try integer(width: 2))
        let ipv6 = IPAddress(ipv6High: try integer(width: 8), low: try integer(width: 8))
        let ipv6Port = UInt16(truncatingIfNeeded: try integer(width: 2))
        let length = try integer(width: 1)
        guard let range = try? reader.readRange(count: length) else { throw failure("value ends early") }
        // RFC 9000 §5.1.1 and §18.2: a zero-length connection ID here is TRANSPORT_PARAMETER_ERROR.
        guard !range.isEmpty, let id = ConnectionID(reader.bytes.extracting(range)) else {
            throw failure("connection ID of 0 or more than 20 bytes")
        }
        // RFC 9000 §18.2: a family that is not offered has an address and port of zeros.
        return PreferredAddress(
            ipv4: ipv4.low == 0 && ipv4Port == 0 ? nil : NetworkAddress(ipv4, port: ipv4Port),
            ipv6: ipv6.high == 0 && ipv6.low == 0 && ipv6Port == 0 ? nil : NetworkAddress(ipv6, port: ipv6Port),
            connectionID: id, statelessResetToken: try statelessResetToken())
    }

    @_lifetime(self: copy self)
    private mutating func integer(width: Int) throws(TransportError) -> UInt64 {
        guard let value = try? reader.readInteger(width: width) else { throw failure("value ends early") }
        return value
    }
}
