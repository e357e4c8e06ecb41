import Primitives

/// One network path: two addresses and the books that belong to them (RFC 9000 §9, RFC 9002).
///
/// Every sent packet names its path, and only that path's books learn of its acknowledgement or loss.
final class NetworkPath {
    let id: NetworkPathID
    /// Our address on the path.
    var local: NetworkAddress
    /// The peer's address on the path.
    var remote: NetworkAddress

    /// The first of the paths whose books this one continues, itself if none. They are one path of the network: packets
    /// that overtake each other on them are judged as on one.
    private(set) var lineage: NetworkPathID

    /// Whether what it carried is remembered, as it was when the connection left it.
    var isRemembered = false

    /// The largest UDP payload that the interface at this end carries, in bytes.
    var interfaceLimit = Int.max

    /// What loss recovery and congestion control know of the path; LossDetector makes the entries.
    var books: PathBooks

    /// Whether the peer has answered on the path.
    var validator = PathValidator()
    /// What a server may send before that.
    var amplification = AmplificationLimit.lifted
    /// Answers to the peer's challenges that wait to go out on this path.
    var challenges = ReceivedChallenges()
    /// Our connection ID in the packet that last arrived on the path: another one means that the peer moved on purpose.
    var destinationOfPeer: ConnectionID?
    /// Bytes of UDP payload sent and received.
    var bytesSent: UInt64 = 0
    var bytesReceived: UInt64 = 0

    /// When the last authentic packet arrived on this path.
    private(set) var lastReceived: Instant?
    /// Since when the peer owes an answer on this path, see `PathLiveness.awaitingSince`.
    private(set) var awaitingSince: Instant?

    /// Opens the books of a new path. `ceiling` is the largest UDP payload that interface and peer accept.
    init(
        id: NetworkPathID, local: NetworkAddress, remote: NetworkAddress, algorithm: CongestionAlgorithm = .standard,
        ceiling: Int
    ) {
        self.id = id
        lineage = id
        self.local = local
        self.remote = remote
        books = PathBooks(algorithm, ceiling: ceiling)
    }

    // MARK: The books

    /// Round-trip times.
    var rtt: RTTEstimator { books.rtt }
    /// The congestion window.
    var congestion: CongestionController { books.congestion }
    /// Whether packets are marked ECT(0).
    var ecn: ECNValidator { books.ecn }
    /// How large datagrams may be.
    var mtu: MTUDiscovery {
        get { books.mtu }
        set { books.mtu = newValue }
    }
    /// How fast the path delivers.
    var deliveryRate: RateSampler { books.deliveryRate }
    /// Bytes of packets in flight on this path (RFC 9002 appendix B.2), of all packet number spaces.
    var bytesInFlight: Int { books.bytesInFlight }
    /// When the last packet left on this path.
    var lastSent: Instant? { books.lastSent }
    /// Packets declared lost, without probes.
    var lostPackets: UInt64 { books.lostPackets }
    /// Packets declared lost that arrived after all.
    var spuriousLosses: UInt64 { books.spuriousLosses }
    /// How often persistent congestion was established.
    var persistentCongestionCount: UInt64 { books.persistentCongestionCount }

    // MARK: What may leave

    /// Bytes that the congestion window still admits.
    var windowAvailable: Int { books.windowAvailable }

    /// Largest datagram that ordinary packets may fill.
    var datagramSize: Int { books.mtu.currentSize }

    /// Bytes that window and pacer admit at `now`. A started datagram may be completed: the window may be overdrawn by less
    /// than one datagram. Zero: wait for an acknowledgement, or for `nextSendTime` when the window is open.
    func sendBudget(at now: Instant) -> Int { books.sendBudget(at: now) }

    /// When the pacer admits the next full datagram; nil when at once or when the window is closed.
    func nextSendTime(at now: Instant) -> Instant? { books.nextSendTime(at: now) }

    /// Notes that the application has nothing more to send; of no account while the window is full.
    func applicationLimited() { books.applicationLimited() }

    /// What the peer still has to acknowledge.
    enum Awaited {
        case nothing
        case inFlight
    }

    /// Notes that an authentic packet arrived on this path, and what is in flight after it.
    func packetReceived(stillAwaited: Awaited, at now: Instant) {
        lastReceived = now
        awaitingSince = stillAwaited == .inFlight ? now : nil
    }

    /// Notes that an ack-eliciting packet leaves on this path.
    func ackElicitingSent(at now: Instant) {
        if awaitingSince == nil { awaitingSince = now }
    }

    /// Notes that nothing is in flight here any more: it was given up.
    func flightGivenUp() { awaitingSince = nil }

    /// How long nothing has arrived.
    func silence(at now: Instant) -> Interval? { lastReceived.map { now - $0 } }

    /// Notes that a probe timeout passed.
    func probeTimedOut() { books.ecn.probeTimedOut() }

    /// Notes how long a challenge took to be answered.
    func probed(roundTrip: Interval, at now: Instant) { books.probed(roundTrip: roundTrip, at: now) }

    /// The probe timeout of this path without back-off.
    func probeTimeout(maxAckDelay: Interval) -> Interval { books.rtt.probeTimeout(maxAckDelay: maxAckDelay) }

    // MARK: Change of address

    /// Starts the books anew, because the peer's address changed and the path with it (RFC 9000 §9.4). What is in flight
    /// stays in flight.
    func resetBooks() {
        lineage = id
        books.reset()
    }

    /// Continues the books of `other`, because only the peer's port changed: most likely a NAT that forgot, and the same
    /// path (RFC 9000 §9.4). Bytes in flight stay with the path they left on.
    func adoptBooks(of other: NetworkPath) {
        lineage = other.lineage
        books.learned(from: other.books)
    }
}

/// The network paths of a connection; few, so that a look-up is a short walk.
struct NetworkPathTable {
    /// In the order in which they came.
    private(set) var paths: [NetworkPath] = []

    /// The path of that name; nil when it is gone.
    subscript(id: NetworkPathID) -> NetworkPath? {
        for index in paths.indices where paths[index].id == id { return paths[index] }
        return nil
    }

    /// The path between two addresses.
    func path(from local: NetworkAddress, to remote: NetworkAddress) -> NetworkPath? {
        for path in paths where path.remote == remote && path.local == local { return path }
        return nil
    }

    mutating func append(_ path: NetworkPath) {
        paths.append(path)
    }

    /// Forgets a path; what is still in flight on it is found lost without touching any books.
    mutating func remove(_ id: NetworkPathID) {
        paths.removeAll { $0.id == id }
    }
}
