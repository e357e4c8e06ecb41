import Primitives
import Testing

@testable import QUIC

@Suite("The anti-amplification limit (RFC 9000 §8.1)") struct AmplificationLimitTests {
    @Test("an unvalidated address gets three bytes for each one it sent") func factor() {
        var limit = AmplificationLimit.unvalidated
        #expect(limit.credit == 0)
        #expect(limit.isBlocked)
        limit.received(1_200)
        #expect(limit.credit == 3_600)
        limit.sent(1_200)
        limit.sent(2_399)
        #expect(limit.credit == 1)
        limit.sent(1)
        #expect(limit.isBlocked)
    }

    @Test("what was overdrawn is owed") func overdrawn() {
        var limit = AmplificationLimit.unvalidated
        limit.received(100)
        limit.sent(1_000)
        #expect(limit.credit == 0)
        limit.received(100)
        #expect(limit.credit == 0)
        limit.received(200)
        #expect(limit.credit == 200)
    }

    @Test("a validated address has no limit, and never gets one again") func lifted() {
        var limit = AmplificationLimit.unvalidated
        limit.addressValidated()
        limit.sent(1 << 40)
        #expect(limit.credit == .max)
        #expect(limit == .lifted)
    }

    @Test("counts at the end of the range do not overflow") func saturation() {
        var limit = AmplificationLimit.unvalidated
        limit.received(.max)
        limit.received(.max)
        limit.sent(.max)
        limit.sent(.max)
        #expect(limit.credit == 0)
    }

    @Test("never more than three times, whatever the order", arguments: 0..<20 as Range<UInt64>)
    func model(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var limit = AmplificationLimit.unvalidated
        var received = 0
        var sent = 0
        for _ in 0..<500 {
            let size = Int.random(in: 1...1_500, using: &generator)
            if Bool.random(using: &generator) {
                limit.received(size)
                received += size
            } else if size <= limit.credit {
                limit.sent(size)
                sent += size
            }
            #expect(sent <= 3 * received)
            #expect(limit.credit == 3 * received - sent)
        }
    }
}
