import Primitives

/// The receiving half of a stream: reassembly, final size and window (RFC 9000 §3.2, §4).
///
/// Bytes are kept at their place in a ring whose size follows the window, so a peer cannot make this end hold more than
/// it was granted. What arrived beyond the first gap is known as ranges.
struct ReceiveStream {
    /// Separate ranges that may wait beyond the first gap. They bound the memory and time that one-byte gaps cost; honest loss
    /// makes fewer than one per lost packet, and a full window of 16 MiB with every fourth packet lost stays below.
    ///
    /// When it is exceeded the connection closes with INTERNAL_ERROR: the packet that brings one range too many is acknowledged as a
    /// whole, so dropping only the range would lose its bytes for ever.
    static let maximumFragments = 4096

    /// What a frame changed.
    struct Outcome: Equatable {
        /// How far the largest offset moved: counts against the connection's window.
        var advanced: UInt64 = 0
        /// Bytes that will never be read: the connection's window gets them back.
        var discarded: UInt64 = 0
        /// Whether the application has something to look at: new bytes in order, or the end.
        var isReadable = false
    }

    private(set) var state: ReceiveState = .receive
    private(set) var window: ReceiveWindow
    /// Created with the first byte.
    private var ring: ByteRing?
    /// What arrived beyond the first gap.
    private var fragments = RangeSet()
    /// The largest offset that the peer has used.
    private var highestOffset: UInt64 = 0
    /// How far STOP_SENDING has come; anything but `none`: the bytes are not wanted.
    private(set) var stopDelivery: Delivery = .none
    private var stopCode: UInt64 = 0

    init(window: ReceiveWindow) { self.window = window }

    /// A half that is over from the beginning: it takes nothing and has nothing to say.
    static var ended: ReceiveStream {
        var half = ReceiveStream(window: ReceiveWindow(initial: .zero, maximum: .zero))
        half.state = .dataRead(finalSize: 0)
        return half
    }

    /// Bytes in order that were not consumed.
    var readableBytes: Int { ring?.count ?? 0 }
    /// Whether the peer ended the stream and every byte was consumed.
    var isFinished: Bool {
        if case .dataRead = state { return true }
        return false
    }
    private var isDiscarding: Bool { stopDelivery != .none }
}

// MARK: - Frames

extension ReceiveStream {
    /// A STREAM frame arrived. `connectionCredit` is how far the sum of all largest offsets may still move.
    mutating func receive(
        _ data: Span<UInt8>, at offset: UInt64, fin: Fin, frameType: UInt64, connectionCredit: UInt64, now: Instant
    ) throws(TransportError) -> Outcome {
        let (end, overflow) = offset.addingReportingOverflow(UInt64(data.count))
        guard !overflow, end <= Varint.max else {
            // RFC 9000 §19.8: offset and length together stay below 2^62.
            throw TransportError(.frameEncodingError, frameType: frameType, "stream data beyond the largest offset")
        }
        try checkFinalSize(end: end, fin: fin, frameType: frameType)
        var outcome = Outcome()
        guard state.awaitsData else { return outcome }
        outcome.advanced = try advance(to: end, frameType: frameType, connectionCredit: connectionCredit)
        window.dataArrived(at: now)
        if fin == .end { _ = state.handle(.finArrived(finalSize: end)) }
        if isDiscarding {
            outcome.discarded = outcome.advanced
            window.consume(outcome.advanced)
            completeIfDiscarded()
            return outcome
        }
        let hasNewBytes = try store(data, at: offset, frameType: frameType)
        let isComplete = completeIfAllArrived()
        outcome.isReadable = hasNewBytes || isComplete
        return outcome
    }

    /// A RESET_STREAM frame arrived; `discarded` counts what nobody will read. Nil when it comes too late to matter.
    mutating func receiveReset(
        errorCode: UInt64, finalSize: UInt64, connectionCredit: UInt64
    ) throws(TransportError) -> Outcome? {
        let frameType = FrameType.resetStream.rawValue
        try checkFinalSize(end: finalSize, fin: .end, frameType: frameType)
        guard state.awaitsData else { return nil }
        let advanced = try advance(to: finalSize, frameType: frameType, connectionCredit: connectionCredit)
        let action = state.handle(.resetArrived(finalSize: finalSize, errorCode: errorCode))
        precondition(action == .dropContent, "a stream that awaits data can be reset")
        stopDelivery = .none
        let outcome = Outcome(advanced: advanced, discarded: dropContent())
        _ = state.handle(.resetRead)
        return outcome
    }

    private func checkFinalSize(end: UInt64, fin: Fin, frameType: UInt64) throws(TransportError) {
        // RFC 9000 §4.5: the final size does not change, and no data lies beyond it.
        if let finalSize = state.finalSize {
            guard end <= finalSize, fin == .more || end == finalSize else {
                throw TransportError(.finalSizeError, frameType: frameType, "the final size of a stream changed")
            }
        } else if fin == .end, end < highestOffset {
            throw TransportError(.finalSizeError, frameType: frameType, "a stream ends before data that was sent")
        }
    }

