extension ByteWriter {
    /// Writes an ACK frame (RFC 9000 §19.3) of at most `space` bytes, and tells how many ranges went into it.
    ///
    /// `ranges` ascend, do not touch and are not empty; when not all fit, the largest packet numbers are told
    /// (RFC 9000 §13.2.3). Nothing is written, and 0 returned, when not even the first range fits or there is none.
    /// - Parameter encodedDelay: the delay already divided by 2^ack_delay_exponent.
    @_lifetime(self: copy self)
    mutating func writeAck(
        ranges: some BidirectionalCollection<Range<UInt64>>, encodedDelay: UInt64, ecn: ECNCounts?, space: Int
    ) -> Int {
        guard let newest = ranges.last else { return 0 }
        let fitting = Self.fittingRanges(
            ranges, encodedDelay: encodedDelay, ecn: ecn, space: Swift.min(space, remaining))
        guard fitting > 0 else { return 0 }
        write(UInt8(truncatingIfNeeded: (ecn == nil ? FrameType.ack : .ackECN).rawValue))
        writeVarint(newest.upperBound - 1)
        writeVarint(encodedDelay)
        writeVarint(UInt64(fitting - 1))
        writeVarint(newest.upperBound - 1 - newest.lowerBound)
        var smallest = newest.lowerBound
        for range in ranges.reversed().prefix(fitting).dropFirst() {
            writeVarint(smallest - range.upperBound - 1)
            writeVarint(range.upperBound - 1 - range.lowerBound)
            smallest = range.lowerBound
        }
        if let ecn {
            writeVarint(ecn.ect0)
            writeVarint(ecn.ect1)
            writeVarint(ecn.congestionExperienced)
        }
        return fitting
    }

    /// Bytes that an ACK frame of the `count` largest ranges takes.
    static func ackSize(
        ranges: some BidirectionalCollection<Range<UInt64>>, count: Int, encodedDelay: UInt64, ecn: ECNCounts?
    ) -> Int {
        guard let newest = ranges.last else { return 0 }
        var size =
            ackFixedSize(newest, encodedDelay: encodedDelay, ecn: ecn) + Varint.width(of: UInt64(max(count, 1) - 1))
        var smallest = newest.lowerBound
        for range in ranges.reversed().prefix(count).dropFirst() {
            size += ackRangeSize(range, below: smallest)
            smallest = range.lowerBound
        }
        return size
    }

    /// How many ranges, the largest first, go into an ACK frame of at most `space` bytes.
    private static func fittingRanges(
        _ ranges: some BidirectionalCollection<Range<UInt64>>, encodedDelay: UInt64, ecn: ECNCounts?, space: Int
    ) -> Int {
        guard let newest = ranges.last else { return 0 }
        var size = ackFixedSize(newest, encodedDelay: encodedDelay, ecn: ecn)
        guard size + 1 <= space else { return 0 }
        var fitting = 1
        var smallest = newest.lowerBound
        for range in ranges.reversed().dropFirst() {
            size += ackRangeSize(range, below: smallest)
            guard size + Varint.width(of: UInt64(fitting)) <= space else { break }
            smallest = range.lowerBound
            fitting += 1
        }
        return fitting
    }

    /// Bytes of the frame but for the range count and the additional ranges.
    private static func ackFixedSize(_ newest: Range<UInt64>, encodedDelay: UInt64, ecn: ECNCounts?) -> Int {
        let counts =
            ecn.map {
                Varint.width(of: $0.ect0) + Varint.width(of: $0.ect1) + Varint.width(of: $0.congestionExperienced)
            } ?? 0
        return 1 + Varint.width(of: newest.upperBound - 1) + Varint.width(of: encodedDelay)
            + Varint.width(of: newest.upperBound - 1 - newest.lowerBound) + counts
    }

    private static func ackRangeSize(_ range: Range<UInt64>, below smallest: UInt64) -> Int {
        Varint.width(of: smallest - range.upperBound - 1) + Varint.width(of: range.upperBound - 1 - range.lowerBound)
    }
}
