import Primitives
import Testing

@Suite("Civil time")
struct CivilTimeTests {
    @Test(
        "seconds since 1970 are a date in UTC",
        arguments: [
            (0, "1970-01-01T00:00:00"), (951_782_400, "2000-02-29T00:00:00"), (1_709_251_199, "2024-02-29T23:59:59"),
            (1_709_251_200, "2024-03-01T00:00:00"), (4_107_542_400, "2100-03-01T00:00:00"),
            (1_795_230_245, "2026-11-21T03:04:05"), (253_402_300_799, "9999-12-31T23:59:59"),
            (-1, "1970-01-01T00:00:00"), (.max, "9999-12-31T23:59:59"),
        ] as [(Int64, String)])
    func dates(seconds: Int64, text: String) {
        #expect(CivilTime(unixTime: seconds).description == text)
    }

    @Test("every day follows the one before")
    func days() {
        var last = CivilTime(unixTime: 0)
        for day in 1..<150_000 {
            let next = CivilTime(unixTime: Int64(day) * 86_400)
            let isNextDay = next.month == last.month && next.day == last.day + 1
            let isNextMonth = next.day == 1 && (next.month == last.month + 1 || next.month == 1 && last.month == 12)
            guard isNextDay != isNextMonth else {
                Issue.record("\(next) after \(last)")
                return
            }
            last = next
        }
    }
}
