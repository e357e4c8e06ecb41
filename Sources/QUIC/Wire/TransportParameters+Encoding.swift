import Primitives

extension TransportParameters {
    /// Encodes the content of the quic_transport_parameters extension of an endpoint with the given role.
    ///
    /// Parameters with their default value are left out, and those that only a server may send are in a client's. One
    /// parameter with a reserved number and random content is added (RFC 9000 §18.1).
    public func encoded(for role: Role, using generator: inout some RandomNumberGenerator) -> [UInt8] {
        var encoder = ParameterEncoder()
        let defaults = TransportParameters()
        appendLimits(to: &encoder, defaults: defaults)
        if maxIdleTimeout != .zero { encoder.append(.maxIdleTimeout, Self.magnitude(maxIdleTimeout.milliseconds)) }
        if ackDelayExponent != defaults.ackDelayExponent {
            encoder.append(.ackDelayExponent, UInt64(ackDelayExponent))
        }
        if maxAckDelay != defaults.maxAckDelay {
            encoder.append(.maxAckDelay, Self.magnitude(maxAckDelay.milliseconds))
        }
        if disablesActiveMigration { encoder.append(.disableActiveMigration, []) }
        if greasesQUICBit { encoder.append(.greaseQUICBit, []) }
        if let minAckDelay { encoder.append(.minAckDelay, Self.magnitude(minAckDelay.microseconds)) }
        if let initialSourceConnectionID {
            encoder.append(.initialSourceConnectionID, initialSourceConnectionID.bytes)
        }
        if role == .server { appendServerParameters(to: &encoder) }
        encoder.appendReserved(using: &generator)
        return encoder.bytes
    }

    private func appendLimits(to encoder: inout ParameterEncoder, defaults: TransportParameters) {
        let limits: [(TransportParameterID, KeyPath<TransportParameters, UInt64>)] = [
            (.maxUDPPayloadSize, \.maxUDPPayloadSize),
            (.initialMaxData, \.initialMaxData),
            (.initialMaxStreamDataBidiLocal, \.initialMaxStreamDataBidiLocal),
            (.initialMaxStreamDataBidiRemote, \.initialMaxStreamDataBidiRemote),
            (.initialMaxStreamDataUni, \.initialMaxStreamDataUni),
            (.initialMaxStreamsBidi, \.initialMaxStreamsBidi),
            (.initialMaxStreamsUni, \.initialMaxStreamsUni),
            (.activeConnectionIDLimit, \.activeConnectionIDLimit),
            (.maxDatagramFrameSize, \.maxDatagramFrameSize),
        ]
        for (id, limit) in limits where self[keyPath: limit] != defaults[keyPath: limit] {
            encoder.append(id, self[keyPath: limit])
        }
    }

    private func appendServerParameters(to encoder: inout ParameterEncoder) {
        if let originalDestinationConnectionID {
            encoder.append(.originalDestinationConnectionID, originalDestinationConnectionID.bytes)
        }
        if let retrySourceConnectionID { encoder.append(.retrySourceConnectionID, retrySourceConnectionID.bytes) }
        if let statelessResetToken { encoder.append(.statelessResetToken, statelessResetToken.bytes) }
        guard let preferredAddress else { return }
        var value = ParameterEncoder()
        value.append(preferredAddress.ipv4?.ip.low ?? 0, width: 4)
        value.append(UInt64(preferredAddress.ipv4?.port ?? 0), width: 2)
        value.append(preferredAddress.ipv6?.ip.high ?? 0, width: 8)
        value.append(preferredAddress.ipv6?.ip.low ?? 0, width: 8)
        value.append(UInt64(preferredAddress.ipv6?.port ?? 0), width: 2)
        value.append(UInt64(preferredAddress.connectionID.count), width: 1)
        let content = value.bytes + preferredAddress.connectionID.bytes + preferredAddress.statelessResetToken.bytes
        encoder.append(.preferredAddress, content)
    }

    private static func magnitude(_ value: Int64) -> UInt64 { min(UInt64(clamping: value), Varint.max) }
}

/// Builds the list of parameters.
private struct ParameterEncoder {
    /// Longest value of the reserved parameter, in bytes: enough to be noticed, little enough to cost nothing.
    static let longestReservedValue = 16

    var bytes: [UInt8] = []

    mutating func append(_ id: TransportParameterID, _ value: [UInt8]) { append(number: id.rawValue, value) }

    mutating func append(_ id: TransportParameterID, _ value: UInt64) {
        var content = ParameterEncoder()
        content.appendVarint(value)
        append(number: id.rawValue, content.bytes)
    }

    mutating func append(number: UInt64, _ value: [UInt8]) {
        appendVarint(number)
        appendVarint(UInt64(value.count))
        bytes += value
    }

    /// RFC 9000 §18.1: numbers of the form 31 * N + 27 are reserved to exercise that unknown parameters are ignored.
    mutating func appendReserved(using generator: inout some RandomNumberGenerator) {
        let number = 31 * UInt64.random(in: 0...(Varint.max - 27) / 31, using: &generator) + 27
        let count = Int.random(in: 0...Self.longestReservedValue, using: &generator)
        append(number: number, (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    mutating func appendVarint(_ value: UInt64) {
        let width = Varint.width(of: value)
        append(UInt64(width.trailingZeroBitCount) << UInt64(8 * width - 2) | value, width: width)
    }

    mutating func append(_ value: UInt64, width: Int) {
        for shift in stride(from: 8 * (width - 1), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }
}
