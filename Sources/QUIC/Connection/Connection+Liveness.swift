public import Primitives

/// What an owner that chooses between paths needs to see, and how it asks.
extension Connection {
    /// What the active path shows of its health; cheap, to be read once a turn.
    public var liveness: PathLiveness {
        var liveness = PathLiveness(activePath, maxAckDelay: peerMaximumAckDelay)
        liveness.packetsReceived = application.received.receivedCount
        liveness.packetsNumbered = application.received.largest.map { $0 &+ 1 } ?? 0
        return liveness
    }

    /// Sends a PING on the active path: a peer that is there acknowledges it.
    public func ping(at now: Instant) {
        guard state.isOpen, progress == .confirmed else { return }
        pingRequested = true
    }

    /// Sends a PATH_CHALLENGE on the path from `local` now, active or standby, even while an attempt is under way.
    ///
    /// `.path(.answered)` tells of the answer; when none comes in time, `.path(.failed)`. On the active path the datagram
    /// is no mere probe, so that it also tells the peer where this end is.
    public func probe(_ local: NetworkAddress, at now: Instant) throws(PathRefusal) {
        try requireMigration()
        guard let path = path(from: local) else { throw .unknownAddress }
        guard peerConnectionIDs.assign(to: path.id) else { throw .noConnectionID }
        beginValidation(of: path, at: now)
        path.validator.hurry(at: now)
    }

    /// The peer was heard on the active path after probes had gone unanswered: the path works again. What is in flight was
    /// most likely swallowed, and waiting for the next probe timeout would make the outage longer.
    func heardAfterSilence(at now: Instant) {
        lossTimer.restartBackoff()
        sendAgainEverything(sentOn: activePath, at: now)
        activePath.books.silenceEnded(at: now)
        wantsImmediateAck = true
    }
}

/// The health of the active path, as far as its traffic shows it.
public struct PathLiveness: Equatable, Sendable {
    /// This end's address on the path.
    public var local: NetworkAddress
    /// When an authentic packet last arrived on the path; nil before the first.
    public var lastReceived: Instant?
    /// Since when the peer owes an answer: from the first ack-eliciting packet that left after the last receipt, or from
    /// that receipt when there were some in flight already. Nil when nothing is awaited.
    public var awaitingSince: Instant?
    /// Bytes of UDP payload received on the path.
    public var bytesReceived: UInt64
    /// Bytes of UDP payload sent on the path.
    public var bytesSent: UInt64
    /// The smoothed round-trip time.
    public var smoothedRTT: Interval
    /// The mean deviation of the round-trip time.
    public var rttVariation: Interval
    /// The probe timeout without back-off (RFC 9002 §6.2.1).
    public var probeTimeout: Interval
    /// PATH_CHALLENGE frames of the peer on this path. One that comes in answer to a keep-alive tells that a NAT's mapping
    /// had expired: the peer saw another address.
    public var peerChallenges: UInt64
    /// 1-RTT packets received so far, on whatever path.
    public var packetsReceived: UInt64 = 0
    /// How many the peer had numbered when it sent the newest of them: what did not arrive was lost, or is late.
    public var packetsNumbered: UInt64 = 0

    /// A description, for tests of what is decided by it.
    public init(
        local: NetworkAddress, lastReceived: Instant?, awaitingSince: Instant?, bytesReceived: UInt64,
        bytesSent: UInt64, smoothedRTT: Interval, rttVariation: Interval, probeTimeout: Interval,
        peerChallenges: UInt64
    ) {
        self.local = local
        self.lastReceived = lastReceived
        self.awaitingSince = awaitingSince
        self.bytesReceived = bytesReceived
        self.bytesSent = bytesSent
        self.smoothedRTT = smoothedRTT
        self.rttVariation = rttVariation
        self.probeTimeout = probeTimeout
        self.peerChallenges = peerChallenges
    }

    init(_ path: NetworkPath, maxAckDelay: Interval) {
        self.init(
            local: path.local, lastReceived: path.lastReceived, awaitingSince: path.awaitingSince,
            bytesReceived: path.bytesReceived, bytesSent: path.bytesSent, smoothedRTT: path.rtt.smoothed,
            rttVariation: path.rtt.variation, probeTimeout: path.probeTimeout(maxAckDelay: maxAckDelay),
            peerChallenges: path.challenges.total)
    }
}
