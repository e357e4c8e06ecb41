public import Primitives
public import QUIC

/// What became of the wish to open a request.
public enum OpenOutcome: Hashable, Sendable {
    /// The request was sent on this stream.
    case opened(StreamID)
    /// The peer allows no further stream at present; `.requestsAvailable` comes when it does.
    case blocked
    /// This connection takes no requests any more: it is closed, or the peer is going away.
    case refused
    /// The peer said that it accepts no head as large as this one.
    case tooLarge
}

// Sending requests, responses and content (RFC 9114 §4.1).
extension HTTP3Connection {
    /// Sends a request on a new stream.
    public func openRequest(_ head: RequestHead, _ fin: Fin = .more) -> OpenOutcome {
        // RFC 9114 §5.2: no new requests after GOAWAY.
        guard state == .open, receivedGoAway == nil else { return .refused }
        let frame = headersFrame(of: head)
        // RFC 9114 §4.2.2: the peer's limit is respected once it is known.
        if let limit = peerSettings?.maximumFieldSectionSize, UInt64(frame.sectionSize) > limit { return .tooLarge }
        guard connection.isHandshakeComplete, let id = connection.openStream(.bidirectional) else { return .blocked }
        let request = RequestStream(readBy: role)
        request.kind = head.kind
        requests[id] = request
        connection.write(frame.bytes.span, to: id)
        if fin == .end { finish(id) }
        return .opened(id)
    }

    private func headersFrame(of head: RequestHead) -> HeadersFrame {
        if let sentRequest, sentRequest.head == head { return sentRequest.frame }
        let frame = HeadersFrame(head.allFields)
        sentRequest = (head, frame)
        return frame
    }

    /// Sends a response, interim or final.
    public func respond(_ head: ResponseHead, on id: StreamID, _ fin: Fin = .more) {
        guard let request = requests[id], request.sending == .open else { return }
        connection.write(FrameType.headers.frame(responseFields.encode(head.allFields)).span, to: id)
        if fin == .end { finish(id) }
    }

    /// Sends one DATA frame: `prefix`, which is copied, then the bytes of `range`, which stay in the ring until they are
    /// acknowledged.
    public func sendContent(_ prefix: [UInt8], _ ring: ByteRing, _ range: Range<UInt64>, on id: StreamID) {
        guard let request = requests[id], request.sending == .open else { return }
        var header: [UInt8] = []
        header.reserveCapacity(prefix.count + 16)
        let (count, _) = range.upperBound.subtractingReportingOverflow(range.lowerBound)
        FrameType.data.appendHeader(length: UInt64(prefix.count) + count, to: &header)
        header += prefix
        connection.write(header.span, to: id)
        if count > 0 { connection.write(ring, range: range, to: id) }
    }

    /// Sends one DATA frame of few bytes, which are copied.
    public func sendContent(_ bytes: [UInt8], on id: StreamID) {
        guard let request = requests[id], request.sending == .open else { return }
        connection.write(FrameType.data.frame(bytes).span, to: id)
    }

    /// Ends this end's direction cleanly.
    public func finish(_ id: StreamID) {
        guard let request = requests[id], request.sending == .open else { return }
        request.sending = .finishing
        connection.finish(id)
    }

    /// Wants no more content; what arrives is dropped.
    public func stopReading(_ id: StreamID, _ code: HTTP3ErrorCode) {
        guard let request = requests[id], request.receiving != .ended else { return }
        request.receiving = .ended
        connection.stopSending(id, errorCode: code.rawValue)
        forgetIfOver(request, id)
    }

    /// Gives both directions up (RFC 9114 §4.1.1); no event of the stream follows.
    public func abort(_ id: StreamID, _ code: HTTP3ErrorCode) {
        guard let request = requests.removeValue(forKey: id) else { return }
        // A direction whose end was sent is reset too, as long as not all of it was acknowledged.
        if request.sending != .ended { connection.reset(id, errorCode: code.rawValue) }
        if request.receiving != .ended { connection.stopSending(id, errorCode: code.rawValue) }
    }

    /// Gives a stream up for a fault of the peer.
    func abortForFault(_ id: StreamID, _ code: HTTP3ErrorCode) {
        abort(id, code)
        events.append(.streamAborted(id, code))
    }

    /// Bytes of the stream that were never sent yet, for back-pressure.
    public func unsentBytes(on id: StreamID) -> Int { connection.unsentBytes(on: id) }
}

/// A HEADERS frame that is ready to be sent.
struct HeadersFrame {
    let bytes: [UInt8]
    /// What its fields measure, in bytes as RFC 9114 §4.2.2 counts them.
    let sectionSize: Int

    init(_ fields: [Field]) {
        bytes = FrameType.headers.frame(FieldSectionEncoder.encode(fields))
        sectionSize = FieldSection(fields).size
    }
}

extension RequestHead {
    /// Whether the request asks for a tunnel.
    var kind: RequestStream.Kind {
        switch target {
        case .resource: .resource
        case .connect, .extendedConnect: .connect
        }
    }
}
