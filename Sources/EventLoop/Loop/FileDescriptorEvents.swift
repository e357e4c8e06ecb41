internal import CEvent
internal import CSockets

/// What is called when a descriptor is ready.
public protocol FileDescriptorHandler: AnyObject {
    /// Bytes, a connection, the end of the stream or an error can be read.
    func descriptorReadable()
    /// There is room to write, or an error to find.
    func descriptorWritable()
    /// The other end is gone altogether while nothing else was watched.
    func descriptorHungUp()
}

/// What a descriptor is watched for.
public struct DescriptorInterest: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// Creates a set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Readable.
    public static let read = DescriptorInterest(rawValue: 1)
    /// Writable.
    public static let write = DescriptorInterest(rawValue: 2)
    /// Broken in both directions. Only needed without the other two, which find it anyway.
    public static let hangUp = DescriptorInterest(rawValue: 4)
}

/// The readiness of one descriptor: interest is switched without allocation, and the system hears of what has become of it when
/// the turn ends. What is wanted and not wanted again within a turn costs nothing.
///
/// Watching keeps the handler alive until `cancel`. A descriptor that the system cannot wait for (a regular file) is
/// reported as ready in every turn. The descriptor itself stays its owner's.
@safe
public final class FileDescriptorEvents {
    /// What is watched.
    public let descriptor: Int32
    /// What it is currently watched for.
    public private(set) var interest: DescriptorInterest = []

    /// Whether the peer of a socket had finished sending when the socket last became readable.
    public private(set) var hasPeerFinished = false

    private let loop: EventLoop
    private var handler: (any FileDescriptorHandler)?
    // Each is allocated when it is first needed and freed in deinit.
    private var readEvent: OpaquePointer?
    private var writeEvent: OpaquePointer?
    private var hangUpEvent: OpaquePointer?
    private var isAlwaysReady = false
    /// What the system watches it for.
    private var registered: DescriptorInterest = []
    /// Whether the loop will ask what is to be registered.
    private var isAwaited = false
    /// Whether it stands among the loop's late hang-ups.
    private var isLate = false

    /// Prepares to watch `descriptor`; nothing is watched until `watch`.
    public init(_ descriptor: Int32, on loop: EventLoop, handler: any FileDescriptorHandler) {
        self.descriptor = descriptor
        self.loop = loop
        self.handler = handler
    }

    deinit {
        if let readEvent = unsafe readEvent { unsafe gw_event_free(readEvent) }
        if let writeEvent = unsafe writeEvent { unsafe gw_event_free(writeEvent) }
        if let hangUpEvent = unsafe hangUpEvent { unsafe gw_event_free(hangUpEvent) }
    }

    /// Watches for exactly `wanted` from now on.
    public func watch(_ wanted: DescriptorInterest) {
        guard wanted != interest, handler != nil else { return }
        interest = wanted
        awaitRegistration()
    }

    private func awaitRegistration() {
        guard !isAwaited else { return }
        isAwaited = loop.isInTurn
        if isAwaited { loop.addRegistration(self) } else { register() }
    }

    /// Tells the system what is watched for: outside of a turn at once, within one when it ends.
    func register() {
        isAwaited = false
        let before = registered
        guard before != interest, !isAlwaysReady else { return }
        registered = interest == .hangUp ? [] : interest
        // Edge-triggered and level-triggered events of one descriptor do not mix: hang-up goes first and comes last.
        if before == .hangUp { unsafe remove(hangUpEvent) }
        switchReading(from: before, to: interest)
        switchWriting(from: before, to: interest)
        guard interest == .hangUp, !isLate else { return }
        isLate = true
        loop.lateHangUps.append(self)
    }

    /// For the loop: registers the hang-up if nothing else became wanted meanwhile.
    func registerHangUp() {
        isLate = false
        guard interest == .hangUp, registered.isEmpty, !isAlwaysReady else { return }
        registered = interest
        addHangUp()
    }

    /// Adds to what is watched for.
    public func watch(also more: DescriptorInterest) { watch(interest.union(more)) }

    /// Takes away from what is watched for.
    public func ignore(_ less: DescriptorInterest) { watch(interest.subtracting(less)) }

