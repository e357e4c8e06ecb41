import Driver
import EventLoop
import Tunnel

/// A client's wish to go on with a tunnel, on its way to the worker that has the tunnel.
struct TunnelClaim: Sendable {
    /// Names the claim to the worker that asks.
    var number: UInt64
    /// The index of the worker that asks.
    var asker: Int
    /// What the client wants.
    var request: ResumptionRequest
    /// Where it says the tunnel leads.
    var destination: Destination
    /// Who asks.
    var user: String
}

/// What this gateway remembers of a tunnel between two connections.
struct GatewayNote: TunnelHoldNote, Sendable {
    /// Whose tunnel it is.
    var user: String
    var holder: String { user }
    /// Whether it counts against its user's limit: it does until its TCP is closed.
    var counting: Counting

    enum Counting: Hashable, Sendable {
        case counted
        case over
    }
}

/// What came of a claim.
enum TunnelClaimOutcome {
    /// The tunnel has left the connection, or the hold, that had it.
    case found(HeldTunnel, TunnelSide?, GatewayNote)
    /// It is here, but not as the client says; nothing has changed.
    case conflict
    /// There is no such tunnel.
    case unknown
    /// It is on its way between two workers: the client is to ask again.
    case underWay
}

/// The outcome on its way back to the worker that asked.
///
/// Unchecked: a tunnel that was found belongs to nobody but this message, and its stream is no worker's any more.
struct TunnelHandover: @unchecked Sendable {
    var number: UInt64
    var outcome: Outcome

    enum Outcome {
        case found(HeldTunnel, TunnelSide.Remains?, GatewayNote, TunnelProtection.Transfer?)
        case conflict
        case unknown
        case underWay
    }
}
