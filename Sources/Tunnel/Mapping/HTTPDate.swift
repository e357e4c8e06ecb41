/// A date as servers write it (RFC 9110 §5.6.7, IMF-fixdate): `Sun, 06 Nov 1994 08:49:37 GMT`.
struct HTTPDate: Hashable, Comparable, Sendable {
    /// Seconds since 1970-01-01 00:00 UTC.
    let unixTime: Int64

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Nil for anything else; the two obsolete formats too, which nobody needs to continue a response.
    init?(_ text: ArraySlice<UInt8>) {
        let words = text.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard text.count == 29, words.count == 6, words[0].count == 4, words[0].last == UInt8(ascii: ","),
            String(decoding: words[5], as: UTF8.self) == "GMT",
            let month = Self.months.firstIndex(of: String(decoding: words[2], as: UTF8.self)),
            let day = Self.number(words[1], digits: 2, 1...31), let year = Self.number(words[3], digits: 4, 1970...9999)
        else { return nil }
        let time = words[4].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard time.count == 3, let hour = Self.number(time[0], digits: 2, 0...23),
            let minute = Self.number(time[1], digits: 2, 0...59), let second = Self.number(time[2], digits: 2, 0...60)
        else { return nil }
        let days = Self.daysSince1970(year: year, month: Int64(month) + 1, day: day)
        unixTime = ((days * 24 + hour) * 60 + minute) * 60 + second
    }

    static func < (a: HTTPDate, b: HTTPDate) -> Bool { a.unixTime < b.unixTime }

    private static func number(_ text: ArraySlice<UInt8>, digits: Int, _ range: ClosedRange<Int64>) -> Int64? {
        guard text.count == digits, let number = Octet.decimal(text), range.contains(Int64(number)) else { return nil }
        return Int64(number)
    }

    /// In the proleptic Gregorian calendar; years are counted from 1 March, so that a leap day is a year's last.
    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let (year, month) = month <= 2 ? (year - 1, month + 9) : (year, month - 3)
        return 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
    }
}
