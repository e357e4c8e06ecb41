import Primitives

/// The CRYPTO stream of one encryption level, both directions (RFC 9000 §7.5).
struct CryptoStream {
    /// Bytes beyond what TLS has taken that are kept; more closes the connection with CRYPTO_BUFFER_EXCEEDED. Bounds
    /// what a peer can make us hold before and after the handshake (CVE-2024-1765). RFC 9000 §7.5 asks for 4,096.
    static let receiveWindow = 65_536
    /// Gaps between the bytes that are kept; more closes the connection with CRYPTO_BUFFER_EXCEEDED. Bounds the work that
    /// one-byte fragments make; a peer that shuffles its ClientHello leaves a few dozen.
    static let maximumGaps = 256

    // MARK: Sending

    /// Everything TLS has produced at this level; it is small and kept until the level's keys are discarded.
    private var outgoing: [UInt8] = []
    private var toSend = RangeSet()
    private var delivered = RangeSet()

    mutating func write(_ bytes: [UInt8]) {
        let start = UInt64(outgoing.count)
        outgoing.append(contentsOf: bytes)
        toSend.insert(start..<UInt64(outgoing.count))
    }

    var hasToSend: Bool { !toSend.isEmpty }

    /// Takes the next bytes to send, at most `limit`, starting at the lowest offset that waits.
    mutating func nextToSend(atMost limit: Int) -> Range<Int>? {
        guard limit > 0, let first = toSend.first else { return nil }
        let end = min(first.upperBound, first.lowerBound + UInt64(limit))
        toSend.remove(first.lowerBound..<end)
        return Int(first.lowerBound)..<Int(end)
    }

    /// The bytes that `nextToSend` named.
    func bytes(_ range: Range<Int>) -> ArraySlice<UInt8> { outgoing[range] }

    /// What comes first among the bytes waiting, without taking it.
    var nextOffset: UInt64? { toSend.first?.lowerBound }

    mutating func acknowledged(offset: UInt64, length: Int) {
        let range = offset..<offset + UInt64(length)
        delivered.insert(range)
        toSend.remove(range)
    }

    mutating func lost(offset: UInt64, length: Int) {
        toSend.insert(offset..<offset + UInt64(length))
        for range in delivered.ranges { toSend.remove(range) }
    }

    /// A Retry makes the client send its first flight again (RFC 9000 §17.2.5.3).
    mutating func sendAgain() { toSend.insert(0..<UInt64(outgoing.count)) }

    // MARK: Receiving

    private var incoming: [UInt8] = []
    private var received = RangeSet()
    /// Offset of the first byte that TLS has not taken; `incoming` starts there.
    private var taken: UInt64 = 0

    /// Takes in a CRYPTO frame.
    mutating func receive(offset: UInt64, data: Span<UInt8>) throws(TransportError) {
        let end = offset + UInt64(data.count)
        guard end > taken else { return }
        guard end - taken <= UInt64(Self.receiveWindow) else {
            throw TransportError(
                .cryptoBufferExceeded, frameType: FrameType.crypto.rawValue, "handshake data beyond the buffer")
        }
        let missing = Int(end - taken) - incoming.count
        if missing > 0 { incoming.append(contentsOf: repeatElement(0, count: missing)) }
        let start = max(offset, taken)
        for position in start..<end { incoming[Int(position - taken)] = data[Int(position - offset)] }
        received.insert(start..<end)
        guard received.rangeCount <= Self.maximumGaps else {
            throw TransportError(
                .cryptoBufferExceeded, frameType: FrameType.crypto.rawValue, "handshake data in too many pieces")
        }
    }

    /// Takes the bytes that are there without a gap.
    mutating func takeReadable() -> [UInt8]? {
        guard let first = received.first, first.lowerBound == taken else { return nil }
        let count = Int(first.upperBound - taken)
        let bytes = Array(incoming.prefix(count))
        incoming.removeFirst(count)
        received.remove(first)
        taken = first.upperBound
        return bytes
    }

    /// Whether bytes wait behind a gap.
    var hasGap: Bool { !received.isEmpty }
}
