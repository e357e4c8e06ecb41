import Primitives

/// What the frames of a packet were, taken together.
struct PacketContent {
    var isAckEliciting = false
    /// RFC 9000 §9.1: only probing frames.
    var isProbing = true
}

/// From a packet's payload to what each frame means.
extension Connection {
    func receiveFrames(
        _ payload: Span<UInt8>, type: PacketType, in space: PacketSpace, packetNumber: UInt64, arrival: PacketArrival,
        at now: Instant
    ) throws(TransportError) -> PacketContent {
        var content = PacketContent()
        var decoder = FrameDecoder(payload, in: type, from: role.peer)
        while let frame = try decoder.next() {
            if frame.isAckEliciting { content.isAckEliciting = true }
            if !frame.isProbing { content.isProbing = false }
            try frameReceived(frame, payload, in: space, arrival: arrival, at: now)
            guard state.isOpen else { break }
        }
        return content
    }

    private func frameReceived(
        _ frame: Frame, _ payload: Span<UInt8>, in space: PacketSpace, arrival: PacketArrival, at now: Instant
    ) throws(TransportError) {
        switch frame {
        case .padding, .ping: break
        case .stream(let id, let offset, let data, let fin):
            try streams.receiveStream(id, offset: offset, data: payload.extracting(data), fin: fin, at: now)
        case .ack(let ack): try ackReceived(ack, payload, in: space, on: arrival.path, at: now)
        case .crypto(let offset, let data):
            try cryptoReceived(offset: offset, data: payload.extracting(data), in: space, at: now)
        case .maxData(let limit): streams.receiveMaxData(limit)
        case .maxStreamData(let id, let limit): try streams.receiveMaxStreamData(id, limit: limit)
        case .maxStreams(let direction, let limit): try streams.receiveMaxStreams(direction, limit: limit)
        case .dataBlocked(let limit): streams.receiveDataBlocked(limit: limit)
        case .streamDataBlocked(let id, let limit): try streams.receiveStreamDataBlocked(id, limit: limit)
        case .streamsBlocked(let direction, let limit): try streams.receiveStreamsBlocked(direction, limit: limit)
        case .resetStream(let id, let errorCode, let finalSize):
            try streams.receiveResetStream(id, errorCode: errorCode, finalSize: finalSize, at: now)
        case .stopSending(let id, let errorCode):
            try streams.receiveStopSending(id, errorCode: errorCode, at: now)
        case .newConnectionID(let frame): try newConnectionIDReceived(frame, at: now)
        case .retireConnectionID(let sequence):
            try retireConnectionIDReceived(sequence, destination: arrival.destination, at: now)
        case .pathChallenge(let data): pathChallengeReceived(data, on: arrival.path)
        case .pathResponse(let data): pathResponseReceived(data, at: now)
        case .handshakeDone: handshakeDoneReceived(at: now)
        case .newToken(let token):
            newTokenReceived(payload.extracting(token))
        case .datagram(let data): try datagramReceived(payload.extracting(data))
        case .connectionClose(let close): connectionCloseReceived(close, in: payload, at: now)
        case .ackFrequency(let frame):
            try frame.validate(minimum: try announcedMinAckDelay(.ackFrequency))
            space.received.policy.frequencyRequested(frame)
        case .immediateAck:
            _ = try announcedMinAckDelay(.immediateAck)
            space.received.policy.acknowledgementRequested()
        }
    }

    /// RFC 9000 §12.4: to an end that has not announced min_ack_delay the frames that need it are of unknown types.
    private func announcedMinAckDelay(_ type: FrameType) throws(TransportError) -> Interval {
        guard let minimum = configuration.announcedMinAckDelay else {
            throw TransportError(
                .frameEncodingError, frameType: type.rawValue, "unknown frame type: min_ack_delay was not announced")
        }
        return minimum
    }

    private func newTokenReceived(_ token: Span<UInt8>) {
        // A longer one would leave the next connection's Initial packets without room for the handshake.
        guard token.count <= TransportLimits.longestToken else { return }
        events.append(.newToken(token.indices.map { token[$0] }))
    }

    private func datagramReceived(_ data: Span<UInt8>) throws(TransportError) {
        // RFC 9221 §3: larger, with its type, than what we announced, or not announced at all.
        guard 1 + data.count <= configuration.maximumDatagramFrameSize else {
            throw TransportError(
                .protocolViolation, frameType: FrameType.datagram.rawValue, "DATAGRAM larger than was announced")
        }
        events.append(.datagramReceived(data.indices.map { data[$0] }))
    }
}
