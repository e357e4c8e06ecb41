import DequeModule
import HTTP3
public import Primitives
import QUIC

/// The tunnels of one connection and the relaying of their bytes, for either role.
///
/// The driver reads TCP into `ring(of:)` and reports it with `bytesArrived`, and hands payload to TCP in `deliver`. Bytes
/// that TCP does not take stay in the transport's stream, which gives the peer no more credit: a stalled reader stalls
/// nobody but its own tunnel. Bytes that the peer has not acknowledged stay in the ring; when it is full, TCP is not read.
public final class TunnelRelay {
    /// What bounds the memory of tunnels.
    public struct Limits: Sendable {
        /// Bytes that a tunnel's ring may hold at first.
        public var initialRing = 64 * 1024
        /// Bytes that a tunnel's ring may hold at most, however fast and long the path is; then TCP is not read until the peer
        /// acknowledges. Bounds what a peer that does not acknowledge costs.
        public var maximumRing = 4 << 20

        /// The defaults.
        public init() {}
    }

    /// Bytes in a ring from which a tunnel counts as bulk, behind the others in the transport's schedule.
    static let bulkThreshold = 64 * 1024

    let http: HTTP3Connection
    let limits: Limits
    private var sessions: [TunnelID: TunnelSession] = [:]
    private var byStream: [StreamID: TunnelSession] = [:]
    private var nextID: UInt64 = 0
    var actions: Deque<TunnelAction> = []

    init(_ http: HTTP3Connection, limits: Limits) {
        self.http = http
        self.limits = limits
    }
}

// MARK: - The table

extension TunnelRelay {
    func add(_ phase: TunnelSession.Phase, _ form: TunnelForm, to destination: Destination?) -> TunnelSession {
        let session = TunnelSession(
            id: TunnelID(rawValue: nextID), phase: phase, form: form, destination: destination,
            ringLimit: min(limits.initialRing, limits.maximumRing))
        nextID += 1
        sessions[session.id] = session
        return session
    }

    func attach(_ session: TunnelSession, to stream: StreamID) {
        session.stream = stream
        byStream[stream] = session
    }

    func forget(_ session: TunnelSession) {
        sessions[session.id] = nil
        if let stream = session.stream { byStream[stream] = nil }
    }

    func session(_ id: TunnelID) -> TunnelSession? { sessions[id] }
    func session(on stream: StreamID) -> TunnelSession? { byStream[stream] }

    /// Every tunnel, in the order in which they were asked for.
    var all: [TunnelSession] { sessions.values.sorted { $0.id < $1.id } }

    /// Tunnels that are up, being opened or being closed.
    public var count: Int { sessions.count }

    /// Bytes of memory that the rings of all tunnels hold.
    public var memory: Int { sessions.values.reduce(0) { $0 + $1.ring.capacity } }

    /// Gives back memory that was kept for bytes to come; for tunnels that have been idle for a while.
    public func releaseUnusedMemory() {
        for session in sessions.values { session.ring.releaseUnusedMemory() }
    }

    /// A tunnel as `status` shows it.
    public struct Statistics: Hashable, Sendable {
        /// Which tunnel.
        public var id: TunnelID
        /// Where it leads; nil when the request could not be understood.
        public var destination: Destination?
        /// Payload bytes taken from TCP.
        public var sent: UInt64
        /// Payload bytes handed to TCP.
        public var delivered: UInt64
        /// Bytes that wait for the peer's acknowledgment.
        public var buffered: Int
    }

    /// All tunnels, in the order in which they were asked for.
    public var statistics: [Statistics] {
        all.map {
            Statistics(
                id: $0.id, destination: $0.destination, sent: $0.ring.end, delivered: $0.delivered,
                buffered: $0.ring.count)
        }
    }
}

// MARK: - TCP to stream

extension TunnelRelay {
    /// The ring into which TCP is read; nil when the tunnel is gone.
    public func ring(of id: TunnelID) -> ByteRing? { sessions[id]?.ring }

    /// How many bytes may be read from TCP into the ring now; 0 when TCP is not to be read.
    public func wantsBytes(_ id: TunnelID) -> Int {
        guard let session = sessions[id], session.reading == .wanted else { return 0 }
        return session.ring.freeSpace
    }

    /// TCP was read into the ring: sends what is new there.
    public func bytesArrived(on id: TunnelID) {
        guard let session = sessions[id], session.outgoing == .open else { return }
        send(session)
        if session.ring.freeSpace == 0 { session.reading = .awaitingRoom }
    }

