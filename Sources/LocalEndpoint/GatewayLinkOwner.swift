import Driver
import Primitives

/// What hears of a gateway link's fate.
protocol GatewayLinkOwner: AnyObject {
    /// A connection is up, so long after it was begun.
    func link(_ link: GatewayLink, connectedAfter handshake: Interval)
    /// An attempt to connect failed; the link goes on trying unless it is stopped.
    func link(_ link: GatewayLink, failed failure: LinkFailure)
    /// The connection is lost.
    func linkLost(_ link: GatewayLink)
    /// The connection, which no tunnel needed, has ended by itself.
    func linkFellAsleep(_ link: GatewayLink)
    /// Since when nothing is heard on the connection; nil when something is.
    func link(_ link: GatewayLink, silentSince since: Instant?)
    /// The network says that nobody listens where the connection leads; `silentSince` nil follows when the gateway is heard of.
    func linkRefusalReported(_ link: GatewayLink)
    /// The gateway takes no further tunnels.
    func linkGoingAway(_ link: GatewayLink)
    /// The gateway refused the token.
    func linkRefused(_ link: GatewayLink, _ failure: LinkFailure)
    /// A tunnel has to be asked for again, on whatever connection.
    func reopen(_ applicant: any TunnelApplicant)
    /// A program has a tunnel, and has sent these bytes: it may go on through another tunnel.
    func tunnelBegan(_ side: TunnelSide, sent: [UInt8])
    /// Whether programs wait for this gateway though none has asked for it.
    func isAwaited(_ link: GatewayLink) -> Bool
}
