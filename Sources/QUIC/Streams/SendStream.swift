import Primitives

/// The sending half of a stream: what is queued, sent, lost and acknowledged (RFC 9000 §3.1).
///
/// ```
///   0 ── acknowledged prefix ── acknowledgedEnd ── in flight, lost or acknowledged ── nextOffset ── queued ── end
/// ```
/// Ranges that were lost go out before new data. An acknowledgement settles a range whichever packet carried it, so one that
/// comes after a range was taken for lost stops its retransmission.
struct SendStream {
    /// What stands in the way of the next STREAM frame.
    enum Readiness: Hashable {
        /// Nothing to send, or the stream's own limit is reached.
        case nothing
        /// Bytes to send again, or a FIN alone: costs no credit.
        case withoutCredit
        /// New bytes, within the stream's limit: the connection's limit decides.
        case withCredit
    }

    /// Bytes of what counts as a message of an exchange: a keystroke, a line, a small request.
    static let longestMessage: UInt64 = 1_024
    /// Messages in a row that make an exchange: a head and what follows it, or what a slow source has just read, are fewer.
    static let shortestExchange = 3

    private(set) var state: SendState = .ready
    /// The peer's limit on this stream.
    private(set) var credit = SendCredit()
    private var content = SendContent()
    /// Every byte below is acknowledged.
    private var acknowledgedEnd: UInt64 = 0
    /// What is acknowledged beyond `acknowledgedEnd`.
    private var acknowledgedAhead = RangeSet()
    /// What has to be sent again.
    private var lostRanges = RangeSet()
    /// How far the end of the stream has come; `none` until the application finishes.
    private var fin: Delivery = .none
    /// How far RESET_STREAM has come.
    private(set) var resetDelivery: Delivery = .none

    /// Messages in a row, as far as they count.
    private var messages = 0

    /// Who queues bytes waits until fewer than these were never sent; 0 when nobody waits.
    private var drainMark = 0

    init(limit: UInt64) { _ = credit.raise(to: limit) }

    /// A half that is over from the beginning: it takes nothing and has nothing to say.
    static var ended: SendStream {
        var half = SendStream(limit: 0)
        half.state = .dataReceived
        return half
    }

    /// The first offset that was never sent.
    private var nextOffset: UInt64 { credit.used }
    /// Bytes that were queued and never sent.
    var unsentBytes: Int { state.maySendData ? Int(clamping: content.end - nextOffset) : 0 }
    /// Every byte of the application's ring below it is acknowledged.
    var acknowledgedRingOffset: UInt64? { content.acknowledgedRingOffset }
    /// Whether the application may still queue data.
    var isWritable: Bool { state.maySendData && fin == .none }
}

// MARK: - Commands

extension SendStream {
    /// Queues a copy of `bytes`; ignored when the half has ended meanwhile.
    mutating func write(_ bytes: Span<UInt8>) {
        guard isWritable else { return }
        content.append(bytes)
    }

    /// Queues a part of the application's ring; ignored when the half has ended meanwhile.
    mutating func write(_ ring: ByteRing, range: Range<UInt64>) {
        guard isWritable else { return }
        content.append(ring, range: range)
    }

    /// The stream ends after what is queued.
    mutating func finish() {
        guard isWritable else { return }
        fin = .due
    }

    mutating func awaitDrain(below mark: Int) { drainMark = mark }

    /// Whether what `awaitDrain` named has come about; true once.
    @inline(__always)
    mutating func takeDrained() -> Bool {
        guard drainMark > 0, unsentBytes < drainMark else { return false }
        drainMark = 0
        return true
    }

    /// Gives up: the content is dropped and RESET_STREAM is due. Tells whether it had not ended before.
    mutating func reset(errorCode: UInt64) -> Bool {
        // RFC 9000 §4.5: the final size is the largest offset that was sent.
        switch state.handle(.reset(finalSize: nextOffset, errorCode: errorCode)) {
        case .abandonContent:
            content.abandon()
            lostRanges.removeAll()
            acknowledgedAhead.removeAll()
            credit.retire()
            resetDelivery = .due
            return true
        case .ignore: return false
        case .proceed, .complete, .illegal: preconditionFailure("a reset is decided or ignored")
        }
    }

    /// MAX_STREAM_DATA or the peer's transport parameters.
    mutating func raiseLimit(to limit: UInt64) { _ = credit.raise(to: limit) }

    /// Asks for STREAM_DATA_BLOCKED when the stream's own limit holds data back.
    @inline(__always)
    mutating func reportBlockedIfNeeded() {
        if state.maySendData, credit.available == 0, content.end > nextOffset { credit.noteBlocked() }
    }

    mutating func blockedReportSent() { credit.blockedReportSent() }
    mutating func blockedReportLost() { if state.maySendData { credit.blockedReportLost() } }
}

