import DequeModule
import HTTP3
public import Primitives
import QUIC

/// The tunnels of one connection and the relaying of their bytes, for either role.
///
/// The driver reads TCP into `ring(of:)` and reports it with `bytesArrived`, and hands payload to TCP in `deliver`. Bytes
/// that TCP does not take stay in the transport's stream, which gives the peer no more credit: a stalled reader stalls
/// nobody but its own tunnel. Bytes that the peer has not acknowledged stay in the ring; when it is full, TCP is not read.
public final class TunnelRelay {
    /// What bounds the memory of tunnels.
    public struct Limits: Sendable {
        /// Bytes that a tunnel's ring may hold at first.
        public var initialRing = 64 * 1024
        /// Bytes that a tunnel's ring may hold at most, however fast and long the path is; then TCP is not read until the peer
        /// acknowledges. Bounds what a peer that does not acknowledge costs, and the rate: 1 Gbit/s for 134 ms.
        public var maximumRing = 16 << 20

        /// The defaults.
        public init() {}
    }

    /// Bytes in a ring from which a tunnel counts as bulk, behind the others in the transport's schedule.
    static let bulkThreshold = 64 * 1024

    /// Bytes read from TCP that may wait to be sent for the first time, of all bulk tunnels together: so few that they are still in
    /// the processor's cache when they are sealed. What is in flight is not counted, so the path may be as long as it likes.
    static let mostUnsentTogether = 512 * 1024
    /// The part of one tunnel; then its TCP is not read until half of it has left. However many they are, it is enough
    /// for a batch, and to count as bulk.
    static let mostUnsentEach = bulkThreshold...128 * 1024

    let http: HTTP3Connection
    let limits: Limits
    /// Room that all tunnels share with those of other connections; nil where nothing bounds it. Set before the first tunnel is up.
    public var budget: (any RingBudget)?
    private(set) var sessions: [TunnelID: TunnelSession] = [:]
    private(set) var byStream: [StreamID: TunnelSession] = [:]
    private var nextID: UInt64 = 0
    /// Tunnels that have left the connection, until the driver takes them.
    var heldTunnels: [TunnelID: HeldTunnel] = [:]
    /// Resumable tunnels that were forgotten since the driver last asked.
    private var forgotten: [TunnelID] = []
    /// Tunnels that this end, a client, has reset on streams whose reset the gateway has perhaps not heard of.
    var resets: [(stream: StreamID, id: TunnelID, held: HeldTunnel)] = []
    /// How many of them there may be before those that are of no interest any more are looked for.
    var resetsBeforePruning = 64
    /// Reports that are due, in order; those that became needless meanwhile too.
    var reportsDue: Deque<(at: Instant, id: TunnelID)> = []
    /// When the latest input came.
    var latest = Instant.origin
    /// Tunnels that count as bulk.
    var bulkCount = 0
    /// What the driver is to do.
    var actions: Deque<TunnelAction> = []

    init(_ http: HTTP3Connection, limits: Limits) {
        self.http = http
        self.limits = limits
    }
}

// MARK: - The table

extension TunnelRelay {
    func add(
        _ phase: TunnelSession.Phase, _ form: TunnelForm, to destination: Destination?, _ ring: ByteRing? = nil
    ) -> TunnelSession {
        let session = TunnelSession(
            id: TunnelID(rawValue: nextID), phase: phase, form: form, destination: destination,
            ring: ring ?? ByteRing(limit: min(limits.initialRing, limits.maximumRing)))
        nextID += 1
        sessions[session.id] = session
        return session
    }

    func attach(_ session: TunnelSession, to stream: StreamID) {
        session.stream = stream
        byStream[stream] = session
    }

    func forget(_ session: TunnelSession) {
        giveRoomBack(of: session)
        if session.urgency == .bulk { bulkCount -= 1 }
        sessions[session.id] = nil
        if let stream = session.stream { byStream[stream] = nil }
        if session.attachment != nil { forgotten.append(session.id) }
    }

    /// The resumable tunnels that are gone since the last call, to be made after each drain of actions.
    public func takeForgotten() -> [TunnelID] {
        guard !forgotten.isEmpty else { return [] }
        defer { forgotten.removeAll(keepingCapacity: true) }
        return forgotten
    }

    func session(_ id: TunnelID) -> TunnelSession? { sessions[id] }
    func session(on stream: StreamID) -> TunnelSession? { byStream[stream] }

    /// Every tunnel, in the order in which they were asked for.
    var all: [TunnelSession] { sessions.values.sorted { $0.id < $1.id } }

    /// Tunnels that are up, being opened or being closed.
    public var count: Int { sessions.count }

    /// Bytes of memory that the rings of all tunnels hold.
    public var memory: Int { sessions.values.reduce(0) { $0 + $1.memory } }

    /// Gives back memory that was kept for bytes to come; for tunnels that have been idle for a while.
    public func releaseUnusedMemory() {
        for session in sessions.values { session.ring.releaseUnusedMemory() }
    }

    /// A tunnel as `status` shows it.
    public struct Statistics: Hashable, Sendable {
        /// Which tunnel.
        public var id: TunnelID
        /// Where it leads; nil when the request could not be understood.
        public var destination: Destination?
        /// Payload bytes taken from TCP.
        public var sent: UInt64
        /// Payload bytes handed to TCP.
        public var delivered: UInt64
        /// Bytes that wait for the peer's acknowledgment.
        public var buffered: Int
        /// Bytes of memory that its buffer takes.
        public var memory: Int
        /// Whether it outlives its connection, and how often it has changed it so far.
        public var durability = Durability.connection
    }

    /// How long a tunnel lives.
    public enum Durability: Hashable, Sendable {
        /// As long as its connection.
        case connection
        /// It can be resumed; the generation counts the client's requests to do so.
        case resumable(generation: UInt64)
    }

    /// All tunnels, in the order in which they were asked for.
    public var statistics: [Statistics] {
        all.map {
            Statistics(
                id: $0.id, destination: $0.destination, sent: $0.ring.end, delivered: $0.delivered,
                buffered: $0.ring.count, memory: $0.memory,
                durability: $0.attachment.map { .resumable(generation: $0.generation) } ?? .connection)
        }
    }
}