    /// TCP will send no more: its FIN was read.
    public func finArrived(on id: TunnelID) {
        guard let session = sessions[id], session.outgoing == .open, let stream = session.stream else { return }
        send(session)
        session.outgoing = .ended
        session.reading = .forbidden
        switch session.form {
        case .classic:
            http.finish(stream)
        case .connectTCP(let draft):
            var capsule: [UInt8] = []
            session.draftForSending(draft).appendCapsuleHeader(.finalData, length: 0, to: &capsule)
            http.sendContent(capsule, on: stream)
        }
        closeIfEnded(session)
    }

    /// TCP was reset, or failed in another way: the other end's TCP is reset too (RFC 9114 §4.4).
    public func resetArrived(on id: TunnelID) {
        guard let session = sessions[id] else { return }
        // A client that gives up before the answer cancels its request (RFC 9114 §4.1.1).
        abandon(session, session.phase == .requested ? .requestCancelled : .connectError)
    }

    private func send(_ session: TunnelSession) {
        let range = session.sent..<session.ring.end
        guard !range.isEmpty, let stream = session.stream else { return }
        var header: [UInt8] = []
        if case .connectTCP(let draft) = session.form {
            session.draftForSending(draft).appendCapsuleHeader(.data, length: UInt64(range.count), to: &header)
        }
        session.sent = range.upperBound
        http.sendContent(header, session.ring, range, on: stream)
        prioritize(session, stream)
    }

    /// Interactive tunnels go first: one that has much to send stands behind them until all of it is acknowledged.
    private func prioritize(_ session: TunnelSession, _ stream: StreamID) {
        let urgency: StreamUrgency
        switch session.ring.count {
        case 0: urgency = .normal
        case Self.bulkThreshold...: urgency = .bulk
        default: urgency = session.urgency
        }
        guard urgency != session.urgency else { return }
        session.urgency = urgency
        http.connection.setUrgency(urgency, of: stream)
    }

    private func acknowledged(_ session: TunnelSession, _ stream: StreamID) {
        guard let offset = http.connection.acknowledgedRingOffset(on: stream) else { return }
        session.ring.release(upTo: min(offset, session.sent))
        adjustLimit(of: session, stream)
        prioritize(session, stream)
        // A quarter of the ring at a time, so that reads are not small ones.
        guard session.reading == .awaitingRoom, session.ring.freeSpace >= session.ring.limit / 4 else { return }
        session.reading = .wanted
        actions.append(.read(session.id))
    }

    /// The ring's bound follows the path. When TCP waits for room though most of the ring is on its way, the ring is what
    /// limits the tunnel, so it doubles, at most once a round trip; when most of it was never sent, the network is. A ring
    /// that ran empty was larger than it had to be.
    private func adjustLimit(of session: TunnelSession, _ stream: StreamID) {
        let limit = session.ring.limit
        switch session.reading {
        case .awaitingRoom where http.unsentBytes(on: stream) <= limit / 2:
            session.ring.limit = min(limit.multiplyingSaturating(2), limits.maximumRing)
        case .wanted where session.ring.isEmpty:
            session.ring.limit = max(limit / 2, min(limits.initialRing, limits.maximumRing))
        case .awaitingRoom, .wanted, .forbidden:
            break
        }
    }

    func allowReading(_ session: TunnelSession) {
        guard session.outgoing == .open, session.reading == .forbidden else { return }
        session.reading = .wanted
        actions.append(.read(session.id))
    }
}

// MARK: - Stream to TCP

extension TunnelRelay {
    /// Shows `write` the payload that has come, piece by piece; it tells how many bytes of each piece TCP took. When it takes
    /// less than a whole piece the call ends; the driver calls again when TCP takes bytes again.
    public func deliver(_ id: TunnelID, at now: Instant, _ write: (Span<UInt8>) -> Int) {
        guard let session = sessions[id], session.phase == .relaying, let stream = session.stream else { return }
        session.delivery = .idle
        var fault: CapsuleError?
        let state = http.readContent(of: stream, at: now) { span in
            guard case .connectTCP = session.form else {
                let taken = write(span)
                session.delivered += UInt64(max(0, min(taken, span.count)))
                return taken
            }
            do throws(CapsuleError) {
                return try deliverCapsules(session, span, write)
            } catch {
                fault = error
                return 0
            }
        }
        guard fault == nil else {
            // RFC 9297 §3.3: a malformed capsule makes the message malformed.
            abandon(session, .messageError)
            return
        }
        guard state == .ended else {
            closeIfEnded(session)
            return
        }
        incomingStreamEnded(session)
    }

