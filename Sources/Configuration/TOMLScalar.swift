/// Values that are one bare word: numbers, booleans, dates and times (TOML 1.0 "Integer" to "Local Time").
enum TOMLScalar {
    static func content(of word: String) -> TOMLNode.Content? {
        switch word {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        default: break
        }
        if let integer = integer(word) { return .integer(integer) }
        if isFloat(word) { return .other("a number with a fraction") }
        return isDateOrTime(word) ? .other("a date or time") : nil
    }

    private static func integer(_ word: String) -> Int? {
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where word.hasPrefix(prefix) {
            let digits = word.dropFirst(2)
            guard digits.first?.isHexDigit == true, let plain = withoutUnderscores(digits) else { return nil }
            return Int(plain, radix: radix)
        }
        guard isDecimal(word.drop(while: { $0 == "+" || $0 == "-" })),
            word.prefix(2).filter({ "+-".contains($0) }).count <= 1
        else { return nil }
        return withoutUnderscores(word[...]).flatMap { Int($0) }
    }

    /// Digits, without a leading zero, with single underscores between digits.
    private static func isDecimal(_ text: Substring) -> Bool {
        guard let plain = withoutUnderscores(text), isDigits(plain[...]) else { return false }
        return plain == "0" || !plain.hasPrefix("0")
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    /// Underscores may only stand between two digits.
    private static func withoutUnderscores(_ text: Substring) -> String? {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        let isRight = parts.enumerated().allSatisfy { index, part in
            let isFirst = index == 0
            let isLast = index == parts.count - 1
            return (isFirst || part.first?.isHexDigit == true) && (isLast || part.last?.isHexDigit == true)
        }
        return isRight ? parts.joined() : nil
    }

    private static func isFloat(_ word: String) -> Bool {
        var rest = word[...]
        if rest.first == "+" || rest.first == "-" { rest = rest.dropFirst() }
        if rest == "inf" || rest == "nan" { return true }
        let parts = rest.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 == "e" || $0 == "E" }
        guard let mantissa = parts.first else { return false }
        if parts.count == 2 {
            let exponent = parts[1].first == "+" || parts[1].first == "-" ? parts[1].dropFirst() : parts[1]
            guard let plain = withoutUnderscores(exponent), isDigits(plain[...]) else { return false }
        }
        let digits = mantissa.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = digits.first, isDecimal(whole) else { return false }
        guard digits.count == 2 else { return parts.count == 2 }
        guard let fraction = withoutUnderscores(digits[1]) else { return false }
        return isDigits(fraction[...])
    }

    /// Whether a word has the shape of a date, a time or both (RFC 3339); which day it is does not matter here.
    private static func isDateOrTime(_ word: String) -> Bool {
        // Every digit becomes 0, so that shapes can be compared.
        let shape = String(word.map { "123456789".contains($0) ? "0" : $0 }).uppercased()
        if isTime(shape[...]) { return true }
        guard shape.hasPrefix("0000-00-00") else { return false }
        let rest = shape.dropFirst(10)
        guard let separator = rest.first else { return true }
        guard separator == "T" || separator == " " else { return false }
        let time = rest.dropFirst()
        if time.hasSuffix("Z") { return isTime(time.dropLast()) }
        let zone = time.suffix(6)
        return isTime(time) || (zone == "+00:00" || zone == "-00:00") && isTime(time.dropLast(6))
    }

    private static func isTime(_ shape: Substring) -> Bool {
        guard shape.hasPrefix("00:00:00") else { return false }
        let fraction = shape.dropFirst(8)
        return fraction.isEmpty || fraction.first == "." && isDigits(fraction.dropFirst())
    }
}
