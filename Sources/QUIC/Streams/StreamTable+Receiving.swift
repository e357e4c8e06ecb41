import Primitives

// Frames of the peer. Each of these throws what the connection is closed with when the peer broke a rule.

extension StreamTable {
    /// A STREAM frame (RFC 9000 §19.8).
    mutating func receiveStream(
        _ id: StreamID, offset: UInt64, data: Span<UInt8>, fin: Fin, at now: Instant
    ) throws(TransportError) {
        latest = now
        let frameType = FrameType.stream.rawValue
        guard let index = try index(of: id, receivingHalfFor: frameType) else { return }
        let credit = receiveWindow.limit - received
        let outcome = try slots[index].receive.receive(
            data, at: offset, fin: fin, frameType: frameType, connectionCredit: credit, now: now)
        count(outcome, at: now)
        if outcome.isReadable { announce(.readable, .readable(id), of: index) }
        settle(index)
    }

    /// A RESET_STREAM frame (RFC 9000 §19.4).
    mutating func receiveResetStream(
        _ id: StreamID, errorCode: UInt64, finalSize: UInt64, at now: Instant
    ) throws(TransportError) {
        latest = now
        guard let index = try index(of: id, receivingHalfFor: FrameType.resetStream.rawValue) else { return }
        let credit = receiveWindow.limit - received
        guard
            let outcome = try slots[index].receive.receiveReset(
                errorCode: errorCode, finalSize: finalSize, connectionCredit: credit)
        else { return }
        count(outcome, at: now)
        slots[index].ending = .brokenOff
        events.append(.reset(id, errorCode: errorCode))
        settle(index)
    }

    /// A STOP_SENDING frame (RFC 9000 §19.5): answered with RESET_STREAM and the same code (§3.5).
    mutating func receiveStopSending(_ id: StreamID, errorCode: UInt64, at now: Instant) throws(TransportError) {
        latest = now
        guard let index = try index(of: id, sendingHalfFor: FrameType.stopSending.rawValue) else { return }
        guard slots[index].send.reset(errorCode: errorCode) else { return }
        slots[index].ending = .brokenOff
        events.append(.stopped(id, errorCode: errorCode))
        settle(index)
    }

    /// A MAX_DATA frame (RFC 9000 §19.9).
    mutating func receiveMaxData(_ limit: UInt64) {
        if sendCredit.raise(to: limit) { unpark() }
    }

    /// A MAX_STREAM_DATA frame (RFC 9000 §19.10).
    mutating func receiveMaxStreamData(_ id: StreamID, limit: UInt64) throws(TransportError) {
        guard let index = try index(of: id, sendingHalfFor: FrameType.maxStreamData.rawValue) else { return }
        slots[index].send.raiseLimit(to: limit)
        settle(index)
    }

    /// A MAX_STREAMS frame (RFC 9000 §19.11).
    mutating func receiveMaxStreams(_ direction: StreamDirection, limit: UInt64) throws(TransportError) {
        let frame = ControlFrame.maxStreams(direction, limit)
        try checkStreamCount(limit, in: frame)
        raiseStreamLimit(direction, to: limit)
    }

    /// A DATA_BLOCKED frame (RFC 9000 §19.12) says nothing that the window does not know.
    mutating func receiveDataBlocked(limit: UInt64) {}

    /// A STREAM_DATA_BLOCKED frame (RFC 9000 §19.13) opens a stream; else it says nothing that the window does not know.
    mutating func receiveStreamDataBlocked(_ id: StreamID, limit: UInt64) throws(TransportError) {
        _ = try index(of: id, receivingHalfFor: FrameType.streamDataBlocked.rawValue)
    }

    /// A STREAMS_BLOCKED frame (RFC 9000 §19.14): credit returns as streams end, asked for or not.
    mutating func receiveStreamsBlocked(_ direction: StreamDirection, limit: UInt64) throws(TransportError) {
        try checkStreamCount(limit, in: .streamsBlocked(direction, limit: limit))
    }

    /// The peer's transport parameters: its first limits. Nothing can be sent or opened before.
    mutating func applyPeerLimits(_ parameters: TransportParameters) {
        peerLimits = parameters
        raiseStreamLimit(.bidirectional, to: min(parameters.initialMaxStreamsBidi, StreamID.maximumCount))
        raiseStreamLimit(.unidirectional, to: min(parameters.initialMaxStreamsUni, StreamID.maximumCount))
        receiveMaxData(parameters.initialMaxData)
        for index in slots.indices {
            let limit = initialSendLimit(of: slots[index].id)
            slots[index].send.raiseLimit(to: limit)
            settle(index)
        }
    }

