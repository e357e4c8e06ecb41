/// Truncation of packet numbers on the wire (RFC 9000 §17.1, appendices A.2 and A.3).
enum PacketNumber {
    /// The largest packet number; a sender that reaches it closes the connection (RFC 9000 §12.3).
    static let maximum: UInt64 = 1 << 62 - 1

    /// The longest form on the wire, in bytes.
    static let maximumLength = 4

    /// Bytes that the packet number of a new packet takes, so that the peer can tell which one is meant.
    static func encodedLength(of packetNumber: UInt64, largestAcknowledged: UInt64?) -> Int {
        let unacknowledged =
            largestAcknowledged.map { packetNumber.subtractingReportingOverflow($0).partialValue }
            ?? packetNumber &+ 1
        // RFC 9000 §17.1: more than twice the range between the largest acknowledged packet and this one.
        if unacknowledged < 1 << 7 { return 1 }
        if unacknowledged < 1 << 15 { return 2 }
        if unacknowledged < 1 << 23 { return 3 }
        return maximumLength
    }

    /// Finds the packet number closest to the one after `largestReceived` whose low `length` bytes are `truncated`.
    static func decode(truncated: UInt64, length: Int, largestReceived: UInt64?) -> UInt64 {
        let expected = largestReceived.map { $0 &+ 1 } ?? 0
        let window: UInt64 = 1 << UInt64(8 * length)
        let halfWindow = window / 2
        let candidate = expected & ~(window - 1) | truncated
        if candidate &+ halfWindow <= expected, candidate < 1 << 62 - window { return candidate + window }
        // Past the largest packet number, only the lower candidate can be meant.
        let isTooLarge = candidate > expected &+ halfWindow || candidate > maximum
        return isTooLarge && candidate >= window ? candidate - window : candidate
    }
}
