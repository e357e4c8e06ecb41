public import Primitives

/// What one end grants its peer on the streams of a connection: windows in bytes, streams in number.
///
/// Windows start small and double while the peer uses them up within four round trips, up to the maxima. The maxima bound
/// the memory that received data can take: a peer that sends beyond an advertised limit is disconnected with
/// FLOW_CONTROL_ERROR or STREAM_LIMIT_ERROR (RFC 9000 §4).
public struct StreamConfiguration: Hashable, Sendable {
    /// Window of a stream when it opens: more than an ordinary link and its queue hold. A smaller one would stop and start the
    /// sender until it has grown, and the bursts hide from the sender that a queue builds up.
    public var initialStreamWindow: ByteCount = .mebibytes(1)
    /// The largest window of a stream.
    public var maximumStreamWindow: ByteCount = .mebibytes(16)
    /// Window of the connection when it starts: more than one stream's, so that a stream nobody reads from does not block
    /// the others.
    public var initialConnectionWindow: ByteCount = .mebibytes(2)
    /// The largest window of the connection.
    public var maximumConnectionWindow: ByteCount = .mebibytes(24)
    /// Bytes that may wait for the application on stalled streams without taking from the window of the connection. Beyond it
    /// the window closes for all streams. With `maximumConnectionWindow` it bounds the memory of received data.
    public var maximumWaiting: ByteCount = .mebibytes(64)
    /// Bidirectional streams of the peer that may be open at the same time.
    public var peerBidirectionalStreams: UInt64 = 128
    /// Unidirectional streams of the peer that may be open at the same time.
    public var peerUnidirectionalStreams: UInt64 = 16

    /// The defaults.
    public init() {}

    /// Writes the initial limits into the transport parameters that announce them (RFC 9000 §18.2).
    func announce(in parameters: inout TransportParameters) {
        let stream = UInt64(clamping: initialStreamWindow.bytes)
        parameters.initialMaxData = UInt64(clamping: initialConnectionWindow.bytes)
        parameters.initialMaxStreamDataBidiLocal = stream
        parameters.initialMaxStreamDataBidiRemote = stream
        parameters.initialMaxStreamDataUni = stream
        parameters.initialMaxStreamsBidi = peerBidirectionalStreams
        parameters.initialMaxStreamsUni = peerUnidirectionalStreams
    }

    func peerStreams(_ direction: StreamDirection) -> UInt64 {
        switch direction {
        case .bidirectional: peerBidirectionalStreams
        case .unidirectional: peerUnidirectionalStreams
        }
    }
}

/// Which streams go first when several have something to send; streams of one urgency take turns.
public enum StreamUrgency: Int, Hashable, Sendable, CaseIterable {
    /// Before everything: a few bytes on which other streams wait.
    case control = 0
    /// Interactive and ordinary traffic.
    case normal = 1
    /// What can wait: only when nothing else wants to be sent.
    case bulk = 2
}

/// What the streams tell the application, coalesced: an event that still waits is not queued again.
enum StreamEvent: Equatable {
    /// The peer opened a stream.
    case opened(StreamID)
    /// New bytes in order, or the end of the stream.
    case readable(StreamID)
    /// RESET_STREAM arrived: unread bytes are gone.
    case reset(StreamID, errorCode: UInt64)
    /// STOP_SENDING arrived and was answered with RESET_STREAM.
    case stopped(StreamID, errorCode: UInt64)
    /// The acknowledged ring offset moved.
    case acknowledged(StreamID)
    /// Fewer bytes wait to be sent for the first time than was asked to be told of.
    case drained(StreamID)
    /// All our bytes and the FIN, or our RESET_STREAM, are acknowledged.
    case finished(StreamID)
    /// The peer raised a limit that an `openStream` had met.
    case streamsAvailable(StreamDirection)
}

/// How far something that has to reach the peer has come.
enum Delivery: Hashable {
    /// Nothing to deliver.
    case none
    /// To be sent, for the first time or again.
    case due
    /// In a packet whose fate is open.
    case inFlight
    /// The peer has it.
    case acknowledged

    /// Its packet was lost: send it again, unless another copy arrived.
    mutating func lost() {
        if self == .inFlight { self = .due }
    }
}
