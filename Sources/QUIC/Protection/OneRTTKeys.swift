import Cryptography
import Primitives

/// The keys of 1-RTT packets both ways, and their updates (RFC 9001 §6).
///
/// ```
///                own update (requested or due, and allowed)
///              ┌──────────────────────────────────────────────┐
///   phase n ───┤                                              ├──► phase n+1, sealing and opening
///              └──────────────────────────────────────────────┘
///                a packet of the peer opens with the next keys
/// ```
/// Inputs: `install…`, `handshakeConfirmed`, `acknowledgementReceived`, `deadlineReached`. Commands: `requestUpdate`,
/// `seal`, `protectHeaders`, `open`. The keys before the last update are kept until `deadline`.
final class OneRTTKeys {
    private var sealing: SealingPhase?
    private var opening: OpeningPhases?
    private var batch: HeaderMaskBatch?
    /// The memory of the next run.
    private var spareRun = SealedRun()
    private let updateThreshold: UInt64?
    private let confidentialityLimit: UInt64?
    private var isHandshakeConfirmed = false
    private var isUpdateRequested = false
    /// Key updates so far, whoever began them.
    private(set) var updateCount: UInt64 = 0

    /// Creates keys that are still to be installed.
    ///
    /// - Parameters:
    ///   - updateThreshold: packets after which an own update is due; nil: half of what the cipher allows.
    ///   - confidentialityLimit: packets under one key, for tests; nil: what the cipher allows.
    init(updateThreshold: UInt64? = nil, confidentialityLimit: UInt64? = nil) {
        self.updateThreshold = updateThreshold
        self.confidentialityLimit = confidentialityLimit
    }

    /// Whether packets can be sealed.
    var canSeal: Bool { sealing != nil }
    /// Whether packets can be opened.
    var canOpen: Bool { opening != nil }

    /// Takes the secret of the packets to the peer.
    func installSealing(suite: CipherSuite, secret: SecretBytes, version: Version) {
        sealing = SealingPhase(
            KeyMaterial(suite: suite, version: version, secret: secret), limit: confidentialityLimit)
    }

    /// Takes the secret of the packets of the peer.
    func installOpening(suite: CipherSuite, secret: SecretBytes, version: Version) {
        opening = OpeningPhases(KeyMaterial(suite: suite, version: version, secret: secret))
    }

    /// The handshake is confirmed: from now on keys may be updated (RFC 9001 §6).
    func handshakeConfirmed() { isHandshakeConfirmed = true }

    // MARK: Updates

    /// Asks for a key update, which happens with the next packet for which it is allowed.
    func requestUpdate() { isUpdateRequested = true }

    /// The peer acknowledged 1-RTT packets up to this one.
    func acknowledgementReceived(largest: UInt64) { sealing?.acknowledgementReceived(largest: largest) }

    /// Whether an update may be begun now.
    var canUpdate: Bool {
        // RFC 9001 §6: not before the handshake is confirmed. §6.1: not before a packet of the current phase is
        // acknowledged. §6.5: not while the keys of the previous phase are kept.
        guard isHandshakeConfirmed, let sealing, let opening else { return false }
        return sealing.isAcknowledged && !opening.keepsPrevious
    }

    /// The key phase of the next packet to be written; begins an update when one is asked for or due, and allowed.
    func phaseOfNextPacket() -> KeyPhase {
        guard let current = sealing else { return .zero }
        let isDue = current.sealedPackets >= updateThreshold ?? current.confidentialityLimit / 2
        guard isUpdateRequested || isDue, canUpdate else { return current.phase }
        isUpdateRequested = false
        updateCount += 1
        // RFC 9001 §6.1: with its sending keys an endpoint updates those for the packets that will answer.
        opening?.updateBegun()
        sealing?.update()
        return current.phase.toggled
    }

    /// Whether nothing but CONNECTION_CLOSE with AEAD_LIMIT_REACHED may be sent any more (RFC 9001 §6.6).
    var isConfidentialityLimitReached: Bool { sealing?.isExhausted ?? false }

    /// When the keys of the previous phase are to be discarded.
    var deadline: Instant? { opening?.deadline }

    /// The instant that `deadline` named has come.
    func deadlineReached(at now: Instant) { opening?.deadlineReached(at: now) }

