import Primitives

/// Finds out whether ECN works on one network path and marks packets while it may (RFC 9000 §13.4.2, appendix A.4).
///
/// ```
///             ten marked, or a probe timeout               counts add up
///   testing ─────────────────────────────────────► unknown ─────────────► capable
///      │                                              │                      │
///      └── counts wrong or missing, all marks lost ───┴───► failed ◄─────────┘ counts wrong or missing,
///                                                                              the first ten all CE
/// ```
/// Counts that add up while testing lead to capable at once. A capable path that stops answering is paused: nothing is
/// marked until something is acknowledged, and then it is tested anew.
struct ECNValidator: Equatable, Sendable {
    /// Packets that are marked before anything is known (RFC 9000 appendix A.4).
    static let testingPackets = 10

    enum State: Equatable, Sendable {
        case testing
        case unknown
        case capable
        case paused
        case failed
    }

    private(set) var state: State = .testing
    private var markedSent = 0
    private var markedLost = 0
    private var markedArrived = 0
    private var hasArrivedUnchanged = false

    /// The codepoint with which packets without an ack-eliciting frame leave now. They are no test, since nothing tells
    /// when they are lost: an end that only receives would go on for ten lost acknowledgements.
    var codepointOfAcknowledgements: ECN { state == .capable ? .ect0 : .notCapable }

    /// The codepoint with which ack-eliciting packets leave now.
    var codepoint: ECN {
        switch state {
        case .testing, .capable: .ect0
        case .unknown, .paused, .failed: .notCapable
        }
    }

    /// Notes a packet that left with ECT(0).
    mutating func markedPacketSent() {
        guard state == .testing || state == .unknown else { return }
        markedSent += 1
        // A batch that was begun while testing may bring a few more.
        if markedSent >= Self.testingPackets { state = .unknown }
    }

    /// Notes that nothing is heard of what was sent. RFC 9000 appendix A.4 lets marks go on for three probe timeouts; a
    /// handshake on a path that drops them would be over by then.
    mutating func probeTimedOut() {
        switch state {
        case .testing: if markedSent > 0 { state = .unknown }
        case .capable: state = .paused
        case .unknown, .paused, .failed: break
        }
    }

    /// Notes the loss of a packet that left with ECT(0).
    mutating func markedPacketLost() {
        guard state == .testing || state == .unknown else { return }
        markedLost += 1
        // RFC 9000 §13.4.2: when every marked packet is lost, marking may be what the path does not let through.
        if state == .unknown, markedLost >= markedSent { state = .failed }
    }

    /// Takes what an ACK that raised the largest acknowledged number says of marked packets, and tells whether congestion
    /// was experienced.
    ///
    /// `newlyMarked` packets with ECT(0) are acknowledged for the first time, and the peer's counts rose by `increase`
    /// (nil when the ACK carried none or they fell). `sentMarked` packets of the space have left with ECT(0) so far.
    mutating func acknowledged(newlyMarked: Int, increase: ECNCounts?, total: ECNCounts?, sentMarked: UInt64)
        -> Congestion
    {
        if state == .failed { return .none }
        if state == .paused { testAnew() }
        guard let increase, let total else {
            // RFC 9000 §13.4.2.1: marked packets acknowledged without counts: the peer or the path takes no part.
            if newlyMarked > 0 { state = .failed }
            return .none
        }
        let arrived = increase.ect0.addingSaturating(increase.congestionExperienced)
        // RFC 9000 §13.4.2.1: marks were removed on the way.
        if arrived < UInt64(max(newlyMarked, 0)) {
            state = .failed
            return .none
        }
        // RFC 9000 §13.4.2.1: more than were sent, or a codepoint that never was.
        if total.ect0.addingSaturating(total.congestionExperienced) > sentMarked || total.ect1 > 0 {
            state = .failed
            return .none
        }
        if newlyMarked > 0 { state = .capable }
        if isEverythingCE(newlyMarked, increase) {
            state = .failed
            return .none
        }
        return increase.congestionExperienced > 0 ? .experienced : .none
    }

    private mutating func testAnew() {
        state = .testing
        markedSent = 0
        markedLost = 0
    }

    /// Whether all of the first packets arrived with CE: no queue is that long for so little, something on the way writes
    /// the codepoint into every packet, and believing it would end all sending.
    private mutating func isEverythingCE(_ newlyMarked: Int, _ increase: ECNCounts) -> Bool {
        if increase.ect0 > 0 { hasArrivedUnchanged = true }
        guard !hasArrivedUnchanged else { return false }
        markedArrived = markedArrived.addingSaturating(newlyMarked)
        return markedArrived >= Self.testingPackets
    }

    /// Whether a router marked a packet.
    enum Congestion: Equatable, Sendable {
        case none
        case experienced
    }
}