    private mutating func advance(
        to end: UInt64, frameType: UInt64, connectionCredit: UInt64
    ) throws(TransportError) -> UInt64 {
        guard end > highestOffset else { return 0 }
        // RFC 9000 §4.1
        guard end <= window.limit else {
            throw TransportError(.flowControlError, frameType: frameType, "a stream exceeds its flow control limit")
        }
        let advanced = end - highestOffset
        guard advanced <= connectionCredit else {
            throw TransportError(.flowControlError, frameType: frameType, "the connection's flow control limit")
        }
        highestOffset = end
        return advanced
    }
}

// MARK: - Reassembly

extension ReceiveStream {
    /// Puts bytes where they belong; tells whether there are new bytes in order. Bytes that are in order already are never changed.
    private mutating func store(
        _ data: Span<UInt8>, at offset: UInt64, frameType: UInt64
    ) throws(TransportError) -> Bool {
        let end = offset + UInt64(data.count)
        let inOrderEnd = ring?.end ?? 0
        guard end > inOrderEnd else { return false }
        let ring = self.ring ?? ByteRing(limit: 0)
        self.ring = ring
        ring.limit = Int(clamping: window.size)
        let start = max(offset, inOrderEnd)
        if start > inOrderEnd {
            guard fragments.insert(start..<end, atMost: Self.maximumFragments) else {
                throw TransportError(.internalError, frameType: frameType, "too many gaps in the data of a stream")
            }
        }
        ring.write(data, from: Int(start - offset), at: start)
        guard start == inOrderEnd else { return false }
        guard !fragments.isEmpty else {
            ring.commit(upTo: end)
            return true
        }
        ring.commit(upTo: fragments.prefixEnd(from: end))
        fragments.remove(below: ring.end)
        return true
    }

    private mutating func completeIfAllArrived() -> Bool {
        guard case .sizeKnown(let finalSize) = state, ring?.end ?? 0 == finalSize else { return false }
        _ = state.handle(.allArrived)
        completeIfAllRead()
        return true
    }

    private mutating func completeIfAllRead() {
        guard case .dataReceived(let finalSize) = state, window.consumed == finalSize else { return }
        _ = state.handle(.allRead)
        ring = nil
    }

    /// Nobody waits for missing bytes once their number is known.
    private mutating func completeIfDiscarded() {
        guard case .sizeKnown = state else { return }
        _ = state.handle(.allArrived)
        completeIfAllRead()
        stopDelivery = .none
    }

    /// Drops what was not consumed, and tells how much the connection's window gets back.
    private mutating func dropContent() -> UInt64 {
        let discarded = highestOffset - window.consumed
        window.consume(discarded)
        fragments.removeAll()
        ring = nil
        return discarded
    }
}

// MARK: - Commands

extension ReceiveStream {
    /// The ring that holds the readable bytes; nil when there are none.
    var readableRing: ByteRing? {
        guard let ring, !ring.isEmpty else { return nil }
        return ring
    }

    /// The application is done with `count` readable bytes.
    mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= readableBytes, "consumed more bytes than are readable")
        guard let ring, count > 0 else { return }
        ring.release(upTo: ring.start + UInt64(count))
        window.consume(UInt64(count))
        completeIfAllRead()
    }

    /// The application wants no more: STOP_SENDING is due. Tells what the connection's window gets back.
    ///
    /// When the stream's length is known, STOP_SENDING would only spare retransmissions (RFC 9000 §3.5): the half just ends.
    mutating func stop(errorCode: UInt64) -> UInt64 {
        guard !isDiscarding else { return 0 }
        switch state {
        case .receive:
            stopDelivery = .due
            stopCode = errorCode
            return dropContent()
        case .sizeKnown:
            let discarded = dropContent()
            completeIfDiscarded()
            return discarded
        case .dataReceived:
            let discarded = dropContent()
            completeIfAllRead()
            return discarded
        case .dataRead, .resetReceived, .resetRead: return 0
        }
    }

    /// Bytes of memory that received data takes.
    var heldMemory: Int { ring?.capacity ?? 0 }

    /// Whether the stream holds memory that it does not need.
    var hasUnusedMemory: Bool { ring.map { $0.isEmpty && $0.capacity > 0 } ?? false }

    func releaseUnusedMemory() { ring?.releaseUnusedMemory() }
}

// MARK: - Frames to be sent

extension ReceiveStream {
    /// STOP_SENDING, when it is due.
    func dueStop(of id: StreamID) -> ControlFrame? {
        stopDelivery == .due ? .stopSending(id, errorCode: stopCode) : nil
    }

    mutating func stopSent() { stopDelivery = .inFlight }
    mutating func stopLost() { stopDelivery.lost() }
    mutating func stopAcknowledged() { if isDiscarding { stopDelivery = .acknowledged } }

    /// Whether MAX_STREAM_DATA is due.
    ///
    /// RFC 9000 §3.2: no credit is needed once the size is known, and none is given to who shall stop.
    @inline(__always)
    var isWindowUpdateDue: Bool { state == .receive && !isDiscarding && window.isUpdateDue }

    mutating func announceWindow(at now: Instant, roundTripTime: Interval) -> UInt64 {
        window.announce(at: now, roundTripTime: roundTripTime)
    }

    mutating func windowUpdateLost() { window.announcementLost() }
}
