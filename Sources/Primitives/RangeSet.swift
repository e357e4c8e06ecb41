/// A set of integers held as sorted, disjoint, half-open ranges that never touch each other.
///
/// Meant for offsets and packet numbers: adding at the upper end costs O(1), other changes O(log n) to find the place and a move of the
/// ranges behind it. It never allocates while it is empty. Its size is the number of *ranges*; whoever lets a peer choose
/// what goes in bounds that number with `insert(_:atMost:)` or `keepLast(_:)`.
public struct RangeSet: Hashable, Sendable {
    /// The ranges in ascending order; none is empty and none touches the next.
    public private(set) var ranges: [Range<UInt64>]

    /// Creates the empty set.
    @inlinable
    public init() { self.init(sorted: []) }

    @usableFromInline
    init(sorted ranges: [Range<UInt64>]) { self.ranges = ranges }

    /// Whether the set has no members.
    @inlinable
    public var isEmpty: Bool { ranges.isEmpty }
    /// How many separate ranges the members form.
    @inlinable
    public var rangeCount: Int { ranges.count }
    /// The lowest range.
    @inlinable
    public var first: Range<UInt64>? { ranges.first }
    /// The highest range.
    @inlinable
    public var last: Range<UInt64>? { ranges.last }
    /// The smallest member.
    @inlinable
    public var minimum: UInt64? { ranges.first?.lowerBound }
    /// The largest member.
    @inlinable
    public var maximum: UInt64? { ranges.last.map { $0.upperBound &- 1 } }

    /// How many members there are; saturates.
    public var memberCount: UInt64 {
        ranges.reduce(0) { $0.addingSaturating($1.upperBound - $1.lowerBound) }
    }

