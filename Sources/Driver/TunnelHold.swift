public import EventLoop
public import Primitives
public import Tunnel

/// A tunnel between two connections, with its stream and what its role remembers of it.
public final class HeldEntry<Note: TunnelHoldNote> {
    /// The tunnel.
    public let tunnel: HeldTunnel
    /// What its role remembers of it.
    public let note: Note
    /// Where its bytes come from and go to; nil when TCP has ended.
    public fileprivate(set) var side: TunnelSide?
    /// Since when no connection carries it.
    public let since: Instant
    /// When it is given up.
    public let expiry: Instant
    /// Bytes that the bound of its ring was raised by.
    fileprivate var grown = 0

    fileprivate init(_ tunnel: HeldTunnel, _ side: TunnelSide?, since: Instant, expiry: Instant, _ note: Note) {
        self.tunnel = tunnel
        self.note = note
        self.side = side
        self.since = since
        self.expiry = expiry
    }
}

/// Why a tunnel is held no longer though no connection has taken it.
public enum HoldEnd: Hashable, Sendable {
    /// Nobody came for it in time.
    case expired
    /// Others needed the room.
    case noRoom
}

/// What the role remembers of a tunnel in a hold.
public protocol TunnelHoldNote {
    /// In whose share of the memory the tunnel is.
    var holder: String { get }
}

/// What hears of tunnels in a hold.
public protocol TunnelHoldOwner<Note>: AnyObject {
    associatedtype Note: TunnelHoldNote
    /// The tunnel has ended, and its TCP was reset: for the log, the books and whoever waits for its end.
    func holdEnded(_ entry: HeldEntry<Note>, _ end: HoldEnd)
    /// The tunnel's TCP broke, and there is nothing in it that the peer should get. It stays in the hold; a client resumes it to
    /// say so, a gateway takes it out.
    func heldStreamBroken(_ entry: HeldEntry<Note>)
}

/// Keeps tunnels while no connection carries them.
///
/// TCP goes on filling the ring of each up to its bound, so that a program that writes is not held up before it must be; the
/// end of TCP is not missed. When there is no room left, the tunnels that are held longest end.
public final class TunnelHold<Note: TunnelHoldNote>: TimerHandler {
    /// What bounds the memory.
    public struct Limits: Hashable, Sendable {
        /// Tunnels at once.
        public var count: Int
        /// Bytes in the rings of all of them.
        public var memory: Int
        /// Bytes in the rings of one holder's.
        public var memoryPerHolder: Int
        /// Bytes that a ring may grow to while there is room.
        public var ring: Int

        /// Creates bounds.
        public init(count: Int, memory: Int, memoryPerHolder: Int, ring: Int) {
            self.count = count
            self.memory = memory
            self.memoryPerHolder = memoryPerHolder
            self.ring = ring
        }

        /// What rings may grow by: the rest is for them as they come.
        var growth: Int { memory / 4 * 3 }
        var growthPerHolder: Int { memoryPerHolder / 4 * 3 }
    }

    private let loop: EventLoop
    private weak var owner: (any TunnelHoldOwner<Note>)?
    private var timer: TimerHandle?
    private var entries: [ResumptionID: HeldEntry<Note>] = [:]
    private var bySide: [ObjectIdentifier: HeldEntry<Note>] = [:]
    /// Bytes that the bounds of rings were raised by, for each holder.
    private var grown: [String: Int] = [:]
    /// Bounds, looked at once a second.
    public var limits: Limits
    /// Whether streams are read; not any more when another process is about to go on with the tunnels.
    private var readsStreams = true

    /// Creates a hold without tunnels.
    public init(_ limits: Limits, on loop: EventLoop) {
        self.limits = limits
        self.loop = loop
    }

    /// Who hears of what happens to the tunnels.
    public func setOwner(_ owner: any TunnelHoldOwner<Note>) { self.owner = owner }

    /// Tunnels that are held.
    public var count: Int { entries.count }
    /// Bytes of memory in their rings.
    public var memory: Int { entries.values.reduce(0) { $0 + $1.tunnel.memory } }
    /// The tunnels, those that are held longest first.
    public var all: [HeldEntry<Note>] { entries.values.sorted { $0.since < $1.since } }

    /// Holds a tunnel for `linger`.
    public func hold(_ tunnel: HeldTunnel, _ side: TunnelSide?, for linger: Interval, _ note: Note) {
        let entry = HeldEntry(tunnel, side, since: loop.now, expiry: loop.now + linger, note)
        entries[tunnel.id] = entry
        if let side {
            bySide[ObjectIdentifier(side)] = entry
            side.mover = self
            side.isReading = readsStreams && (tunnel.wantsBytes > 0 || grow(entry))
        }
        tunnel.ring.releaseUnusedMemory()
        armTimer()
    }

    /// A tunnel that is held.
    public subscript(id: ResumptionID) -> HeldEntry<Note>? { entries[id] }

