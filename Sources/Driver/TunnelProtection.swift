import DequeModule
public import EventLoop
public import Keeper
public import Primitives
public import QUIC
public import Tunnel

/// One loop's tunnels: in memory that outlives the process, with their sockets at the keeper. That is what a new process needs
/// to go on with them.
///
/// A tunnel is protected from a little after its grant to its end: many are over before, and cost nothing here. What it cannot protect
/// (a pipe, bytes that are filtered, a tunnel for which there is no room) ends with the process as ever.
public final class TunnelProtection: TimerHandler {
    /// A tunnel that is so old is protected.
    static let grace = Interval.milliseconds(20)
    /// How long the first of several waits for the others beyond that. With the time that the keeper's client takes
    /// (`KeeperClient.batchTime`) a tunnel is protected within the 100 ms that are promised.
    static let batchTime = Interval.milliseconds(10)

    private let vault: TunnelVault
    private let keeper: KeeperClient
    private let opening: TCPProgress.Opening
    private let loop: EventLoop
    private var timer: TimerHandle?
    private var records: [ResumptionID: VaultTunnel] = [:]
    private var young: [ResumptionID: YoungTunnel] = [:]
    /// Their ages, the oldest first; those that are over meanwhile, too.
    private var ages: Deque<(since: Instant, id: ResumptionID)> = []

    /// A tunnel that is not protected yet.
    private struct YoungTunnel {
        let destination: Destination?
        let owner: [UInt8]
        let ring: ByteRing
        let side: TunnelSide
        let beginning: Beginning
        var generation: UInt64 = 0
    }

    /// Where the bytes of a tunnel begin in those of its stream.
    private enum Beginning {
        /// So many bytes after the beginning of the connection.
        case counted(read: UInt64, written: UInt64)
        /// The kernel was asked.
        case measured(TCPOrigin)
    }

    /// Protects tunnels in `vault`, whose TCP connections this side has dialled or accepted.
    public init(
        _ vault: TunnelVault, _ keeper: KeeperClient, _ opening: TCPProgress.Opening, on loop: EventLoop
    ) {
        self.vault = vault
        self.keeper = keeper
        self.opening = opening
        self.loop = loop
        timer = loop.addTimer(self)
    }

    /// Tunnels that are protected.
    public var count: Int { records.count }

    /// Has a tunnel protected whose ring is `ring` and to whose side `delivered` bytes were written.
    ///
    /// - Parameters:
    ///   - owner: What the role needs to know of it later.
    ///   - side: Its side.
    public func open(
        _ id: ResumptionID, to destination: Destination?, owner: [UInt8], ring: ByteRing, delivered: UInt64 = 0,
        _ side: TunnelSide
    ) {
        guard let beginning = beginning(of: side, read: ring.end, written: delivered) else { return }
        young[id] = YoungTunnel(
            destination: destination, owner: owner, ring: ring, side: side, beginning: beginning)
        ages.append((loop.now, id))
        if ages.count == 1 { armTimer() }
    }

    /// The first bytes of a connection may have been a program's words to a proxy, and not the tunnel's.
    private func beginning(of side: TunnelSide, read: UInt64, written: UInt64) -> Beginning? {
        guard side.stream.kind == .tcp, !side.isAltered, let descriptor = side.stream.socketDescriptor else {
            return nil
        }
        guard let counts = side.stream.counts else {
            return (try? TCPProgress.origin(of: descriptor, consumed: read, written: written)).map { .measured($0) }
        }
        guard counts.read >= read, counts.written >= written else { return nil }
        return .counted(read: counts.read - read, written: counts.written - written)
    }

    /// Protects what has not been protected yet: another process is about to go on with it.
    public func protectAll() {
        while let (_, id) = ages.popFirst() { protect(id) }
    }

    /// For the loop.
    public func timerFired(_ timer: TimerHandle, at now: Instant) {
        while let first = ages.first, first.since + Self.grace <= now {
            ages.removeFirst()
            protect(first.id)
        }
        armTimer()
    }

    private func armTimer() {
        guard let timer, let first = ages.first else { return }
        loop.arm(timer, at: first.since + Self.grace + Self.batchTime)
    }

    private func protect(_ id: ResumptionID) {
        guard let tunnel = young.removeValue(forKey: id), !tunnel.side.isAltered,
            let descriptor = tunnel.side.stream.socketDescriptor, let origin = origin(of: tunnel, descriptor)
        else { return }
        let entry = TunnelEntry(
            resumptionID: id.words, owner: tunnel.owner, destination: tunnel.destination.map { "\($0)" } ?? "",
            origin: origin)
        let opened = vault.open(entry, generation: tunnel.generation, start: tunnel.ring.start)
        guard let record = opened else { return }
        tunnel.ring.move(into: record)
        records[id] = record
        if tunnel.side.stream.hasFinishedWriting { record.mark(.endWritten) }
        if tunnel.side.stream.hasReachedEnd { record.mark(.endRead) }
        tunnel.side.record = record
        keeper.protect(descriptor, as: record.key)
    }

