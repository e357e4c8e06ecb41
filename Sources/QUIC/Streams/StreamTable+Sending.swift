import Primitives

// Frames for the peer, and the fate of those that were sent.

extension StreamTable {
    /// A piece of stream data smaller than this is not worth a frame of its own at the end of a packet, in bytes.
    static let smallestFragment: UInt64 = 16

    /// Whether a flow control, reset or limit frame is due.
    var hasControlToSend: Bool {
        controlCount > 0 || receiveWindow.isUpdateDue || sendCredit.blockedReport == .due
            || peerBidirectional.isUpdateDue || peerUnidirectional.isUpdateDue
            || localBidirectional.blockedReport == .due || localUnidirectional.blockedReport == .due
    }

    /// Whether stream data or a FIN can be sent now, within the peer's limits.
    var hasDataToSend: Bool { !scheduler.isEmpty }

    /// Fills a packet with stream data, and notes what went in.
    ///
    /// The last frame may extend to the end of the packet, without a length: when the writer has no room left, nothing may
    /// be put behind it.
    @_lifetime(writer: copy writer)
    func writeStreamFrames(into writer: inout ByteWriter, recording frames: inout SentFrames) {
        while let stream = scheduler.next() {
            guard writeStreamFrame(of: stream, into: &writer, recording: &frames) else { return }
        }
    }

    /// Writes one STREAM frame; false when there is no room for it.
    @_lifetime(writer: copy writer)
    private func writeStreamFrame(
        of stream: Stream, into writer: inout ByteWriter, recording frames: inout SentFrames
    ) -> Bool {
        guard let available = stream.send?.nextRange(connectionCredit: sendCredit.available) else {
            settle(stream)
            return true
        }
        var header = StreamFrameHeader(id: stream.id, offset: available.lowerBound, fin: .more, extent: .endOfPacket)
        guard let room = header.payloadCapacity(in: writer.remaining) else { return false }
        let length = min(UInt64(room), available.upperBound - available.lowerBound)
        guard length >= min(Self.smallestFragment, available.upperBound - available.lowerBound) else { return false }
        let range = available.lowerBound..<available.lowerBound + length
        header.fin = stream.send?.fin(at: range.upperBound) ?? .more
        var spare = room - Int(length)
        let lengthWidth = Varint.width(of: length)
        if spare >= lengthWidth {
            header.extent = .lengthField
            spare -= lengthWidth
        } else {
            // The payload fits, its length does not: padding in front makes the frame end with the packet.
            writer.write(repeating: 0, count: spare)
        }
        let start = writer.position
        writer.write(header, length: Int(length))
        stream.send?.copy(range, into: &writer)
        frames.append(.stream(stream.id, offset: range.lowerBound, length: Int(length), fin: header.fin))
        noteSent(range, fin: header.fin, on: stream, bytes: writer.position - start)
        return true
    }

    private func noteSent(_ range: Range<UInt64>, fin: Fin, on stream: Stream, bytes: Int) {
        let new = stream.send?.sent(range, fin: fin) ?? 0
        sendCredit.use(new)
        scheduler.charge(stream, bytes: bytes)
        settle(stream)
        if new > 0, sendCredit.available == 0 {
            // Those that have only new data wait for MAX_DATA.
            for stream in scheduler.streams { settle(stream) }
        }
    }
}

// MARK: - Control frames

extension StreamTable {
    /// Writes frames that are due as far as they fit, and notes what went in.
    @_lifetime(writer: copy writer)
    func writeControlFrames(
        into writer: inout ByteWriter, recording frames: inout SentFrames, at now: Instant, roundTripTime: Interval
    ) {
        latest = now
        guard writeConnectionFrames(into: &writer, recording: &frames, roundTripTime: roundTripTime) else { return }
        while let stream = controlQueue.first {
            if stream.wantsControl {
                guard writeFrames(about: stream, into: &writer, recording: &frames, roundTripTime: roundTripTime)
                else { return }
                settleControl(stream)
            }
            controlQueue.removeFirst()
            stream.isQueuedForControl = false
        }
    }

