import Configuration
import Driver
import EventLoop
import Primitives
import Tunnel

/// Someone at this end who wants a tunnel: an accepted connection whose destination is known, or a pair of pipes.
protocol TunnelApplicant: AnyObject {
    /// Where the tunnel is to lead.
    var destination: Destination { get }
    /// Whether bytes may be sent before the gateway has answered.
    var optimism: TunnelClient.Optimism { get }

    /// The tunnel is up: says so to the program, and hands its stream over; nil when the program is gone.
    func tunnelOpened() -> TunnelEntrance?

    /// The gateway has answered that the tunnel is up, for whoever has handed the stream over before.
    func gatewayAgreed()

    /// There will be no tunnel: tells the program in its own protocol, and lets it go.
    func tunnelFailed(_ failure: TunnelFailure)
}

extension TunnelApplicant {
    /// Most need not know.
    func gatewayAgreed() {}
}

/// The local side of a tunnel, as its applicant hands it over.
struct TunnelEntrance {
    /// Where the program's bytes come from and go to.
    var source: Source
    /// What the program has sent already.
    var received: [UInt8] = []
    /// What is let through of its further bytes; nil for all.
    var filter: (any IngressFilter)?
    /// Who wants to know how the tunnel ends.
    var follower: (any TunnelFollower)?

    /// What has the program's bytes.
    enum Source {
        /// A stream that no tunnel had before.
        case stream(ByteStream)
        /// The side of a tunnel that could not go on.
        case side(TunnelSide)
    }
}

extension TunnelEntrance {
    init(stream: ByteStream, received: [UInt8] = [], follower: (any TunnelFollower)? = nil) {
        self.init(source: .stream(stream), received: received, follower: follower)
    }
}

/// Who hears how a tunnel ended that was up.
protocol TunnelFollower: AnyObject {
    /// The tunnel is over.
    func tunnelEnded(_ ending: TunnelEnding)
}

/// What this end remembers of a tunnel between two connections.
struct TunnelNote: TunnelHoldNote {
    /// The gateway that has its other end.
    var gateway: Invite
    /// Who wants to know how the tunnel ends.
    var follower: (any TunnelFollower)? = nil

    /// All of it is the user's own.
    var holder: String { "" }
}

/// How a tunnel ended.
enum TunnelEnding: String {
    /// Both directions ended in order.
    case finished
    /// It was cut off.
    case reset
}
