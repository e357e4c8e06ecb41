import Primitives

/// Packets that arrived before the keys to open them (RFC 9001 §5.7).
struct UndecryptableDatagrams {
    /// Bytes kept in all; more is dropped and left to retransmission. Bounds memory before authentication.
    static let maximumBytes = 32_768

    struct Entry {
        var bytes: [UInt8]
        var local: NetworkAddress
        var remote: NetworkAddress
        var ecn: ECN
    }

    private var entries: [Entry] = []
    private var byteCount = 0

    var isEmpty: Bool { entries.isEmpty }

    /// Keeps a packet; false when there is no room.
    mutating func append(_ entry: Entry) -> Bool {
        guard byteCount + entry.bytes.count <= Self.maximumBytes else { return false }
        entries.append(entry)
        byteCount += entry.bytes.count
        return true
    }

    /// Takes out everything that is kept.
    mutating func takeAll() -> [Entry] {
        defer { removeAll() }
        return entries
    }

    mutating func removeAll() {
        entries = []
        byteCount = 0
    }
}