    /// Takes a tunnel out, for a connection.
    public func take(_ id: ResumptionID) -> HeldEntry<Note>? {
        guard let entry = entries.removeValue(forKey: id) else { return nil }
        let left = grown[entry.note.holder, default: 0] - entry.grown
        grown[entry.note.holder] = left > 0 ? left : nil
        entry.grown = 0
        if let side = entry.side {
            bySide[ObjectIdentifier(side)] = nil
            side.mover = nil
            side.isReading = false
        }
        return entry
    }

    /// Takes the tunnels out that `isWanted` names, those that are held longest first.
    public func takeAll(where isWanted: (HeldEntry<Note>) -> Bool) -> [HeldEntry<Note>] {
        all.filter(isWanted).compactMap { take($0.tunnel.id) }
    }

    /// Reads nothing more: another process goes on with the tunnels.
    public func freeze() {
        readsStreams = false
        for entry in entries.values { entry.side?.isReading = false }
    }

    /// Ends a tunnel without a word to the owner: TCP is reset.
    public func abort(_ id: ResumptionID) { take(id)?.side?.abort() }

    /// Resets a tunnel's TCP: the tunnel stays, so that its peer can be told.
    public func reset(_ id: ResumptionID) {
        guard let entry = entries[id], let side = takeSide(id) else { return }
        side.abort()
        owner?.heldStreamBroken(entry)
    }

    /// Takes the side of a tunnel away, for another tunnel: the one here stays, so that its peer can be told.
    public func takeSide(_ id: ResumptionID) -> TunnelSide? {
        guard let entry = entries[id], let side = entry.side else { return nil }
        bySide[ObjectIdentifier(side)] = nil
        entry.side = nil
        side.mover = nil
        side.isReading = false
        entry.tunnel.giveUp()
        return side
    }

    /// Ends all tunnels: TCP is reset.
    public func close() {
        for id in Array(entries.keys) { abort(id) }
        if let timer { loop.removeTimer(timer) }
        timer = nil
    }

    // MARK: - Bounds

    private func armTimer() {
        guard timer == nil else { return }
        let timer = loop.addTimer(self)
        self.timer = timer
        loop.arm(timer, at: loop.now + .seconds(1))
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        for entry in entries.values.filter({ $0.expiry <= now }) { end(entry, .expired) }
        makeRoom()
        if entries.isEmpty {
            loop.removeTimer(timer)
            self.timer = nil
        } else {
            loop.arm(timer, at: now + .seconds(1))
        }
    }

    private func makeRoom() {
        var (count, memory) = (self.count, self.memory)
        guard count > limits.count || memory > min(limits.memory, limits.memoryPerHolder) else { return }
        var shares: [String: Int] = [:]
        for entry in entries.values { shares[entry.note.holder, default: 0] += entry.tunnel.memory }
        for entry in all {
            let share = shares[entry.note.holder, default: 0]
            guard count > limits.count || memory > limits.memory || share > limits.memoryPerHolder else { continue }
            count -= 1
            memory -= entry.tunnel.memory
            shares[entry.note.holder] = share - entry.tunnel.memory
            end(entry, .noRoom)
        }
    }

    private func end(_ entry: HeldEntry<Note>, _ reason: HoldEnd) {
        abort(entry.tunnel.id)
        owner?.holdEnded(entry, reason)
    }
}

extension TunnelHold: TunnelSideMover {
    /// Raises the bound of a ring that is full: a destination that has sent everything and closed its socket is gone before its last bytes
    /// are read, when they have to wait for the client.
    private func grow(_ entry: HeldEntry<Note>) -> Bool {
        let ring = entry.tunnel.ring
        let growth = min(ring.limit, limits.ring - ring.limit)
        let own = grown[entry.note.holder, default: 0]
        let all = grown.values.reduce(0, +)
        guard entry.tunnel.outgoing == .open, growth > 0, all + growth <= limits.growth,
            own + growth <= limits.growthPerHolder
        else { return false }
        ring.limit += growth
        entry.grown += growth
        grown[entry.note.holder] = own + growth
        return true
    }

    func readable(_ side: TunnelSide) {
        guard let entry = bySide[ObjectIdentifier(side)] else { return }
        let tunnel = entry.tunnel
        guard tunnel.wantsBytes >= side.leastRoom || grow(entry) else { return side.isReading = false }
        switch side.read(into: tunnel.ring) {
        case .bytes, .wouldBlock: break
        case .endOfStream:
            side.endWasRead()
            tunnel.finArrived()
        case .failed: failed(side)
        }
    }

    // Nothing is written while there is no connection.
    func writable(_ side: TunnelSide) {}

    func failed(_ side: TunnelSide) {
        guard let entry = bySide.removeValue(forKey: ObjectIdentifier(side)) else { return }
        entry.side = nil
        let state = entry.tunnel.resetArrived()
        side.broke(state)
        if state == nil { owner?.heldStreamBroken(entry) }
    }
}

@available(*, unavailable)
extension TunnelHold: Sendable {}
@available(*, unavailable)
extension HeldEntry: Sendable {}