// MARK: - Sending

extension SendStream {
    @inline(__always)
    var readiness: Readiness {
        guard state.maySendData else { return .nothing }
        if !lostRanges.isEmpty { return .withoutCredit }
        if nextOffset < content.end { return credit.available > 0 ? .withCredit : .nothing }
        return fin == .due ? .withoutCredit : .nothing
    }

    /// What the next STREAM frame carries, with the connection's credit for new bytes; an empty range is a FIN alone.
    @inline(__always)
    func nextRange(connectionCredit: UInt64) -> Range<UInt64>? {
        switch readiness {
        case .nothing: return nil
        case .withoutCredit: return lostRanges.first ?? nextOffset..<nextOffset
        case .withCredit:
            let length = min(content.end - nextOffset, credit.available, connectionCredit)
            return length > 0 ? nextOffset..<nextOffset + length : nil
        }
    }

    /// Whether a frame that ends at `offset` ends the stream.
    func fin(at offset: UInt64) -> Fin { fin != .none && offset == content.end ? .end : .more }

    /// Copies the bytes of a range that `nextRange` named into the packet.
    @_lifetime(writer: copy writer)
    mutating func copy(_ range: Range<UInt64>, into writer: inout ByteWriter) {
        content.copy(range, into: &writer)
    }

    /// A frame with `range` went into a packet; returns how many of its bytes were new.
    mutating func sent(_ range: Range<UInt64>, fin frameFin: Fin) -> UInt64 {
        let event: SendState.Event = frameFin == .end ? .finSent(finalSize: range.upperBound) : .dataSent
        let action = state.handle(event)
        precondition(action == .proceed, "a STREAM frame was sent on a stream that has ended")
        if frameFin == .end, fin == .due { fin = .inFlight }
        guard range.upperBound > nextOffset else {
            lostRanges.remove(range)
            return 0
        }
        let new = range.upperBound - nextOffset
        messages = isMessage(range) ? min(messages + 1, Self.shortestExchange) : 0
        credit.use(new)
        return new
    }

    /// Whether a range that is sent for the first time is short and all that the stream has to say: nothing is under way, and
    /// nothing waits behind it.
    private func isMessage(_ range: Range<UInt64>) -> Bool {
        range.lowerBound == acknowledgedEnd && range.upperBound == content.end
            && range.upperBound - range.lowerBound <= Self.longestMessage
    }

    /// Whether the stream sends message after message, each when the one before is acknowledged.
    var isExchange: Bool { messages == Self.shortestExchange }

    mutating func resetSent() { resetDelivery = .inFlight }

    /// The frame that RESET_STREAM is sent with, when it is due.
    func dueReset(of id: StreamID) -> ControlFrame? {
        guard resetDelivery == .due, case .resetSent(let finalSize, let errorCode) = state else { return nil }
        return .resetStream(id, errorCode: errorCode, finalSize: finalSize)
    }
}

// MARK: - The fate of what was sent

extension SendStream {
    /// A packet with this range arrived; tells whether the half is complete now. Late and repeated news change nothing.
    mutating func acknowledged(_ range: Range<UInt64>, fin frameFin: Fin) -> Bool {
        guard state.maySendData else { return false }
        if frameFin == .end { fin = .acknowledged }
        if !lostRanges.isEmpty { lostRanges.remove(range) }
        if range.lowerBound > acknowledgedEnd {
            acknowledgedAhead.insert(range)
        } else if range.upperBound > acknowledgedEnd {
            acknowledgedEnd = range.upperBound
            if !acknowledgedAhead.isEmpty {
                acknowledgedEnd = acknowledgedAhead.prefixEnd(from: acknowledgedEnd)
                acknowledgedAhead.remove(below: acknowledgedEnd)
            }
            content.release(upTo: acknowledgedEnd)
        }
        guard fin == .acknowledged, acknowledgedEnd == content.end else { return false }
        return state.handle(.allAcknowledged) == .complete
    }

    /// A packet with this range was lost: what nobody acknowledged of it is sent again.
    mutating func lost(_ range: Range<UInt64>, fin frameFin: Fin) {
        guard state.maySendData else { return }
        if frameFin == .end { fin.lost() }
        let start = max(range.lowerBound, acknowledgedEnd)
        guard start < range.upperBound else { return }
        lostRanges.insert(start..<range.upperBound)
        lostRanges.subtract(acknowledgedAhead)
    }

    /// RESET_STREAM arrived; tells whether the half is complete now.
    mutating func resetAcknowledged() -> Bool {
        resetDelivery = .acknowledged
        return state.handle(.resetAcknowledged) == .complete
    }

    /// The packet with RESET_STREAM was lost.
    mutating func resetLost() { resetDelivery.lost() }
}
