/// Names a tunnel among those of one connection.
public struct TunnelID: Hashable, Comparable, Sendable {
    /// Counts the tunnels of a connection from 0.
    public let rawValue: UInt64

    @usableFromInline
    init(rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (a: TunnelID, b: TunnelID) -> Bool { a.rawValue < b.rawValue }
}

/// What the driver is to do, in this order. "TCP" is the local side of a tunnel: the application's connection at the local
/// endpoint, the destination's at the gateway.
public enum TunnelAction: Hashable, Sendable {
    // Of a gateway.

    /// Find out whether these credentials may use the gateway; answer `authenticationSucceeded` or `authenticationFailed`.
    case authenticate(TunnelID, Credentials)
    /// Open a TCP connection, within the access rules; answer `connected` or `connectFailed`.
    case connect(TunnelID, Destination)
    /// Go on with a tunnel that this user has; answer `resume` or `resumptionUnknown`.
    case resume(TunnelID, ResumptionRequest)

    // Of a local endpoint.

    /// The tunnel is up.
    case opened(TunnelID)
    /// The tunnel goes on, on this connection.
    case resumed(TunnelID)
    /// There is no tunnel, and the tunnel is forgotten.
    case failed(TunnelID, TunnelFailure, Payload)

    // Of both.

    /// Read TCP into the ring of the tunnel as long as it `wantsBytes`; after that another action of this kind comes when
    /// there is room again.
    case read(TunnelID)
    /// Payload, or the end of it, has come: call `deliver` now, or as soon as TCP takes bytes again. It is not said again before
    /// `deliver` was called.
    case deliver(TunnelID)
    /// All payload was delivered: send a TCP FIN.
    case closeWrite(TunnelID)
    /// Both directions ended cleanly: close TCP. The tunnel needs nothing more from the driver.
    case close(TunnelID)
    /// The tunnel ended abnormally: reset TCP, or give the attempt to connect up. The tunnel is forgotten.
    case reset(TunnelID)
    /// The connection has lost the tunnel, which can go on on another one: keep TCP open and `takeHeld`. A tunnel whose TCP was
    /// closed by `.close` may still be detached.
    case detached(TunnelID)

    // Of the connection.

    /// The other end will take no further tunnels on this connection; those that are up go on.
    case goingAway
    /// The connection is over; every tunnel has had its action before this one.
    case ended(ConnectionLoss)

    /// Whether bytes of the application went into a tunnel that failed.
    public enum Payload: Hashable, Sendable {
        /// None: the same connection may be tried again.
        case untouched
        /// Some: they are lost.
        case taken
    }
}

/// Why a connection is over, as far as HTTP/3 knows.
public enum ConnectionLoss: Hashable, Sendable {
    /// The peer broke a rule of HTTP/3; the reason is for the log.
    case protocolViolation(reason: String)
    /// The transport says why, in its own event.
    case transport
}
