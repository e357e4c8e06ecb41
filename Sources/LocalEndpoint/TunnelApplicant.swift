import EventLoop
import Primitives
import Tunnel

/// Someone at this end who wants a tunnel: an accepted connection whose destination is known, or a pair of pipes.
protocol TunnelApplicant: AnyObject {
    /// Where the tunnel is to lead.
    var destination: Destination { get }
    /// Whether bytes may be sent before the gateway has answered.
    var optimism: TunnelClient.Optimism { get }

    /// The tunnel is up: says so to the program, and hands its stream over.
    ///
    /// Returns the stream and what it has sent already.
    func tunnelOpened() -> (stream: ByteStream, received: [UInt8])?

    /// There will be no tunnel: tells the program in its own protocol, and lets it go.
    func tunnelFailed(_ failure: TunnelFailure)
}
