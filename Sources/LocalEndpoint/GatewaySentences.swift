import Tunnel

extension GatewayTrouble {
    /// Whether the gateway does not answer: its tunnels may be lost.
    var isAbsence: Bool {
        switch self {
        case .unreachable, .silence, .refusal, .loss: true
        case .draining, .notAuthenticated: false
        }
    }

    /// For people.
    var sentence: String {
        switch self {
        case .unreachable: "it did not answer"
        case .silence: "nothing was heard any more"
        case .refusal: "nothing listens there"
        case .loss: "the connection was lost"
        case .draining: "it takes no more tunnels"
        case .notAuthenticated: "it is not the one of the invite, or does not accept the token"
        }
    }
}

extension GatewayAilment {
    /// For people.
    var sentence: String {
        switch self {
        case .failures: "many of its recent handshakes failed"
        case .slowness: "its handshakes take far longer than another gateway's"
        }
    }
}

extension GatewayFailover.Cause {
    /// For people.
    var sentence: String {
        switch self {
        case .trouble(let trouble): trouble.sentence
        case .ailing(let ailment): ailment.sentence
        case .returned: "a preferred gateway has proven itself"
        }
    }

    /// For programs.
    var word: String {
        switch self {
        case .trouble(let trouble): trouble.rawValue
        case .ailing(let ailment): ailment.rawValue
        case .returned: "returned"
        }
    }
}