    private func origin(of tunnel: YoungTunnel, _ descriptor: Int32) -> TCPOrigin? {
        switch tunnel.beginning {
        case .counted(let read, let written):
            try? TCPProgress.origin(of: descriptor, opened: opening, headRead: read, headWritten: written)
        case .measured(let origin): origin
        }
    }

    /// The tunnel goes on with another connection: later requests to do so have higher numbers.
    public func resumed(_ id: ResumptionID, generation: UInt64) {
        young[id]?.generation = generation
        records[id]?.setGeneration(generation)
    }

    /// TCP is about to be closed in order; the peer has not reported everything.
    public func willClose(_ id: ResumptionID, readEnd: UInt64, written: UInt64) {
        young[id] = nil
        guard let record = records[id] else { return }
        record.close(readEnd: readEnd, written: written)
        keeper.release(record.key)
    }

    /// The tunnel is over.
    public func ended(_ id: ResumptionID) {
        young[id] = nil
        guard let record = records.removeValue(forKey: id) else { return }
        let isOpen = !record.marks.contains(.closed)
        record.end()
        if isOpen { keeper.release(record.key) }
    }

    // MARK: - From one loop to another

    /// What protects a tunnel on its way between two loops: its bytes and its descriptor stay where they are.
    ///
    /// It belongs to one loop, or to the message between two.
    public struct Transfer {
        fileprivate var record: VaultTunnel
        fileprivate var standing: KeeperClient.Standing
    }

    /// The tunnel goes on in another loop; nil for one that is not protected.
    public func leave(_ id: ResumptionID, _ side: TunnelSide?) -> Transfer? {
        protect(id)
        side?.record = nil
        guard let record = records.removeValue(forKey: id) else { return nil }
        return Transfer(record: record, standing: keeper.surrender(record.key))
    }

    /// Goes on with a tunnel that another loop has left.
    public func arrive(_ id: ResumptionID, _ transfer: Transfer?, _ side: TunnelSide?) {
        guard let transfer else { return }
        records[id] = transfer.record
        side?.record = transfer.record
        guard !transfer.record.marks.contains(.closed), let descriptor = side?.stream.socketDescriptor else { return }
        keeper.adopt(descriptor, as: transfer.record.key, transfer.standing)
    }

    // MARK: - After the death of a process

    /// A tunnel of the process before this one.
    public struct Recovered {
        /// The tunnel, to be held until its peer comes for it.
        public var tunnel: HeldTunnel
        /// Its stream; nil when TCP has ended.
        public var side: TunnelSide?
        /// What the role had noted.
        public var owner: [UInt8]
    }

    /// Puts a tunnel together again. When that cannot be, its descriptor is closed, which resets its TCP.
    ///
    /// - Parameters:
    ///   - descriptor: Its inherited socket.
    ///   - linger: How long its gateway keeps it.
    ///   - limit: How many bytes its ring may hold.
    public func recover(
        _ found: RecoveredTunnel, _ descriptor: Int32?, role: Role, linger: Interval, limit: Int,
        on loop: EventLoop
    ) throws(RecoveredTunnel.Loss) -> Recovered {
        let entry = found.entry
        let stream = descriptor.map { ByteStream(adoptingTCP: $0, hasFinishedWriting: false, on: loop) }
        let streams: RecoveredTunnel.Streams
        do throws(RecoveredTunnel.Loss) {
            streams = try found.restore(descriptor: stream?.socketDescriptor, limit: limit)
        } catch {
            giveUp(stream, found.key)
            throw error
        }
        let position = max(found.record.peerDelivered, streams.ring.start)
        let record = HeldTunnel.Record(
            id: ResumptionID(words: entry.resumptionID), role: role,
            destination: Destination(entry.destination), linger: linger, generation: found.record.generation,
            outgoing: found.record.marks.isDisjoint(with: [.endRead, .closed, .broken]) ? .open : .ended,
            peerDelivered: position, delivered: streams.written,
            hasDeliveredEnd: streams.hasWrittenEnd, isRefused: streams.stage == .broken)
        guard let tunnel = HeldTunnel(restoring: record, streams.ring) else {
            found.abandon()
            giveUp(stream, found.key)
            throw .contradiction
        }
        records[tunnel.id] = found.record
        let side = goOn(with: stream, of: found, streams)
        return Recovered(tunnel: tunnel, side: side, owner: entry.owner)
    }

    /// The side of a tunnel whose TCP is there still.
    private func goOn(
        with stream: ByteStream?, of found: RecoveredTunnel, _ streams: RecoveredTunnel.Streams
    ) -> TunnelSide? {
        let readEnd = streams.ring.end
        switch streams.stage {
        case .open:
            if streams.hasWrittenEnd { try? stream?.shutdownWrite() }
            let side = stream.map { TunnelSide($0) }
            side?.record = found.record
            return side
        case .broken: found.record.breakOff(readEnd: readEnd, written: streams.written)
        case .closed:
            if let key = found.key { keeper.release(key) }
            found.record.close(readEnd: readEnd, written: streams.written)
        }
        stream?.abort()
        return nil
    }

    private func giveUp(_ stream: ByteStream?, _ key: DescriptorKey?) {
        if let key { keeper.release(key) }
        stream?.abort()
    }
}

@available(*, unavailable)
extension TunnelProtection: Sendable {}
