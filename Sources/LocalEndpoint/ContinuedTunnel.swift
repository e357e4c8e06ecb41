import Driver
import EventLoop
import Logging
import Tunnel

/// A program whose gateway is dead or has lost its tunnel, and that can go on with a new tunnel to the same destination.
final class ContinuedTunnel: TunnelApplicant {
    let destination: Destination
    var optimism: TunnelClient.Optimism { .afterAnswer }
    private let side: TunnelSide
    private let first: [UInt8]
    private let follower: (any TunnelFollower)?
    private let log: Logger

    /// nil when the program cannot go on: its side stays as it is.
    init?(to destination: Destination, _ side: TunnelSide, _ follower: (any TunnelFollower)?, log: Logger) {
        guard let first = side.applicationPassage?.goOn() else { return nil }
        self.destination = destination
        self.side = side
        self.first = first
        self.follower = follower
        self.log = log
    }

    func tunnelOpened() -> TunnelEntrance? {
        guard side.stream.isOpen else { return nil }
        return TunnelEntrance(source: .side(side), received: first, follower: follower)
    }

    func tunnelFailed(_ failure: TunnelFailure) {
        log.warning("a download cannot go on through another tunnel: \(failure.description(for: destination))")
        side.abort()
        follower?.tunnelEnded(.reset)
    }
}