    /// Frames about the connection or a kind of stream; false when one did not fit.
    @_lifetime(writer: copy writer)
    private func writeConnectionFrames(
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
    private func writeFrames(
        about stream: Stream, into writer: inout ByteWriter, recording frames: inout SentFrames,
        roundTripTime: Interval
    ) -> Bool {
        let id = stream.id
        if let frame = stream.send?.dueReset(of: id) {
            guard writer.writeIfFits(frame) else { return false }
            frames.append(.resetStream(id))
            stream.send?.resetSent()
        }
        if let frame = stream.receive?.dueStop(of: id) {
            guard writer.writeIfFits(frame) else { return false }
            frames.append(.stopSending(id))
            stream.receive?.stopSent()
        }
        if stream.receive?.isWindowUpdateDue ?? false {
            guard writer.remaining >= Self.largestWindowUpdate,
                let limit = stream.receive?.announceWindow(at: latest, roundTripTime: roundTripTime)
            else { return false }
            writer.write(.maxStreamData(id, limit))
            frames.append(.maxStreamData(id))
        }
        if let credit = stream.send?.credit, credit.blockedReport == .due {
            guard writer.writeIfFits(.streamDataBlocked(id, limit: credit.limit)) else { return false }
            frames.append(.streamDataBlocked(id))
            stream.send?.blockedReportSent()
        }
        return true
    }
}

// MARK: - The fate of what was sent

extension StreamTable {
    /// A packet with this frame was acknowledged. Frames that are no concern of streams are ignored.
    func acknowledged(_ frame: SentFrame) {
        switch frame {
        case .stream(let id, let offset, let length, let fin):
            guard let stream = stream(id) else { return }
            let before = stream.send?.acknowledgedRingOffset
            let isComplete = stream.send?.acknowledged(offset..<offset + UInt64(length), fin: fin) ?? false
            if stream.send?.acknowledgedRingOffset != before {
                announce(.acknowledged, .acknowledged(id), of: stream)
            }
            if isComplete { events.append(.finished(id)) }
            settle(stream)
        case .resetStream(let id):
            guard let stream = stream(id) else { return }
            if stream.send?.resetAcknowledged() ?? false { events.append(.finished(id)) }
            settle(stream)
        case .stopSending(let id): stream(id)?.receive?.stopAcknowledged()
        case .maxData, .maxStreamData, .maxStreams, .dataBlocked, .streamDataBlocked, .streamsBlocked: break
        case .crypto, .newConnectionID, .retireConnectionID, .newToken, .handshakeDone, .pathChallenge, .datagram:
            break
        }
    }

    /// A packet with this frame was lost: what still matters of it becomes due again (RFC 9000 §13.3).
    func lost(_ frame: SentFrame) {
        switch frame {
        case .stream(let id, let offset, let length, let fin):
            guard let stream = stream(id) else { return }
            stream.send?.lost(offset..<offset + UInt64(length), fin: fin)
            settle(stream)
        case .resetStream(let id): change(id) { $0.send?.resetLost() }
        case .stopSending(let id): change(id) { $0.receive?.stopLost() }
        case .maxStreamData(let id): change(id) { $0.receive?.windowUpdateLost() }
        case .streamDataBlocked(let id): change(id) { $0.send?.blockedReportLost() }
        case .maxData: receiveWindow.announcementLost()
        case .dataBlocked: if !parked.isEmpty { sendCredit.blockedReportLost() }
        case .maxStreams(.bidirectional): peerBidirectional.announcementLost()
        case .maxStreams(.unidirectional): peerUnidirectional.announcementLost()
        case .streamsBlocked(.bidirectional): localBidirectional.blockedReportLost()
        case .streamsBlocked(.unidirectional): localUnidirectional.blockedReportLost()
        case .crypto, .newConnectionID, .retireConnectionID, .newToken, .handshakeDone, .pathChallenge, .datagram:
            break
        }
    }

    private func change(_ id: StreamID, _ body: (Stream) -> Void) {
        guard let stream = stream(id) else { return }
        body(stream)
        settle(stream)
    }
}
