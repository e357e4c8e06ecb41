public import Primitives

extension Interval {
    /// Reads a span of time as configuration files write it: `24h`, `3s`, `1h30m`, `500ms`, `7d`.
    ///
    /// `nil` for anything else, for units out of order or twice, and for more than the type can hold.
    public static func configured(_ text: String) -> Interval? {
        let units: [(String, Interval)] = [
            ("d", .seconds(86_400)), ("h", .seconds(3_600)), ("m", .seconds(60)), ("s", .seconds(1)),
            ("ms", .milliseconds(1)),
        ]
        var rest = text[...]
        var remaining = units[...]
        var total = Int64(0)
        repeat {
            guard let number = takeNumber(&rest) else { return nil }
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let index = remaining.firstIndex(where: { $0.0 == unit }) else { return nil }
            let (part, tooLarge) = number.multipliedReportingOverflow(by: remaining[index].1.nanoseconds)
            let (sum, overflow) = total.addingReportingOverflow(part)
            guard !tooLarge, !overflow else { return nil }
            total = sum
            remaining = remaining[(index + 1)...]
        } while !rest.isEmpty
        return Interval(nanoseconds: total)
    }

    /// The span in the notation of configuration files: `24h`, `1m30s`.
    var configurationText: String {
        guard nanoseconds >= 1_000_000 else { return "0s" }
        var rest = milliseconds
        var text = ""
        for (unit, length) in [("h", Int64(3_600_000)), ("m", 60_000), ("s", 1_000), ("ms", 1)] where rest >= length {
            text += "\(rest / length)\(unit)"
            rest %= length
        }
        return text
    }
}

extension ByteCount {
    /// Reads an amount of memory as configuration files write it: `1GiB`, `16MiB`, `64KiB`, `1500B`, and powers of ten
    /// as `kB`, `MB`, `GB`. `nil` for anything else and for more than the type can hold.
    static func configured(_ text: String) -> ByteCount? {
        let units: [String: Int64] = [
            "B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
            "TiB": 1 << 40,
        ]
        var rest = text[...]
        guard let number = takeNumber(&rest), let unit = units[String(rest)] else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : ByteCount(bytes)
    }

    /// The amount in the largest binary unit that divides it: `16MiB`.
    var configurationText: String {
        for (unit, size) in [("TiB", Int64(1) << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes >= size && bytes % size == 0 {
            return "\(bytes / size)\(unit)"
        }
        return "\(bytes)B"
    }
}

/// Takes a decimal number without sign off the front; `nil` when there is none or it does not fit.
private func takeNumber(_ text: inout Substring) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, let number = Int64(digits) else { return nil }
    text = text.dropFirst(digits.count)
    return number
}
