public import HTTP3
import QUIC

// Error codes of tunnel resumption. Numbers of our own, drawn at random from those that anyone may use (RFC 9114 §11.2.3).
extension HTTP3ErrorCode {
    /// TUNNEL_RESUMPTION_RESTART closes a connection: the gateway process ends and another one takes its tunnels over, so clients resume at once.
    public static let tunnelResumptionRestart = HTTP3ErrorCode(rawValue: 0x1b2d_a45b)
    /// TUNNEL_DETACHED ends a stream: the tunnel that it carried goes on elsewhere. It is no TCP reset.
    public static let tunnelDetached = HTTP3ErrorCode(rawValue: 0x21fa_a826)
}

/// What the end of a connection means for the tunnels on it that can be resumed.
enum ConnectionFate: Hashable {
    /// They wait for another connection.
    case detachesTunnels
    /// They end with it.
    case endsTunnels

    /// An end that either peer's application wanted, with nothing having gone wrong, ends tunnels too; every other is a loss.
    init(_ end: ConnectionEnd) {
        switch end {
        case .closedLocally(let code), .closedByPeer(let code, _):
            self = code == HTTP3ErrorCode.noError.rawValue ? .endsTunnels : .detachesTunnels
        case .failed, .failedByPeer, .idleTimeout, .handshakeTimeout, .statelessReset, .versionNegotiation,
            .noViablePath:
            self = .detachesTunnels
        }
    }
}
