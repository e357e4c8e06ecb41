import Primitives

// What the application does with streams. A stream that is gone takes no notice: commands and events may cross.

extension StreamTable {
    /// Opens a stream; nil when the peer's limit is reached: `streamsAvailable` comes when it is raised.
    mutating func openStream(_ direction: StreamDirection) -> StreamID? {
        let index =
            switch direction {
            case .bidirectional: localBidirectional.open()
            case .unidirectional: localUnidirectional.open()
            }
        guard let index else { return nil }
        let id = StreamID(initiator: role, direction: direction, index: index)
        let receive = direction == .bidirectional ? ReceiveStream(window: newStreamWindow()) : .ended
        insert(id, send: SendStream(limit: initialSendLimit(of: id)), receive: receive)
        return id
    }

    /// Queues a copy of `bytes`, whatever the windows say.
    mutating func write(_ bytes: Span<UInt8>, to id: StreamID) {
        guard let index = lookUp(id) else { return }
        slots[index].send.write(bytes)
        settle(index)
    }

    /// Queues bytes that stay where they are, in a ring that keeps them until they are acknowledged.
    mutating func write(_ ring: ByteRing, range: Range<UInt64>, to id: StreamID) {
        guard let index = lookUp(id) else { return }
        slots[index].send.write(ring, range: range)
        settle(index)
    }

    /// Bytes that were queued and never sent.
    func unsentBytes(on id: StreamID) -> Int { index(of: id).map { slots[$0].send.unsentBytes } ?? 0 }

    /// Has `drained` told once, when fewer than `count` bytes were never sent; at once when that is so.
    mutating func awaitDrain(of id: StreamID, below count: Int) {
        guard let index = lookUp(id) else { return }
        slots[index].send.awaitDrain(below: count)
        tellIfDrained(index)
    }

    /// Ends the sending half after what is queued.
    mutating func finish(_ id: StreamID) {
        guard let index = lookUp(id) else { return }
        slots[index].send.finish()
        settle(index)
    }

    /// Breaks the sending half off: RESET_STREAM. References to rings are dropped at once.
    mutating func reset(_ id: StreamID, errorCode: UInt64) {
        guard let index = lookUp(id) else { return }
        _ = slots[index].send.reset(errorCode: errorCode)
        settle(index)
    }

    /// Asks the peer to break its half off: STOP_SENDING. What arrives from now on is dropped.
    mutating func stopSending(_ id: StreamID, errorCode: UInt64) {
        guard let index = lookUp(id) else { return }
        receiveWindow.consume(slots[index].receive.stop(errorCode: errorCode))
        excuseWaitingBytes()
        settle(index)
    }

    /// Bytes that can be read in order.
    func readableBytes(on id: StreamID) -> Int { index(of: id).map { slots[$0].receive.readableBytes } ?? 0 }

    /// Copies and consumes up to `limit` bytes in order.
    mutating func read(from id: StreamID, atMost limit: Int) -> [UInt8] {
        guard let ring = readableRing(on: id) else { return [] }
        let count = min(max(limit, 0), ring.count)
        var bytes = [UInt8](repeating: 0, count: count)
        var target = bytes.mutableSpan
        ring.copy(ring.start..<ring.start + UInt64(count), into: &target)
        consume(count, from: id)
        return bytes
    }

    /// The ring in which a stream's bytes are read in place, all of `start..<end`; nil when there are none. It belongs to the table:
    /// who reads in it gives bytes back by `consume` only, and does not keep it.
    func readableRing(on id: StreamID) -> ByteRing? { index(of: id).flatMap { slots[$0].receive.readableRing } }

    /// Gives up to `count` bytes, which were read, back to the peer as credit.
    mutating func consume(_ count: Int, from id: StreamID) {
        guard let index = lookUp(id) else { return }
        // A reset may have taken away what the application was still busy with.
        let count = min(max(count, 0), slots[index].receive.readableBytes)
        guard count > 0 else { return }
        slots[index].receive.consume(count)
        receiveWindow.consume(UInt64(count))
        excuseWaitingBytes()
        keepWarm(index)
        settle(index)
    }

    /// Whether the peer ended the stream and all of it was consumed; true as well for a stream that is gone.
    func isFinishedReading(_ id: StreamID) -> Bool {
        guard let index = index(of: id) else { return true }
        return slots[index].receive.isFinished
    }

    /// Every byte of the application's ring below it is acknowledged; nil when none was written, or the stream is gone.
    func acknowledgedRingOffset(on id: StreamID) -> UInt64? {
        index(of: id).flatMap { slots[$0].send.acknowledgedRingOffset }
    }

    /// Changes when the stream's data goes relative to others.
    mutating func setUrgency(_ urgency: StreamUrgency, of id: StreamID) {
        guard let index = lookUp(id) else { return }
        scheduler.setUrgency(urgency, of: index)
    }
}
