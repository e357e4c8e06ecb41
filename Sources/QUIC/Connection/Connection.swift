import Cryptography
import Primitives
public import TLS

/// One QUIC connection (RFC 9000), as a value that is called and never calls: no sockets, no clock, no threads.
///
/// Inputs are `receive`, `deadlineReached` and the commands. After each batch of them the owner drains, in this order:
///
/// 1. `nextEvent()` until it returns nil, carrying out what follows from each,
/// 2. `nextDatagrams(into:at:)` until it returns nil: answers leave together with the acknowledgements,
/// 3. `nextDeadline`, to arm one timer.
///
/// `receive` does not throw: a bad datagram is dropped and counted, and a violation by the peer moves the connection to
/// its closing state and shows up as `.closed`.
///
/// A *network path* is a 4-tuple with its own books (`NetworkPath`); a *path identifier* names a packet number space
/// with its connection IDs. Plain QUIC has one of the latter, which moves between network paths as it migrates.
public final class Connection {
    /// Which end this is.
    public let role: Role
    let handle: ConnectionHandle
    let configuration: TransportConfiguration
    /// The version of QUIC that it speaks.
    public let version: Version
    let tls: TLSEngine
    let identifiers: ConnectionIDTable
    var generator: KeyedGenerator

    var state = ConnectionState.handshaking
    var progress = HandshakeProgress.inProgress
    var events = EventQueue()
    /// Counters for status and metrics.
    public internal(set) var statistics = ConnectionStatistics()

    // MARK: Handshake

    /// The Destination Connection ID of the Initial packet that the connection began with (RFC 9000 §7.3).
    let originalDestinationConnectionID: ConnectionID
    /// The Source Connection ID of this end's first packets.
    let handshakeConnectionID: ConnectionID
    /// The Source Connection ID of the peer's first packet.
    var peerHandshakeConnectionID: ConnectionID?
    /// The Source Connection ID of the Retry that a client received, or a server sent.
    var retrySourceConnectionID: ConnectionID?
    /// Goes into Initial packets: from a Retry or from an earlier connection (RFC 9000 §8.1).
    var addressValidationToken: [UInt8]
    var peerParameters: TransportParameters?
    /// What the handshake agreed on; nil until it is complete.
    public internal(set) var handshakeSummary: HandshakeSummary?
    var handshakeDeadline: Instant?
    var shouldSendHandshakeDone = false
    var peerAcknowledgedHandshake = false
    let tokenKey: AddressValidationTokenKey?
    var tokenToSend: [UInt8]?
    var tokenInFlight: [UInt8]?
    /// Seconds since 1970, as the endpoint last knew them.
    var unixTime: UInt64 = 0

    // MARK: Packet number spaces

    var initial: PacketSpace?
    var handshake: PacketSpace?
    /// The space of path identifier 0, the only one that plain QUIC has.
    let application: PacketSpace
    var oneRTTKeys = OneRTTKeys()
    var undecryptable = UndecryptableDatagrams()
    var lossTimer: LossTimer
    /// When the loss-detection timer is to fire, as it was last computed.
    var knownLossDeadline: Instant?
    /// Whether something has happened since then. A batch of datagrams asks for it once.
    var isLossDeadlineStale = true
    /// How often the peer is asked to acknowledge.
    var ackFrequency = AckFrequencyRequests()
    /// Whether the next packet should be acknowledged at once, if the peer can be asked for that.
    var wantsImmediateAck = false

    // MARK: Paths

    var paths = NetworkPathTable()
    /// The path that carries the connection's data.
    var activePath: NetworkPath
    /// The path to return to when the active one cannot be validated (RFC 9000 §9.3.2).
    var lastValidatedPath: NetworkPath?
    /// Where a client has gone on to another address of this server, until the path there is validated (RFC 9000 §9.6.2).
    var pathToFollow: NetworkPath?
    /// The path to the server's preferred address (RFC 9000 §9.6).
    var preferredPath: NetworkPath?
    /// Where the peer was during the handshake.
    let handshakeRemote: NetworkAddress
    /// The server's preferred address, once the connection has moved there.
    var preferredRemote: NetworkAddress?
    /// The highest-numbered packet of the peer that was not a mere probe (RFC 9000 §9.3).
    var highestNonProbingPacket: UInt64?
    var nextPathID: UInt32 = 1
    /// What networks carried that the connection has left.
    var networks = NetworkMemory()
    var localConnectionIDs = LocalConnectionIDs()
    var peerConnectionIDs: PeerConnectionIDs

    // MARK: Data

    var streams: StreamTable
    var datagrams = DatagramQueue()

    // MARK: Liveness

    /// Restarted by what RFC 9000 §10.1 names: an authenticated packet, and the first ack-eliciting one sent after it.
    var idleSince: Instant
    var sentAckElicitingSinceReceipt = false
    /// When frames with content of some kind last left.
    var contentSent: Instant
    var keepAlive = KeepAlive.off
    var pingRequested = false
    var pacingDeadline: Instant?

    /// Reused by every acknowledgement.
    var ackOutcome = AckOutcome()

    init(_ start: ConnectionStart, tls: TLSEngine, identifiers: ConnectionIDTable, at now: Instant) {
        role = start.role
        handle = start.handle
        configuration = start.configuration
        version = start.version
        self.tls = tls
        self.identifiers = identifiers
        var generator = start.generator
        originalDestinationConnectionID = start.originalDestinationConnectionID
        handshakeConnectionID = start.handshakeConnectionID
        handshakeRemote = start.remote
        addressValidationToken = start.token
        tokenKey = start.tokenKey
        idleSince = now
        contentSent = now
        handshakeDeadline = now + start.configuration.handshakeTimeout
        lossTimer = LossTimer(at: now)
        oneRTTKeys = OneRTTKeys(updateThreshold: start.configuration.packetsPerKeyPhase)

        let path = NetworkPath(
            id: NetworkPathID(rawValue: 0), local: start.local, remote: start.remote,
            algorithm: start.configuration.congestionControl, ceiling: start.configuration.largestDatagram)
        path.amplification = start.addressValidation == .pending ? .unvalidated : .lifted
        path.destinationOfPeer = start.handshakeConnectionID
        activePath = path
        paths.append(path)
        peerConnectionIDs = PeerConnectionIDs(
            first: start.peerConnectionID, path: path.id, limit: max(2, start.configuration.activeConnectionIDLimit))

        initial = PacketSpace(.initial, configuration: start.configuration, using: &generator)
        handshake = PacketSpace(.handshake, configuration: start.configuration, using: &generator)
        application = PacketSpace(.oneRTT, configuration: start.configuration, using: &generator)
        streams = StreamTable(role: start.role, configuration: start.configuration.streams)
        initial?.keys = InitialSecrets.keys(
            for: start.originalDestinationConnectionID, version: start.version, role: start.role)
        self.generator = generator
        for known in [start.handshakeConnectionID, start.preferredConnectionID].compactMap({ $0 }) {
            localConnectionIDs.addKnownToPeer(known, resetToken: identifiers.resetToken(for: known))
        }
    }

    /// Every connection ID that leads to this connection.
    var connectionIDsInUse: [ConnectionID] {
        [originalDestinationConnectionID] + localConnectionIDs.active.map(\.id)
    }

    /// Whether the client had to prove its address with a Retry packet's token first.
    public var followedRetry: Bool { retrySourceConnectionID != nil }

    /// Whether anything authentic has arrived.
    var hasReceivedAnything: Bool { peerHandshakeConnectionID != nil }
}
