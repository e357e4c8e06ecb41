import HTTP3
public import Primitives
import QUIC

// From TCP to the stream.
extension TunnelRelay {
    /// The ring into which TCP is read; nil when the tunnel is gone.
    public func ring(of id: TunnelID) -> ByteRing? { sessions[id]?.ring }

    /// How many bytes may be read from TCP into the ring now; 0 when TCP is not to be read, before there is room for `least`, or
    /// while enough waits to be sent.
    public func wantsBytes(_ id: TunnelID, atLeast least: Int = 1) -> Int {
        guard let session = sessions[id], session.reading == .wanted else { return 0 }
        guard session.ring.freeSpace >= least else {
            awaitRoom(session)
            return 0
        }
        guard let stream = session.stream, unsentBytes(of: session, stream) >= mostUnsent else {
            return session.ring.freeSpace
        }
        bytesArrived(on: id)
        guard session.reading == .wanted else { return 0 }
        session.reading = .awaitingDrain
        http.connection.awaitDrain(of: stream, below: mostUnsent / 2)
        return 0
    }

    /// Bytes of one tunnel that may wait to be sent for the first time.
    var mostUnsent: Int {
        let part = Self.mostUnsentTogether / max(1, bulkCount)
        return min(max(part, Self.mostUnsentEach.lowerBound), Self.mostUnsentEach.upperBound)
    }

    /// Bytes that were read from TCP and never sent, those included that the stream was not given yet.
    private func unsentBytes(of session: TunnelSession, _ stream: StreamID) -> Int {
        http.unsentBytes(on: stream) + Int(clamping: session.ring.end - session.sent)
    }

    private func awaitRoom(_ session: TunnelSession) {
        session.reading = .awaitingRoom
        lookForReports(session)
    }

    /// TCP was read into the ring: sends what is new there.
    public func bytesArrived(on id: TunnelID) {
        guard let session = sessions[id], session.outgoing == .open, session.resuming == nil else { return }
        send(session)
        if session.ring.freeSpace == 0 { awaitRoom(session) }
    }

    /// TCP will send no more: its FIN was read.
    public func finArrived(on id: TunnelID) {
        guard let session = sessions[id], session.outgoing == .open else { return }
        if let held = session.resuming { return held.finArrived() }
        guard let stream = session.stream else { return }
        switch session.form {
        case .classic:
            send(session)
            http.finish(stream)
        case .connectTCP: send(session, .finalData)
        }
        session.outgoing = .ended
        session.reading = .forbidden
        closeIfEnded(session)
    }

    /// TCP was reset, or failed in another way: the other end's TCP is reset too (RFC 9114 §4.4), at once, or when it has
    /// everything that this one had sent before it broke.
    ///
    /// - Returns: How far TCP was when the tunnel goes on for a while; nil when it does not.
    @discardableResult
    public func resetArrived(on id: TunnelID) -> BrokenTCP? {
        guard let session = sessions[id] else { return nil }
        // The tunnel goes on only to say so.
        if let held = session.resuming { return held.resetArrived() }
        if let broken = refuse(session) { return broken }
        // A client that gives up before the answer cancels its request (RFC 9114 §4.1.1).
        abandon(session, session.phase == .requested ? .requestCancelled : .connectError)
        return nil
    }

    /// Sends what is new in the ring; as final data nothing is enough.
    func send(_ session: TunnelSession, _ kind: CapsuleKind = .data) {
        let range = session.sent..<session.ring.end
        guard !range.isEmpty || kind == .finalData, let stream = session.stream else { return }
        var header: [UInt8] = []
        if case .connectTCP(let draft) = session.form {
            session.draftForSending(draft).appendCapsuleHeader(kind, length: UInt64(range.count), to: &header)
        }
        session.sent = range.upperBound
        http.sendContent(header, session.ring, range, on: stream)
        prioritize(session, stream)
    }

    /// Interactive tunnels go first: one that has much to send stands behind them until all of it is acknowledged.
    func prioritize(_ session: TunnelSession, _ stream: StreamID) {
        let urgency: StreamUrgency
        switch session.ring.count {
        case 0: urgency = .normal
        case Self.bulkThreshold...: urgency = .bulk
        default: urgency = session.urgency
        }
        guard urgency != session.urgency else { return }
        if session.urgency == .bulk { bulkCount -= 1 }
        if urgency == .bulk { bulkCount += 1 }
        session.urgency = urgency
        http.connection.setUrgency(urgency, of: stream)
    }

    func acknowledged(_ session: TunnelSession, _ stream: StreamID) {
        guard let offset = http.connection.acknowledgedRingOffset(on: stream) else { return }
        session.acknowledged = max(session.acknowledged, min(offset, session.sent))
        raiseLimit(of: session, stream)
        release(session, stream)
    }

    /// Gives up the bytes that nobody needs any more: the transport none that was acknowledged, the peer none that it has
    /// reported. Whether there will be reports is known with the answer only.
    func release(_ session: TunnelSession, _ stream: StreamID) {
        switch session.durability {
        case .connection: session.ring.release(upTo: session.acknowledged)
        case .resumable(let attachment): session.ring.release(upTo: min(session.acknowledged, attachment.peerDelivered))
        case .asked, .resuming, .claimed: return
        }
        lowerLimit(of: session)
        prioritize(session, stream)
        // A quarter of the ring at a time, so that reads are not small ones.
        guard session.reading == .awaitingRoom, session.ring.freeSpace >= session.ring.limit / 4 else { return }
        readOn(session)
    }

    func readOn(_ session: TunnelSession) {
        session.reading = .wanted
        actions.append(.read(session.id))
    }

    /// The ring's bound follows the path. When TCP waits for room though most of the ring is on its way, the ring is what
    /// limits the tunnel, so it doubles, at most once a round trip; when most of it was never sent, the network is.
    func raiseLimit(of session: TunnelSession, _ stream: StreamID) {
        let limit = session.ring.limit
        guard session.reading == .awaitingRoom, http.unsentBytes(on: stream) <= limit / 2 else { return }
        raise(session, to: min(limit.multiplyingSaturating(2), maximumRing(of: session)))
    }

    /// A ring that ran empty was larger than it had to be.
    func lowerLimit(of session: TunnelSession) {
        guard session.reading == .wanted, session.ring.isEmpty else { return }
        lower(session, to: max(session.ring.limit / 2, min(limits.initialRing, limits.maximumRing)))
    }

    func allowReading(_ session: TunnelSession) {
        guard session.outgoing == .open, session.reading == .forbidden else { return }
        readOn(session)
    }
}
