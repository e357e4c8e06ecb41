import Primitives

// Frames for the peer, and the fate of those that were sent.

extension StreamTable {
    /// Whether a flow control, reset or limit frame is due.
    var hasControlToSend: Bool {
        controlCount > 0 || receiveWindow.isUpdateDue || sendCredit.blockedReport == .due
            || peerBidirectional.isUpdateDue || peerUnidirectional.isUpdateDue
            || localBidirectional.blockedReport == .due || localUnidirectional.blockedReport == .due
    }

    /// Whether stream data or a FIN can be sent now, within the peer's limits.
    var hasDataToSend: Bool { !scheduler.isEmpty }

    /// Whether a stream exchanges messages with the peer, for which others that have much to send are to leave room.
    func hasExchange(at now: Instant) -> Bool { latestMessage.map { now - $0 <= Self.exchangeRest } ?? false }

    /// Fills a packet with stream data, and notes what went in.
    ///
    /// The last frame may extend to the end of the packet, without a length: when the writer has no room left, nothing may
    /// be put behind it.
    @_lifetime(writer: copy writer)
    mutating func writeStreamFrames(into writer: inout ByteWriter, recording frames: inout SentFrames) {
        while writer.remaining > 0, let index = scheduler.next() {
            switch slots[index].writeFrame(into: &writer, connectionCredit: sendCredit.available) {
            case .nothingToSend: settle(index)
            case .noRoom: return
            case .wrote(let range, let fin, let new, let size):
                let length = Int(range.upperBound - range.lowerBound)
                if new > 0, slots[index].send.isExchange { latestMessage = latest }
                frames.append(.stream(slots[index].id, offset: range.lowerBound, length: length, fin: fin))
                scheduler.charge(index, bytes: size)
                count(newBytes: new)
                tellIfDrained(index)
                settle(index)
            }
        }
    }

    @inline(__always)
    mutating func tellIfDrained(_ index: Int) {
        if slots[index].send.takeDrained() { events.append(.drained(slots[index].id)) }
    }

    private mutating func count(newBytes: UInt64) {
        guard newBytes > 0 else { return }
        sendCredit.use(newBytes)
        guard sendCredit.available == 0 else { return }
        // Those that have only new data wait for MAX_DATA.
        for index in scheduler.queued { settle(index) }
    }
}

// MARK: - Control frames

extension StreamTable {
    /// Writes frames that are due as far as they fit, and notes what went in.
    @_lifetime(writer: copy writer)
    mutating func writeControlFrames(
        into writer: inout ByteWriter, recording frames: inout SentFrames, at now: Instant, roundTripTime: Interval
    ) {
        latest = now
        guard hasControlToSend || !controlQueue.isEmpty else { return }
        guard writeConnectionFrames(into: &writer, recording: &frames, roundTripTime: roundTripTime) else { return }
        while let index = controlQueue.first {
            if slots[index].wantsControl {
                guard writeFrames(about: index, into: &writer, recording: &frames, roundTripTime: roundTripTime)
                else { return }
            }
            controlQueue.removeFirst()
            slots[index].isQueuedForControl = false
            settle(index)
        }
    }

    /// Frames about the connection or a kind of stream; false when one did not fit.
    @_lifetime(writer: copy writer)
    private mutating func writeConnectionFrames(
        into writer: inout ByteWriter, recording frames: inout SentFrames, roundTripTime: Interval
    ) -> Bool {
        if receiveWindow.isUpdateDue {
            guard writer.remaining >= Self.largestWindowUpdate else { return false }
            writer.write(.maxData(receiveWindow.announce(at: latest, roundTripTime: roundTripTime)))
            frames.append(.maxData)
        }
        if sendCredit.blockedReport == .due {
            guard writer.writeIfFits(.dataBlocked(limit: sendCredit.limit)) else { return false }
            frames.append(.dataBlocked)
            sendCredit.blockedReportSent()
        }
        return Self.write(&peerBidirectional, into: &writer, recording: &frames)
            && Self.write(&peerUnidirectional, into: &writer, recording: &frames)
            && Self.write(&localBidirectional, into: &writer, recording: &frames)
            && Self.write(&localUnidirectional, into: &writer, recording: &frames)
    }

    /// The most bytes that MAX_DATA or MAX_STREAM_DATA takes.
    private static let largestWindowUpdate = 1 + 8 + 8

    @_lifetime(writer: copy writer)
    private static func write(
        _ streams: inout PeerStreams, into writer: inout ByteWriter, recording frames: inout SentFrames
    ) -> Bool {
        guard streams.isUpdateDue else { return true }
        guard writer.remaining >= largestWindowUpdate else { return false }
        writer.write(.maxStreams(streams.direction, streams.announce()))
        frames.append(.maxStreams(streams.direction))
        return true
    }

