/// One stream of a connection: its halves and what the `StreamTable` notes about it.
///
/// It lives in a slot of the table and is changed there in place; an idle stream takes well under a kibibyte. Slots are
/// used again, so what says that a slot stands in one of the table's queues outlives the stream.
struct Stream {
    private(set) var id: StreamID
    /// One that has ended for a unidirectional stream of the peer, and in a free slot: in place, not optional, so that
    /// looking at it copies nothing.
    var send: SendStream
    /// One that has ended for a unidirectional stream of ours, and in a free slot.
    var receive: ReceiveStream
    /// Whether the slot holds no stream.
    private(set) var isVacant = false
    /// Events that wait to be fetched.
    var waitingEvents: WaitingEvents = []
    /// How the peer behaved toward the stream; decides how fast it may open another one.
    var ending = Ending.orderly
    /// Whether both halves are over and the stream goes once the application has seen its events.
    var isDeparting = false

    /// Whether the slot stands among those that wait for the connection's credit.
    var isParked = false
    /// Whether the slot stands in the queue of those with control frames to send.
    var isQueuedForControl = false
    /// Whether it counts among those with control frames to send; false: its place in the queue is stale.
    var wantsControl = false
    /// Whether the slot waits to be looked at for memory that it no longer needs.
    var isWarm = false

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

    init(id: StreamID, send: SendStream, receive: ReceiveStream) {
        self.id = id
        self.send = send
        self.receive = receive
    }

    /// Makes the slot that of another stream.
    mutating func become(_ id: StreamID, send: SendStream, receive: ReceiveStream) {
        isVacant = false
        self.id = id
        self.send = send
        self.receive = receive
        waitingEvents = []
        ending = .orderly
        isDeparting = false
    }

    /// Makes the slot a free one.
    mutating func vacate() {
        isVacant = true
        send = .ended
        receive = .ended
    }
}

// MARK: - What the table has to know after every change

extension Stream {
    /// Where a stream belongs.
    struct Standing {
        var readiness: SendStream.Readiness
        /// Whether a frame that concerns this stream alone is due.
        var hasControlDue: Bool
        /// Whether nothing more can happen on either half.
        var isTerminal: Bool
    }

    // Inlined, as is what it asks of the halves: called with a half, the compiler copies it.

    /// Looks at both halves, and has a stream that its own limit holds back say so.
    @inline(__always)
    mutating func review() -> Standing {
        send.reportBlockedIfNeeded()
        return Standing(readiness: send.readiness, hasControlDue: hasControlDue, isTerminal: isTerminal)
    }

    @inline(__always)
    private var isTerminal: Bool { send.state.isTerminal && receive.state.isTerminal }

    @inline(__always)
    private var hasControlDue: Bool {
        if send.resetDelivery == .due || send.credit.blockedReport == .due { return true }
        return receive.stopDelivery == .due || receive.isWindowUpdateDue
    }
}

// MARK: - STREAM frames

extension Stream {
    /// A piece of stream data smaller than this is not worth a frame of its own at the end of a packet, in bytes.
    static let smallestFragment: UInt64 = 16

    /// What became of the attempt to write a STREAM frame.
    enum WriteOutcome {
        /// There is nothing to send within the limits.
        case nothingToSend
        /// What there is to send does not fit.
        case noRoom
        /// A frame with these bytes of the stream was written, `new` of them for the first time; it takes `size` bytes.
        case wrote(Range<UInt64>, Fin, new: UInt64, size: Int)
    }

    /// Writes one STREAM frame. The frame may extend to the end of the packet, without a length (RFC 9000 §19.8).
    @_lifetime(writer: copy writer)
    mutating func writeFrame(into writer: inout ByteWriter, connectionCredit: UInt64) -> WriteOutcome {
        guard let available = send.nextRange(connectionCredit: connectionCredit) else { return .nothingToSend }
        var header = StreamFrameHeader(id: id, offset: available.lowerBound, fin: .more, extent: .endOfPacket)
        guard let room = header.payloadCapacity(in: writer.remaining) else { return .noRoom }
        let wanted = available.upperBound - available.lowerBound
        let length = min(UInt64(room), wanted)
        guard length >= min(Self.smallestFragment, wanted) else { return .noRoom }
        let range = available.lowerBound..<available.lowerBound + length
        header.fin = send.fin(at: range.upperBound)
        let spare = room - Int(length)
        if spare >= Varint.width(of: length) {
            header.extent = .lengthField
        } else {
            // The payload fits, its length does not: padding in front makes the frame end with the packet.
            writer.write(repeating: 0, count: spare)
        }
        let start = writer.position
        writer.write(header, length: Int(length))
        send.copy(range, into: &writer)
        let new = send.sent(range, fin: header.fin)
        return .wrote(range, header.fin, new: new, size: writer.position - start)
    }
}
