import DequeModule
import Primitives

/// All streams of one connection: their states, flow control, limits and the order in which they send (RFC 9000 §2–4).
///
/// The connection hands in frames and the fate of the packets it sent, asks for frames while `hasControlToSend` or `hasDataToSend`, and
/// fetches events until there are none: `nextEvent()` returning nil is also when streams that are over leave the
/// table, so everything an event refers to can still be asked for while it is handled. A command on a stream that is gone has no
/// effect.
///
/// A value that its connection owns and changes in place: a class in every place would cost a run-time check of exclusive
/// access per field, which measured 40 % of the time spent here.
struct StreamTable: ~Copyable {
    /// Buffers that an idle stream does not need are kept no longer than this and a little more, for the next burst.
    static let idleBufferLifetime = Interval.seconds(1)

    /// An exchange of messages goes on while they follow each other within this time.
    static let exchangeRest = Interval.seconds(1)

    let role: Role
    let configuration: StreamConfiguration
    /// Streams by slot; slots are used again.
    var slots: [Stream] = []
    private var vacantSlots: [Int] = []
    private var indices: [StreamID: Int] = [:]
    /// The stream that was looked up last, and its slot; most lookups are for the same one.
    private var recent: (id: StreamID, index: Int)?

    /// What the peer lets this end send on all streams together.
    var sendCredit = SendCredit()
    /// What the peer may send on all streams together.
    var receiveWindow: ReceiveWindow
    /// The sum of the largest offsets that the peer has used on each stream.
    var received: UInt64 = 0
    /// The peer's limits on new streams of each kind.
    var peerLimits = TransportParameters()

    var localBidirectional = LocalStreams(direction: .bidirectional)
    var localUnidirectional = LocalStreams(direction: .unidirectional)
    var peerBidirectional: PeerStreams
    var peerUnidirectional: PeerStreams

    var scheduler = StreamScheduler()
    /// Slots that wait for the connection's credit.
    var parked: [Int] = []
    var controlQueue: Deque<Int> = []
    /// Slots in `controlQueue` that do have something to send.
    var controlCount = 0
    var events: Deque<StreamEvent> = []
    private var departing: [Int] = []
    private var warm: [Int] = []
    private var warmDeadline: Instant?
    /// When a stream last sent a message of an exchange.
    var latestMessage: Instant?
    /// The time of the latest input: commands carry none.
    var latest = Instant.origin

    init(role: Role, configuration: StreamConfiguration) {
        self.role = role
        self.configuration = configuration
        receiveWindow = ReceiveWindow(
            initial: configuration.initialConnectionWindow, maximum: configuration.maximumConnectionWindow)
        peerBidirectional = PeerStreams(
            direction: .bidirectional, window: configuration.peerStreams(.bidirectional))
        peerUnidirectional = PeerStreams(
            direction: .unidirectional, window: configuration.peerStreams(.unidirectional))
    }

    /// Streams in the table.
    var streamCount: Int { indices.count }

    /// The next thing to tell the application; nil when it knows everything, which lets streams that are over go.
    mutating func nextEvent() -> StreamEvent? {
        guard let event = events.popFirst() else {
            removeDepartingStreams()
            return nil
        }
        switch event {
        case .readable(let id): forget(.readable, of: id)
        case .acknowledged(let id): forget(.acknowledged, of: id)
        case .opened, .reset, .stopped, .drained, .finished, .streamsAvailable: break
        }
        return event
    }

    /// When `deadlineReached` has something to do.
    var nextDeadline: Instant? {
        peerBidirectional.deadline.sooner(peerUnidirectional.deadline).sooner(warmDeadline)
    }

    /// Gives back stream credit that was held back, and memory that was kept for a next burst.
    mutating func deadlineReached(at now: Instant) {
        latest = now
        peerBidirectional.releaseHeld(at: now)
        peerUnidirectional.releaseHeld(at: now)
        if let deadline = warmDeadline, now >= deadline { releaseUnusedMemory() }
    }
}

// MARK: - Slots

