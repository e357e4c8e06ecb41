import Primitives

/// An answer that needs no connection.
struct StatelessReply {
    var bytes: [UInt8]
    var local: NetworkAddress
    var remote: NetworkAddress
}

/// How many stateless resets may be sent: an attacker who makes endpoints reset each other gets nowhere
/// (RFC 9000 §10.3.3, §21.11).
struct ResetBudget {
    /// Resets in a second at most.
    static let perSecond = 100

    private var second = Instant.origin
    private var sent = 0

    /// Takes one; false when the second's budget is used up.
    mutating func take(at now: Instant) -> Bool {
        if now - second >= .seconds(1) {
            second = now
            sent = 0
        }
        guard sent < Self.perSecond else { return false }
        sent += 1
        return true
    }
}

/// Answers to datagrams that belong to no connection.
extension Endpoint {
    /// The next stateless answer to send, copied to the start of `buffer` (of at least 1,200 bytes).
    public func nextReply(into buffer: inout MutableSpan<UInt8>) -> Transmission? {
        guard !replies.isEmpty else { return nil }
        let reply = replies.removeFirst()
        guard reply.bytes.count <= buffer.count else { return nil }
        buffer.copy(reply.bytes.span, at: 0)
        return Transmission(
            local: reply.local, remote: reply.remote, ecn: .notCapable, segmentSize: reply.bytes.count,
            byteCount: reply.bytes.count)
    }

    private func queue(_ bytes: [UInt8], _ arrival: Arrival) -> ReceiveOutcome {
        guard replies.count < Self.maximumReplies else { return .dropped }
        replies.append(StatelessReply(bytes: bytes, local: arrival.local, remote: arrival.remote))
        return .reply
    }

    /// RFC 9000 §10.3: tells the peer that the connection it means is not known here.
    func answerWithReset(
        _ id: ConnectionID, to datagram: Span<UInt8>, _ arrival: Arrival, at now: Instant
    ) -> ReceiveOutcome {
        // RFC 9000 §21.11: the ID of a connection that another worker has gets no answer, which would end it.
        guard identifiers.couldBeOurs(id) else { return .dropped }
        // RFC 9000 §10.3.3: smaller than what it answers.
        guard let length = StatelessReset.length(answering: datagram.count), resetBudget.take(at: now) else {
            return .dropped
        }
        var bytes = [UInt8](repeating: 0, count: length)
        var span = bytes.mutableSpan
        var writer = ByteWriter(&span)
        writer.writeStatelessReset(configuration.resetKey.token(for: id), length: length, using: &generator)
        return queue(bytes, arrival)
    }

    /// RFC 9000 §6.1: offers our versions, in answer to datagrams that could open a connection only.
    func negotiateVersion(
        _ header: UnknownVersionPacket, _ datagram: Span<UInt8>, _ arrival: Arrival
    ) -> ReceiveOutcome {
        guard configuration.server != nil, datagram.count >= TransportLimits.minimumDatagramSize else {
            return .dropped
        }
        let source = datagram.extracting(header.sourceConnectionID)
        let destination = datagram.extracting(header.destinationConnectionID)
        // RFC 9000 §6.3: a reserved version keeps clients used to versions that they do not know.
        let versions = [Version.v1.number, .reserved(using: &generator)]
        var bytes = [UInt8](repeating: 0, count: 1 + 4 + 2 + source.count + destination.count + 4 * versions.count)
        var span = bytes.mutableSpan
        var writer = ByteWriter(&span)
        writer.writeVersionNegotiation(
            destination: source, source: destination, versions: versions,
            unusedBits: UInt8.random(in: .min ... .max, using: &generator))
        return queue(bytes, arrival)
    }

    /// RFC 9000 §8.1.2: asks the client to come back with a token, and keeps nothing.
    func sendRetry(_ header: LongHeader, _ arrival: Arrival, _ server: ServerConfiguration) -> ReceiveOutcome {
        let source = identifiers.random(using: &generator)
        let token = server.tokenKey.seal(
            .retry(originalDestination: header.destinationConnectionID, retrySource: source), for: arrival.remote,
            unixSeconds: unixTime, using: &generator)
        var bytes = [UInt8](repeating: 0, count: Self.replySpace)
        var span = bytes.mutableSpan
        var writer = ByteWriter(&span)
        writer.writeRetry(
            version: header.version, destination: header.sourceConnectionID, source: source,
            originalDestination: header.destinationConnectionID, token: token.span,
            unusedBits: UInt8.random(in: .min ... .max, using: &generator))
        let count = writer.position
        return queue(Array(bytes.prefix(count)), arrival)
    }

    /// RFC 9000 §10.2.3: CONNECTION_CLOSE in an Initial packet, without a connection.
    func refuse(_ header: LongHeader, with code: TransportErrorCode, _ arrival: Arrival) -> ReceiveOutcome {
        let keys = InitialSecrets.keys(for: header.destinationConnectionID, version: header.version, role: .server)
        var bytes = [UInt8](repeating: 0, count: Self.replySpace)
        var span = bytes.mutableSpan
        var writer = ByteWriter(&span)
        var layout = writer.writeLongHeader(
            LongHeaderFields(
                version: header.version, type: .initial, destinationConnectionID: header.sourceConnectionID,
                sourceConnectionID: header.destinationConnectionID, packetNumber: 0, packetNumberLength: 1))
        writer.writeConnectionClose(.transport(code, frameType: 0), reason: "")
        writer.finishPacket(&layout)
        keys.write?.seal(&span, layout, packetNumber: 0)
        return queue(Array(bytes.prefix(layout.end)), arrival)
    }

    /// Bytes that hold any stateless answer: a Retry with the longest token, below what a client sent.
    private static let replySpace = 512
}
