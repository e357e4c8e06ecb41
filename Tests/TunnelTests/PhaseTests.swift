import HTTP3
import Primitives
import Testing

@testable import Tunnel

@Suite("What events mean in each phase of a tunnel")
struct PhaseTests {
    typealias Phase = TunnelSession.Phase

    static let table: [(Phase, Phase.EndOutcome, Phase.StopOutcome)] = [
        (.waiting, .fail, .awaitAnswer), (.requested, .fail, .awaitAnswer), (.authenticating, .reset, .reset),
        (.dialling, .reset, .reset), (.relaying, .reset, .reset), (.closing, .forget, .forget),
    ]

    @Test("the loss of the stream, and the peer's wish to read no more", arguments: table)
    func outcomes(phase: Phase, lost: Phase.EndOutcome, stopped: Phase.StopOutcome) {
        #expect(phase.onStreamLost == lost)
        #expect(phase.onStopped == stopped)
    }

    @Test("the numbers of capsules follow the peer's as long as nothing was sent")
    func drafts() throws {
        let session = TunnelSession(
            id: TunnelID(rawValue: 0), phase: .relaying, form: .connectTCP(.draft08), destination: nil,
            ring: ByteRing(limit: 100))
        #expect(session.draftForSending(.draft08) == .draft08)
        var capsule: [UInt8] = []
        ConnectTCPDraft.draft12.appendCapsuleHeader(.data, length: 0, to: &capsule)
        var position = 0
        #expect(try session.capsules.next(capsule.span, at: &position) == nil)
        #expect(session.draftForSending(.draft08) == .draft12)
        #expect(session.form == .connectTCP(.draft12))
        session.sent = 1
        session.form = .connectTCP(.draft08)
        #expect(session.draftForSending(.draft08) == .draft08)
    }
}
