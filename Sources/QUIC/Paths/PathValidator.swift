import Primitives

/// Path validation of one network path (RFC 9000 §8.2).
///
/// ```
///              begin                 response (challenge was 1,200 bytes)
///  unvalidated ─────► validating ───────────────────────────────────────► validated
///                      │    └───────► response (challenge was smaller):     ▲    │
///            deadline  │              validate once more at full size       │    │ begin
///                      ▼                                       response     │    ▼
///                    failed ◄──────────────── deadline ──────────────── revalidating
///                      └── begin ──► validating
/// ```
/// A path that is validated again counts as validated until that fails.
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
        /// Validated since an instant, and asked once more.
        case revalidating(Attempt, since: Instant)
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
    /// Whether the peer has proven the path at any time, even if it has failed since.
    private(set) var wasEverValidated = false

    var isValidated: Bool { validatedAt != nil }

    /// When the peer last proved the path; nil while it has not, or when it failed since.
    var validatedAt: Instant? {
        switch state {
        case .validated(let instant), .revalidating(_, since: let instant): instant
        case .unvalidated, .validating, .failed: nil
        }
    }

    var isValidating: Bool { attempt != nil }

    /// The attempt under way.
    private var attempt: Attempt? {
        switch state {
        case .validating(let attempt), .revalidating(let attempt, since: _): attempt
        case .unvalidated, .validated, .failed: nil
        }
    }

    private mutating func replaceAttempt(by attempt: Attempt) {
        if let since = validatedAt {
            state = .revalidating(attempt, since: since)
        } else {
            state = .validating(attempt)
        }
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
        replaceAttempt(by: Attempt(deadline: now + timeout, nextChallenge: now, spacing: probeTimeout))
    }

    /// Asks for a challenge at once in the attempt under way, instead of when the next one is due: the owner has learned
    /// something that makes an answer more likely.
    mutating func hurry(at now: Instant) {
        guard var attempt else { return }
        attempt.nextChallenge = min(attempt.nextChallenge, now)
        replaceAttempt(by: attempt)
    }

    /// Whether a PATH_CHALLENGE should go out on this path now.
    func isChallengeDue(at now: Instant) -> Bool {
        attempt.map { now >= $0.nextChallenge } ?? false
    }

    /// A PATH_CHALLENGE with this data left in a datagram of `datagramSize` bytes.
    mutating func challengeSent(_ data: UInt64, datagramSize: Int, at now: Instant) {
        guard var attempt else { return }
        if attempt.challenges.count == Self.maximumOutstandingChallenges { attempt.challenges.removeFirst() }
        attempt.challenges.append(
            Challenge(
                data: data, sent: now, provesMTU: datagramSize >= TransportLimits.minimumDatagramSize))
        attempt.nextChallenge = now + attempt.spacing
        attempt.spacing = attempt.spacing * 2
        replaceAttempt(by: attempt)
    }

    /// A PATH_RESPONSE arrived on any path (RFC 9000 §8.2.3).
    mutating func responseReceived(_ data: UInt64, at now: Instant) -> ResponseOutcome {
        guard var attempt, let challenge = attempt.challenges.first(where: { $0.data == data }) else {
            return .ignored
        }
        guard challenge.provesMTU else {
            // RFC 9000 §8.2.1: validate again with an expanded datagram.
            attempt.challenges.removeAll { $0 == challenge }
            attempt.nextChallenge = now
            replaceAttempt(by: attempt)
            return .reachable(roundTrip: now - challenge.sent)
        }
        markValidated(at: now)
        return .validated(roundTrip: now - challenge.sent)
    }

    /// Ends an attempt whose time is over; true when it ended now.
    mutating func deadlineReached(at now: Instant) -> Bool {
        guard let attempt, now >= attempt.deadline else { return false }
        state = .failed
        return true
    }

    /// The peer has proven this path in another way: by the handshake.
    mutating func markValidated(at now: Instant) {
        state = .validated(at: now)
        wasEverValidated = true
    }

    /// Drops an attempt: it could not send anything.
    mutating func cancel() {
        guard isValidating else { return }
        state = validatedAt.map { .validated(at: $0) } ?? .unvalidated
    }

    /// When the attempt under way fails.
    var attemptDeadline: Instant? { attempt?.deadline }

    /// When `isChallengeDue` or `deadlineReached` has something to do.
    var nextDeadline: Instant? { attempt.map { min($0.deadline, $0.nextChallenge) } }
}
