import Primitives
import QUIC

/// How long the gateway usually leaves the connection waiting while something is awaited from it.
///
/// Of an exchange of small messages that is known as well as the pauses of a flow are: an answer that takes far longer than
/// any of late is worth a question before a probe timeout, which allows for acknowledgements that are held back.
struct AnswerRhythm: Equatable {
    /// Answers within the memory that make an exchange.
    static let answersOfExchange = 10
    /// The longest wait fades to nothing in this time, and an answer counts for so long.
    static let memory = Interval.seconds(10)

    private var longest = Interval.zero
    private var longestSeen = Instant.origin
    /// Answers since the memory began; halved with each stretch of it.
    private var count = 0
    private var counted = Instant.origin

    /// Something arrived for which the connection had waited so long.
    mutating func answered(after wait: Interval, at now: Instant) {
        if now - counted >= Self.memory {
            count = now - counted < Self.memory * 2 ? count / 2 : 0
            counted = now
        }
        count = min(count + 1, Self.answersOfExchange * 2)
        guard wait >= longestWait(at: now) else { return }
        longest = wait
        longestSeen = now
    }

    private func longestWait(at now: Instant) -> Interval {
        let age = min(max(now - longestSeen, .zero), Self.memory)
        return longest * (Self.memory - age).milliseconds / Self.memory.milliseconds
    }

    /// How long an answer may take without a question; nil when there is no exchange to judge by.
    func patience(_ liveness: PathLiveness, at now: Instant) -> Interval? {
        guard count >= Self.answersOfExchange, now - counted < Self.memory * 2 else { return nil }
        let quickest = liveness.smoothedRTT + max(liveness.rttVariation * 2, PathTimings.exchangeSlack)
        return min(max(longestWait(at: now) * 3 / 2, quickest), max(liveness.probeTimeout, PathTimings.answerSlack))
    }
}
