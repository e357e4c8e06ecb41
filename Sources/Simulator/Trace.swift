public import Primitives

/// What happened on a virtual network, in order, with a stable text form and a hash.
///
/// Two runs with the same seed have equal traces; a scenario that fails prints the end of its own.
public struct Trace: Sendable {
    /// How much of each datagram a trace remembers.
    public enum Detail: Sendable {
        /// Times, addresses, sizes and ECN bits.
        case sizes
        /// A digest of the payload too.
        case contents
    }

    /// One thing that happened.
    public struct Record: Hashable, Sendable {
        /// What kind of thing it was.
        public enum Kind: Hashable, Sendable {
            /// A node sent a datagram.
            case sent
            /// A node tried to, and its host refused.
            case refused(SendFailure)
            /// A datagram reached a node.
            case delivered
            /// A datagram ended here.
            case dropped(DropReason)
            /// The scenario did something, in words.
            case note(String)
        }

        /// When it happened.
        public var time: Instant
        /// The name of the host, link or translator where it happened.
        public var place: String
        /// What happened.
        public var kind: Kind
        /// The datagram concerned; nil for a note.
        public var datagram: Summary?
    }

    /// What a trace remembers of a datagram.
    public struct Summary: Hashable, Sendable {
        /// The source as seen at the place of the record.
        public var source: NetworkAddress
        /// The destination as seen at the place of the record.
        public var destination: NetworkAddress
        /// The ECN bits as seen at the place of the record.
        public var ecn: ECN
        /// Bytes of UDP payload.
        public var size: Int
        /// A digest of the payload; 0 unless the trace's detail is `contents`.
        public var digest: UInt64
    }

    /// How much of each datagram is remembered.
    public let detail: Detail
    /// Everything that happened so far.
    public private(set) var records: [Record] = []
    /// A hash over everything that happened so far; not fit against an adversary.
    public private(set) var hash: UInt64 = Trace.hashSeed

    private static let hashSeed: UInt64 = 0xCBF2_9CE4_8422_2325

    init(detail: Detail) { self.detail = detail }

    mutating func append(_ kind: Record.Kind, at place: String, _ datagram: Datagram?, time: Instant) {
        let summary = datagram.map { datagram in
            Summary(
                source: datagram.source, destination: datagram.destination, ecn: datagram.ecn,
                size: datagram.bytes.count, digest: detail == .contents ? Self.digest(of: datagram.bytes) : 0)
        }
        let record = Record(time: time, place: place, kind: kind, datagram: summary)
        records.append(record)
        hash = Self.mix(hash, UInt64(bitPattern: record.time.nanoseconds))
        hash = Self.mix(hash, Self.digest(of: record.place.utf8))
        hash = Self.mix(hash, kind.word)
        guard let summary else { return }
        for address in [summary.source, summary.destination] {
            hash = Self.mix(hash, address.ip.high)
            hash = Self.mix(hash, address.ip.low)
            hash = Self.mix(hash, UInt64(address.port))
        }
        hash = Self.mix(hash, UInt64(summary.size) << 8 | UInt64(summary.ecn.rawValue))
        hash = Self.mix(hash, summary.digest)
    }

    /// The last `count` records, one a line, times in seconds since `start`.
    public func text(last count: Int = .max, since start: Instant) -> String {
        records.suffix(count).map { $0.text(since: start) }.joined(separator: "\n")
    }

    static func digest(of bytes: some Sequence<UInt8>) -> UInt64 {
        var digest = hashSeed
        for byte in bytes { digest = (digest ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return digest
    }

    private static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        var mixer = SeededGenerator(seed: hash ^ word)
        return mixer.next()
    }
}

extension Trace.Record.Kind {
    fileprivate var word: UInt64 {
        switch self {
        case .sent: 0x100
        case .refused(let failure): 0x200 | UInt64(failure.rawValue)
        case .delivered: 0x300
        case .dropped(let reason): 0x400 | UInt64(reason.rawValue)
        case .note(let words): Trace.digest(of: words.utf8)
        }
    }
}

extension Trace.Record {
    /// One line: seconds since `start`, place, what happened, and the datagram.
    public func text(since start: Instant) -> String {
        let elapsed = max(0, (time - start).microseconds)
        let fraction = String(elapsed % 1_000_000)
        let clock = "\(elapsed / 1_000_000).\(String(repeating: "0", count: 6 - fraction.count))\(fraction)"
        let what: String =
            switch kind {
            case .sent: "sent"
            case .refused(let failure): "refused (\(failure))"
            case .delivered: "delivered"
            case .dropped(let reason): "dropped (\(reason))"
            case .note(let words): words
            }
        guard let datagram else { return "\(clock) \(place): \(what)" }
        let digest = datagram.digest == 0 ? "" : " #\(String(datagram.digest, radix: 16))"
        let route = "\(datagram.source) > \(datagram.destination)"
        return "\(clock) \(place): \(what) \(route) \(datagram.size) bytes \(datagram.ecn)\(digest)"
    }
}