    /// Ends the watching for good and lets go of the handler. To be called before the descriptor is closed.
    public func cancel() {
        handler = nil
        interest = []
        // The system may watch what another process has a copy of for as long as that one keeps it.
        register()
        if isAlwaysReady { loop.removeAlwaysReady(self) }
    }

    private func switchReading(from before: DescriptorInterest, to wanted: DescriptorInterest) {
        guard before.contains(.read) != wanted.contains(.read) else { return }
        guard wanted.contains(.read) else { return unsafe remove(readEvent) }
        if unsafe readEvent == nil { unsafe readEvent = makeEvent(GW_READ, descriptorReadReady) }
        unsafe add(readEvent)
    }

    private func switchWriting(from before: DescriptorInterest, to wanted: DescriptorInterest) {
        guard before.contains(.write) != wanted.contains(.write) else { return }
        guard wanted.contains(.write) else { return unsafe remove(writeEvent) }
        if unsafe writeEvent == nil { unsafe writeEvent = makeEvent(GW_WRITE, descriptorWriteReady) }
        unsafe add(writeEvent)
    }

    private func addHangUp() {
        // The system reports a broken connection whatever is asked for, and libevent hands that to a write event. With
        // edges, an idle connection is reported once as writable and then only when it breaks.
        if unsafe hangUpEvent == nil {
            unsafe hangUpEvent = makeEvent(GW_WRITE_EDGE, descriptorHangUpReady)
        }
        unsafe add(hangUpEvent)
    }

    private func makeEvent(_ kind: Int, _ callback: gw_event_callback) -> OpaquePointer? {
        // Unretained: deinit frees the event.
        unsafe gw_event_new(loop.base, descriptor, Int32(kind), callback, Unmanaged.passUnretained(self).toOpaque())
    }

    private func add(_ event: OpaquePointer?) {
        // Where the system cannot watch (EPERM for regular files) or has no room left to, trying every turn is right,
        // if slow.
        if let event = unsafe event, unsafe gw_event_add(event) == 0 { return }
        isAlwaysReady = true
        loop.addAlwaysReady(self)
    }

    private func remove(_ event: OpaquePointer?) {
        if let event = unsafe event { unsafe gw_event_remove(event) }
    }

    // MARK: Delivery

    func deliverAlwaysReady() {
        if interest.contains(.read) { handler?.descriptorReadable() }
        if interest.contains(.write) { handler?.descriptorWritable() }
    }

    // The system may tell what is no longer wanted in this turn.

    fileprivate func readReady(_ what: Int16) {
        loop.enterTurn()
        hasPeerFinished = gw_event_is_closed(what) != 0
        if interest.contains(.read) { handler?.descriptorReadable() }
    }

    fileprivate func writeReady() {
        loop.enterTurn()
        if interest.contains(.write) { handler?.descriptorWritable() }
    }

    fileprivate func hangUpReady() {
        loop.enterTurn()
        guard interest == .hangUp else {
            // An edge is told once: whoever wants it again after all is to hear of it again.
            unsafe remove(hangUpEvent)
            registered = []
            return awaitRegistration()
        }
        if gw_has_hung_up(descriptor) == 1 { handler?.descriptorHungUp() }
    }
}

@available(*, unavailable)
extension FileDescriptorEvents: Sendable {}

private func owner(_ context: UnsafeMutableRawPointer?) -> FileDescriptorEvents? {
    // The object is alive: its deinit frees the event. The returned reference keeps it so during the call.
    unsafe context.map { unsafe Unmanaged<FileDescriptorEvents>.fromOpaque($0).takeUnretainedValue() }
}

private func descriptorReadReady(_: Int32, _ what: Int16, _ context: UnsafeMutableRawPointer?) {
    unsafe owner(context)?.readReady(what)
}

private func descriptorWriteReady(_: Int32, _: Int16, _ context: UnsafeMutableRawPointer?) {
    unsafe owner(context)?.writeReady()
}

private func descriptorHangUpReady(_: Int32, _: Int16, _ context: UnsafeMutableRawPointer?) {
    unsafe owner(context)?.hangUpReady()
}
