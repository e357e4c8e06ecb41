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

/// How a gateway has done of late.
struct GatewayHealth: Hashable, Sendable {
    /// Attempts to connect that count; older ones are forgotten.
    static let attemptsRemembered = 16

    /// How long its handshakes take, smoothed; nil before the first.
    private(set) var handshake: Interval?
    /// Whether its last attempts failed, the latest one last.
    private var failures: [Bool] = []
    /// When it was last returned to.
    var returned: Instant?
    /// How often in a row it failed soon after that.
    private(set) var flaps = 0

    /// The share of attempts that failed, in percent.
    var errorPercentage: Int {
        failures.isEmpty ? 0 : failures.count { $0 } * 100 / failures.count
    }

    mutating func connected(after interval: Interval) {
        note(false)
        guard let before = handshake else { return handshake = interval }
        handshake = (before * 3 + interval) / 4
    }

    mutating func attemptFailed() { note(true) }

    private mutating func note(_ failed: Bool) {
        if failures.count == Self.attemptsRemembered { failures.removeFirst() }
        failures.append(failed)
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
