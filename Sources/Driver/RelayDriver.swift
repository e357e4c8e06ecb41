public import EventLoop
import Glibc
public import Primitives
public import Tunnel

/// Moves bytes between the tunnels of one connection and their byte streams: TCP connections, or a pair of pipes.
///
/// It carries out the actions of a `TunnelRelay` that concern bytes; what opens and refuses tunnels is the role's.
public final class RelayDriver: TimerHandler {
    /// Bytes read from one stream in one turn, so that one fast sender leaves time for the others.
    static let bytesPerTurn = 512 * 1024
    /// Bytes read at once from a stream whose bytes are filtered.
    static let filteredReadSize = 16 * 1024
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

    /// Creates the driver of `relay`, which runs over `driven`.
    public init(_ relay: TunnelRelay, over driven: DrivenConnection, on loop: EventLoop) {
        self.relay = relay
        self.driven = driven
        self.loop = loop
    }

    /// Joins a tunnel to a stream, which belongs to the driver from now on. Nothing is read before the relay asks.
    ///
    /// What is read goes through `filter`, where there is one.
    public func attach(_ stream: ByteStream, to id: TunnelID, filter: (any IngressFilter)? = nil) {
        let side = TunnelSide(id, stream, filter, driver: self)
        sides[id] = side
        stream.setHandler(side)
        stream.watchForReset()
    }

    /// Carries out an action that concerns bytes; others are left to the role.
    ///
    /// - Returns: whether the tunnel is gone with it.
    @discardableResult
    public func perform(_ action: TunnelAction) -> Bool {
        switch action {
        case .read(let id):
            sides[id]?.stream.isReading = true
        case .deliver(let id): deliver(id)
        case .closeWrite(let id): sides[id]?.finishWriting()
        case .close(let id):
            sides.removeValue(forKey: id)?.stream.close()
            return true
        case .reset(let id), .detached(let id):
            sides.removeValue(forKey: id)?.stream.abort()
            return true
        case .authenticate, .connect, .resume, .opened, .resumed, .failed, .goingAway, .ended: break
        }
        return false
    }

    /// Resets every stream that is still joined: the connection is gone.
    public func abortAll() {
        for side in sides.values { side.stream.abort() }
        sides = [:]
        removeMemoryTimer()
    }

    // MARK: - Memory

    private func bytesMove() {
        hasMoved = true
        guard memoryTimer == nil else { return }
        let timer = loop.addTimer(self)
        loop.arm(timer, at: loop.now + Self.memoryInterval)
        memoryTimer = timer
    }

    private func removeMemoryTimer() {
        if let memoryTimer { loop.removeTimer(memoryTimer) }
        memoryTimer = nil
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        relay.releaseUnusedMemory()
        guard hasMoved else { return removeMemoryTimer() }
        hasMoved = false
        loop.arm(timer, at: now + Self.memoryInterval)
    }

    // MARK: - Streams

    func readable(_ side: TunnelSide) {
        guard let ring = relay.ring(of: side.id) else { return side.stream.isReading = false }
        var budget = Self.bytesPerTurn
        while budget > 0 {
            guard relay.wantsBytes(side.id) > 0 else { return side.stream.isReading = false }
            switch read(side, into: ring) {
            case .bytes(let count):
                bytesMove()
                budget -= count
                relay.bytesArrived(on: side.id)
                driven.needsService()
            case .wouldBlock: return
            case .endOfStream:
                relay.finArrived(on: side.id)
                driven.needsService()
                return
            case .failed: return failed(side)
            }
        }
    }

    private func read(_ side: TunnelSide, into ring: ByteRing) -> ByteStream.ReadOutcome {
        guard let filter = side.filter else { return side.stream.read(into: ring) }
        var buffer = [UInt8](repeating: 0, count: min(ring.freeSpace, Self.filteredReadSize))
        var region = buffer.mutableSpan
        let outcome = side.stream.read(into: &region)
        guard case .bytes(let count) = outcome else { return outcome }
        switch filter.admit(buffer.span.extracting(0..<count)) {
        case .bytes(let admitted): _ = ring.append(buffer.span.extracting(0..<admitted))
        case .violation: return .failed(SystemError(.read, code: EPROTO))
        }
        return outcome
    }

    func failed(_ side: TunnelSide) {
        sides[side.id] = nil
        side.stream.abort()
        relay.resetArrived(on: side.id)
        driven.needsService()
    }

    func writable(_ side: TunnelSide) {
        deliver(side.id)
        driven.needsService()
    }

    private func deliver(_ id: TunnelID) {
        guard let side = sides[id] else { return }
        bytesMove()
        var failure: SystemError?
        relay.deliver(id, at: loop.now) { bytes in
            guard failure == nil else { return 0 }
            switch side.stream.write(bytes) {
            case .bytes(let count): return count
            case .wouldBlock: return 0
            case .failed(let error):
                failure = error
                return 0
            }
        }
        if failure != nil { failed(side) }
    }
}

/// The local side of one tunnel: a TCP connection or a pair of pipes.
final class TunnelSide: ByteStreamHandler {
    let id: TunnelID
    let stream: ByteStream
    let filter: (any IngressFilter)?
    private unowned let driver: RelayDriver

    init(_ id: TunnelID, _ stream: ByteStream, _ filter: (any IngressFilter)?, driver: RelayDriver) {
        self.id = id
        self.stream = stream
        self.filter = filter
        self.driver = driver
    }

    func finishWriting() {
        do throws(SystemError) {
            try stream.shutdownWrite()
        } catch {
            driver.failed(self)
        }
    }

    func streamReadable(_ stream: ByteStream) { driver.readable(self) }
    func streamWritable(_ stream: ByteStream) { driver.writable(self) }
    func streamBroken(_ stream: ByteStream) { driver.failed(self) }
}
