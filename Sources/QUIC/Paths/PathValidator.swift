import Primitives

/// Path validation of one network path (RFC 9000 §8.2).
///
/// ```
///              begin                 response (challenge was 1,200 bytes)
///  unvalidated ─────► validating ───────────────────────────────────────► validated
///                      │  ▲ └───────► response (challenge was smaller):        │
///            deadline  │  │           validate once more at full size          │ begin
///                      ▼  └────────────────────────────────────────────────────┘
///                    failed ── begin ──► validating
/// ```
struct PathValidator: Equatable {
    /// Challenges outstanding at once; an older one is forgotten. Bounds memory and what an attacker can guess at.
    static let maximumOutstandingChallenges = 8
    /// Path validation gives up after this many probe timeouts (RFC 9000 §8.2.4).
    static let timeoutInProbeTimeouts: Int64 = 3

    struct Challenge: Equatable {
        var data: UInt64
        var sent: Instant
        /// Whether the datagram it went in had at least 1,200 bytes, so that an answer also proves the path's MTU.
        var provesMTU: Bool
    }

    struct Attempt: Equatable {
        var deadline: Instant
        var challenges: [Challenge] = []
        /// When the next challenge is due; each one waits twice as long as the one before.
        var nextChallenge: Instant
        var spacing: Interval
    }

    enum State: Equatable {
        case unvalidated
        case validating(Attempt)
        case validated(at: Instant)
        case failed
    }

    /// What an arriving PATH_RESPONSE meant for this path.
    enum ResponseOutcome: Equatable {
        /// The data answers none of this path's challenges.
        case ignored
        /// The peer is there, but the path has not been shown to carry 1,200 bytes: one more round follows.
        case reachable(roundTrip: Interval)
        /// The peer is there, and datagrams of 1,200 bytes arrive.
        case validated(roundTrip: Interval)
    }

    private(set) var state: State = .unvalidated

    var isValidated: Bool {
        if case .validated = state { true } else { false }
    }

    var isValidating: Bool {
        if case .validating = state { true } else { false }
    }

    var hasFailed: Bool { state == .failed }

    /// Starts an attempt; one under way goes on as it is.
    ///
    /// - Parameters:
    ///   - probeTimeout: the PTO of the path, after which an unanswered challenge is repeated.
    ///   - currentProbeTimeout: the PTO of the path that is in use.
    ///   - initialProbeTimeout: the PTO that the initial RTT gives (RFC 9002 §6.2.2): the new path may be slower.
    mutating func begin(
        at now: Instant, probeTimeout: Interval, currentProbeTimeout: Interval, initialProbeTimeout: Interval
    ) {
        guard !isValidating else { return }
        // RFC 9000 §8.2.4: three times the larger of the current PTO and the PTO of a new path.
        let timeout = max(probeTimeout, currentProbeTimeout, initialProbeTimeout) * Self.timeoutInProbeTimeouts
        // RFC 9000 §9.4: the timer of a challenge is no more aggressive than the PTO.
        state = .validating(Attempt(deadline: now + timeout, nextChallenge: now, spacing: probeTimeout))
    }

    /// Whether a PATH_CHALLENGE should go out on this path now.
    func isChallengeDue(at now: Instant) -> Bool {
        if case .validating(let attempt) = state { now >= attempt.nextChallenge } else { false }
    }

    /// A PATH_CHALLENGE with this data left in a datagram of `datagramSize` bytes.
    mutating func challengeSent(_ data: UInt64, datagramSize: Int, at now: Instant) {
        guard case .validating(var attempt) = state else { return }
        if attempt.challenges.count == Self.maximumOutstandingChallenges { attempt.challenges.removeFirst() }
        attempt.challenges.append(
            Challenge(
                data: data, sent: now, provesMTU: datagramSize >= TransportLimits.minimumDatagramSize))
        attempt.nextChallenge = now + attempt.spacing
        attempt.spacing = attempt.spacing * 2
        state = .validating(attempt)
    }

    /// A PATH_RESPONSE arrived on any path (RFC 9000 §8.2.3).
    mutating func responseReceived(_ data: UInt64, at now: Instant) -> ResponseOutcome {
        guard case .validating(var attempt) = state,
            let challenge = attempt.challenges.first(where: { $0.data == data })
        else { return .ignored }
        guard challenge.provesMTU else {
            // RFC 9000 §8.2.1: validate again with an expanded datagram.
            attempt.challenges.removeAll { $0 == challenge }
            attempt.nextChallenge = now
            state = .validating(attempt)
            return .reachable(roundTrip: now - challenge.sent)
        }
        state = .validated(at: now)
        return .validated(roundTrip: now - challenge.sent)
    }

    /// Ends an attempt whose time is over; true when it ended now.
    mutating func deadlineReached(at now: Instant) -> Bool {
        guard case .validating(let attempt) = state, now >= attempt.deadline else { return false }
        state = .failed
        return true
    }

    /// The peer has proven this path in another way: by the handshake.
    mutating func markValidated(at now: Instant) { state = .validated(at: now) }

    /// Drops an attempt: it could not send anything.
    mutating func cancel() {
        if isValidating { state = .unvalidated }
    }

    /// When the attempt under way fails.
    var attemptDeadline: Instant? {
        if case .validating(let attempt) = state { attempt.deadline } else { nil }
    }

    /// When `isChallengeDue` or `deadlineReached` has something to do.
    var nextDeadline: Instant? {
        if case .validating(let attempt) = state { min(attempt.deadline, attempt.nextChallenge) } else { nil }
    }
}