    /// Takes payload out of capsules; tells how many bytes of `span` are done with.
    private func deliverCapsules(
        _ session: TunnelSession, _ span: Span<UInt8>, _ write: (Span<UInt8>) -> Int
    ) throws(CapsuleError) -> Int {
        var position = 0
        while let part = try session.capsules.next(span, at: &position) {
            switch part {
            case .payload(let range):
                let taken = max(0, min(range.count, write(span.extracting(range))))
                session.delivered += UInt64(taken)
                guard taken == range.count else {
                    session.capsules.putBack(range.count - taken)
                    return position - (range.count - taken)
                }
            case .end:
                incomingEnded(session)
            }
        }
        return position
    }

    /// All payload was delivered: TCP gets its FIN.
    private func incomingEnded(_ session: TunnelSession) {
        guard session.incoming == .open else { return }
        session.incoming = .ended
        actions.append(.closeWrite(session.id))
    }

    private func incomingStreamEnded(_ session: TunnelSession) {
        switch session.form {
        case .classic:
            // RFC 9114 §4.4: the stream's end is the TCP FIN.
            incomingEnded(session)
            closeIfEnded(session)
        case .connectTCP:
            // draft-ietf-httpbis-connect-tcp, "Closing Connections": an end without FINAL_DATA is abnormal.
            guard session.incoming == .ended else {
                abandon(session, .connectError)
                return
            }
            closeIfEnded(session)
        }
    }

    /// TCP has ended in both directions: the stream is finished, and the tunnel lives on only until all is acknowledged.
    private func closeIfEnded(_ session: TunnelSession) {
        guard session.phase == .relaying, session.outgoing != .open, session.incoming == .ended,
            let stream = session.stream
        else { return }
        session.phase = .closing
        http.finish(stream)
        // Only the stream's end matters now, and it may come later than the tunnel lives.
        http.discardContent(of: stream)
        actions.append(.close(session.id))
        if session.outgoing == .acknowledged { forget(session) }
    }

    /// Announces content once, until the driver has looked.
    func announceDelivery(_ session: TunnelSession) {
        guard session.phase == .relaying, session.delivery == .idle else { return }
        session.delivery = .announced
        actions.append(.deliver(session.id))
    }
}

// MARK: - Ends

extension TunnelRelay {
    /// Ends a tunnel abnormally in both directions, by this end's decision.
    func abandon(_ session: TunnelSession, _ code: HTTP3ErrorCode) {
        if let stream = session.stream { http.abort(stream, code) }
        lose(session, .requestAborted)
    }

    /// The stream of a tunnel is gone: tells the driver what follows for TCP.
    func lose(_ session: TunnelSession, _ failure: TunnelFailure) {
        forget(session)
        switch session.phase.onStreamLost {
        case .fail:
            actions.append(.failed(session.id, failure, session.ring.end > 0 ? .taken : .untouched))
        case .reset:
            actions.append(.reset(session.id))
        case .forget:
            break
        }
    }

    /// Follows an event that concerns both roles alike.
    func handle(_ event: HTTP3Event) {
        switch event {
        case .contentReadable(let stream):
            guard let session = byStream[stream] else { return }
            announceDelivery(session)
        case .streamReset(let stream, let code):
            // Once TCP is closed in both directions, only what was sent matters any more.
            guard let session = byStream[stream], session.phase != .closing else { return }
            http.abort(stream, session.phase == .requested ? .requestCancelled : .connectError)
            // RFC 9114 §4.1.1: a rejected request was not looked at.
            lose(session, code == .requestRejected ? .gatewayGoingAway : .requestAborted)
        case .streamStopped(let stream, _):
            guard let session = byStream[stream] else { return }
            stopped(session)
        case .streamAborted(let stream, _):
            guard let session = byStream[stream] else { return }
            lose(session, .requestAborted)
        case .contentAcknowledged(let stream):
            guard let session = byStream[stream] else { return }
            acknowledged(session, stream)
        case .contentSent(let stream):
            guard let session = byStream[stream] else { return }
            acknowledged(session, stream)
            session.outgoing = .acknowledged
            if session.phase == .closing { forget(session) }
        case .failed(let error):
            end(.protocolViolation(reason: error.reason))
        case .closed:
            end(.transport)
        case .settingsReceived, .request, .response, .requestsAvailable, .goingAway:
            break
        }
    }

    private func stopped(_ session: TunnelSession) {
        switch session.phase.onStopped {
        case .awaitAnswer:
            session.outgoing = .stopped
            session.reading = .forbidden
        case .reset:
            abandon(session, .connectError)
        case .forget:
            forget(session)
        }
    }

    private func end(_ loss: ConnectionLoss) {
        for session in all { lose(session, .connectionLost) }
        actions.append(.ended(loss))
    }
}
