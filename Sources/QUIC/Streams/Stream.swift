/// One stream of a connection: its halves and its places in the queues of the `StreamTable`.
///
/// A class, so that one lookup serves a frame and nothing large is copied; an idle stream takes well under a kibibyte.
final class Stream {
    let id: StreamID
    /// Nil for a unidirectional stream of the peer.
    var send: SendStream?
    /// Nil for a unidirectional stream of ours.
    var receive: ReceiveStream?
    var urgency = StreamUrgency.normal
    /// The stream's place among those that want to send.
    var turn = StreamScheduler.Turn()
    /// Whether the stream has only new data and waits for the connection's credit.
    var isParked = false
    /// Whether the stream stands in the queue of those with control frames to send.
    var isQueuedForControl = false
    /// Whether it counts among those with control frames to send; false: its place in the queue is stale.
    var wantsControl = false
    /// Events that wait to be fetched.
    var waitingEvents: WaitingEvents = []
    /// Whether the stream waits to be looked at for memory that it no longer needs.
    var isWarm = false
    /// Whether both halves are over and the stream goes once the application has seen its events.
    var isDeparting = false
    /// How the peer behaved toward the stream; decides how fast it may open another one.
    var ending = Ending.orderly

    struct WaitingEvents: OptionSet {
        let rawValue: UInt8
        static let readable = WaitingEvents(rawValue: 1)
        static let acknowledged = WaitingEvents(rawValue: 2)
    }

    enum Ending {
        /// Nothing unusual so far.
        case orderly
        /// The peer broke it off.
        case brokenOff
    }

    init(id: StreamID, send: SendStream?, receive: ReceiveStream?) {
        self.id = id
        self.send = send
        self.receive = receive
    }

    /// Whether nothing more can happen on either half.
    var isTerminal: Bool { send?.state.isTerminal ?? true && receive?.state.isTerminal ?? true }

    /// Whether a frame that concerns this stream alone is due.
    var hasControlDue: Bool {
        // Through optional chains: binding a half would copy it.
        if send?.resetDelivery == .due || send?.credit.blockedReport == .due { return true }
        return receive?.stopDelivery == .due || receive?.isWindowUpdateDue ?? false
    }
}
