extension IPAddress: LosslessStringConvertible {
    /// Reads an address without port, zone or brackets: a dotted quad, or IPv6 as in RFC 4291 §2.2.
    ///
    /// Strict: four decimal numbers without leading zeros (a leading zero means octal to some programs, so the same text
    /// would name two hosts). Anything else, of any length, is `nil`.
    public init?(_ description: String) {
        self.init(utf8: Array(description.utf8)[...])
    }

    /// Reads an address from a part of a text, see `init(_:)`.
    public init?(_ text: Substring) {
        self.init(utf8: Array(text.utf8)[...])
    }

    init?(utf8 text: ArraySlice<UInt8>) {
        guard text.count <= IPAddress.longestText else { return nil }
        if text.contains(UInt8(ascii: ":")) {
            guard let groups = IPAddress.ipv6Groups(text) else { return nil }
            self.init(ipv6Groups: groups)
        } else {
            guard let bits = IPAddress.ipv4Bits(text) else { return nil }
            self.init(ipv4: bits)
        }
    }

    /// Characters in the longest form of an address: six full groups and an embedded dotted quad. Longer texts are not read.
    static var longestText: Int { 45 }

    /// The address as text: a dotted quad, or the canonical form of RFC 5952.
    public var description: String {
        switch family {
        case .ipv4: IPAddress.dottedQuad(UInt32(truncatingIfNeeded: low))
        case .ipv6: ipv6Description
        }
    }

    /// The address in network order: 4 bytes for IPv4, 16 for IPv6.
    public var bytes: [UInt8] {
        switch family {
        case .ipv4: (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
        case .ipv6:
            (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
                + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
        }
    }

    /// Creates an address from its bytes in network order; `nil` unless there are 4 or 16.
    public init?(bytes: some Collection<UInt8>) {
        func word(_ part: some Sequence<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: self.init(ipv4: UInt32(truncatingIfNeeded: word(bytes)))
        case 16: self.init(ipv6High: word(bytes.prefix(8)), low: word(bytes.dropFirst(8)))
        default: return nil
        }
    }
}

// MARK: - IPv4

extension IPAddress {
    static func ipv4Bits(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let number = decimal(part, atMost: 255) else { return nil }
            bits = bits << 8 | UInt32(number)
        }
        return bits
    }

    static func dottedQuad(_ bits: UInt32) -> String {
        "\(bits >> 24).\(bits >> 16 & 0xff).\(bits >> 8 & 0xff).\(bits & 0xff)"
    }

    /// An unsigned decimal number without sign and leading zeros.
    static func decimal(_ text: ArraySlice<UInt8>, atMost limit: UInt64) -> UInt64? {
        guard let first = text.first, text.count <= 10, text.count == 1 || first != UInt8(ascii: "0") else {
            return nil
        }
        var value: UInt64 = 0
        for character in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(character) else { return nil }
            value = value * 10 + UInt64(character - UInt8(ascii: "0"))
        }
        return value <= limit ? value : nil
    }
}

// MARK: - IPv6

extension IPAddress {
    init(ipv6Groups groups: [UInt16]) {
        self.init(
            ipv6High: groups.prefix(4).reduce(0) { $0 << 16 | UInt64($1) },
            low: groups.dropFirst(4).reduce(0) { $0 << 16 | UInt64($1) })
    }

    var ipv6Groups: [UInt16] {
        (0..<4).map { UInt16(truncatingIfNeeded: high >> (48 - 16 * $0)) }
            + (0..<4).map { UInt16(truncatingIfNeeded: low >> (48 - 16 * $0)) }
    }

    /// The eight groups of an IPv6 text, RFC 4291 §2.2 forms 1 to 3.
    static func ipv6Groups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        let colon = UInt8(ascii: ":")
        // The one `::` divides the text; each side is a plain list of groups.
        var compression: ArraySlice<UInt8>.Index?
        for index in text.indices.dropLast() where text[index] == colon && text[index + 1] == colon {
            // RFC 4291 §2.2: the "::" can only appear once in an address; ":::" is two of them.
            guard compression == nil else { return nil }
            compression = index
        }
        guard let compression else {
            guard let groups = groupList(text, quadAllowed: .atEnd), groups.count == 8 else { return nil }
            return groups
        }
        let left = text[..<compression]
        let right = text[(compression + 2)...]
        guard let leading = left.isEmpty ? [] : groupList(left, quadAllowed: .nowhere),
            let trailing = right.isEmpty ? [] : groupList(right, quadAllowed: .atEnd),
            // RFC 4291 §2.2: "::" indicates one or more groups of zeros.
            leading.count + trailing.count <= 7
        else { return nil }
        return leading + Array(repeating: 0, count: 8 - leading.count - trailing.count) + trailing
    }

    enum QuadPosition { case atEnd, nowhere }

    static func groupList(_ text: ArraySlice<UInt8>, quadAllowed: QuadPosition) -> [UInt16]? {
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var groups: [UInt16] = []
        for (position, part) in parts.enumerated() {
            if part.contains(UInt8(ascii: ".")) {
                guard quadAllowed == .atEnd, position == parts.count - 1, let bits = ipv4Bits(part) else { return nil }
                groups += [UInt16(truncatingIfNeeded: bits >> 16), UInt16(truncatingIfNeeded: bits)]
            } else {
                guard let group = hexadecimalGroup(part) else { return nil }
                groups.append(group)
            }
        }
        return groups
    }

    static func hexadecimalGroup(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(text.count) else { return nil }
        var value: UInt16 = 0
        for character in text {
            let digit: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = character - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = character - UInt8(ascii: "A") + 10
            default: return nil
            }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    var ipv6Description: String {
        // RFC 5952 §5: mixed notation where a well-known prefix says that an IPv4 address is inside.
        if high == 0, low >> 32 == 0xffff { return "::ffff:" + IPAddress.dottedQuad(UInt32(truncatingIfNeeded: low)) }
        if high == 0x0064_ff9b_0000_0000, low >> 32 == 0 {
            return "64:ff9b::" + IPAddress.dottedQuad(UInt32(truncatingIfNeeded: low))
        }
        let groups = ipv6Groups
        func text(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard let zeros = IPAddress.longestZeroRun(groups) else { return text(groups[...]) }
        return text(groups[..<zeros.lowerBound]) + "::" + text(groups[zeros.upperBound...])
    }

    /// The run that `::` stands for: RFC 5952 §4.2: the longest, the first of equals, never a single group.
    static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var longest = 0..<1
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<(index + 1)
            }
        }
        return longest.count > 1 ? longest : nil
    }
}
