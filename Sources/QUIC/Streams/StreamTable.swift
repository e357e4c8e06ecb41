import DequeModule
import Primitives

/// All streams of one connection: their states, flow control, limits and the order in which they send (RFC 9000 §2–4).
///
/// The connection hands in frames and the fate of the packets it sent, asks for frames while `hasControlToSend` or `hasDataToSend`, and
/// fetches events until there are none: `nextEvent()` returning nil is also when streams that are over leave the
/// table, so everything an event refers to can still be asked for while it is handled. A command on a stream that is gone has no
/// effect.
final class StreamTable {
    /// Buffers that an idle stream does not need are kept no longer than this and a little more, for the next burst.
    static let idleBufferLifetime = Interval.seconds(1)

    let role: Role
    let configuration: StreamConfiguration
    private var streams: [StreamID: Stream] = [:]
    /// The stream that was looked up last; most lookups are for the same one.
    private var recent: Stream?

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
    /// Streams that wait for the connection's credit.
    var parked: [Stream] = []
    var controlQueue: Deque<Stream> = []
    /// Streams in `controlQueue` that do have something to send.
    var controlCount = 0
    var events: Deque<StreamEvent> = []
    private var departing: [Stream] = []
    private var warm: [Stream] = []
    private var warmDeadline: Instant?
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
    var streamCount: Int { streams.count }

    /// The next thing to tell the application; nil when it knows everything, which lets streams that are over go.
    func nextEvent() -> StreamEvent? {
        guard let event = events.popFirst() else {
            removeDepartingStreams()
            return nil
        }
        switch event {
        case .readable(let id): stream(id)?.waitingEvents.remove(.readable)
        case .acknowledged(let id): stream(id)?.waitingEvents.remove(.acknowledged)
        case .opened, .reset, .stopped, .finished, .streamsAvailable: break
        }
        return event
    }

    /// When `deadlineReached` has something to do.
    var nextDeadline: Instant? {
        [peerBidirectional.deadline, peerUnidirectional.deadline, warmDeadline].compactMap(\.self).min()
    }

    /// Gives back stream credit that was held back, and memory that was kept for a next burst.
    func deadlineReached(at now: Instant) {
        latest = now
        peerBidirectional.releaseHeld(at: now)
        peerUnidirectional.releaseHeld(at: now)
        if let deadline = warmDeadline, now >= deadline { releaseUnusedMemory() }
    }
}

// MARK: - Books that every input and command keeps

extension StreamTable {
    func stream(_ id: StreamID) -> Stream? {
        if let recent, recent.id == id { return recent }
        guard let stream = streams[id] else { return nil }
        recent = stream
        return stream
    }

    func insert(_ stream: Stream) { streams[stream.id] = stream }

    var allStreams: some Sequence<Stream> { streams.values }

    /// Brings a stream's places in the queues in line with its state; the last step of everything that changes one.
    func settle(_ stream: Stream) {
        stream.send?.reportBlockedIfNeeded()
        switch stream.send?.readiness ?? .nothing {
        case .nothing: scheduler.remove(stream)
        case .withoutCredit: scheduler.enqueue(stream)
        case .withCredit where sendCredit.available > 0: scheduler.enqueue(stream)
        case .withCredit:
            scheduler.remove(stream)
            sendCredit.noteBlocked()
            if !stream.isParked {
                stream.isParked = true
                parked.append(stream)
            }
        }
        settleControl(stream)
        if !stream.isDeparting, stream.isTerminal {
            stream.isDeparting = true
            departing.append(stream)
        }
    }

    func settleControl(_ stream: Stream) {
        let isDue = stream.hasControlDue
        guard isDue != stream.wantsControl else { return }
        stream.wantsControl = isDue
        controlCount += isDue ? 1 : -1
        if isDue, !stream.isQueuedForControl {
            stream.isQueuedForControl = true
            controlQueue.append(stream)
        }
    }

    /// The connection's credit was raised: streams that waited for it take part again.
    func unpark() {
        let waiting = parked
        parked = []
        for stream in waiting {
            stream.isParked = false
            settle(stream)
        }
    }

    /// Queues an event that is not repeated while it waits.
    func announce(_ kind: Stream.WaitingEvents, _ event: StreamEvent, of stream: Stream) {
        if stream.waitingEvents.insert(kind).inserted { events.append(event) }
    }

    /// Has the buffer of an idle stream looked after.
    func keepWarm(_ stream: Stream) {
        guard !stream.isWarm, stream.receive?.hasUnusedMemory ?? false else { return }
        stream.isWarm = true
        warm.append(stream)
        if warmDeadline == nil { warmDeadline = latest + Self.idleBufferLifetime }
    }

    private func releaseUnusedMemory() {
        for stream in warm {
            stream.isWarm = false
            stream.receive?.releaseUnusedMemory()
        }
        warm = []
        warmDeadline = nil
    }

    private func removeDepartingStreams() {
        guard !departing.isEmpty else { return }
        for stream in departing {
            streams[stream.id] = nil
            guard stream.id.initiator != role else { continue }
            switch stream.id.direction {
            case .bidirectional: peerBidirectional.ended(stream.ending, at: latest)
            case .unidirectional: peerUnidirectional.ended(stream.ending, at: latest)
            }
        }
        departing = []
        recent = nil
    }
}
