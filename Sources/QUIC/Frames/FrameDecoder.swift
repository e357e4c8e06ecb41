/// Reads the frames of one packet, one at a time, and refuses what RFC 9000 §12.4 and §19 forbid.
///
/// It is total: any bytes give frames or a `TransportError`. Ranges in the frames count from the start of the payload.
struct FrameDecoder: ~Escapable {
    private var reader: ByteReader
    private let packetType: PacketTypeSet
    private let sender: Role
    /// The type of the frame that is being read.
    private var type = FrameType.padding

    /// Starts at the first frame of the unprotected `payload` of a packet that `sender` sent.
    @_lifetime(copy payload)
    init(_ payload: Span<UInt8>, in packetType: PacketType, from sender: Role) {
        reader = ByteReader(payload)
        self.packetType = PacketTypeSet(packetType)
        self.sender = sender
    }

    /// The next frame; nil after the last one. An error ends the connection.
    @_lifetime(self: copy self)
    mutating func next() throws(TransportError) -> Frame? {
        guard !reader.isAtEnd else {
            // RFC 9000 §12.4: a packet without frames is a violation.
            if reader.position == 0 { throw TransportError(.protocolViolation, "packet without frames") }
            return nil
        }
        try readType()
        // RFC 9000 §12.4: an unknown frame type is FRAME_ENCODING_ERROR, one in the wrong packet a violation.
        guard let permitted = type.permittedPackets else {
            throw failure(.frameEncodingError, "unknown frame type")
        }
        guard permitted.contains(packetType) else {
            throw failure(.protocolViolation, "frame type not permitted in this packet type")
        }
        guard sender == .server || !type.isFromServerOnly else {
            throw failure(.protocolViolation, "frame type that only a server may send")
        }
        return try readFrame()
    }

    @_lifetime(self: copy self)
    private mutating func readType() throws(TransportError) {
        let start = reader.position
        type = FrameType(rawValue: 0)
        type = FrameType(rawValue: try varint())
        // RFC 9000 §12.4: the frame type uses the shortest encoding.
        guard reader.position - start == Varint.width(of: type.rawValue) else {
            throw failure(.protocolViolation, "frame type not in its shortest encoding")
        }
    }

    @_lifetime(self: copy self)
    private mutating func readFrame() throws(TransportError) -> Frame {
        switch type.rawValue {
        case 0x00: return .padding(count: 1 + reader.skipRun(of: 0))
        case 0x01: return .ping
        case 0x02, 0x03: return .ack(try ack())
        case 0x04:
            return .resetStream(try streamID(), errorCode: try varint(), finalSize: try varint())
        case 0x05: return .stopSending(try streamID(), errorCode: try varint())
        case 0x06: return try crypto()
        case 0x07: return try newToken()
        case 0x08...0x0f: return try stream()
        case 0x10: return .maxData(try varint())
        case 0x11: return .maxStreamData(try streamID(), try varint())
        case 0x12: return .maxStreams(.bidirectional, try streamCount())
        case 0x13: return .maxStreams(.unidirectional, try streamCount())
        case 0x14: return .dataBlocked(limit: try varint())
        case 0x15: return .streamDataBlocked(try streamID(), limit: try varint())
        case 0x16: return .streamsBlocked(.bidirectional, limit: try streamCount())
        case 0x17: return .streamsBlocked(.unidirectional, limit: try streamCount())
        case 0x18: return .newConnectionID(try newConnectionID())
        case 0x19: return .retireConnectionID(sequence: try varint())
        case 0x1a: return .pathChallenge(try integer(width: 8))
        case 0x1b: return .pathResponse(try integer(width: 8))
        case 0x1c, 0x1d: return .connectionClose(try connectionClose())
        case 0x1e: return .handshakeDone
        case 0x1f: return .immediateAck
        case 0x30: return .datagram(reader.readRest())
        case 0x31: return .datagram(try payload(count: try varint()))
        case 0xaf: return .ackFrequency(try ackFrequency())
        default: throw failure(.frameEncodingError, "unknown frame type")
        }
    }
}

// MARK: Frames with rules of their own

extension FrameDecoder {
    @_lifetime(self: copy self)
    private mutating func ack() throws(TransportError) -> AckFrame {
        let largest = try varint()
        let delay = try varint()
        let count = try varint()
        let firstRange = try varint()
        // RFC 9000 §19.3.1: a computed packet number below zero is FRAME_ENCODING_ERROR.
        guard firstRange <= largest else { throw failure(.frameEncodingError, "ACK range below packet number 0") }
        let start = reader.position
        var smallest = largest - firstRange
        for _ in 0..<count {
            guard let range = AckRanges.range(below: smallest, gap: try varint(), length: try varint()) else {
                throw failure(.frameEncodingError, "ACK range below packet number 0")
            }
            smallest = range.lowerBound
        }
        let end = reader.position
        var ecn: ECNCounts?
        if type == .ackECN {
            ecn = ECNCounts(ect0: try varint(), ect1: try varint(), congestionExperienced: try varint())
        }
        return AckFrame(
            largestAcknowledged: largest, encodedDelay: delay, firstRange: firstRange, additionalRangeCount: count,
            additionalRanges: start..<end, ecn: ecn)
    }

