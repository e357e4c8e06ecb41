public import EventLoop
import Glibc
public import Primitives
import QUIC
public import Tunnel

/// Moves bytes between the tunnels of one connection and their byte streams: TCP connections, or a pair of pipes.
///
/// It carries out the actions of a `TunnelRelay` that concern bytes; what opens and refuses tunnels is the role's.
public final class RelayDriver: TimerHandler, TunnelSideMover {
    /// Bytes read from one stream in one turn, so that one fast sender leaves time for the others.
    static let bytesPerTurn = 512 * 1024
    /// How often tunnels give back memory that they do not use, while any bytes move and once more after that: a tunnel at
    /// rest costs next to none.
    static let memoryInterval = Interval.seconds(3)

    private let relay: TunnelRelay
    private unowned let driven: DrivenConnection
    private let loop: EventLoop
    private var sides: [TunnelID: TunnelSide] = [:]
    /// Only while bytes move.
    private var memoryTimer: TimerHandle?
    /// Whether bytes have moved since the timer was armed.
    private var hasMoved = false
    /// Only while the peer is to be told of deliveries.
    private var reportTimer: TimerHandle?

    /// Creates the driver of `relay`, which runs over `driven`.
    public init(_ relay: TunnelRelay, over driven: DrivenConnection, on loop: EventLoop) {
        self.relay = relay
        self.driven = driven
        self.loop = loop
    }

    /// Joins a tunnel to a stream, which belongs to the driver from now on. Nothing is read before the relay asks.
    ///
    /// What is read goes through `filter`, where there is one.
    @discardableResult
    public func attach(
        _ stream: ByteStream, to id: TunnelID, filter: (any IngressFilter)? = nil
    ) -> TunnelSide {
        let side = TunnelSide(id, stream, filter, mover: self)
        sides[id] = side
        return side
    }

    /// The local side of a tunnel; nil when it has none, or none any more.
    public func side(of id: TunnelID) -> TunnelSide? { sides[id] }

    /// Joins a tunnel to the side that it had on another connection.
    public func attach(_ side: TunnelSide, to id: TunnelID) {
        side.id = id
        side.mover = self
        sides[id] = side
    }

    /// Lets go of a tunnel's side, which stays open, when the tunnel leaves the connection; nil when it has none any more.
    public func release(_ id: TunnelID) -> TunnelSide? {
        guard let side = sides.removeValue(forKey: id) else { return nil }
        side.mover = nil
        side.id = nil
        side.isReading = false
        return side
    }

    /// Carries out an action that concerns bytes; others are left to the role.
    ///
    /// - Returns: whether the tunnel is gone with it.
    @discardableResult
    public func perform(_ action: TunnelAction) -> Bool {
        switch action {
        case .read(let id):
            sides[id]?.isReading = true
        case .deliver(let id): deliver(id)
        case .closeWrite(let id): sides[id]?.finishWriting()
        case .close(let id):
            sides.removeValue(forKey: id)?.close()
            return true
        case .reset(let id):
            sides.removeValue(forKey: id)?.abort()
            return true
        case .authenticate, .connect, .resume, .opened, .resumed, .detached, .failed, .goingAway, .ended: break
        }
        return false
    }

    /// Resets every stream that is still joined: the connection is gone.
    public func abortAll() {
        for side in sides.values { side.abort() }
        sides = [:]
        removeTimers()
    }

    // MARK: - Memory and reports

    private func bytesMove() {
        hasMoved = true
        guard memoryTimer == nil else { return }
        let timer = loop.addTimer(self)
        loop.arm(timer, at: loop.now + Self.memoryInterval)
        memoryTimer = timer
    }

    /// The peer is told of deliveries a little later, so that one report stands for many.
    private func armReports() {
        guard let deadline = relay.nextDeadline else { return }
        let timer = reportTimer ?? loop.addTimer(self)
        reportTimer = timer
        loop.arm(timer, at: deadline)
    }

    private func removeTimers() {
        if let memoryTimer { loop.removeTimer(memoryTimer) }
        memoryTimer = nil
        if let reportTimer { loop.removeTimer(reportTimer) }
        reportTimer = nil
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        if timer == reportTimer {
            relay.deadlineReached(at: now)
            armReports()
            return driven.needsService()
        }
        relay.releaseUnusedMemory()
        guard hasMoved else {
            loop.removeTimer(timer)
            memoryTimer = nil
            return
        }
        hasMoved = false
        loop.arm(timer, at: now + Self.memoryInterval)
    }

    // MARK: - Streams

    func readable(_ side: TunnelSide) {
        guard let id = side.id, let ring = relay.ring(of: id) else { return side.isReading = false }
        let end = ring.end
        let reading = read(side, id, into: ring)
        if ring.end > end { bytesMove() }
        switch reading {
        // The relay hears of the last bytes and of the end at once: they leave in one capsule.
        case .ended:
            side.endWasRead()
            relay.finArrived(on: id)
        case .paused where ring.end > end, .failed where ring.end > end: relay.bytesArrived(on: id)
        case .paused, .failed: break
        }
        if reading == .failed { return failed(side) }
        if reading == .ended || ring.end > end { driven.needsService() }
    }

    /// Why reading has ended in this turn.
    private enum Reading: Hashable {
        /// Nothing is there, or nothing more is wanted in this turn.
        case paused
        case ended
        case failed
    }

    /// Reads what is there and wanted.
    private func read(_ side: TunnelSide, _ id: TunnelID, into ring: ByteRing) -> Reading {
        var budget = Self.bytesPerTurn
        while budget > 0 {
            guard relay.wantsBytes(id, atLeast: side.leastRoom) > 0 else {
                side.isReading = false
                return .paused
            }
            switch side.read(into: ring) {
            case .bytes(let count): budget -= count
            case .wouldBlock: return .paused
            case .endOfStream: return .ended
            case .failed: return .failed
            }
        }
        return .paused
    }

    func failed(_ side: TunnelSide) {
        guard let id = side.id else { return }
        sides[id] = nil
        side.broke(relay.resetArrived(on: id))
        driven.needsService()
    }

    func writable(_ side: TunnelSide) {
        if let id = side.id { deliver(id) }
        driven.needsService()
    }

    private func deliver(_ id: TunnelID) {
        guard let side = sides[id] else { return }
        bytesMove()
        var failure: SystemError?
        relay.deliver(id, at: loop.now) { bytes, fin in
            guard failure == nil else { return 0 }
            switch side.write(bytes, before: fin == .end ? .end : .anything) {
            case .bytes(let count): return count
            case .wouldBlock: return 0
            case .failed(let error):
                failure = error
                return 0
            }
        }
        armReports()
        if failure != nil { failed(side) }
    }
}
