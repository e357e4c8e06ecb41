internal import CSockets
internal import EventLoop
internal import Primitives

/// The descriptors that the keeper holds, and their copies with the service manager.
final class DescriptorShelf: TimerHandler {
    private(set) var descriptors: [DescriptorKey: Int32]
    private let notify: NotifySocket?
    private let loop: EventLoop
    private var retry: TimerHandle?
    /// What the service manager has not been told yet, in order.
    private var untold: ArraySlice<Notice> = []

    private enum Notice {
        case store(DescriptorKey)
        case remove(DescriptorKey)
        case ready
    }

    /// A service manager that has no time is asked again after this.
    private static let retryInterval = Interval.milliseconds(10)

    init(_ descriptors: [DescriptorKey: Int32], notify: NotifySocket?, on loop: EventLoop) {
        self.descriptors = descriptors
        self.notify = notify
        self.loop = loop
        retry = loop.addTimer(self)
    }

    /// Keys in an order that does not depend on chance.
    var keys: [DescriptorKey] { descriptors.keys.sorted { $0.word < $1.word } }

    func put(_ keys: [DescriptorKey], _ received: [Int32]) {
        for (key, descriptor) in zip(keys, received) {
            if let old = descriptors.updateValue(descriptor, forKey: key) {
                gw_close(old)
                tell(.remove(key))
            }
            tell(.store(key))
        }
    }

    func remove(_ keys: [DescriptorKey]) {
        for key in keys {
            guard let descriptor = descriptors.removeValue(forKey: key) else { continue }
            gw_close(descriptor)
            tell(.remove(key))
        }
    }

    /// The first worker serves.
    func tellReady() { tell(.ready) }

    /// Closes everything; the service manager is told as far as it listens now.
    func clear() {
        remove(keys)
        flush()
        if let retry { loop.removeTimer(retry) }
        retry = nil
    }

    private func tell(_ notice: Notice) {
        guard notify != nil else { return }
        untold.append(notice)
        if untold.count == 1 { flush() }
    }

    private func flush() {
        guard let notify else { return }
        while let notice = untold.first {
            let outcome =
                switch notice {
                case .store(let key): descriptors[key].map { notify.store($0, as: key) } ?? .sent
                case .remove(let key): notify.remove(key)
                case .ready: notify.send("READY=1")
                }
            if case .later = outcome {
                if let retry { loop.arm(retry, at: loop.now + Self.retryInterval) }
                return
            }
            untold.removeFirst()
        }
    }

    func timerFired(_ timer: TimerHandle, at now: Instant) { flush() }
}
