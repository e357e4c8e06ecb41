import QUIC

/// Bytes that a stream is to take before anything else. Those taken are dropped when all are: nothing is moved for a short write.
struct PendingBytes {
    private var bytes: [UInt8] = []
    private var taken = 0

    init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    var isEmpty: Bool { taken == bytes.count }
    /// What was not taken yet.
    var span: Span<UInt8> { bytes.span.extracting(taken...) }
    /// The same as an array, for another loop.
    var remaining: [UInt8] { Array(bytes[taken...]) }

    mutating func append(_ more: [UInt8]) { bytes += more }

    mutating func append(_ more: Span<UInt8>) {
        let end = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: more.count))
        var space = bytes.mutableSpan
        space.copy(more, at: end)
    }

    /// The first `count` bytes have been taken; there are as many.
    mutating func removeFirst(_ count: Int) {
        taken += count
        guard isEmpty else { return }
        bytes.removeAll(keepingCapacity: true)
        taken = 0
    }
}