    @_lifetime(self: copy self)
    private mutating func crypto() throws(TransportError) -> Frame {
        let offset = try varint()
        let data = try payload(count: try varint())
        // RFC 9000 §19.6: the largest offset is 2^62-1.
        guard offset + UInt64(data.count) <= Varint.max else {
            throw failure(.frameEncodingError, "CRYPTO data beyond offset 2^62-1")
        }
        return .crypto(offset: offset, data: data)
    }

    @_lifetime(self: copy self)
    private mutating func newToken() throws(TransportError) -> Frame {
        let token = try payload(count: try varint())
        // RFC 9000 §19.7: the token is not empty.
        guard !token.isEmpty else { throw failure(.frameEncodingError, "empty token") }
        return .newToken(token)
    }

    @_lifetime(self: copy self)
    private mutating func stream() throws(TransportError) -> Frame {
        let bits = type.rawValue
        let id = try streamID()
        let offset = bits & FrameType.StreamBits.offset != 0 ? try varint() : 0
        let data =
            bits & FrameType.StreamBits.length != 0 ? try payload(count: try varint()) : reader.readRest()
        // RFC 9000 §19.8: the largest offset is 2^62-1.
        guard offset + UInt64(data.count) <= Varint.max else {
            throw failure(.frameEncodingError, "STREAM data beyond offset 2^62-1")
        }
        return .stream(id, offset: offset, data: data, fin: bits & FrameType.StreamBits.fin != 0 ? .end : .more)
    }

    @_lifetime(self: copy self)
    private mutating func streamCount() throws(TransportError) -> UInt64 {
        let count = try varint()
        // RFC 9000 §19.11 and §19.14: more streams could not be numbered.
        guard count <= StreamID.maximumCount else { throw failure(.frameEncodingError, "more than 2^60 streams") }
        return count
    }

    @_lifetime(self: copy self)
    private mutating func newConnectionID() throws(TransportError) -> NewConnectionIDFrame {
        let sequence = try varint()
        let retirePriorTo = try varint()
        let length = try integer(width: 1)
        // RFC 9000 §19.15: a length of 0 or above 20 is FRAME_ENCODING_ERROR.
        guard length >= 1, let id = ConnectionID(reader.bytes.extracting(try payload(count: length))) else {
            throw failure(.frameEncodingError, "connection ID of 0 or more than 20 bytes")
        }
        let token = StatelessResetToken(high: try integer(width: 8), low: try integer(width: 8))
        // RFC 9000 §19.15: Retire Prior To above the Sequence Number is FRAME_ENCODING_ERROR.
        guard retirePriorTo <= sequence else {
            throw failure(.frameEncodingError, "Retire Prior To above the sequence number")
        }
        return NewConnectionIDFrame(sequence: sequence, retirePriorTo: retirePriorTo, id: id, resetToken: token)
    }

    @_lifetime(self: copy self)
    private mutating func ackFrequency() throws(TransportError) -> AckFrequencyFrame {
        AckFrequencyFrame(
            sequence: try varint(), threshold: try varint(), maxAckDelayMicroseconds: try varint(),
            reorderingThreshold: try varint())
    }

    @_lifetime(self: copy self)
    private mutating func connectionClose() throws(TransportError) -> ConnectionCloseFrame {
        let code = try varint()
        let origin: ConnectionCloseFrame.Origin =
            type == .connectionCloseTransport
            ? .transport(TransportErrorCode(rawValue: code), frameType: try varint())
            : .application(code: code)
        return ConnectionCloseFrame(origin: origin, reason: try payload(count: try varint()))
    }
}

// MARK: Fields

extension FrameDecoder {
    @_lifetime(self: copy self)
    private mutating func varint() throws(TransportError) -> UInt64 {
        do { return try reader.readVarint() } catch { throw truncated() }
    }

    @_lifetime(self: copy self)
    private mutating func integer(width: Int) throws(TransportError) -> UInt64 {
        do { return try reader.readInteger(width: width) } catch { throw truncated() }
    }

    @_lifetime(self: copy self)
    private mutating func payload(count: UInt64) throws(TransportError) -> Range<Int> {
        do { return try reader.readRange(count: count) } catch { throw truncated() }
    }

    @_lifetime(self: copy self)
    private mutating func streamID() throws(TransportError) -> StreamID {
        StreamID(rawValue: try varint())
    }

    private func truncated() -> TransportError { failure(.frameEncodingError, "packet ends inside a frame") }

    private func failure(_ code: TransportErrorCode, _ reason: String) -> TransportError {
        TransportError(code, frameType: type.rawValue, reason)
    }
}
