import Primitives
import Testing

@testable import QUIC

@Suite("Path validation (RFC 9000 §8.2)") struct PathValidatorTests {
    private let start = Instant(nanoseconds: 5_000_000_000)
    private let probeTimeout = Interval.milliseconds(100)
    private let initialProbeTimeout = Interval.milliseconds(1_000)

    private func begun(current: Interval = .milliseconds(100)) -> PathValidator {
        var validator = PathValidator()
        validator.begin(
            at: start, probeTimeout: probeTimeout, currentProbeTimeout: current,
            initialProbeTimeout: initialProbeTimeout)
        return validator
    }

    /// In every state, named by its case.
    private func validator(in state: String) -> PathValidator {
        var validator = begun()
        switch state {
        case "unvalidated": return PathValidator()
        case "validating": validator.challengeSent(7, datagramSize: 1_200, at: start)
        case "validated":
            validator.challengeSent(7, datagramSize: 1_200, at: start)
            _ = validator.responseReceived(7, at: start)
        case "revalidating":
            validator.challengeSent(8, datagramSize: 1_200, at: start)
            _ = validator.responseReceived(8, at: start)
            validator.begin(
                at: start, probeTimeout: probeTimeout, currentProbeTimeout: probeTimeout,
                initialProbeTimeout: initialProbeTimeout)
            validator.challengeSent(7, datagramSize: 1_200, at: start)
        default: _ = validator.deadlineReached(at: start + .seconds(10))
        }
        return validator
    }

    private func name(_ validator: PathValidator) -> String {
        switch validator.state {
        case .unvalidated: "unvalidated"
        case .validating: "validating"
        case .validated: "validated"
        case .revalidating: "revalidating"
        case .failed: "failed"
        }
    }

    @Test(
        "every event in every state leads where the machine says",
        arguments: [
            ("unvalidated", "begin", "validating"), ("unvalidated", "response", "unvalidated"),
            ("unvalidated", "deadline", "unvalidated"), ("unvalidated", "handshake", "validated"),
            ("unvalidated", "cancel", "unvalidated"),
            ("validating", "begin", "validating"), ("validating", "response", "validated"),
            ("validating", "wrong response", "validating"), ("validating", "early deadline", "validating"),
            ("validating", "deadline", "failed"), ("validating", "handshake", "validated"),
            ("validating", "cancel", "unvalidated"),
            ("validated", "begin", "revalidating"), ("validated", "response", "validated"),
            ("validated", "deadline", "validated"), ("validated", "cancel", "validated"),
            ("revalidating", "begin", "revalidating"), ("revalidating", "response", "validated"),
            ("revalidating", "wrong response", "revalidating"), ("revalidating", "early deadline", "revalidating"),
            ("revalidating", "deadline", "failed"), ("revalidating", "cancel", "validated"),
            ("revalidating", "handshake", "validated"),
            ("failed", "begin", "validating"), ("failed", "response", "failed"), ("failed", "deadline", "failed"),
            ("failed", "cancel", "failed"), ("failed", "handshake", "validated"),
        ])
    func table(_ row: (from: String, event: String, to: String)) {
        var validator = validator(in: row.from)
        switch row.event {
        case "begin":
            validator.begin(
                at: start, probeTimeout: probeTimeout, currentProbeTimeout: probeTimeout,
                initialProbeTimeout: initialProbeTimeout)
        case "response": _ = validator.responseReceived(7, at: start)
        case "wrong response": _ = validator.responseReceived(8, at: start)
        case "early deadline": #expect(validator.deadlineReached(at: start + .milliseconds(2_999)) == false)
        case "deadline": _ = validator.deadlineReached(at: start + .milliseconds(3_000))
        case "cancel": validator.cancel()
        default: validator.markValidated(at: start)
        }
        #expect(name(validator) == row.to)
    }

    @Test(
        "it gives up after three times the largest of the PTOs (§8.2.4)",
        arguments: [(100, 3_000), (1_000, 3_000), (2_000, 6_000)] as [(Int64, Int64)])
    func timeout(_ row: (current: Int64, expected: Int64)) {
        let validator = begun(current: .milliseconds(row.current))
        #expect(validator.attemptDeadline == start + .milliseconds(row.expected))
    }

    @Test("challenges are repeated with doubled spacing, the first after a PTO (§9.4)") func spacing() {
        var validator = begun()
        var sentAt: [Int64] = []
        for milliseconds in 0..<Int64(1_000) {
            let now = start + .milliseconds(milliseconds)
            guard validator.isChallengeDue(at: now) else { continue }
            #expect(validator.nextDeadline == now || milliseconds == 0)
            validator.challengeSent(UInt64(milliseconds), datagramSize: 1_200, at: now)
            sentAt.append(milliseconds)
        }
        #expect(sentAt == [0, 100, 300, 700])
    }

    @Test("a response to a challenge in a small datagram asks for one more of full size (§8.2.1)") func twoRounds() {
        var validator = begun()
        validator.challengeSent(1, datagramSize: 1_199, at: start)
        #expect(!validator.isChallengeDue(at: start))
        #expect(validator.responseReceived(1, at: start) == .reachable(roundTrip: .zero))
        #expect(validator.isChallengeDue(at: start))
        #expect(validator.responseReceived(1, at: start) == .ignored)
        validator.challengeSent(2, datagramSize: 1_200, at: start)
        #expect(validator.responseReceived(2, at: start) == .validated(roundTrip: .zero))
    }

    @Test("any of the outstanding challenges may be answered, but only the newest eight are outstanding")
    func outstanding() {
        var validator = begun()
        for data in 0..<UInt64(12) { validator.challengeSent(data, datagramSize: 1_200, at: start) }
        for data in 0..<UInt64(4) { #expect(validator.responseReceived(data, at: start) == .ignored) }
        #expect(validator.responseReceived(4, at: start) == .validated(roundTrip: .zero))
    }

    @Test("a path that is asked once more counts as validated until that fails") func revalidation() {
        var validator = self.validator(in: "revalidating")
        #expect(validator.isValidated)
        #expect(validator.isValidating)
        #expect(validator.deadlineReached(at: start + .seconds(3)) == true)
        #expect(!validator.isValidated)
    }

    @Test("a hurried attempt sends its next challenge at once and ends when it would have ended") func hurry() {
        var validator = begun()
        validator.challengeSent(1, datagramSize: 1_200, at: start)
        let end = validator.attemptDeadline
        #expect(!validator.isChallengeDue(at: start + .milliseconds(10)))
        validator.hurry(at: start + .milliseconds(10))
        #expect(validator.isChallengeDue(at: start + .milliseconds(10)))
        #expect(validator.attemptDeadline == end)
    }

    @Test("an attempt under way goes on as it is when another is begun") func beginAgain() {
        var validator = begun()
        validator.challengeSent(1, datagramSize: 1_200, at: start)
        let before = validator
        validator.begin(
            at: start + .seconds(1), probeTimeout: .seconds(9), currentProbeTimeout: .seconds(9),
            initialProbeTimeout: .seconds(9))
        #expect(validator == before)
    }
}
