/// What a vault knows of a tunnel from its opening to its end.
public struct TunnelEntry: Hashable, Sendable {
    /// The secret by which the peer resumes it, in two words.
    public var resumptionID: (high: UInt64, low: UInt64) {
        get { (idHigh, idLow) }
        set { (idHigh, idLow) = newValue }
    }
    /// What the role needs to know beside: a user, a listener. At most `mostOwnerBytes`.
    public var owner: [UInt8]
    /// Where it leads, at most `mostDestinationBytes` of UTF-8.
    public var destination: String
    /// Where the stream's bytes begin in the kernel's counters.
    public var origin: TCPOrigin

    private var idHigh: UInt64
    private var idLow: UInt64

    /// The longest `owner`, in bytes: what is left in a record.
    public static let mostOwnerBytes = 320
    /// The longest `destination`, in bytes: a name of 255 bytes, a colon, a port, and brackets.
    public static let mostDestinationBytes = 264

    /// Creates an entry.
    public init(
        resumptionID: (high: UInt64, low: UInt64), owner: [UInt8], destination: String, origin: TCPOrigin
    ) {
        (idHigh, idLow) = resumptionID
        self.owner = owner
        self.destination = destination
        self.origin = origin
    }
}

// MARK: - In a record

extension TunnelEntry {
    /// Words before the bytes: identifier, counters, lengths, checksum.
    private static let wordBytes = 7 * 8

    /// Whether it fits into a record.
    var fits: Bool { owner.count <= Self.mostOwnerBytes && destination.utf8.count <= Self.mostDestinationBytes }

    /// Writes an entry that fits at `place`.
    func store(in memory: VaultMemory, at place: Int, incarnation: UInt64) {
        let name = Array(destination.utf8)
        let words = [
            idHigh, idLow, origin.received, origin.written, origin.cookie,
            UInt64(owner.count) << 32 | UInt64(name.count),
        ]
        for (index, word) in words.enumerated() { memory.store(word, at: place + 8 * index) }
        memory.store(owner, at: place + Self.wordBytes)
        memory.store(name, at: place + Self.wordBytes + owner.count)
        memory.store(Self.checksum(words, owner + name, incarnation), at: place + 8 * words.count)
    }

    /// The entry at `place`; nil when it is not what a process wrote there for this tunnel.
    init?(in memory: VaultMemory, at place: Int, incarnation: UInt64) {
        let words = (0..<6).map { memory.word(at: place + 8 * $0) }
        let ownerCount = Int(words[5] >> 32)
        let nameCount = Int(words[5] & 0xffff_ffff)
        guard ownerCount <= Self.mostOwnerBytes, nameCount <= Self.mostDestinationBytes else { return nil }
        let bytes = memory.bytes(at: place + Self.wordBytes, count: ownerCount + nameCount)
        guard memory.word(at: place + 8 * words.count) == Self.checksum(words, bytes, incarnation),
            let destination = String(validating: bytes[ownerCount...], as: UTF8.self)
        else { return nil }
        let origin = TCPOrigin(received: words[2], written: words[3], cookie: words[4])
        self.init(
            resumptionID: (words[0], words[1]), owner: Array(bytes[..<ownerCount]), destination: destination,
            origin: origin)
    }

    private static func checksum(_ words: [UInt64], _ bytes: [UInt8], _ incarnation: UInt64) -> UInt64 {
        var checksum = VaultChecksum(seed: incarnation)
        for word in words { checksum.add(word) }
        for byte in bytes { checksum.add(UInt64(byte)) }
        return checksum.value
    }
}