    /// What the peer's transport parameters let this end send on a new stream.
    ///
    /// "local" and "remote" are said by the peer: it calls the streams that this end opens remote (RFC 9000 §18.2).
    func initialSendLimit(of id: StreamID) -> UInt64 {
        switch (id.direction, id.initiator == role) {
        case (.unidirectional, _): peerLimits.initialMaxStreamDataUni
        case (.bidirectional, true): peerLimits.initialMaxStreamDataBidiRemote
        case (.bidirectional, false): peerLimits.initialMaxStreamDataBidiLocal
        }
    }

    private mutating func raiseStreamLimit(_ direction: StreamDirection, to limit: UInt64) {
        let isAwaited =
            switch direction {
            case .bidirectional: localBidirectional.raiseLimit(to: limit)
            case .unidirectional: localUnidirectional.raiseLimit(to: limit)
            }
        if isAwaited { events.append(.streamsAvailable(direction)) }
    }

    /// Charges the connection's window.
    private mutating func count(_ outcome: ReceiveStream.Outcome, at now: Instant) {
        received += outcome.advanced
        receiveWindow.dataArrived(at: now)
        receiveWindow.consume(outcome.discarded)
        excuseWaitingBytes()
    }

    /// What arrived and was not consumed: a stalled reader costs its own stream only.
    mutating func excuseWaitingBytes() {
        let waiting = received.subtractingSaturating(receiveWindow.consumed)
        receiveWindow.excuse(min(waiting, UInt64(clamping: configuration.maximumWaiting.bytes)))
    }

    private func checkStreamCount(_ limit: UInt64, in frame: ControlFrame) throws(TransportError) {
        // RFC 9000 §4.6: more than 2^60 streams could not be numbered.
        guard limit <= StreamID.maximumCount else {
            throw TransportError(
                .frameEncodingError, frameType: frame.type.rawValue, "a limit of more than 2^60 streams")
        }
    }
}

// MARK: - The stream that a frame names

extension StreamTable {
    /// The slot of the stream whose receiving half a frame is about; nil when it is gone: such frames come late and mean nothing.
    private mutating func index(
        of id: StreamID, receivingHalfFor frameType: UInt64
    ) throws(TransportError) -> Int? {
        // RFC 9000 §19.4, §19.8, §19.13
        if id.initiator == role, id.direction == .unidirectional {
            throw TransportError(
                .streamStateError, frameType: frameType, "data on a stream that only this end sends on")
        }
        return try index(of: id, namedBy: frameType)
    }

    /// The slot of the stream whose sending half a frame is about; nil when it is gone.
    private mutating func index(
        of id: StreamID, sendingHalfFor frameType: UInt64
    ) throws(TransportError) -> Int? {
        // RFC 9000 §19.5, §19.10
        if id.initiator != role, id.direction == .unidirectional {
            throw TransportError(
                .streamStateError, frameType: frameType, "credit for a stream that only the peer sends on")
        }
        return try index(of: id, namedBy: frameType)
    }

    private mutating func index(of id: StreamID, namedBy frameType: UInt64) throws(TransportError) -> Int? {
        if let index = lookUp(id) { return index }
        if id.initiator == role {
            let opened =
                switch id.direction {
                case .bidirectional: localBidirectional.opened
                case .unidirectional: localUnidirectional.opened
                }
            // RFC 9000 §19.4, §19.5, §19.8, §19.10
            guard id.index < opened else {
                throw TransportError(.streamStateError, frameType: frameType, "a stream that this end has not opened")
            }
            return nil
        }
        let limit =
            switch id.direction {
            case .bidirectional: peerBidirectional.limit
            case .unidirectional: peerUnidirectional.limit
            }
        // RFC 9000 §4.6
        guard id.index < limit else {
            throw TransportError(.streamLimitError, frameType: frameType, "a stream beyond the limit")
        }
        openPeerStreams(upTo: id)
        return lookUp(id)
    }

    /// RFC 9000 §3.2: a stream opens together with all of its kind that have lower numbers.
    private mutating func openPeerStreams(upTo id: StreamID) {
        let indices =
            switch id.direction {
            case .bidirectional: peerBidirectional.open(upTo: id.index)
            case .unidirectional: peerUnidirectional.open(upTo: id.index)
            }
        for index in indices {
            let id = StreamID(initiator: role.peer, direction: id.direction, index: index)
            let send = id.direction == .bidirectional ? SendStream(limit: initialSendLimit(of: id)) : .ended
            insert(id, send: send, receive: ReceiveStream(window: newStreamWindow()))
            events.append(.opened(id))
        }
    }

    func newStreamWindow() -> ReceiveWindow {
        ReceiveWindow(initial: configuration.initialStreamWindow, maximum: configuration.maximumStreamWindow)
    }
}
