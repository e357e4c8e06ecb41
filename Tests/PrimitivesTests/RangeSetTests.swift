import Primitives
import Testing

@Suite("A set of ranges")
struct RangeSetTests {
    @Test func `merges what overlaps or touches`() {
        var set = RangeSet()
        set.insert(10..<20)
        set.insert(30..<40)
        set.insert(20..<30)
        #expect(set.ranges == [10..<40])
        set.insert(0..<5)
        set.insert(5..<6)
        #expect(set.ranges == [0..<6, 10..<40])
        set.insert(3..<50)
        #expect(set.ranges == [0..<50])
        set.insert(7..<7)
        #expect(set.ranges == [0..<50])
    }

    @Test func `ignores the empty range everywhere`() {
        var set = RangeSet()
        set.insert(7..<7)
        #expect(set.isEmpty)
        set.insert(1..<3)
        set.insert(9..<9)
        set.remove(2..<2)
        #expect(set.ranges == [1..<3])
        #expect(set.contains(100..<100))
    }

    @Test func `splits a range when its middle is taken out`() {
        var set = RangeSet()
        set.insert(0..<100)
        set.remove(40..<60)
        #expect(set.ranges == [0..<40, 60..<100])
        set.remove(30..<70)
        #expect(set.ranges == [0..<30, 70..<100])
        set.remove(below: 80)
        #expect(set.ranges == [80..<100])
    }

    @Test func `tells prefix and gaps`() {
        var set = RangeSet()
        set.insert(0..<10)
        set.insert(20..<30)
        #expect(set.prefixEnd(from: 0) == 10)
        #expect(set.prefixEnd(from: 10) == 10)
        #expect(set.prefixEnd(from: 25) == 30)
        #expect(set.firstGap(in: 0..<30) == 10..<20)
        #expect(set.firstGap(in: 22..<28) == nil)
        #expect(set.gaps(in: 5..<40) == [10..<20, 30..<40])
        #expect(set.minimum == 0)
        #expect(set.maximum == 29)
        #expect(set.memberCount == 20)
    }

    @Test func `refuses a range that would exceed the bound but takes one that merges`() {
        var set = RangeSet()
        let offered: [Range<UInt64>] = [0..<1, 2..<3, 4..<5, 3..<4, 1..<2]
        let taken = offered.map { set.insert($0, atMost: 2) }
        #expect(taken == [true, true, false, true, true])
        #expect(set.ranges == [0..<4])
    }

    @Test func `keeps the highest ranges when it is cut to a bound`() {
        var set = RangeSet()
        for start in stride(from: UInt64(0), to: 50, by: 10) { set.insert(start..<start + 1) }
        set.keepLast(2)
        #expect(set.ranges == [30..<31, 40..<41])
    }

    @Test func `holds ranges at the end of the number space`() {
        var set = RangeSet()
        set.insert(UInt64.max - 1..<UInt64.max)
        set.insert(UInt64.max)
        #expect(set.maximum == UInt64.max - 1)
        #expect(set.prefixEnd(from: .max - 1) == UInt64.max)
        set.remove(0..<UInt64.max)
        #expect(set.isEmpty)
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `behaves as a plain set does`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var set = RangeSet()
        var model: Set<UInt64> = []
        for _ in 0..<600 {
            let start = UInt64.random(in: 0..<120, using: &random)
            let range = start..<start + UInt64.random(in: 0..<16, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<4:
                set.insert(range)
                model.formUnion(range)
            case 4:
                let limit = Int.random(in: 1..<8, using: &random)
                var other = set
                other.insert(range)
                let fits = other.rangeCount <= max(limit, set.rangeCount)
                let taken = set.insert(range, atMost: limit)
                #expect(taken == fits)
                if fits { model.formUnion(range) }
            case 5:
                var other = RangeSet()
                other.insert(range)
                other.insert(range.upperBound + 3..<range.upperBound + 5)
                set.subtract(other)
                model.subtract(range)
                model.subtract(range.upperBound + 3..<range.upperBound + 5)
            default:
                set.remove(range)
                model.subtract(range)
            }
            #expect(set.ranges == runs(of: model))
            let probe = UInt64.random(in: 0..<140, using: &random)
            #expect(set.contains(probe) == model.contains(probe))
            #expect(set.contains(range) == range.allSatisfy(model.contains))
            #expect(set.prefixEnd(from: probe) == (probe...).first { !model.contains($0) })
            let gap = set.firstGap(in: range)
            #expect(gap?.lowerBound == range.first { !model.contains($0) })
            #expect(set.gaps(in: range).flatMap(Array.init) == range.filter { !model.contains($0) })
        }
    }

    private func runs(of model: Set<UInt64>) -> [Range<UInt64>] {
        var runs: [Range<UInt64>] = []
        for value in model.sorted() {
            if let last = runs.last, last.upperBound == value {
                runs[runs.count - 1] = last.lowerBound..<value + 1
            } else {
                runs.append(value..<value + 1)
            }
        }
        return runs
    }
}
