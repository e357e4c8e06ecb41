import Primitives
import Testing

@testable import QUIC

@Suite("Loss-detection timer (RFC 9002 §6.2)")
struct RecoveryLossTimerTests {
    /// A round trip of 100 ms: a probe timeout of 100 + 4 × 50 = 300 ms.
    private static var rtt: RTTEstimator {
        var rtt = RTTEstimator()
        rtt.sampled(ms(100), ackDelay: .zero, maxAckDelay: nil, at: at(0))
        return rtt
    }

    private static func conditions(
        _ handshake: LossTimer.Handshake, _ validation: LossTimer.PeerAddressValidation = .complete,
        _ limit: LossTimer.SendingLimit = .open
    ) -> LossTimer.Conditions {
        LossTimer.Conditions(
            handshake: handshake, peerAddressValidation: validation, sendingLimit: limit, rtt: rtt, maxAckDelay: ms(25))
    }

    private static func state(_ inFlight: Int = 0, sent: Double? = nil, loss: Double? = nil) -> LossTimer.SpaceState {
        LossTimer.SpaceState(
            lossTime: loss.map { at($0) }, timeOfLastAckEliciting: sent.map { at($0) }, ackElicitingInFlight: inFlight)
    }

    struct Case: Sendable {
        var name: String
        var initial = state()
        var handshake = state()
        var application = state()
        var conditions: LossTimer.Conditions
        var expected: LossTimer.Alarm?
    }

    private static func alarm(_ time: Double, _ action: LossTimer.Action) -> LossTimer.Alarm {
        LossTimer.Alarm(deadline: at(time), action: action)
    }

    static let cases = [
        Case(name: "nothing in flight", conditions: conditions(.confirmed), expected: nil),
        Case(
            name: "client waits for a held-up server, no Handshake keys", conditions: conditions(.initial, .pending),
            expected: alarm(310, .probe(.initial, packets: 1))),
        Case(
            name: "client waits for a held-up server, with Handshake keys",
            conditions: conditions(.handshaking, .pending), expected: alarm(310, .probe(.handshake, packets: 1))),
        Case(
            name: "server at its anti-amplification limit", initial: state(2, sent: 40),
            conditions: conditions(.initial, .complete, .antiAmplification), expected: nil),
        Case(
            name: "loss time even at the limit", initial: state(2, sent: 40, loss: 60),
            conditions: conditions(.initial, .complete, .antiAmplification),
            expected: alarm(60, .detectLoss(.initial))),
        Case(
            name: "earliest loss time first", initial: state(1, sent: 40, loss: 90),
            handshake: state(1, sent: 40, loss: 80), application: state(1, sent: 40, loss: 85),
            conditions: conditions(.handshaking), expected: alarm(80, .detectLoss(.handshake))),
        Case(
            name: "loss time comes before an earlier probe timeout", initial: state(1, sent: 0),
            application: state(1, sent: 10, loss: 900), conditions: conditions(.confirmed),
            expected: alarm(900, .detectLoss(.application))),
        Case(
            name: "probe of Initial without max_ack_delay", initial: state(3, sent: 40),
            conditions: conditions(.initial),
            expected: alarm(340, .probe(.initial, packets: 2))),
        Case(
            name: "the earlier of Initial and Handshake", initial: state(1, sent: 60), handshake: state(1, sent: 50),
            conditions: conditions(.handshaking), expected: alarm(350, .probe(.handshake, packets: 1))),
        Case(
            name: "application data waits for confirmation", application: state(5, sent: 40),
            conditions: conditions(.handshaking), expected: nil),
        Case(
            name: "application data after confirmation, with max_ack_delay", application: state(5, sent: 40),
            conditions: conditions(.confirmed), expected: alarm(365, .probe(.application, packets: 2))),
        Case(
            name: "one packet in flight, one probe", application: state(1, sent: 40),
            conditions: conditions(.confirmed),
            expected: alarm(365, .probe(.application, packets: 1))),
    ]

    @Test(arguments: cases)
    func tellsWhatComesNext(_ test: Case) {
        let timer = LossTimer(at: at(10))
        let alarm = timer.alarm(
            initial: test.initial, handshake: test.handshake, application: test.application, test.conditions)
        #expect(alarm == test.expected, "\(test.name)")
    }

    @Test func backsOffByTwoUpToABoundAndStartsAnewWithAnAcknowledgement() throws {
        var timer = LossTimer(at: at(0))
        let state = Self.state(1, sent: 0)
        func deadline(_ handshake: LossTimer.Handshake) -> Instant? {
            let none = LossTimer.SpaceState()
            let (early, late) = handshake == .confirmed ? (none, state) : (state, none)
            return timer.alarm(initial: none, handshake: early, application: late, Self.conditions(handshake))?.deadline
        }
        var deadlines: [Instant?] = []
        for _ in 0..<10 {
            deadlines.append(deadline(.handshaking))
            timer.probed(at: at(0))
        }
        #expect(
            deadlines == [300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 60_000, 60_000].map { at($0) })
        #expect(deadline(.confirmed) == at(1_000))
        for _ in 10..<34 { timer.probed(at: at(0)) }
        #expect(deadline(.confirmed) == at(4_000))
        for _ in 34..<110 { timer.probed(at: at(0)) }
        #expect(deadline(.handshaking) == at(60_000))
        #expect(deadline(.confirmed) == at(60_000))
        timer.acknowledged(.pending, at: at(5))
        #expect(timer.probeCount == 110, "a server may not have validated the client's address")
        timer.acknowledged(.complete, at: at(5))
        #expect(timer.probeCount == 0)
        #expect(deadline(.confirmed) == at(325))
    }

    @Test func clientProbesCountFromTheLastProgress() {
        var timer = LossTimer(at: at(0))
        func deadline() -> Instant? {
            timer.alarm(
                initial: .init(), handshake: .init(), application: .init(), Self.conditions(.initial, .pending))?
                .deadline
        }
        timer.ackElicitingSent(at: at(20))
        #expect(deadline() == at(320))
        timer.acknowledged(.pending, at: at(70))
        #expect(deadline() == at(370))
        timer.probed(at: at(370))
        #expect(deadline() == at(970))
        timer.restartBackoff()
        #expect(deadline() == at(670))
    }

    @Test func absurdRoundTripsDoNotTrap() {
        var rtt = RTTEstimator()
        rtt.sampled(.max, ackDelay: .zero, maxAckDelay: nil, at: at(0))
        var timer = LossTimer(at: Instant(nanoseconds: .max))
        for _ in 0..<70 { timer.probed(at: Instant(nanoseconds: .max)) }
        let conditions = LossTimer.Conditions(
            handshake: .confirmed, peerAddressValidation: .complete, rtt: rtt, maxAckDelay: .max)
        let alarm = timer.alarm(
            initial: .init(), handshake: .init(), application: Self.state(1, sent: 1e9), conditions)
        #expect(alarm != nil)
    }
}
