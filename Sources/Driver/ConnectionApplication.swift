public import Primitives
public import QUIC

/// What runs over a connection. Calls come once per event and once per turn, never per packet.
public protocol ConnectionApplication: AnyObject {
    /// Something happened on the connection.
    func receive(_ event: ConnectionEvent, at now: Instant)
    /// The connection's events of this turn are all told: the place to carry out what follows from them.
    func settle(at now: Instant)
}

/// Whom an endpoint driver asks about connections that clients open.
public protocol ConnectionAcceptor: AnyObject {
    /// A client's connection was accepted; what is returned runs over it.
    func accept(_ connection: DrivenConnection) -> any ConnectionApplication
}
