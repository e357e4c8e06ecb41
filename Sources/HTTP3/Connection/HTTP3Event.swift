public import QUIC

/// What an HTTP/3 connection tells its user, in the order in which it happened.
public enum HTTP3Event {
    /// The peer's SETTINGS arrived: what it is ready for is known from here on.
    case settingsReceived(Settings)
    /// A client's request arrived on a new stream; its content may follow.
    case request(StreamID, RequestHead)
    /// A response to the request on this stream, interim or final; its content may follow.
    case response(StreamID, ResponseHead)
    /// Content, or the end of it, can be had by `readContent(of:at:_:)`.
    case contentReadable(StreamID)
    /// The peer reset its direction of the stream: no more content will come.
    case streamReset(StreamID, HTTP3ErrorCode)
    /// The peer wants no more of what is sent on the stream; sending has ended with a reset.
    case streamStopped(StreamID, HTTP3ErrorCode)
    /// This end gave the stream up in both directions, for a fault of the peer that concerns this stream only.
    case streamAborted(StreamID, HTTP3ErrorCode)
    /// More of what was sent by reference was acknowledged.
    case contentAcknowledged(StreamID)
    /// So much of what was sent by reference has left that `awaitDrain(of:below:)` is answered.
    case contentDrained(StreamID)
    /// Everything sent on the stream, and its end, was acknowledged.
    case contentSent(StreamID)
    /// Requests may be opened now that could not be before.
    case requestsAvailable
    /// The peer is going away: requests on this stream and later ones are not processed and may be sent elsewhere (RFC
    /// 9114 §5.2).
    case goingAway(firstUnprocessed: StreamID)
    /// This end closed the connection because the peer broke a rule; every stream is gone.
    case failed(HTTP3Error)
    /// The connection is over; every stream is gone.
    case closed(ConnectionEnd)
}
