import Primitives
import TLS

/// Packets that arrived before the keys to open them (RFC 9001 §5.7).
struct UndecryptableDatagrams {
    /// Bytes kept in all; more is dropped and left to retransmission. Bounds memory before authentication.
    static let maximumBytes = 32_768
    /// Bytes that every packet counts besides its own, so that tiny ones are bounded too.
    static let overhead = 128

    struct Entry {
        var level: EncryptionLevel
        var bytes: [UInt8]
        var local: NetworkAddress
        var remote: NetworkAddress
        var ecn: ECN
    }

    private var entries: [Entry] = []
    private var byteCount = 0

    var isEmpty: Bool { entries.isEmpty }

    /// Packets that are kept.
    var count: Int { entries.count }

    /// Keeps a packet; false when there is no room.
    mutating func append(_ entry: Entry) -> Bool {
        let cost = entry.bytes.count + Self.overhead
        guard byteCount + cost <= Self.maximumBytes else { return false }
        entries.append(entry)
        byteCount += cost
        return true
    }

    /// Takes out what is kept of one level, in the order in which it came.
    mutating func takeAll(of level: EncryptionLevel) -> [Entry] {
        let taken = entries.filter { $0.level == level }
        guard !taken.isEmpty else { return [] }
        entries.removeAll { $0.level == level }
        byteCount -= taken.reduce(0) { $0 + $1.bytes.count + Self.overhead }
        return taken
    }

    mutating func removeAll() {
        entries = []
        byteCount = 0
    }
}
