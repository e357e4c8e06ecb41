import Configuration
import EventLoop
import Primitives
import QUIC

extension ConnectionEnd {
    /// What happened, for a log line.
    var sentence: String {
        switch self {
        case .closedLocally: "closed by this end"
        case .closedByPeer(let code, let reason):
            "closed by the gateway (code \(code)\(reason.isEmpty ? "" : ": \(reason)"))"
        case .failed(let error): error.reason
        case .failedByPeer(let error) where error.code == .connectionRefused:
            "the gateway takes no new connections now; it is ending, or has as many as it may"
        case .failedByPeer(let error):
            "the gateway found a fault (code \(error.code.rawValue)\(error.reason.isEmpty ? "" : ": \(error.reason)"))"
        case .idleTimeout: "nothing was heard from the gateway"
        case .handshakeTimeout: "no answer; is the gateway running, and is UDP allowed on the way to it?"
        case .statelessReset: "the gateway does not know this connection any more; it was restarted"
        case .versionNegotiation: "the gateway speaks no version of QUIC that this end does"
        case .noViablePath: "no path to the gateway is left"
        }
    }
}

extension LinkFailure {
    /// What the system or the network says about the way to a gateway.
    init(_ error: SystemError, gateway: GatewayAttempt) {
        let name = "\(gateway.invite.gateway) (\(gateway.address.ip))"
        self =
            error.isRefusal
            ? .refused("\(name): nothing listens there on UDP port \(gateway.address.port); is the gateway running?")
            : .unreachable("\(name): \(error)")
    }

    /// What the end of a connection says about its gateway.
    init(_ end: ConnectionEnd, gateway: GatewayAttempt) {
        let name = "\(gateway.invite.gateway) (\(gateway.address.ip))"
        switch end {
        case .failed(let error) where error.code.alert != nil:
            self = .notAuthenticated("\(name) is not the gateway of the invite: \(error.reason)")
        case .closedLocally, .closedByPeer, .failed, .failedByPeer, .idleTimeout, .handshakeTimeout, .statelessReset,
            .versionNegotiation, .noViablePath:
            self = .unreachable("\(name): \(end.sentence)")
        }
    }
}

extension PathEvent {
    /// What happened, for a log line.
    var sentence: String {
        switch self {
        case .added(let path): "\(path.local) added, being validated"
        case .validated(let path): "\(path.local) validated"
        case .answered(let path, let roundTrip): "\(path.local) answered in \(roundTrip.milliseconds) ms"
        case .failed(let path): "\(path.local) does not reach the gateway"
        case .activated(let path): "\(path.local) is active"
        case .peerMoved(_, let path): "the gateway moved to \(path.remote)"
        case .removed(let path): "\(path.local) removed"
        }
    }
}
