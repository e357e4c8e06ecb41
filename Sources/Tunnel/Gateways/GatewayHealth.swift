import Primitives

/// Why a gateway is not used, or was not.
public enum GatewayTrouble: String, Hashable, Sendable, CaseIterable {
    /// It did not answer.
    case unreachable
    /// Nothing is heard of it any more.
    case silence
    /// Its machine says that nothing listens there.
    case refusal
    /// Its connection is lost: it does not know it any more, or has ended it.
    case loss
    /// It takes no further tunnels.
    case draining
    /// It is not the one of the invite, or does not accept the token.
    case notAuthenticated
}

/// Why a gateway stands behind the others though it answers.
public enum GatewayAilment: String, Hashable, Sendable, CaseIterable {
    /// Too many of its recent handshakes failed while another gateway answered.
    case failures
    /// Its handshakes take far longer than those of another gateway.
    case slowness
}

/// How a gateway has done of late.
struct GatewayHealth: Hashable, Sendable {
    /// Attempts to connect that are remembered; older ones are forgotten.
    static let attemptsRemembered = 16

    /// What came of an attempt to connect.
    private enum Outcome: Hashable, Sendable {
        case completed(after: Interval)
        /// Nothing else answered either: it says something of the network.
        case failed
        /// Another gateway answered: it says something of this one.
        case failedBesideOthers
    }

    private struct Attempt: Hashable, Sendable {
        var at: Instant
        var outcome: Outcome
    }

    /// Whether new tunnels go to a gateway.
    enum Use: Hashable, Sendable {
        case used
        case unused
    }

    /// The latest one last.
    private var attempts: [Attempt] = []
    /// Why it stands behind the others; nil in good health.
    private(set) var ailment: GatewayAilment?
    /// When it was last in good health again.
    private(set) var recovered: Instant?
    /// When it was last judged.
    private var judged = Instant.origin
    /// When it was last returned to.
    var returned: Instant?
    /// How often in a row it failed soon after that.
    private(set) var flaps = 0

    /// The share of attempts that failed, in percent.
    var errorPercentage: Int { Self.share(attempts.map(\.outcome)) }

    /// How long its handshakes take: the shortest of the last ones, for a lost datagram makes one slow. Nil before the first.
    var handshake: Interval? { Self.handshakes(attempts).min() }

    mutating func connected(after interval: Interval, at now: Instant) { note(.completed(after: interval), at: now) }

    /// `witnesses` is how many other gateways answer.
    mutating func attemptFailed(_ witnesses: Int, at now: Instant) {
        note(witnesses > 0 ? .failedBesideOthers : .failed, at: now)
    }

    private mutating func note(_ outcome: Outcome, at now: Instant) {
        if attempts.count == Self.attemptsRemembered { attempts.removeFirst() }
        attempts.append(Attempt(at: now, outcome: outcome))
    }

    private static func handshakes(_ attempts: [Attempt]) -> ArraySlice<Interval> {
        attempts.compactMap { if case .completed(let interval) = $0.outcome { interval } else { nil } }
            .suffix(GatewayTimings.handshakesCompared)
    }

    private static func share(_ outcomes: [Outcome]) -> Int {
        let failures = outcomes.count { if case .completed = $0 { false } else { true } }
        return outcomes.isEmpty ? 0 : failures * 100 / outcomes.count
    }

    /// The gateway that was used failed.
    mutating func failed(at now: Instant) {
        guard let returned else { return }
        flaps = now - returned < GatewayTimings.flapWindow ? flaps + 1 : 0
        self.returned = nil
    }

    /// How long it has to be connected before it is returned to.
    func proof(_ timings: GatewayTimings) -> Interval {
        guard flaps > 0 else { return timings.returnAfter }
        return min(
            timings.returnAfter * (1 << Int64(min(flaps, 10))), max(GatewayTimings.longestProof, timings.returnAfter))
    }
}

// MARK: - Verdicts

extension GatewayHealth {
    /// Finds out whether it stands behind the others; `best` is what the fastest of them needs for a handshake.
    mutating func judge(against best: Interval?, _ use: Use, at now: Instant) {
        judged = now
        let before = ailment
        ailment = failsTooOften ? .failures : isTooSlow(against: best, use) ? .slowness : nil
        if before != nil, ailment == nil { recovered = now }
    }

    /// When the next piece of what speaks against it is too old to do so; nil in good health.
    var nextRelief: Instant? { ailment == nil ? nil : evidence.first.map { $0.at + GatewayTimings.evidenceLife } }

    private var evidence: ArraySlice<Attempt> { attempts.drop { $0.at + GatewayTimings.evidenceLife <= judged } }

    private var failsTooOften: Bool {
        // How often a gateway is tried in vain in one absence says how long that was, and not how often it happens.
        var run = 0
        let counted = evidence.map(\.outcome).filter { outcome in
            switch outcome {
            case .completed: run = 0
            case .failed: return false
            case .failedBesideOthers: run += 1
            }
            return run <= GatewayTimings.failuresOfAnAbsence
        }
        if ailment == .failures { return Self.share(counted) > GatewayTimings.wellFailures }
        return counted.count >= GatewayTimings.attemptsOfVerdict && Self.share(counted) >= GatewayTimings.illFailures
    }

    private func isTooSlow(against best: Interval?, _ use: Use) -> Bool {
        let handshakes = Self.handshakes(Array(evidence))
        guard let own = handshakes.min() else { return false }
        if ailment == .slowness {
            // That the faster one does not answer now makes this one no faster.
            return own > GatewayTimings.wellHandshake && best.map { own > $0 * GatewayTimings.wellRatio } ?? true
        }
        guard let best else { return false }
        // It takes less not to return to a gateway than to leave it: dialled first, it also bears what a link needs to wake up.
        if use == .used, handshakes.count < GatewayTimings.handshakesCompared { return false }
        return own > best * GatewayTimings.illRatio && own > GatewayTimings.illHandshake
    }
}
