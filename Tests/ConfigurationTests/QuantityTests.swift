import Primitives
import Testing

@testable import Configuration

@Suite("Durations and sizes")
struct QuantityTests {
    @Test(
        "durations are numbers with units, large before small",
        arguments: [
            ("24h", 86_400_000), ("3s", 3_000), ("500ms", 500), ("1h30m", 5_400_000), ("7d", 604_800_000), ("0s", 0),
            ("1m1s1ms", 61_001),
        ] as [(String, Int64)])
    func duration(text: String, milliseconds: Int64) {
        #expect(Interval.configured(text) == .milliseconds(milliseconds))
    }

    @Test(
        "what is no duration is refused",
        arguments: [
            "", "3", "s", "3 s", "-3s", "1.5h", "3x", "3S", "30m1h", "1s1s", "h3", "99999999999999999999s",
            "9223372036854775807h", "1é", "٣s",
        ])
    func noDuration(text: String) {
        #expect(Interval.configured(text) == nil)
    }

    @Test(
        "sizes are numbers with a unit",
        arguments: [
            ("1GiB", 1 << 30), ("16MiB", 16 << 20), ("64KiB", 64 << 10), ("1500B", 1_500), ("1GB", 1_000_000_000),
            ("2kB", 2_000), ("0B", 0),
        ] as [(String, Int64)])
    func size(text: String, bytes: Int64) {
        #expect(ByteCount.configured(text) == ByteCount(bytes))
    }

    @Test(
        "what is no size is refused",
        arguments: ["", "1", "GiB", "1 GiB", "-1B", "1.5GiB", "1gib", "1KB", "99999999999GiB"])
    func noSize(text: String) {
        #expect(ByteCount.configured(text) == nil)
    }

    @Test("quantities are written as they are read", arguments: ["24h", "1m30s", "500ms"])
    func written(text: String) {
        #expect(Interval.configured(text)?.configurationText == text)
    }

    @Test("sizes are written in the unit that divides them", arguments: ["1GiB", "1536KiB", "17B"])
    func sizeWritten(text: String) {
        #expect(ByteCount.configured(text)?.configurationText == text)
    }
}
