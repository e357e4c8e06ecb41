import Cryptography

/// A packet whose protection was removed and that is authentic. Ranges count from the start of the datagram.
struct OpenedPacket: Equatable {
    var packetNumber: UInt64
    /// Where the frames stand, now in plaintext.
    var payload: Range<Int>
    /// The first byte without its protection.
    var firstByte: UInt8

    /// The spin bit of a 1-RTT packet.
    var spin: SpinBit { firstByte & FirstByte.spinBit == 0 ? .zero : .one }
}

/// What the keys of one direction are made from (RFC 9001 §5.1).
struct KeyMaterial {
    let suite: CipherSuite
    let version: Version
    let secret: SecretBytes

    func sealer() -> PacketSealer { PacketSealer(suite: suite, key: key, iv: iv) }
    func opener() -> PacketOpener { PacketOpener(suite: suite, key: key, iv: iv) }

    func headerProtection() -> HeaderProtectionKey {
        HeaderProtectionKey(suite: suite, key: derive(version.headerProtectionLabel, suite.keyLength))
    }

    /// The material after a key update (RFC 9001 §6.1); header protection keeps its key.
    func updated() -> KeyMaterial {
        KeyMaterial(
            suite: suite, version: version, secret: derive(version.keyUpdateLabel, suite.hash.length))
    }

    private var key: SecretBytes { derive(version.keyLabel, suite.keyLength) }
    private var iv: SecretBytes { derive(version.ivLabel, CipherSuite.nonceLength) }

    private func derive(_ label: String, _ length: Int) -> SecretBytes {
        HKDF.expandLabel(suite.hash, secret: secret, label: label, context: [], length: length)
    }
}

/// Seals the packets of one level: Initial or Handshake.
final class SealingKeys {
    private let sealer: PacketSealer
    private let headerProtection: HeaderProtectionKey

    /// Derives the keys from a traffic secret.
    init(suite: CipherSuite, secret: SecretBytes, version: Version) {
        let material = KeyMaterial(suite: suite, version: version, secret: secret)
        sealer = material.sealer()
        headerProtection = material.headerProtection()
    }

    /// Seals a finished packet in place and protects its header.
    func seal(_ buffer: inout MutableSpan<UInt8>, _ packet: PacketLayout, packetNumber: UInt64) {
        buffer.seal(packet, packetNumber: packetNumber, with: sealer)
        let mask = headerProtection.mask(sample: buffer.span.extracting(HeaderProtection.sample(of: packet)))
        HeaderProtection.apply(mask, to: packet, in: &buffer)
    }
}

/// Opens the packets of one level: Initial or Handshake.
final class OpeningKeys {
    private let opener: PacketOpener
    private let headerProtection: HeaderProtectionKey
    private var integrity: IntegrityLimit

    /// Derives the keys from a traffic secret.
    init(suite: CipherSuite, secret: SecretBytes, version: Version) {
        let material = KeyMaterial(suite: suite, version: version, secret: secret)
        opener = material.opener()
        headerProtection = material.headerProtection()
        integrity = IntegrityLimit(suite)
    }

    /// Opens a packet of `datagram` in place; nil when it is not authentic, and then its bytes are worthless.
    func open(
        _ datagram: inout MutableSpan<UInt8>, _ header: LongHeader, largestReceived: UInt64?
    ) throws(TransportError) -> OpenedPacket? {
        var packet = datagram._mutatingExtracting(header.packet)
        let packetNumberOffset = header.packetNumberOffset - header.packet.lowerBound
        guard
            let unprotected = HeaderProtection.remove(
                from: &packet, packetNumberOffset: packetNumberOffset, key: headerProtection)
        else { return nil }
        let packetNumber = PacketNumber.decode(
            truncated: unprotected.truncatedPacketNumber, length: unprotected.packetNumberLength,
            largestReceived: largestReceived)
        let headerLength = packetNumberOffset + unprotected.packetNumberLength
        guard opener.open(&packet, headerLength: headerLength, packetNumber: packetNumber) else {
            try integrity.openingFailed()
            return nil
        }
        // RFC 9000 §17.2: reserved bits other than 0 in an authentic packet are a violation.
        guard !unprotected.hasReservedBits else { throw TransportError(.protocolViolation, "reserved bits are set") }
        let payload =
            header.packet.lowerBound + headerLength..<header.packet.upperBound - CipherSuite.tagLength
        return OpenedPacket(packetNumber: packetNumber, payload: payload, firstByte: unprotected.firstByte)
    }
}

/// The keys of one level, as far as they are known.
struct PacketKeyPair {
    /// For packets of the peer.
    var read: OpeningKeys?
    /// For packets to the peer.
    var write: SealingKeys?

    init(read: OpeningKeys? = nil, write: SealingKeys? = nil) {
        self.read = read
        self.write = write
    }
}

/// Counts packets that failed to open (RFC 9001 §6.6).
struct IntegrityLimit {
    private var remaining: UInt64

    init(_ suite: CipherSuite) { remaining = suite.integrityLimit }

    /// For tests: fails at the `limit`-th packet.
    init(limit: UInt64) { remaining = limit }

    /// Counts one packet; throws once the limit of the cipher suite is reached.
    mutating func openingFailed() throws(TransportError) {
        // RFC 9001 §6.6: the connection closes with AEAD_LIMIT_REACHED and processes no more packets.
        guard remaining > 1 else { throw TransportError(.aeadLimitReached, "too many packets failed authentication") }
        remaining -= 1
    }
}

extension MutableSpan<UInt8> {
    /// Encrypts a finished packet in place; its header is left without protection.
    @_lifetime(self: copy self)
    mutating func seal(_ packet: PacketLayout, packetNumber: UInt64, with sealer: PacketSealer) {
        var bytes = _mutatingExtracting(packet.start..<packet.end)
        sealer.seal(&bytes, headerLength: packet.payloadStart - packet.start, packetNumber: packetNumber)
    }
}
