import QUIC

// Which streams the peer may open, and what becomes of them (RFC 9114 §6).
extension HTTP3Connection {
    func peerOpened(_ id: StreamID) throws(HTTP3Error) {
        switch id.direction {
        case .unidirectional:
            peerStreams[id] = .unidentified(VarintDecoder())
        case .bidirectional:
            // RFC 9114 §6.1: servers open no bidirectional streams.
            guard role == .server else {
                throw HTTP3Error(.streamCreationError, "the server opened a bidirectional stream")
            }
            requestOpened(id)
        }
    }

    private func requestOpened(_ id: StreamID) {
        nextPeerRequest = max(nextPeerRequest, id.index + 1)
        let isTooLate = sentGoAway.map { id.rawValue >= $0 } ?? false
        guard !isTooLate, requests.count < configuration.maximumConcurrentRequests else {
            // RFC 9114 §4.1.1: nothing of it was processed, so the client may try again.
            connection.reset(id, errorCode: HTTP3ErrorCode.requestRejected.rawValue)
            connection.stopSending(id, errorCode: HTTP3ErrorCode.requestRejected.rawValue)
            return
        }
        requests[id] = RequestStream(readBy: role)
    }

    func readable(_ id: StreamID) throws(HTTP3Error) {
        switch id.direction {
        case .unidirectional: try peerStreamReadable(id)
        case .bidirectional: try requestReadable(id)
        }
    }

    /// Reads everything there is on a unidirectional stream; its bytes are few and are never kept.
    private func peerStreamReadable(_ id: StreamID) throws(HTTP3Error) {
        guard var stream = peerStreams[id] else { return }
        while connection.readableBytes(on: id) > 0 {
            let bytes = connection.read(from: id, atMost: Self.readAtOnce)
            guard !bytes.isEmpty else { break }
            guard let next = try follow(stream, id, bytes) else {
                peerStreams[id] = nil
                return
            }
            stream = next
            peerStreams[id] = stream
        }
        guard connection.isFinishedReading(id) else { return }
        try peerStreamEnded(stream, id)
    }

    /// Bytes of a control or QPACK stream that are taken at one time.
    private static var readAtOnce: Int { 4096 }

    /// Follows bytes of a stream and tells what it is now; nil when it is of no interest any more.
    private func follow(_ stream: PeerStream, _ id: StreamID, _ bytes: [UInt8]) throws(HTTP3Error) -> PeerStream? {
        let span = bytes.span
        switch stream {
        case .unidentified(var varint):
            var position = 0
            guard let type = varint.decode(span, at: &position) else { return .unidentified(varint) }
            guard let identified = try identify(type, id) else { return nil }
            let rest = Array(bytes[position...])
            return rest.isEmpty ? identified : try follow(identified, id, rest)
        case .control(var decoder):
            var position = 0
            while let part = try decoder.next(span, at: &position) { try controlFrameReceived(part) }
            return .control(decoder)
        case .qpackEncoder(let instructions):
            try instructions.receive(span)
            return stream
        case .qpackDecoder(var instructions):
            try instructions.receive(span)
            return .qpackDecoder(instructions)
        }
    }

    private func identify(_ type: UInt64, _ id: StreamID) throws(HTTP3Error) -> PeerStream? {
        guard let known = UnidirectionalStreamType(rawValue: type) else {
            // RFC 9114 §6.2: a stream of unknown type is no error; its sender is told to stop.
            connection.stopSending(id, errorCode: HTTP3ErrorCode.streamCreationError.rawValue)
            return nil
        }
        if known == .push {
            // RFC 9114 §6.2.2: only servers push; §4.6: a push ID that was not allowed is H3_ID_ERROR.
            throw role == .server
                ? HTTP3Error(.streamCreationError, "a client opened a push stream")
                : HTTP3Error(.idError, "a push stream though none is allowed")
        }
        // RFC 9114 §6.2.1, RFC 9204 §4.2: one stream of each type.
        guard seenPeerTypes.insert(known).inserted else {
            throw HTTP3Error(.streamCreationError, "a second stream of type \(type)")
        }
        switch known {
        case .control: return .control(FrameDecoder(.control, readBy: role))
        case .qpackEncoder: return .qpackEncoder(QPACKEncoderStream())
        case .qpackDecoder: return .qpackDecoder(QPACKDecoderStream())
        case .push: return nil
        }
    }

    private func peerStreamEnded(_ stream: PeerStream, _ id: StreamID) throws(HTTP3Error) {
        peerStreams[id] = nil
        // RFC 9114 §6.2.1, RFC 9204 §4.2; §6.2: a stream without a type may end.
        guard !stream.isCritical else { throw HTTP3Error(.closedCriticalStream, "a critical stream was closed") }
    }

    func peerReset(_ id: StreamID, _ code: HTTP3ErrorCode) throws(HTTP3Error) {
        if let stream = peerStreams[id] {
            try peerStreamEnded(stream, id)
        } else if let request = requests[id], request.receiving != .ended {
            request.receiving = .ended
            events.append(.streamReset(id, code))
            forgetIfOver(request, id)
        }
    }

    func peerStopped(_ id: StreamID, _ code: HTTP3ErrorCode) throws(HTTP3Error) {
        // RFC 9114 §6.2.1: nobody may ask for the control stream's end.
        guard id != controlStream else {
            throw HTTP3Error(.closedCriticalStream, "the peer wants the control stream closed")
        }
        guard let request = requests[id], request.sending != .ended else { return }
        request.sending = .ended
        events.append(.streamStopped(id, code))
        forgetIfOver(request, id)
    }

    func sendingEnded(_ id: StreamID) {
        guard let request = requests[id], request.sending != .ended else { return }
        request.sending = .ended
        events.append(.contentSent(id))
        forgetIfOver(request, id)
    }

    func forgetIfOver(_ request: RequestStream, _ id: StreamID) {
        if request.isOver { requests[id] = nil }
    }
}
