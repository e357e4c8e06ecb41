public import EventLoop
public import Keeper
public import Primitives
public import QUIC
public import Tunnel

/// One loop's tunnels: in memory that outlives the process, with their sockets at the keeper. That is what a new process needs
/// to go on with them.
///
/// A tunnel is protected from its grant to its end. What it cannot protect (a pipe, bytes that are filtered, a tunnel for which
/// there is no room) ends with the process as ever.
public final class TunnelProtection {
    private let vault: TunnelVault
    private let keeper: KeeperClient
    private let opening: TCPProgress.Opening
    private var records: [ResumptionID: VaultTunnel] = [:]

    /// Protects tunnels in `vault`, whose TCP connections this side has dialled or accepted.
    public init(_ vault: TunnelVault, _ keeper: KeeperClient, _ opening: TCPProgress.Opening) {
        self.vault = vault
        self.keeper = keeper
        self.opening = opening
    }

    /// Tunnels that are protected.
    public var count: Int { records.count }

    /// Protects a tunnel whose ring is `ring` and to whose side `delivered` bytes were written.
    ///
    /// - Parameters:
    ///   - owner: What the role needs to know of it later.
    ///   - outgoing: Whether the end of the stream was read.
    ///   - side: Its side; nil when TCP has ended in order.
    public func open(
        _ id: ResumptionID, to destination: Destination?, owner: [UInt8], generation: UInt64 = 0, ring: ByteRing,
        outgoing: HeldTunnel.Outgoing = .open, delivered: UInt64 = 0, _ side: TunnelSide?
    ) {
        guard let origin = origin(of: side, read: ring.end, written: delivered) else { return }
        let entry = TunnelEntry(
            resumptionID: id.words, owner: owner, destination: destination.map { "\($0)" } ?? "", origin: origin)
        guard let record = vault.open(entry, generation: generation, start: ring.start) else { return }
        ring.move(into: record)
        records[id] = record
        guard let side, let descriptor = side.stream.socketDescriptor else {
            return record.close(readEnd: ring.end, written: delivered)
        }
        if side.stream.hasFinishedWriting { record.mark(.endWritten) }
        if outgoing == .ended { record.mark(.endRead) }
        side.record = record
        keeper.protect(descriptor, as: record.key)
    }

    /// Nothing but the tunnel's bytes passes a connection that was dialled; of one that was accepted the first ones may have been a
    /// program's words to a proxy, so that only the kernel knows where the tunnel's begin.
    private func origin(of side: TunnelSide?, read: UInt64, written: UInt64) -> TCPOrigin? {
        guard let side else { return TCPOrigin(received: 0, written: 0, cookie: 0) }
        guard side.stream.kind == .tcp, !side.isFiltered, let descriptor = side.stream.socketDescriptor else {
            return nil
        }
        return switch opening {
        case .dialled: try? TCPProgress.origin(of: descriptor, opened: .dialled)
        case .accepted: try? TCPProgress.origin(of: descriptor, consumed: read, written: written)
        }
    }

    /// The tunnel goes on with another connection: later requests to do so have higher numbers.
    public func resumed(_ id: ResumptionID, generation: UInt64) { records[id]?.setGeneration(generation) }

    /// TCP is about to be closed in order; the peer has not reported everything.
    public func willClose(_ id: ResumptionID, readEnd: UInt64, written: UInt64) {
        guard let record = records[id] else { return }
        record.close(readEnd: readEnd, written: written)
        keeper.release(record.key)
    }

    /// The tunnel is over.
    public func ended(_ id: ResumptionID) {
        guard let record = records.removeValue(forKey: id) else { return }
        let isOpen = !record.marks.contains(.closed)
        record.end()
        if isOpen { keeper.release(record.key) }
    }

    /// The tunnel goes on in another loop, and its bytes in memory of that one's choice.
    ///
    /// - Returns: What that loop is to release once it has protected the tunnel; nil when there is nothing to be released.
    public func left(_ id: ResumptionID, _ ring: ByteRing, _ side: TunnelSide?) -> DescriptorKey? {
        guard let record = records.removeValue(forKey: id) else { return nil }
        side?.record = nil
        ring.move(into: nil)
        let isOpen = !record.marks.contains(.closed)
        record.end()
        return isOpen ? keeper.handOver(record.key) : nil
    }

    /// Releases what another loop has left, when the tunnel is protected here.
    public func release(left key: DescriptorKey?) {
        if let key { keeper.release(handedOver: key) }
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
            outgoing: found.record.marks.isDisjoint(with: [.endRead, .closed]) ? .open : .ended,
            peerDelivered: position, delivered: streams.written,
            hasDeliveredEnd: streams.hasWrittenEnd)
        guard let tunnel = HeldTunnel(restoring: record, streams.ring) else {
            found.abandon()
            giveUp(stream, found.key)
            throw .contradiction
        }
        if streams.hasWrittenEnd { try? stream?.shutdownWrite() }
        records[tunnel.id] = found.record
        let side = stream.map { TunnelSide($0) }
        side?.record = found.record
        return Recovered(tunnel: tunnel, side: side, owner: entry.owner)
    }

    private func giveUp(_ stream: ByteStream?, _ key: DescriptorKey?) {
        if let key { keeper.release(key) }
        stream?.abort()
    }
}

@available(*, unavailable)
extension TunnelProtection: Sendable {}
