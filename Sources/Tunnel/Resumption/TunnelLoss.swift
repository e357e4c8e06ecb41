import HTTP3
import QUIC

/// How a tunnel comes to lose the stream that carries it.
///
///                      connection    connection      the peer took    request not     stream reset,
///                      lost          closed on       the tunnel       looked at       fault of the peer
///                                    purpose         elsewhere
///     connection       ends          ends            ends             ends            ends
///     asked, claimed   ends          ends            ends             ends            ends
///     resumable        is held       ends            is held          –               ends
///     resuming         is held       ends            ends             is held         ends
enum TunnelLoss: Hashable, CaseIterable {
    /// Silence, a reset, a fault, a restart: everything but an end on purpose.
    case connectionLost
    /// An end that either application wanted, with nothing having gone wrong.
    case connectionClosed
    /// The stream was reset or stopped with TUNNEL_DETACHED.
    case takenByPeer
    /// The gateway did not look at the request: it is going away, or has rejected it.
    case requestUnprocessed
    /// The stream was reset, by either end, or stopped.
    case streamReset

    /// What follows for the tunnel.
    enum Outcome: Hashable {
        /// It waits for another connection.
        case hold
        /// It is over, and TCP is told so.
        case end
    }

    init(_ end: ConnectionEnd) {
        switch end {
        case .closedLocally(let code), .closedByPeer(let code, _):
            self = code == HTTP3ErrorCode.noError.rawValue ? .connectionClosed : .connectionLost
        case .failed, .failedByPeer, .idleTimeout, .handshakeTimeout, .statelessReset, .versionNegotiation,
            .noViablePath:
            self = .connectionLost
        }
    }

    init(_ code: HTTP3ErrorCode) {
        switch code {
        case .tunnelDetached: self = .takenByPeer
        // RFC 9114 §4.1.1: a rejected request was not looked at.
        case .requestRejected: self = .requestUnprocessed
        default: self = .streamReset
        }
    }
}

extension TunnelDurability {
    /// What the loss of its stream does to a tunnel.
    func outcome(of loss: TunnelLoss) -> TunnelLoss.Outcome {
        switch (self, loss) {
        case (.resumable, .connectionLost), (.resumable, .takenByPeer): .hold
        case (.resuming, .connectionLost), (.resuming, .requestUnprocessed): .hold
        case (.resumable, _), (.resuming, _), (.connection, _), (.asked, _), (.claimed, _): .end
        }
    }
}
