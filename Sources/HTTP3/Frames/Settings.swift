/// The parameters of a SETTINGS frame (RFC 9114 §7.2.4): what the end that sent them is ready for.
public struct Settings: Hashable, Sendable {
    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY (RFC 9204 §5), in bytes.
    public var qpackMaximumTableCapacity: UInt64 = 0
    /// SETTINGS_QPACK_BLOCKED_STREAMS (RFC 9204 §5).
    public var qpackBlockedStreams: UInt64 = 0
    /// SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §4.2.2), in bytes; nil: unlimited.
    public var maximumFieldSectionSize: UInt64?
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 9220 §3).
    public var extendedConnect = Support.notAnnounced
    /// SETTINGS_H3_DATAGRAM (RFC 9297 §2.1.1).
    public var datagrams = Support.notAnnounced
    /// SETTINGS_TUNNEL_RESUMPTION_ONLY of the tunnel resumption extension: the server opens no tunnels, and goes on with those that it has.
    public var tunnelResumptionOnly = Support.notAnnounced

    /// Whether an end announced an extension.
    public enum Support: UInt64, Hashable, Sendable {
        /// Not announced, or announced as 0.
        case notAnnounced = 0
        /// Announced as 1.
        case announced = 1
    }

    /// The values that hold until a SETTINGS frame arrives.
    public init() {}

    private enum Identifier {
        static let qpackMaximumTableCapacity: UInt64 = 0x01
        static let maximumFieldSectionSize: UInt64 = 0x06
        static let qpackBlockedStreams: UInt64 = 0x07
        static let enableConnectProtocol: UInt64 = 0x08
        static let datagram: UInt64 = 0x33
        static let tunnelResumptionOnly: UInt64 = 0x2b93_7d4e
        /// RFC 9114 §11.2.2: ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE and MAX_FRAME_SIZE of HTTP/2.
        static let reserved: Set<UInt64> = [0x00, 0x02, 0x03, 0x04, 0x05]
    }

    /// Decodes the payload of a SETTINGS frame. Unknown identifiers are ignored (RFC 9114 §7.2.4).
    public init(decoding payload: Span<UInt8>) throws(HTTP3Error) {
        var position = 0
        var decoder = VarintDecoder()
        var seen: Set<UInt64> = []
        while position < payload.count {
            guard let identifier = decoder.decode(payload, at: &position),
                let value = decoder.decode(payload, at: &position)
            else { throw HTTP3Error(.frameError, "SETTINGS ends inside a parameter") }
            // RFC 9114 §7.2.4.1: settings of HTTP/2 without a counterpart must not come.
            guard !Identifier.reserved.contains(identifier) else {
                throw HTTP3Error(.settingsError, "setting \(identifier) is reserved")
            }
            // RFC 9114 §7.2.4: an identifier comes at most once.
            guard seen.insert(identifier).inserted else {
                throw HTTP3Error(.settingsError, "setting \(identifier) occurs twice")
            }
            switch identifier {
            case Identifier.qpackMaximumTableCapacity: qpackMaximumTableCapacity = value
            case Identifier.qpackBlockedStreams: qpackBlockedStreams = value
            case Identifier.maximumFieldSectionSize: maximumFieldSectionSize = value
            case Identifier.enableConnectProtocol: extendedConnect = try Self.support(value, identifier)
            case Identifier.datagram: datagrams = try Self.support(value, identifier)
            case Identifier.tunnelResumptionOnly: tunnelResumptionOnly = try Self.support(value, identifier)
            default: break
            }
        }
    }

    /// RFC 8441 §3, RFC 9297 §2.1.1: the value is 0 or 1.
    private static func support(_ value: UInt64, _ identifier: UInt64) throws(HTTP3Error) -> Support {
        guard let support = Support(rawValue: value) else {
            throw HTTP3Error(.settingsError, "setting \(identifier) must be 0 or 1")
        }
        return support
    }

    /// Encodes the payload of a SETTINGS frame with one reserved setting chosen by `greaseSeed` (RFC 9114 §7.2.4.1).
    public func encoded(greaseSeed: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        func append(_ identifier: UInt64, _ value: UInt64) {
            bytes.appendVarint(identifier)
            bytes.appendVarint(value)
        }
        append(Identifier.qpackMaximumTableCapacity, qpackMaximumTableCapacity)
        if let size = maximumFieldSectionSize { append(Identifier.maximumFieldSectionSize, size) }
        append(Identifier.qpackBlockedStreams, qpackBlockedStreams)
        if extendedConnect == .announced { append(Identifier.enableConnectProtocol, 1) }
        if datagrams == .announced { append(Identifier.datagram, 1) }
        if tunnelResumptionOnly == .announced { append(Identifier.tunnelResumptionOnly, 1) }
        append(Grease.number(greaseSeed), greaseSeed & 0xff)
        return bytes
    }
}
