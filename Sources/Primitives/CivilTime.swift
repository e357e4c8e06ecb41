/// A date and time of day in UTC, for logs and files; the proleptic Gregorian calendar from 1970 to 9999.
public struct CivilTime: Hashable, Sendable, CustomStringConvertible {
    /// The year.
    public let year: Int64
    /// The month, 1 to 12.
    public let month: Int64
    /// The day of the month, 1 to 31.
    public let day: Int64
    /// The second of the day.
    public let second: Int64

    /// The time that is so many seconds after 1970-01-01 00:00; what lies outside of the calendar becomes its nearest end.
    public init(unixTime: Int64) {
        let seconds = max(0, min(unixTime, 253_402_300_799))
        second = seconds % 86_400
        // Days from a 1 March on which a 400-year cycle starts: leap days then come last in every span.
        let shifted = seconds / 86_400 + 719_468
        let (era, inEra) = (shifted / 146_097, shifted % 146_097)
        let yearOfEra = (inEra - inEra / 1_460 + inEra / 36_524 - inEra / 146_096) / 365
        let dayOfYear = inEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// RFC 3339 without the zone: `2026-11-21T03:04:05`.
    public var description: String {
        func padded(_ number: Int64, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
            + "T\(padded(second / 3_600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
    }
}
