internal import CSockets
public import EventLoop
internal import Glibc
public import Primitives

/// Has the keeper hold descriptors of one event loop, in batches off the way of anything that waits.
///
/// What is protected and released again before its batch goes costs no system call at all.
public final class KeeperClient: TimerHandler {
    /// A descriptor is with the keeper after this time: protected within the 100 ms that are promised.
    static let batchTime = Interval.milliseconds(20)

    /// Before another attempt when the keeper has not kept up.
    private static let retryTime = Interval.milliseconds(5)

    private let loop: EventLoop
    /// Messages of all loops go into one channel; each is taken by the system whole or not at all.
    private let descriptor: Int32
    private var timer: TimerHandle?
    /// In the order in which they came.
    private var protecting: [(key: DescriptorKey, descriptor: Int32)] = []
    private var releasing: [DescriptorKey] = []
    /// Descriptors that the keeper has been sent.
    private var sent: Set<DescriptorKey> = []

    /// A client on the calling thread's loop.
    ///
    /// - Parameter inherited: What the keeper holds already of this loop.
    public init(_ access: KeeperLink.Access, on loop: EventLoop, inherited: some Sequence<DescriptorKey> = [])
        throws(SystemError)
    {
        self.loop = loop
        descriptor = try access.copy()
        sent = Set(inherited)
        timer = loop.addTimer(self)
    }

    /// Closes the client; what it has not sent is not protected.
    public func close() {
        if let timer { loop.removeTimer(timer) }
        timer = nil
        gw_close(descriptor)
    }

    /// Has the keeper hold a copy of `descriptor`, which stays the caller's and open until it is released here.
    public func protect(_ descriptor: Int32, as key: DescriptorKey) {
        protecting.append((key, descriptor))
        if protecting.count >= KeeperMessage.mostKeys {
            _ = flush()
        } else if protecting.count == 1, releasing.isEmpty {
            arm(at: loop.now + Self.batchTime)
        }
    }

    /// Has the keeper close its copy, at the end of this turn. Call it before the descriptor is closed here; the
    /// connection ends when both are.
    public func release(_ key: DescriptorKey) {
        if let place = protecting.firstIndex(where: { $0.key == key }) { protecting.remove(at: place) }
        guard sent.remove(key) != nil else { return }
        releasing.append(key)
        if releasing.count == 1 { arm(at: loop.now) }
    }

    /// How far a descriptor is on its way to the keeper.
    public enum Standing: Hashable, Sendable {
        /// The keeper holds it, or will before it hears anything else.
        case sent
        /// It waits for its batch.
        case waiting
    }

    /// Leaves a descriptor to the client of another loop, which is to `adopt` it.
    public func surrender(_ key: DescriptorKey) -> Standing {
        if let place = protecting.firstIndex(where: { $0.key == key }) { protecting.remove(at: place) }
        return sent.remove(key) == nil ? .waiting : .sent
    }

    /// Takes over what the client of another loop has left.
    public func adopt(_ descriptor: Int32, as key: DescriptorKey, _ standing: Standing) {
        switch standing {
        case .sent: sent.insert(key)
        case .waiting: protect(descriptor, as: key)
        }
    }

    /// Sends everything now and waits for room, for `milliseconds` each time at most. Tells whether everything has gone.
    @discardableResult
    public func flush(atMost milliseconds: Int32) -> Bool {
        while !flush() {
            guard gw_wait_writable(descriptor, milliseconds) > 0 else { return false }
        }
        return true
    }

    /// Sends what there is room for, and comes back for the rest.
    private func flush() -> Bool {
        // A descriptor may go over from one key to another: it is held all the time.
        while !protecting.isEmpty {
            let batch = protecting.prefix(KeeperMessage.mostKeys)
            guard send(batch) != .later else { return false }
            sent.formUnion(batch.map(\.key))
            protecting.removeFirst(batch.count)
        }
        while !releasing.isEmpty {
            let batch = Array(releasing.prefix(KeeperMessage.mostKeys))
            // The keeper is gone when this is refused, and its copies with it.
            guard send(.release(batch), []) != .later else { return false }
            releasing.removeFirst(batch.count)
        }
        return true
    }

    private enum Outcome {
        case sent
        case later
        case refused
    }

    /// Sends a batch. The system refuses one as a whole when a single descriptor in it is none: the others go without that one.
    private func send(_ batch: ArraySlice<(key: DescriptorKey, descriptor: Int32)>) -> Outcome {
        let outcome = send(.protect(batch.map(\.key)), batch.map(\.descriptor))
        guard outcome == .refused, batch.count > 1 else { return outcome }
        let middle = batch.startIndex + batch.count / 2
        // What has gone twice is held once.
        guard send(batch[..<middle]) != .later else { return .later }
        return send(batch[middle...])
    }

    private func send(_ message: KeeperMessage, _ descriptors: [Int32]) -> Outcome {
        let result = DescriptorChannel.send(message, descriptors, to: descriptor)
        guard result < 0 else { return .sent }
        guard [EAGAIN, ETOOMANYREFS, ENOBUFS, ENOMEM].contains(Int32(-result)) else { return .refused }
        arm(at: loop.now + Self.retryTime)
        return .later
    }

    private func arm(at deadline: Instant) {
        if let timer { loop.arm(timer, at: deadline) }
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) { _ = flush() }
}

@available(*, unavailable)
extension KeeperClient: Sendable {}
