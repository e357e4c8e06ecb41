public import EventLoop
public import Primitives
public import QUIC

/// What runs over a connection. Calls come once per event and once per turn, never per packet.
public protocol ConnectionApplication: AnyObject {
    /// Something happened on the connection.
    func receive(_ event: ConnectionEvent, at now: Instant)
    /// The connection's events of this turn are all told: the place to carry out what follows from them.
    func settle(at now: Instant)
    /// Datagrams from `local` do not leave, or do not arrive: the system refused to send them, or the network told so while
    /// it is listened to (`EndpointDriver.networkErrors`). Told to clients, once in a turn for each address and cause; what
    /// is lost is for the transport to send again.
    func sendFailed(from local: NetworkAddress, _ error: SystemError, at now: Instant)
}

extension ConnectionApplication {
    /// Nothing follows from it.
    public func sendFailed(from local: NetworkAddress, _ error: SystemError, at now: Instant) {}
}

/// Whom an endpoint driver asks about connections that clients open.
public protocol ConnectionAcceptor: AnyObject {
    /// A client's connection was accepted; what is returned runs over it.
    func accept(_ connection: DrivenConnection) -> any ConnectionApplication
}
