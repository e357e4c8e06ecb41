import Cryptography
import Primitives

/// The keys that open packets of the current key phase, the one before and the one after (RFC 9001 §6.3 to §6.5).
///
/// The next keys are always at hand, so that a packet with a flipped key phase takes no longer than any other.
struct OpeningPhases {
    /// How many probe timeouts the keys of the previous phase are kept after the first packet of the current one
    /// (RFC 9001 §6.5).
    static let retentionInProbeTimeouts: Int64 = 3

    /// The packet numbers that were opened in one phase, and its keys.
    private struct Phase {
        let opener: PacketOpener
        var lowest: UInt64?
        var highest: UInt64?

        mutating func opened(_ packetNumber: UInt64) {
            lowest = min(lowest ?? packetNumber, packetNumber)
            highest = max(highest ?? packetNumber, packetNumber)
        }
    }

    private let headerProtection: HeaderProtectionKey
    /// The masks of packets that arrived together.
    private var expected = ExpectedMasks()
    private var nextMaterial: KeyMaterial
    private var previous: Phase?
    private var current: Phase
    private var next: Phase
    private var integrity: IntegrityLimit
    /// Whether the peer may have seen that this end is in the current phase, and so may go on to the next one.
    private var isPhaseConfirmedToPeer = true
    /// The current phase of the peer's packets.
    private(set) var phase = KeyPhase.zero
    /// When the previous keys are to be discarded; nil while there are none, or none of the current phase was used.
    private(set) var deadline: Instant?

    init(_ material: KeyMaterial) {
        headerProtection = material.headerProtection()
        current = Phase(opener: material.opener())
        nextMaterial = material.updated()
        next = Phase(opener: nextMaterial.opener())
        integrity = IntegrityLimit(material.suite)
    }

    /// Whether the keys of the previous phase are still there.
    var keepsPrevious: Bool { previous != nil }

    /// This end began an update: what the peer sends in answer comes in the next phase.
    mutating func updateBegun() { advance() }

    /// Makes the masks of packets that arrived together.
    mutating func expect(_ run: Span<UInt8>, segmentSize: Int, packetNumberOffset: Int) {
        expected.make(
            for: run, segmentSize: segmentSize, sampleOffset: packetNumberOffset + HeaderProtection.sampleOffset,
            key: headerProtection)
    }

    /// An ACK frame left in a packet of the current phase.
    mutating func acknowledgementSent(largest: UInt64) {
        if let lowest = current.lowest, largest >= lowest { isPhaseConfirmedToPeer = true }
    }

    /// The instant that `deadline` named has come.
    mutating func deadlineReached(at now: Instant) {
        guard let deadline, now >= deadline else { return }
        previous = nil
        self.deadline = nil
    }

    private mutating func advance() {
        previous = current
        current = next
        nextMaterial = nextMaterial.updated()
        next = Phase(opener: nextMaterial.opener())
        phase = phase.toggled
        deadline = nil
        isPhaseConfirmedToPeer = false
    }
}

// MARK: Opening

extension OpeningPhases {
    /// A packet without header protection that is still to be opened.
    private struct Candidate {
        let packetNumber: UInt64
        let headerLength: Int
        let phase: KeyPhase
    }