extension StreamTable {
    /// The slot of a stream; nil when the stream is gone.
    func index(of id: StreamID) -> Int? {
        if let recent, recent.id == id { return recent.index }
        return indices[id]
    }

    /// The slot of a stream, which will be found faster the next time.
    mutating func lookUp(_ id: StreamID) -> Int? {
        if let recent, recent.id == id { return recent.index }
        guard let index = indices[id] else { return nil }
        recent = (id, index)
        return index
    }

    mutating func insert(_ id: StreamID, send: SendStream, receive: ReceiveStream) {
        let index: Int
        if let vacant = vacantSlots.popLast() {
            index = vacant
            slots[index].become(id, send: send, receive: receive)
        } else {
            index = slots.count
            slots.append(Stream(id: id, send: send, receive: receive))
        }
        indices[id] = index
        scheduler.reset(index)
    }

    private mutating func removeDepartingStreams() {
        guard !departing.isEmpty else { return }
        for index in departing {
            let id = slots[index].id
            indices[id] = nil
            slots[index].vacate()
            vacantSlots.append(index)
            guard id.initiator != role else { continue }
            switch id.direction {
            case .bidirectional: peerBidirectional.ended(slots[index].ending, at: latest)
            case .unidirectional: peerUnidirectional.ended(slots[index].ending, at: latest)
            }
        }
        departing.removeAll(keepingCapacity: true)
        recent = nil
        if indices.isEmpty, parked.isEmpty, controlQueue.isEmpty, warm.isEmpty {
            // Nothing refers to a slot: a connection that had many streams becomes small again.
            slots = []
            indices = [:]
            vacantSlots = []
            scheduler = StreamScheduler()
        }
    }
}

// MARK: - Books that every input and command keeps

extension StreamTable {
    /// Brings a stream's places in the queues in line with its state; the last step of everything that changes one.
    mutating func settle(_ index: Int) {
        let standing = slots[index].review()
        switch standing.readiness {
        case .nothing: scheduler.remove(index)
        case .withoutCredit: scheduler.enqueue(index)
        case .withCredit where sendCredit.available > 0: scheduler.enqueue(index)
        case .withCredit:
            scheduler.remove(index)
            sendCredit.noteBlocked()
            if !slots[index].isParked {
                slots[index].isParked = true
                parked.append(index)
            }
        }
        if standing.hasControlDue || slots[index].wantsControl { noteControl(of: index, isDue: standing.hasControlDue) }
        if standing.isTerminal, !slots[index].isDeparting, !slots[index].isVacant {
            slots[index].isDeparting = true
            departing.append(index)
        }
    }

    private mutating func noteControl(of index: Int, isDue: Bool) {
        if isDue != slots[index].wantsControl {
            slots[index].wantsControl = isDue
            controlCount += isDue ? 1 : -1
        }
        if isDue, !slots[index].isQueuedForControl {
            slots[index].isQueuedForControl = true
            controlQueue.append(index)
        }
    }

    /// The connection's credit was raised: streams that waited for it take part again.
    mutating func unpark() {
        let waiting = parked
        parked = []
        for index in waiting {
            slots[index].isParked = false
            settle(index)
        }
    }

    /// Queues an event that is not repeated while it waits.
    mutating func announce(_ kind: Stream.WaitingEvents, _ event: StreamEvent, of index: Int) {
        if slots[index].waitingEvents.insert(kind).inserted { events.append(event) }
    }

    private mutating func forget(_ kind: Stream.WaitingEvents, of id: StreamID) {
        if let index = lookUp(id) { slots[index].waitingEvents.remove(kind) }
    }

    /// Has the buffer of an idle stream looked after.
    mutating func keepWarm(_ index: Int) {
        guard !slots[index].isWarm, slots[index].receive.hasUnusedMemory else { return }
        slots[index].isWarm = true
        warm.append(index)
        if warmDeadline == nil { warmDeadline = latest + Self.idleBufferLifetime }
    }

    private mutating func releaseUnusedMemory() {
        for index in warm {
            slots[index].isWarm = false
            slots[index].receive.releaseUnusedMemory()
        }
        warm = []
        warmDeadline = nil
    }
}
