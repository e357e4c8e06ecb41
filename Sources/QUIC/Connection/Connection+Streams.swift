public import Primitives
import TLS

/// Commands on streams and their getters. A stream that is gone takes no notice of a command: events may cross.
extension Connection {
    /// Opens a stream; nil while the peer's limit is reached, `.streamsAvailable` tells when it was raised.
    public func openStream(_ direction: StreamDirection) -> StreamID? {
        guard state.isOpen else { return nil }
        return streams.openStream(direction)
    }

    /// Queues a copy of `bytes`, whatever the flow-control windows say; for headers and other small things.
    public func write(_ bytes: Span<UInt8>, to id: StreamID) { streams.write(bytes, to: id) }

    /// Queues bytes that stay in `ring`, named by the ring's absolute offsets, until they are acknowledged.
    ///
    /// The caller keeps them in the ring up to `acknowledgedRingOffset`; a stream refers to one ring only.
    public func write(_ ring: ByteRing, range: Range<UInt64>, to id: StreamID) {
        streams.write(ring, range: range, to: id)
    }

    /// Bytes queued and never sent yet, for back-pressure.
    public func unsentBytes(on id: StreamID) -> Int { streams.unsentBytes(on: id) }

    /// Asks for one `.streamDrained` as soon as fewer than `count` bytes are queued and never sent: for a caller that takes no
    /// more bytes in before.
    public func awaitDrain(of id: StreamID, below count: Int) { streams.awaitDrain(of: id, below: count) }

    /// Ends what this end sends on the stream, after everything queued.
    public func finish(_ id: StreamID) { streams.finish(id) }

    /// Ends what this end sends at once, dropping what was not delivered (RFC 9000 §19.4).
    public func reset(_ id: StreamID, errorCode: UInt64) { streams.reset(id, errorCode: errorCode) }

    /// Asks the peer to send no more (RFC 9000 §19.5); unread bytes are dropped.
    public func stopSending(_ id: StreamID, errorCode: UInt64) { streams.stopSending(id, errorCode: errorCode) }

    /// Bytes that can be read in order.
    public func readableBytes(on id: StreamID) -> Int { streams.readableBytes(on: id) }

    /// Copies at most `limit` bytes out and consumes them.
    public func read(from id: StreamID, atMost limit: Int) -> [UInt8] {
        streams.read(from: id, atMost: limit)
    }

    /// Lends the bytes that can be read in order, in the two parts in which they lie in memory.
    public func withReadableBytes<Result>(
        on id: StreamID, _ body: (Span<UInt8>, Span<UInt8>) -> Result
    ) -> Result {
        guard let ring = streams.readableRing(on: id) else { return body(Span(), Span()) }
        return ring.withReadableRegions(ring.start..<ring.end, body)
    }

    /// Whether both directions of the stream are over, for the peer too as far as this end's is concerned.
    public func isStreamOver(_ id: StreamID) -> Bool { streams.index(of: id) == nil }

    /// Gives `count` bytes that were read back to the peer as flow-control credit.
    public func consume(_ count: Int, from id: StreamID) {
        streams.consume(count, from: id)
    }

    /// Whether the peer's end of the stream was reached and everything before it consumed.
    public func isFinishedReading(_ id: StreamID) -> Bool { streams.isFinishedReading(id) }

    /// The ring offset below which everything is acknowledged; nil when the stream refers to no ring.
    public func acknowledgedRingOffset(on id: StreamID) -> UInt64? { streams.acknowledgedRingOffset(on: id) }

    /// Sends streams of a higher urgency first, those of the same in turn.
    public func setUrgency(_ urgency: StreamUrgency, of id: StreamID) { streams.setUrgency(urgency, of: id) }

    /// Queues an unreliable datagram (RFC 9221).
    public func sendDatagram(_ bytes: [UInt8]) -> DatagramOutcome {
        let frame = Int(clamping: peerParameters?.maxDatagramFrameSize ?? 0)
        let overhead = 1 + Varint.width(of: UInt64(frame))
        let limit = max(0, frame - overhead)
        // RFC 9221 §3: type and length count; without the parameter there is no DATAGRAM frame, not even an empty one.
        guard frame >= overhead, bytes.count <= limit else { return .tooLarge(limit: limit) }
        datagrams.append(bytes)
        return .queued
    }

    /// Whether `nextEvent` has something about a stream to tell: sending makes such events, too.
    public var hasStreamEvents: Bool { !streams.events.isEmpty }

    /// The next thing that happened; nil when there is nothing left to tell.
    public func nextEvent() -> ConnectionEvent? {
        events.next() ?? streams.nextEvent().map(ConnectionEvent.init) ?? events.takeEnd()
    }

    /// The application protocol that both ends agreed on; nil until the handshake is complete.
    public var applicationProtocol: String? { handshakeSummary?.applicationProtocol }

    /// Streams that are not over in both directions.
    public var openStreamCount: Int { streams.streamCount }

    /// Whether 1-RTT keys are there.
    public var isHandshakeComplete: Bool { progress >= .complete }

    /// Whether the connection is over and nothing more will be sent.
    public var isClosed: Bool { state == .closed }
}
