/// Walks the coalesced packets of one datagram (RFC 9000 §12.2).
///
/// It keeps no span, so that the caller can open a packet in place between two calls of `next(in:)`.
/// Packets that are too short to be opened are reported like any other: removing their protection fails.
struct DatagramScanner {
    /// One step of the walk.
    enum Packet: Equatable {
        case long(LongHeader)
        case short(ShortHeader)
        case retry(RetryPacket)
        case versionNegotiation(VersionNegotiationPacket)
        case unknownVersion(UnknownVersionPacket)
        /// The rest of the datagram is dropped.
        case defective(PacketDefect)
    }

    /// Bytes of the connection IDs that this end has its peer put into short headers.
    let localConnectionIDLength: Int
    /// What the fixed bit must be.
    let fixedBit: FixedBitRule
    /// Where the next packet starts.
    private(set) var position = 0
    private var firstDestination: ConnectionID?

    /// Starts at the first packet of a datagram.
    init(localConnectionIDLength: Int, fixedBit: FixedBitRule) {
        self.localConnectionIDLength = localConnectionIDLength
        self.fixedBit = fixedBit
    }

    /// The next packet; nil at the end of the datagram. Every call gets the same datagram.
    mutating func next(in datagram: Span<UInt8>) -> Packet? {
        guard position < datagram.count else { return nil }
        let start = position
        // All kinds but the long header's, which states its length, reach to the end of the datagram.
        position = datagram.count
        do throws(PacketDefect) {
            guard datagram[start] & FirstByte.longHeader != 0 else {
                return .short(try shortHeader(datagram, from: start))
            }
            return try longForm(datagram, from: start)
        } catch {
            return .defective(error)
        }
    }

    private mutating func shortHeader(_ datagram: Span<UInt8>, from start: Int) throws(PacketDefect) -> ShortHeader {
        // RFC 9000 §17.3.1: without the fixed bit it is no packet of this version.
        if fixedBit == .required, datagram[start] & FirstByte.fixedBit == 0 { throw .fixedBitClear }
        guard datagram.count - start > localConnectionIDLength else { throw .truncated }
        let packetNumberOffset = start + 1 + localConnectionIDLength
        let destination = try connectionID(datagram, start + 1..<packetNumberOffset)
        try checkSameConnection(destination)
        return ShortHeader(
            destinationConnectionID: destination, packet: start..<datagram.count, packetNumberOffset: packetNumberOffset
        )
    }

    private mutating func longForm(_ datagram: Span<UInt8>, from start: Int) throws(PacketDefect) -> Packet {
        guard let invariants = try? InvariantHeader(datagram, from: start) else { throw .truncated }
        guard let version = invariants.version.known else {
            guard invariants.version == .negotiation else {
                return .unknownVersion(
                    UnknownVersionPacket(
                        version: invariants.version, destinationConnectionID: invariants.destination,
                        sourceConnectionID: invariants.source))
            }
            return .versionNegotiation(try versionNegotiation(datagram, invariants))
        }
        // RFC 9000 §17.2: without the fixed bit it is no packet of this version.
        if fixedBit == .required, datagram[start] & FirstByte.fixedBit == 0 { throw .fixedBitClear }
        let destination = try connectionID(datagram, invariants.destination)
        let source = try connectionID(datagram, invariants.source)
        try checkSameConnection(destination)
        let packetType: PacketType
        switch LongPacketType(firstByte: datagram[start], version: version) {
        case .initial: packetType = .initial
        case .zeroRTT: packetType = .zeroRTT
        case .handshake: packetType = .handshake
        case .retry:
            // RFC 9000 §17.2.5.2: a Retry packet with an empty token is discarded.
            guard datagram.count - invariants.end > RetryIntegrity.tagLength else { throw .malformed }
            return .retry(
                RetryPacket(
                    version: version, destinationConnectionID: destination, sourceConnectionID: source,
                    token: invariants.end..<datagram.count - RetryIntegrity.tagLength, packet: start..<datagram.count))
        }
        guard let body = try? LongHeaderBody(datagram, from: invariants.end, type: packetType) else { throw .truncated }
        position = body.end
        return .long(
            LongHeader(
                version: version, type: packetType, destinationConnectionID: destination, sourceConnectionID: source,
                token: body.token, packet: start..<body.end, packetNumberOffset: body.packetNumberOffset))
    }

    private func versionNegotiation(
        _ datagram: Span<UInt8>, _ header: InvariantHeader
    ) throws(PacketDefect) -> VersionNegotiationPacket {
        let list = datagram.extracting(header.end..<datagram.count)
        guard !list.isEmpty, list.count.isMultiple(of: 4) else { throw .malformed }
        var reader = ByteReader(list)
        var versions: [VersionNumber] = []
        versions.reserveCapacity(list.count / 4)
        while let number = try? reader.readInteger(width: 4) {
            versions.append(VersionNumber(rawValue: UInt32(truncatingIfNeeded: number)))
        }
        return VersionNegotiationPacket(
            destinationConnectionID: try connectionID(datagram, header.destination),
            sourceConnectionID: try connectionID(datagram, header.source), supportedVersions: versions)
    }

    private func connectionID(_ datagram: Span<UInt8>, _ range: Range<Int>) throws(PacketDefect) -> ConnectionID {
        // RFC 9000 §17.2: in this version a connection ID of more than 20 bytes makes the packet invalid.
        guard let id = ConnectionID(datagram.extracting(range)) else { throw .connectionIDTooLong }
        return id
    }

    private mutating func checkSameConnection(_ destination: ConnectionID) throws(PacketDefect) {
        // RFC 9000 §12.2: packets with another Destination Connection ID than the first one's are ignored.
        guard let firstDestination else {
            self.firstDestination = destination
            return
        }
        guard firstDestination == destination else { throw .foreignConnectionID }
    }
}

/// What every version keeps of a long header (RFC 8999 §5.1).
private struct InvariantHeader {
    let version: VersionNumber
    let destination: Range<Int>
    let source: Range<Int>
    /// The byte after the connection IDs.
    let end: Int

    init(_ datagram: Span<UInt8>, from start: Int) throws(Truncated) {
        var reader = ByteReader(datagram, from: start + 1)
        version = VersionNumber(rawValue: UInt32(truncatingIfNeeded: try reader.readInteger(width: 4)))
        destination = try reader.readRange(count: UInt64(try reader.readByte()))
        source = try reader.readRange(count: UInt64(try reader.readByte()))
        end = reader.position
    }
}

/// What follows the connection IDs of an Initial, 0-RTT or Handshake packet (RFC 9000 §17.2.2 to §17.2.4).
private struct LongHeaderBody {
    let token: Range<Int>
    let packetNumberOffset: Int
    /// The end of the packet.
    let end: Int

    init(_ datagram: Span<UInt8>, from start: Int, type: PacketType) throws(Truncated) {
        var reader = ByteReader(datagram, from: start)
        token = type == .initial ? try reader.readRange(count: try reader.readVarint()) : start..<start
        let rest = try reader.readRange(count: try reader.readVarint())
        packetNumberOffset = rest.lowerBound
        end = rest.upperBound
    }
}