    @_lifetime(writer: copy writer)
    private static func write(
        _ streams: inout LocalStreams, into writer: inout ByteWriter, recording frames: inout SentFrames
    ) -> Bool {
        guard streams.blockedReport == .due else { return true }
        guard writer.writeIfFits(.streamsBlocked(streams.direction, limit: streams.limit)) else { return false }
        frames.append(.streamsBlocked(streams.direction))
        streams.blockedReportSent()
        return true
    }

    /// Frames about one stream; false when one did not fit.
    @_lifetime(writer: copy writer)
    private mutating func writeFrames(
        about index: Int, into writer: inout ByteWriter, recording frames: inout SentFrames,
        roundTripTime: Interval
    ) -> Bool {
        let id = slots[index].id
        if let frame = slots[index].send.dueReset(of: id) {
            guard writer.writeIfFits(frame) else { return false }
            frames.append(.resetStream(id))
            slots[index].send.resetSent()
        }
        if let frame = slots[index].receive.dueStop(of: id) {
            guard writer.writeIfFits(frame) else { return false }
            frames.append(.stopSending(id))
            slots[index].receive.stopSent()
        }
        if slots[index].receive.isWindowUpdateDue {
            guard writer.remaining >= Self.largestWindowUpdate else { return false }
            let limit = slots[index].receive.announceWindow(at: latest, roundTripTime: roundTripTime)
            writer.write(.maxStreamData(id, limit))
            frames.append(.maxStreamData(id))
        }
        if slots[index].send.credit.blockedReport == .due {
            let limit = slots[index].send.credit.limit
            guard writer.writeIfFits(.streamDataBlocked(id, limit: limit)) else { return false }
            frames.append(.streamDataBlocked(id))
            slots[index].send.blockedReportSent()
        }
        return true
    }
}

// MARK: - The fate of what was sent

extension StreamTable {
    /// A packet with this frame was acknowledged. Frames that are no concern of streams are ignored.
    mutating func acknowledged(_ frame: SentFrame) {
        switch frame {
        case .stream(let id, let offset, let length, let fin):
            guard let index = lookUp(id) else { return }
            let before = slots[index].send.acknowledgedRingOffset
            let isComplete = slots[index].send.acknowledged(offset..<offset + UInt64(length), fin: fin)
            if slots[index].send.acknowledgedRingOffset != before {
                announce(.acknowledged, .acknowledged(id), of: index)
            }
            if isComplete { events.append(.finished(id)) }
            settle(index)
        case .resetStream(let id):
            guard let index = lookUp(id) else { return }
            if slots[index].send.resetAcknowledged() { events.append(.finished(id)) }
            settle(index)
        case .stopSending(let id): change(id) { $0.receive.stopAcknowledged() }
        case .maxData, .maxStreamData, .maxStreams, .dataBlocked, .streamDataBlocked, .streamsBlocked: break
        case .crypto, .newConnectionID, .retireConnectionID, .newToken, .handshakeDone, .pathChallenge, .datagram,
            .ackFrequency:
            break
        }
    }

    /// A packet with this frame was lost: what still matters of it becomes due again (RFC 9000 §13.3).
    mutating func lost(_ frame: SentFrame) {
        switch frame {
        case .stream(let id, let offset, let length, let fin):
            guard let index = lookUp(id) else { return }
            slots[index].send.lost(offset..<offset + UInt64(length), fin: fin)
            settle(index)
        case .resetStream(let id): change(id) { $0.send.resetLost() }
        case .stopSending(let id): change(id) { $0.receive.stopLost() }
        case .maxStreamData(let id): change(id) { $0.receive.windowUpdateLost() }
        case .streamDataBlocked(let id): change(id) { $0.send.blockedReportLost() }
        case .maxData: receiveWindow.announcementLost()
        case .dataBlocked: if !parked.isEmpty { sendCredit.blockedReportLost() }
        case .maxStreams(.bidirectional): peerBidirectional.announcementLost()
        case .maxStreams(.unidirectional): peerUnidirectional.announcementLost()
        case .streamsBlocked(.bidirectional): localBidirectional.blockedReportLost()
        case .streamsBlocked(.unidirectional): localUnidirectional.blockedReportLost()
        case .crypto, .newConnectionID, .retireConnectionID, .newToken, .handshakeDone, .pathChallenge, .datagram,
            .ackFrequency:
            break
        }
    }

    private mutating func change(_ id: StreamID, _ body: (inout Stream) -> Void) {
        guard let index = lookUp(id) else { return }
        body(&slots[index])
        settle(index)
    }
}
