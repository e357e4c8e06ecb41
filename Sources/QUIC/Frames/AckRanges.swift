/// Walks the ranges of an ACK frame from the largest packet number down, straight from the packet (RFC 9000 §19.3.1).
struct AckRanges: ~Escapable {
    private var reader: ByteReader
    private var upcoming: ClosedRange<UInt64>?

    @_lifetime(copy payload)
    fileprivate init(_ frame: AckFrame, in payload: Span<UInt8>) {
        reader = ByteReader(payload.extracting(frame.additionalRanges))
        let smallest = frame.largestAcknowledged.subtractingReportingOverflow(frame.firstRange)
        upcoming = smallest.overflow ? nil : smallest.partialValue...frame.largestAcknowledged
    }

    /// The next lower range of acknowledged packet numbers; nil after the last.
    @_lifetime(self: copy self)
    mutating func next() -> ClosedRange<UInt64>? {
        guard let range = upcoming else { return nil }
        upcoming = nil
        // Asked first: an error that is thrown and dropped costs more than the rest of a frame of one range.
        if !reader.isAtEnd, let gap = try? reader.readVarint(), let length = try? reader.readVarint() {
            upcoming = Self.range(below: range.lowerBound, gap: gap, length: length)
        }
        return range
    }

    /// The range that a (gap, length) pair describes below a range that starts at `smallest`; nil when it passes 0.
    static func range(below smallest: UInt64, gap: UInt64, length: UInt64) -> ClosedRange<UInt64>? {
        // RFC 9000 §19.3.1: largest = previous_smallest - gap - 2. Varints keep the sums far below 2^64.
        guard gap + 2 <= smallest else { return nil }
        let largest = smallest - gap - 2
        guard length <= largest else { return nil }
        return largest - length...largest
    }
}

extension AckFrame {
    /// The acknowledged packet numbers, largest first. `payload` is what the frame was decoded from.
    @_lifetime(copy payload)
    func ranges(in payload: Span<UInt8>) -> AckRanges { AckRanges(self, in: payload) }
}
