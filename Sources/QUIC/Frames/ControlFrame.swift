/// A frame to be sent that carries values only, no bytes from elsewhere (RFC 9000 §19).
enum ControlFrame: Equatable {
    case ping
    case resetStream(StreamID, errorCode: UInt64, finalSize: UInt64)
    case stopSending(StreamID, errorCode: UInt64)
    case maxData(UInt64)
    case maxStreamData(StreamID, UInt64)
    case maxStreams(StreamDirection, UInt64)
    case dataBlocked(limit: UInt64)
    case streamDataBlocked(StreamID, limit: UInt64)
    case streamsBlocked(StreamDirection, limit: UInt64)
    case newConnectionID(NewConnectionIDFrame)
    case retireConnectionID(sequence: UInt64)
    case pathChallenge(UInt64)
    case pathResponse(UInt64)
    case handshakeDone
    case ackFrequency(AckFrequencyFrame)
    case immediateAck

    /// Bytes that the frame takes.
    var encodedSize: Int {
        switch self {
        case .ping, .handshakeDone, .immediateAck: 1
        case .pathChallenge, .pathResponse: 1 + 8
        case .resetStream(let id, let errorCode, let finalSize):
            1 + Varint.width(of: id.rawValue) + Varint.width(of: errorCode) + Varint.width(of: finalSize)
        case .stopSending(let id, let value), .maxStreamData(let id, let value),
            .streamDataBlocked(let id, limit: let value):
            1 + Varint.width(of: id.rawValue) + Varint.width(of: value)
        case .maxData(let value), .dataBlocked(limit: let value), .maxStreams(_, let value),
            .streamsBlocked(_, limit: let value), .retireConnectionID(sequence: let value):
            1 + Varint.width(of: value)
        case .newConnectionID(let frame):
            1 + Varint.width(of: frame.sequence) + Varint.width(of: frame.retirePriorTo) + 1 + frame.id.count
                + StatelessResetToken.byteCount
        case .ackFrequency(let frame): frame.encodedSize
        }
    }

    /// The type that starts the frame.
    var type: FrameType {
        switch self {
        case .ping: .ping
        case .resetStream: .resetStream
        case .stopSending: .stopSending
        case .maxData: .maxData
        case .maxStreamData: .maxStreamData
        case .maxStreams(.bidirectional, _): .maxStreamsBidirectional
        case .maxStreams(.unidirectional, _): .maxStreamsUnidirectional
        case .dataBlocked: .dataBlocked
        case .streamDataBlocked: .streamDataBlocked
        case .streamsBlocked(.bidirectional, limit: _): .streamsBlockedBidirectional
        case .streamsBlocked(.unidirectional, limit: _): .streamsBlockedUnidirectional
        case .newConnectionID: .newConnectionID
        case .retireConnectionID: .retireConnectionID
        case .pathChallenge: .pathChallenge
        case .pathResponse: .pathResponse
        case .handshakeDone: .handshakeDone
        case .ackFrequency: .ackFrequency
        case .immediateAck: .immediateAck
        }
    }
}

extension ByteWriter {
    /// Writes a frame; `encodedSize` bytes must remain.
    @_lifetime(self: copy self)
    mutating func write(_ frame: ControlFrame) {
        writeVarint(frame.type.rawValue)
        switch frame {
        case .ping, .handshakeDone, .immediateAck: break
        case .pathChallenge(let data), .pathResponse(let data): write(data, width: 8)
        case .resetStream(let id, let errorCode, let finalSize):
            writeVarint(id.rawValue)
            writeVarint(errorCode)
            writeVarint(finalSize)
        case .stopSending(let id, let value), .maxStreamData(let id, let value),
            .streamDataBlocked(let id, limit: let value):
            writeVarint(id.rawValue)
            writeVarint(value)
        case .maxData(let value), .dataBlocked(limit: let value), .maxStreams(_, let value),
            .streamsBlocked(_, limit: let value), .retireConnectionID(sequence: let value):
            writeVarint(value)
        case .newConnectionID(let frame):
            writeVarint(frame.sequence)
            writeVarint(frame.retirePriorTo)
            write(UInt8(truncatingIfNeeded: frame.id.count))
            write(frame.id)
            write(frame.resetToken)
        case .ackFrequency(let frame):
            writeVarint(frame.sequence)
            writeVarint(frame.threshold)
            writeVarint(frame.maxAckDelayMicroseconds)
            writeVarint(frame.reorderingThreshold)
        }
    }

    /// Writes a frame when it fits, and tells whether it did.
    @_lifetime(self: copy self)
    mutating func writeIfFits(_ frame: ControlFrame) -> Bool {
        guard frame.encodedSize <= remaining else { return false }
        write(frame)
        return true
    }

    /// Writes the 16 bytes of a stateless reset token.
    @_lifetime(self: copy self)
    mutating func write(_ token: StatelessResetToken) {
        write(token.high, width: 8)
        write(token.low, width: 8)
    }
}
