import Primitives

/// How much a server may send to an address it has not validated (RFC 9000 §8.1, §9.3.1).
struct AmplificationLimit: Equatable {
    /// Bytes that may be sent for each byte received from an unvalidated address (RFC 9000 §8.1).
    static let factor = 3

    private enum State: Equatable {
        case limited(received: Int, sent: Int)
        case lifted
    }

    private var state: State

    private init(state: State) { self.state = state }

    /// The address has yet to prove that it wants the traffic.
    static let unvalidated = AmplificationLimit(state: .limited(received: 0, sent: 0))
    /// The address is known to be the peer's, or this end is a client.
    static let lifted = AmplificationLimit(state: .lifted)

    /// Bytes that may be sent now.
    var credit: Int {
        switch state {
        case .lifted: .max
        case .limited(let received, let sent): max(0, received.multiplyingSaturating(Self.factor) - sent)
        }
    }

    /// Whether nothing may be sent until the peer sends again.
    var isBlocked: Bool { credit == 0 }

    mutating func received(_ bytes: Int) {
        if case .limited(let received, let sent) = state {
            state = .limited(received: received.addingSaturating(bytes), sent: sent)
        }
    }

    mutating func sent(_ bytes: Int) {
        if case .limited(let received, let sent) = state {
            state = .limited(received: received, sent: sent.addingSaturating(bytes))
        }
    }

    /// The address answered: from here on only congestion control limits it.
    mutating func addressValidated() { state = .lifted }
}
