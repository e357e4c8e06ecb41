internal import CSockets
internal import EventLoop
internal import Glibc
internal import Primitives

/// What is called when a message arrives.
protocol DescriptorChannelHandler: AnyObject {
    /// A message, and the descriptors of its keys, which now belong to the handler.
    func channel(_ channel: DescriptorChannel, received message: KeeperMessage, descriptors: [Int32])
    /// The other end is gone, or talks nonsense.
    func channelEnded(_ channel: DescriptorChannel)
}

/// Messages with descriptors between two processes, in order, never blocking: what does not go at once waits.
final class DescriptorChannel: FileDescriptorHandler, TimerHandler {
    let descriptor: Int32
    private let loop: EventLoop
    private var handler: (any DescriptorChannelHandler)?
    private var events: FileDescriptorEvents?
    private var retry: TimerHandle?
    /// Messages that wait, first to go first.
    private var waiting: ArraySlice<(message: KeeperMessage, descriptors: [Int32])> = []

    /// What is received in one turn at most; the rest comes in the next.
    private static let messagesPerTurn = 16
    /// The system counts descriptors that nobody has received yet, and tells nobody when there is room again.
    private static let retryInterval = Interval.milliseconds(5)

    /// Takes over one end, which only sends until there is a handler.
    init(_ descriptor: Int32, on loop: EventLoop) {
        self.descriptor = descriptor
        self.loop = loop
        events = FileDescriptorEvents(descriptor, on: loop, handler: self)
        retry = loop.addTimer(self)
    }

    /// Who hears of messages from now on; kept until the channel is closed.
    func setHandler(_ handler: any DescriptorChannelHandler) {
        guard let events else { return }
        self.handler = handler
        events.watch(also: .read)
    }

    /// Closes this end.
    func close() {
        guard let events else { return }
        events.cancel()
        self.events = nil
        handler = nil
        waiting = []
        if let retry { loop.removeTimer(retry) }
        retry = nil
        gw_close(descriptor)
    }

    // MARK: Sending

    /// Sends a message, now or when there is room. The descriptors stay the caller's, and open until the message has gone.
    func send(_ message: KeeperMessage, descriptors: [Int32] = []) {
        waiting.append((message, descriptors))
        if waiting.count == 1 { flush() }
    }

    /// Sends keys in as many messages as it takes, with their descriptors where there are any.
    func send(
        _ kind: ([DescriptorKey]) -> KeeperMessage, _ keys: [DescriptorKey], descriptors: [Int32] = []
    ) {
        var first = 0
        while first < keys.count {
            let next = min(first + KeeperMessage.mostKeys, keys.count)
            send(
                kind(Array(keys[first..<next])),
                descriptors: descriptors.isEmpty ? [] : Array(descriptors[first..<next]))
            first = next
        }
    }

    private func flush() {
        guard let events else { return }
        while let (message, descriptors) = waiting.first {
            let result = Self.send(message, descriptors, to: descriptor)
            switch Int32(-min(result, 0)) {
            case 0: waiting.removeFirst()
            case EAGAIN: return events.watch(also: .write)
            case ETOOMANYREFS, ENOBUFS, ENOMEM:
                if let retry { loop.arm(retry, at: loop.now + Self.retryInterval) }
                return
            default:
                // The reader hears of the end; what cannot be sent is of no use any more.
                waiting = []
                return events.ignore(.write)
            }
        }
        events.ignore(.write)
    }

    /// One attempt: bytes sent or a negated errno.
    static func send(_ message: KeeperMessage, _ descriptors: [Int32], to channel: Int32) -> Int {
        let bytes = message.encoded
        // The pointers are used during the call only.
        return unsafe gw_channel_send(channel, bytes, bytes.count, descriptors, Int32(descriptors.count))
    }

    // MARK: Receiving

    /// What one attempt to receive brought.
    enum Received {
        case message(KeeperMessage, [Int32])
        case nothing
        case end
    }

    /// One attempt.
    static func receive(from channel: Int32) -> Received {
        var bytes = [UInt8](repeating: 0, count: KeeperMessage.mostBytes)
        var descriptors = [Int32](repeating: -1, count: KeeperMessage.mostKeys)
        var count = Int32(descriptors.count)
        // The pointers are used during the call only.
        let length = unsafe gw_channel_receive(channel, &bytes, bytes.count, &descriptors, &count)
        guard length > 0 else { return length == -Int(EAGAIN) ? .nothing : .end }
        descriptors.removeLast(descriptors.count - Int(count))
        guard let message = KeeperMessage(bytes.prefix(length), descriptors: descriptors.count) else {
            for descriptor in descriptors { gw_close(descriptor) }
            return .end
        }
        return .message(message, descriptors)
    }

    func descriptorReadable() {
        for _ in 0..<Self.messagesPerTurn {
            guard events != nil else { return }
            switch Self.receive(from: descriptor) {
            case .message(let message, let descriptors):
                guard let handler else { return }
                handler.channel(self, received: message, descriptors: descriptors)
            case .nothing: return
            case .end:
                events?.watch([])
                handler?.channelEnded(self)
                return
            }
        }
        loop.turnSoon()
    }

    /// Hands on everything that is there still, when the other end is known to be gone.
    func receiveRest() {
        while events != nil, let handler, case .message(let message, let descriptors) = Self.receive(from: descriptor) {
            handler.channel(self, received: message, descriptors: descriptors)
        }
    }

    func descriptorWritable() { flush() }
    func descriptorHungUp() {}
    func timerFired(_ timer: TimerHandle, at now: Instant) { flush() }
}

@available(*, unavailable)
extension DescriptorChannel: Sendable {}
