import Testing

@testable import QUIC

@Suite("Challenges that wait for an answer (RFC 9000 §8.2.2)") struct ReceivedChallengesTests {
    @Test("each is answered once") func once() {
        var challenges = ReceivedChallenges()
        challenges.received(1)
        challenges.received(2)
        #expect(challenges.takeAll() == [1, 2])
        #expect(challenges.isEmpty)
        #expect(challenges.takeAll().isEmpty)
    }

    @Test("of a flood the newest four are kept (CVE-2023-49295)") func flood() {
        var challenges = ReceivedChallenges()
        for data in 0..<UInt64(10_000) { challenges.received(data) }
        #expect(challenges.takeAll() == [9_996, 9_997, 9_998, 9_999])
    }
}