    /// The index of the first range that ends after `value`; `rangeCount` when there is none.
    @usableFromInline
    func indexOfFirstRange(endingAfter value: UInt64) -> Int {
        if let last = ranges.last, last.upperBound <= value { return ranges.count }
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound > value { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Whether `value` is a member.
    public func contains(_ value: UInt64) -> Bool {
        let index = indexOfFirstRange(endingAfter: value)
        return index < ranges.count && ranges[index].lowerBound <= value
    }

    /// Whether every value of `range` is a member; an empty range is contained in every set.
    public func contains(_ range: Range<UInt64>) -> Bool {
        if range.isEmpty { return true }
        let index = indexOfFirstRange(endingAfter: range.lowerBound)
        guard index < ranges.count else { return false }
        return ranges[index].lowerBound <= range.lowerBound && range.upperBound <= ranges[index].upperBound
    }

    /// Where the run of members that starts at `value` ends: the smallest non-member that is not below `value`.
    public func prefixEnd(from value: UInt64) -> UInt64 {
        let index = indexOfFirstRange(endingAfter: value)
        guard index < ranges.count, ranges[index].lowerBound <= value else { return value }
        return ranges[index].upperBound
    }

    /// The first run of non-members within `range`; nil when all of it is in the set.
    public func firstGap(in range: Range<UInt64>) -> Range<UInt64>? {
        let start = prefixEnd(from: range.lowerBound)
        guard start < range.upperBound else { return nil }
        let index = indexOfFirstRange(endingAfter: start)
        let end = index < ranges.count ? min(ranges[index].lowerBound, range.upperBound) : range.upperBound
        return start..<end
    }
}

extension RangeSet {
    /// Adds one value.
    @inlinable
    public mutating func insert(_ value: UInt64) {
        // The largest representable value has no half-open range of its own.
        guard value < .max else { return }
        insert(value..<value + 1)
    }

    /// Adds every value of `range`, merging it with the ranges that it overlaps or touches.
    @inlinable
    public mutating func insert(_ range: Range<UInt64>) {
        if let last = ranges.last, range.lowerBound >= last.lowerBound, range.lowerBound <= last.upperBound {
            if range.upperBound > last.upperBound { replaceLast(with: last.lowerBound..<range.upperBound) }
            return
        }
        insertAnywhere(range)
    }

    /// Adds `range` unless it would be one range more in a set that has `limit` already; tells whether it did.
    public mutating func insert(_ range: Range<UInt64>, atMost limit: Int) -> Bool {
        if ranges.count >= limit, !range.isEmpty, touchedRanges(by: range).isEmpty { return false }
        insert(range)
        return true
    }

    /// Adds every member of another set.
    public mutating func formUnion(_ other: RangeSet) {
        for range in other.ranges { insert(range) }
    }

    /// Takes every value of `range` out.
    public mutating func remove(_ range: Range<UInt64>) {
        if range.isEmpty { return }
        let low = indexOfFirstRange(endingAfter: range.lowerBound)
        guard low < ranges.count, ranges[low].lowerBound < range.upperBound else { return }
        let first = ranges[low]
        if first.upperBound > range.upperBound {
            removeInside(range, of: first, at: low)
            return
        }
        var high = low
        while high < ranges.count, ranges[high].upperBound <= range.upperBound { high += 1 }
        if high < ranges.count, ranges[high].lowerBound < range.upperBound {
            ranges[high] = range.upperBound..<ranges[high].upperBound
        }
        var removed = low..<high
        if first.lowerBound < range.lowerBound {
            ranges[low] = first.lowerBound..<range.lowerBound
            removed = low + 1..<high
        }
        if !removed.isEmpty { ranges.removeSubrange(removed) }
    }

    /// Takes every member of another set out.
    public mutating func subtract(_ other: RangeSet) {
        if isEmpty { return }
        for range in other.ranges { remove(range) }
    }

    /// Takes every value below `bound` out.
    @inlinable
    public mutating func remove(below bound: UInt64) {
        guard let first = ranges.first, first.lowerBound < bound else { return }
        remove(0..<bound)
    }

    /// Takes every member out; the memory goes too.
    public mutating func removeAll() { ranges = [] }

    /// Takes the lowest ranges out until at most `limit` are left.
    @inlinable
    public mutating func keepLast(_ limit: Int) {
        if ranges.count > limit { removeFirst(ranges.count - limit) }
    }

    /// The parts of `range` that are not in the set, in ascending order.
    public func gaps(in range: Range<UInt64>) -> [Range<UInt64>] {
        var gaps: [Range<UInt64>] = []
        var rest = range
        while let gap = firstGap(in: rest) {
            gaps.append(gap)
            rest = gap.upperBound..<range.upperBound
        }
        return gaps
    }

    @usableFromInline
    mutating func replaceLast(with range: Range<UInt64>) { ranges[ranges.count - 1] = range }

    @usableFromInline
    mutating func removeFirst(_ count: Int) { ranges.removeFirst(count) }

    /// The indices of the ranges that overlap or touch `range`, or the empty place where it would go.
    private func touchedRanges(by range: Range<UInt64>) -> Range<Int> {
        var low = indexOfFirstRange(endingAfter: range.lowerBound)
        if low > 0, ranges[low - 1].upperBound == range.lowerBound { low -= 1 }
        var high = low
        while high < ranges.count, ranges[high].lowerBound <= range.upperBound { high += 1 }
        return low..<high
    }

    @usableFromInline
    mutating func insertAnywhere(_ range: Range<UInt64>) {
        if range.isEmpty { return }
        guard let last = ranges.last, range.lowerBound <= last.upperBound else {
            ranges.append(range)
            return
        }
        let touched = touchedRanges(by: range)
        guard !touched.isEmpty else {
            ranges.insert(range, at: touched.lowerBound)
            return
        }
        let lower = min(range.lowerBound, ranges[touched.lowerBound].lowerBound)
        let upper = max(range.upperBound, ranges[touched.upperBound - 1].upperBound)
        ranges[touched.lowerBound] = lower..<upper
        if touched.count > 1 { ranges.removeSubrange(touched.lowerBound + 1..<touched.upperBound) }
    }

    /// Takes `range` out of one range that reaches beyond its end.
    private mutating func removeInside(_ range: Range<UInt64>, of outer: Range<UInt64>, at index: Int) {
        ranges[index] = range.upperBound..<outer.upperBound
        if outer.lowerBound < range.lowerBound {
            ranges.insert(outer.lowerBound..<range.lowerBound, at: index)
        }
    }
}