    // MARK: Packets

    /// Seals a finished packet in place; `protectHeaders` must follow for the run that it joins.
    ///
    /// - Parameter acknowledging: the largest packet number that an ACK frame in it acknowledges.
    func seal(
        _ buffer: inout MutableSpan<UInt8>, _ packet: PacketLayout, packetNumber: UInt64, acknowledging: UInt64?,
        run: inout SealedRun
    ) {
        precondition(sealing != nil, "1-RTT packet before its keys")
        sealing?.seal(&buffer, packet, packetNumber: packetNumber)
        if let acknowledging { opening?.acknowledgementSent(largest: acknowledging) }
        run.append(packet)
    }

    /// An empty run, with the memory of the one before.
    func takeRun() -> SealedRun {
        var run = SealedRun()
        swap(&run, &spareRun)
        return run
    }

    /// Protects the headers of all packets of `run`, which stand in `buffer`, in one call to the cipher; takes the run back.
    func protectHeaders(of run: inout SealedRun, in buffer: inout MutableSpan<UInt8>) {
        defer { swap(&run, &spareRun) }
        guard let key = sealing?.headerProtection, !run.isEmpty else { return }
        if batch == nil { batch = HeaderMaskBatch() }
        batch?.protectHeaders(of: run, in: &buffer, key: key)
        run.removeAll()
    }

    /// Makes the header protection masks of packets that arrived together, in one call to the cipher; `open` takes them.
    func expect(_ run: Span<UInt8>, segmentSize: Int, packetNumberOffset: Int) {
        opening?.expect(run, segmentSize: segmentSize, packetNumberOffset: packetNumberOffset)
    }

    /// Opens a packet of `datagram` in place; nil when it is not authentic or too old, and then its bytes are worthless.
    ///
    /// - Parameter probeTimeout: the current PTO; the keys of a phase are kept three times as long after its end.
    func open(
        _ datagram: inout MutableSpan<UInt8>, _ header: ShortHeader, largestReceived: UInt64?, at now: Instant,
        probeTimeout: Interval
    ) throws(TransportError) -> OpenedPacket? {
        let previousPhase = opening?.phase
        let packet = try opening?.open(
            &datagram, header, largestReceived: largestReceived, at: now, probeTimeout: probeTimeout)
        if opening?.phase != previousPhase {
            // RFC 9001 §6.2: the peer's update is answered with one's own before anything else is sent.
            updateCount += 1
            isUpdateRequested = false
            sealing?.update()
        }
        return packet ?? nil
    }
}

/// The keys that seal packets of the current key phase.
struct SealingPhase {
    /// Packets kept back for closing when a cipher's confidentiality limit is reached.
    static let closingReserve: UInt64 = 1_024

    let headerProtection: HeaderProtectionKey
    private var material: KeyMaterial
    private var sealer: PacketSealer
    private(set) var phase = KeyPhase.zero
    /// Packets sealed in this phase.
    private(set) var sealedPackets: UInt64 = 0
    private var firstPacketNumber: UInt64?
    /// Whether a packet of this phase was acknowledged.
    private(set) var isAcknowledged = false

    init(_ material: KeyMaterial, limit: UInt64? = nil) {
        self.material = material
        sealer = material.sealer()
        headerProtection = material.headerProtection()
        confidentialityLimit = limit ?? material.suite.confidentialityLimit
    }

    /// Packets that may be sealed in one phase (RFC 9001 §6.6).
    let confidentialityLimit: UInt64

    var isExhausted: Bool { sealedPackets >= confidentialityLimit.subtractingSaturating(Self.closingReserve) }

    mutating func seal(_ buffer: inout MutableSpan<UInt8>, _ packet: PacketLayout, packetNumber: UInt64) {
        if firstPacketNumber == nil { firstPacketNumber = packetNumber }
        sealedPackets += 1
        buffer.seal(packet, packetNumber: packetNumber, with: sealer)
    }

    mutating func acknowledgementReceived(largest: UInt64) {
        guard let firstPacketNumber, largest >= firstPacketNumber else { return }
        isAcknowledged = true
    }

    mutating func update() {
        material = material.updated()
        sealer = material.sealer()
        phase = phase.toggled
        sealedPackets = 0
        firstPacketNumber = nil
        isAcknowledged = false
    }
}
