import Configuration
import Primitives
import TLS

/// What one attempt to reach a gateway goes by.
struct GatewayAttempt {
    /// Which gateway, and who we are to it.
    var invite: Invite
    /// The gateway's place in the list of preference.
    var index: Int
    /// The address that is tried.
    var address: NetworkAddress
}

/// Why a gateway could not be used.
enum LinkFailure: Hashable {
    /// It did not answer, or its name has no address.
    case unreachable(String)
    /// It is not who the invite says, or does not accept the token.
    case notAuthenticated(String)

    var sentence: String {
        switch self {
        case .unreachable(let reason), .notAuthenticated(let reason): reason
        }
    }
}
