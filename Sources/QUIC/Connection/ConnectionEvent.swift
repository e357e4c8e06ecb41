public import Primitives

/// What happened on a connection, in the order it happened.
public enum ConnectionEvent: Equatable, Sendable {
    /// 1-RTT keys are there and the application protocol is agreed.
    case handshakeCompleted
    /// The peer is known to have completed the handshake too (RFC 9001 §4.1.2): migration is possible.
    case handshakeConfirmed
    /// The peer opened a stream.
    case streamOpened(StreamID)
    /// New in-order bytes, or the end of the stream, can be read.
    case streamReadable(StreamID)
    /// RESET_STREAM arrived: bytes that were not read are gone.
    case streamReset(StreamID, errorCode: UInt64)
    /// STOP_SENDING arrived; the transport has answered with RESET_STREAM.
    case streamStopped(StreamID, errorCode: UInt64)
    /// More of the stream was acknowledged.
    case streamAcknowledged(StreamID)
    /// Fewer bytes wait to be sent for the first time than `awaitDrain(of:below:)` named.
    case streamDrained(StreamID)
    /// Everything that was sent, with its end or reset, is acknowledged.
    case streamFinished(StreamID)
    /// The peer allows more streams after `openStream` had none left.
    case streamsAvailable(StreamDirection)
    /// A DATAGRAM frame arrived (RFC 9221).
    case datagramReceived([UInt8])
    /// A token for the next connection to this server (RFC 9000 §8.1.3).
    case newToken([UInt8])
    /// A ticket with which the next connection can resume the TLS session.
    case sessionTicket([UInt8])
    /// A line for the key log file, when the TLS context keeps one.
    case keyLogLine(String)
    /// Something changed about a network path.
    case path(PathEvent)
    /// The connection is over; nothing follows but the end of its draining period.
    case closed(ConnectionEnd)
}

/// A change of a network path.
public enum PathEvent: Equatable, Sendable {
    /// The path is known and its validation has begun.
    case added(PathDescription)
    /// The peer answered on the path.
    case validated(PathDescription)
    /// A challenge was answered: the path works, and this is how long it took.
    case answered(PathDescription, roundTrip: Interval)
    /// The peer did not answer in time (RFC 9000 §8.2.4).
    case failed(PathDescription)
    /// The path carries the connection's data from here on.
    case activated(PathDescription)
    /// The peer's address changed under the connection: its NAT rebound, or it migrated.
    case peerMoved(from: NetworkAddress, to: PathDescription)
    /// The path is forgotten.
    case removed(PathDescription)
}

/// Why a connection ended.
public enum ConnectionEnd: Hashable, Sendable {
    /// This end's application closed it.
    case closedLocally(errorCode: UInt64)
    /// The peer's application closed it.
    case closedByPeer(errorCode: UInt64, reason: String)
    /// The peer broke a rule, or the handshake failed on this end.
    case failed(TransportError)
    /// The peer's transport found a fault.
    case failedByPeer(TransportError)
    /// Nothing was heard for the idle timeout (RFC 9000 §10.1).
    case idleTimeout
    /// The handshake did not complete in time: the peer is unreachable, or something in between drops its packets.
    case handshakeTimeout
    /// The peer lost its state (RFC 9000 §10.3).
    case statelessReset
    /// The server speaks none of our versions.
    case versionNegotiation(offered: [UInt32])
    /// No path to the peer is left (RFC 9000 §9.3.2).
    case noViablePath
}
