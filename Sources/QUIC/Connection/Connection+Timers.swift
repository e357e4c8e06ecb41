public import Primitives

/// Every timer of the connection, behind one deadline.
extension Connection {
    /// When `deadlineReached` has something to do; nil when only a datagram or a command can change anything.
    ///
    /// It may lie in the past, when sending is due; after `nextDatagrams` has returned nil and `deadlineReached` was called
    /// it does not.
    public func nextDeadline() -> Instant? {
        switch state {
        case .closed: nil
        case .closing(let closing): closing.until
        case .draining(let until): until
        case .handshaking, .established:
            lossDeadline.sooner(idleDeadline).sooner(keepAliveDeadline).sooner(handshakeDeadline).sooner(pacingDeadline)
                .sooner(acknowledgementDeadline).sooner(oneRTTKeys.deadline).sooner(pathDeadline)
                .sooner(application.loss.memoryDeadline).sooner(streams.nextDeadline)
        }
    }

    /// The instant that `nextDeadline` named has come.
    public func deadlineReached(at now: Instant) {
        switch state {
        case .closed: return
        case .closing(let closing):
            if now >= closing.until { state = .closed }
        case .draining(let until):
            if now >= until { state = .closed }
        case .handshaking, .established: openDeadlineReached(at: now)
        }
    }

    private func openDeadlineReached(at now: Instant) {
        if let deadline = handshakeDeadline, now >= deadline { return abandon(.handshakeTimeout) }
        // RFC 9000 §10.1: the connection is silently closed and its state discarded.
        if let deadline = idleDeadline, now >= deadline {
            return abandon(progress == .inProgress ? .handshakeTimeout : .idleTimeout)
        }
        if let deadline = keepAliveDeadline, now >= deadline { pingRequested = true }
        if let deadline = lossDeadline, now >= deadline { lossDeadlineReached(at: now) }
        if let deadline = pacingDeadline, now >= deadline { pacingDeadline = nil }
        oneRTTKeys.deadlineReached(at: now)
        application.loss.memoryDeadlineReached(at: now)
        streams.deadlineReached(at: now)
        for path in paths.paths where state.isOpen {
            if path.validator.deadlineReached(at: now) { validationFailed(of: path, at: now) }
        }
        updateLossDeadline()
    }

    // MARK: Idle timeout and keep-alive (RFC 9000 §10.1)

    /// The smaller of both ends' values, and at least three probe timeouts.
    var idleTimeout: Interval? {
        let own = configuration.idleTimeout
        let theirs = peerParameters?.maxIdleTimeout ?? .zero
        let agreed: Interval? =
            switch (own > .zero, theirs > .zero) {
            case (true, true): min(own, theirs)
            case (true, false): own
            case (false, true): theirs
            case (false, false): nil
            }
        return agreed.map { max($0, probeTimeout * 3) }
    }

    private var idleDeadline: Instant? { idleTimeout.map { idleSince + $0 } }

    private var keepAliveDeadline: Instant? {
        guard progress == .confirmed, !pingRequested else { return nil }
        let wanted: Interval? =
            switch keepAlive {
            case .off: nil
            case .on: configuration.keepAliveInterval
            case .every(let interval): interval
            }
        guard let interval = wanted else { return nil }
        // RFC 9000 §10.1.2: well before the idle timeout of either end. What is left of it is for a PING that is lost: a sixth, or three
        // PTOs where those are more.
        let timeout = idleTimeout ?? .max
        let latest = max(timeout / 2, min(timeout / 6 * 5, timeout - probeTimeout * 3))
        return lastActivity + min(interval, latest)
    }

    private var lastActivity: Instant { max(idleSince, activePath.lastSent ?? idleSince) }

    /// Sends a PING now and then while nothing else is sent, so that NATs and the idle timeout keep the connection.
    ///
    /// For owners that have something open that must not be lost; an idle connection should be left to sleep.
    public func setKeepAlive(_ wanted: KeepAlive) { keepAlive = wanted }

    /// Whether an idle connection is kept alive.
    public enum KeepAlive: Hashable, Sendable {
        /// PINGs are sent at the configured interval.
        case on
        /// PINGs are sent after so long a silence.
        case every(Interval)
        /// The connection may time out.
        case off
    }

    // MARK: Parts

    /// What may not be sent has no deadline: a datagram of the peer, or its next connection ID, has to come first.
    private var acknowledgementDeadline: Instant? {
        guard sendingRoom(on: activePath) >= TransportLimits.smallestAcknowledgement, oneRTTKeys.canSeal else {
            return nil
        }
        return application.received.ackDeadline
    }

    private var pathDeadline: Instant? {
        var earliest: Instant?
        for path in paths.paths {
            let deadline = canProbe(path) ? path.validator.nextDeadline : path.validator.attemptDeadline
            if let deadline { earliest = min(earliest ?? deadline, deadline) }
        }
        return earliest
    }

    /// The peer's promise on how long it delays an acknowledgement.
    var peerMaximumAckDelay: Interval { peerParameters?.maxAckDelay ?? .milliseconds(25) }

    /// The probe timeout of the active path without back-off (RFC 9002 §6.2.1).
    var probeTimeout: Interval { activePath.rtt.probeTimeout(maxAckDelay: peerMaximumAckDelay) }
}
