import Primitives

// What the application does with streams. A stream that is gone takes no notice: commands and events may cross.

extension StreamTable {
    /// Opens a stream; nil when the peer's limit is reached: `streamsAvailable` comes when it is raised.
    func openStream(_ direction: StreamDirection) -> StreamID? {
        let index =
            switch direction {
            case .bidirectional: localBidirectional.open()
            case .unidirectional: localUnidirectional.open()
            }
        guard let index else { return nil }
        let id = StreamID(initiator: role, direction: direction, index: index)
        let receive = direction == .bidirectional ? ReceiveStream(window: newStreamWindow()) : nil
        insert(Stream(id: id, send: SendStream(limit: initialSendLimit(of: id)), receive: receive))
        return id
    }

    /// Queues a copy of `bytes`, whatever the windows say.
    func write(_ bytes: Span<UInt8>, to id: StreamID) {
        guard let stream = stream(id) else { return }
        stream.send?.write(bytes)
        settle(stream)
    }

    /// Queues bytes that stay where they are, in a ring that keeps them until they are acknowledged.
    func write(_ ring: ByteRing, range: Range<UInt64>, to id: StreamID) {
        guard let stream = stream(id) else { return }
        stream.send?.write(ring, range: range)
        settle(stream)
    }

    /// Bytes that were queued and never sent.
    func unsentBytes(on id: StreamID) -> Int { stream(id)?.send?.unsentBytes ?? 0 }

    /// Ends the sending half after what is queued.
    func finish(_ id: StreamID) {
        guard let stream = stream(id) else { return }
        stream.send?.finish()
        settle(stream)
    }

    /// Breaks the sending half off: RESET_STREAM. References to rings are dropped at once.
    func reset(_ id: StreamID, errorCode: UInt64) {
        guard let stream = stream(id) else { return }
        _ = stream.send?.reset(errorCode: errorCode)
        settle(stream)
    }

    /// Asks the peer to break its half off: STOP_SENDING. What arrives from now on is dropped.
    func stopSending(_ id: StreamID, errorCode: UInt64) {
        guard let stream = stream(id) else { return }
        receiveWindow.consume(stream.receive?.stop(errorCode: errorCode) ?? 0)
        settle(stream)
    }

    /// Bytes that can be read in order.
    func readableBytes(on id: StreamID) -> Int { stream(id)?.receive?.readableBytes ?? 0 }

    /// Copies and consumes up to `limit` bytes in order.
    func read(from id: StreamID, atMost limit: Int) -> [UInt8] {
        let count = min(max(limit, 0), readableBytes(on: id))
        let bytes = withReadableBytes(on: id) { head, tail in
            [UInt8](capacity: count) { output in
                for index in 0..<min(count, head.count) { output.append(head[index]) }
                for index in 0..<max(0, count - head.count) { output.append(tail[index]) }
            }
        }
        consume(count, from: id)
        return bytes
    }

    /// Shows what can be read, in order, in two parts. `body` must not consume.
    func withReadableBytes<R>(on id: StreamID, _ body: (Span<UInt8>, Span<UInt8>) -> R) -> R {
        guard let receive = stream(id)?.receive else { return body(Span(), Span()) }
        return receive.withReadableBytes(body)
    }

    /// Gives up to `count` bytes, which were read, back to the peer as credit.
    func consume(_ count: Int, from id: StreamID) {
        guard let stream = stream(id) else { return }
        // A reset may have taken away what the application was still busy with.
        let count = min(max(count, 0), stream.receive?.readableBytes ?? 0)
        guard count > 0 else { return }
        stream.receive?.consume(count)
        receiveWindow.consume(UInt64(count))
        keepWarm(stream)
        settle(stream)
    }

    /// Whether the peer ended the stream and all of it was consumed; true as well for a stream that is gone.
    func isFinishedReading(_ id: StreamID) -> Bool {
        guard let stream = stream(id) else { return true }
        return stream.receive?.isFinished ?? true
    }

    /// Every byte of the application's ring below it is acknowledged; nil when none was written, or the stream is gone.
    func acknowledgedRingOffset(on id: StreamID) -> UInt64? { stream(id)?.send?.acknowledgedRingOffset }

    /// Changes when the stream's data goes relative to others.
    func setUrgency(_ urgency: StreamUrgency, of id: StreamID) {
        guard let stream = stream(id) else { return }
        scheduler.setUrgency(urgency, of: stream)
    }
}