    mutating func open(
        _ datagram: inout MutableSpan<UInt8>, _ header: ShortHeader, largestReceived: UInt64?, at now: Instant,
        probeTimeout: Interval
    ) throws(TransportError) -> OpenedPacket? {
        var packet = datagram._mutatingExtracting(header.packet)
        let packetNumberOffset = header.packetNumberOffset - header.packet.lowerBound
        guard
            let sample = HeaderProtection.sampleRange(in: packet.count, packetNumberOffset: packetNumberOffset)
        else { return nil }
        let mask =
            expected.take(for: packet.span.extracting(sample))
            ?? headerProtection.mask(sample: packet.span.extracting(sample))
        let unprotected = HeaderProtection.remove(mask, from: &packet, packetNumberOffset: packetNumberOffset)
        let candidate = Candidate(
            packetNumber: PacketNumber.decode(
                truncated: unprotected.truncatedPacketNumber, length: unprotected.packetNumberLength,
                largestReceived: largestReceived),
            headerLength: packetNumberOffset + unprotected.packetNumberLength,
            phase: KeyPhase(firstByte: unprotected.firstByte))
        guard try open(&packet, candidate, deadline: now + probeTimeout * Self.retentionInProbeTimeouts) else {
            return nil
        }
        // RFC 9000 §17.3.1: reserved bits other than 0 in an authentic packet are a violation.
        guard !unprotected.hasReservedBits else { throw TransportError(.protocolViolation, "reserved bits are set") }
        let payload =
            header.packet.lowerBound + candidate.headerLength..<header.packet.upperBound - CipherSuite.tagLength
        return OpenedPacket(
            packetNumber: candidate.packetNumber, payload: payload, firstByte: unprotected.firstByte)
    }

    private mutating func open(
        _ packet: inout MutableSpan<UInt8>, _ candidate: Candidate, deadline: Instant
    ) throws(TransportError) -> Bool {
        guard candidate.phase != phase else { return try openCurrent(&packet, candidate, deadline: deadline) }
        // RFC 9001 §6.5: the other phase is the previous one below the packets of the current one, else the next. While
        // this end waits for the answer to its own update, it can only be the previous one.
        let isOlder = current.lowest.map { candidate.packetNumber < $0 } ?? keepsPrevious
        return isOlder
            ? try openPrevious(&packet, candidate) : try openNext(&packet, candidate, deadline: deadline)
    }

    private mutating func openCurrent(
        _ packet: inout MutableSpan<UInt8>, _ candidate: Candidate, deadline: Instant
    ) throws(TransportError) -> Bool {
        guard try isAuthentic(&packet, candidate, current.opener) else { return false }
        if let newest = previous?.highest, candidate.packetNumber < newest { throw Self.oldKeysAfterNew }
        if current.lowest == nil, previous != nil { self.deadline = deadline }
        current.opened(candidate.packetNumber)
        return true
    }

    private mutating func openPrevious(
        _ packet: inout MutableSpan<UInt8>, _ candidate: Candidate
    ) throws(TransportError) -> Bool {
        guard let opener = previous?.opener, try isAuthentic(&packet, candidate, opener) else { return false }
        previous?.opened(candidate.packetNumber)
        return true
    }

    private mutating func openNext(
        _ packet: inout MutableSpan<UInt8>, _ candidate: Candidate, deadline: Instant
    ) throws(TransportError) -> Bool {
        // While there are previous keys, one more try tells a peer that goes on using them from a forger.
        var copy = previous == nil ? [] : packet.indices.map { packet[$0] }
        guard try isAuthentic(&packet, candidate, next.opener) else {
            var bytes = copy.mutableSpan
            if let previous,
                previous.opener.open(
                    &bytes, headerLength: candidate.headerLength, packetNumber: candidate.packetNumber)
            {
                throw Self.oldKeysAfterNew
            }
            return false
        }
        if let newest = current.highest, candidate.packetNumber < newest { throw Self.oldKeysAfterNew }
        // RFC 9001 §6.2: two updates without waiting for the confirmation of the first are an error.
        guard isPhaseConfirmedToPeer else {
            throw TransportError(.keyUpdateError, "second key update before the first was confirmed")
        }
        advance()
        current.opened(candidate.packetNumber)
        self.deadline = deadline
        return true
    }

    private mutating func isAuthentic(
        _ packet: inout MutableSpan<UInt8>, _ candidate: Candidate, _ opener: PacketOpener
    ) throws(TransportError) -> Bool {
        if opener.open(&packet, headerLength: candidate.headerLength, packetNumber: candidate.packetNumber) {
            return true
        }
        try integrity.openingFailed()
        return false
    }

    /// RFC 9001 §6.4: packets with higher numbers are protected with the same or newer keys.
    private static var oldKeysAfterNew: TransportError {
        TransportError(.keyUpdateError, "older keys used for a packet with a higher number")
    }
}
