extension StatelessResetToken {
    /// Bytes of a token (RFC 9000 §10.3).
    public static let byteCount = 16

    /// Creates a token from its bytes; nil when there are not 16.
    public init?(_ bytes: Span<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var reader = ByteReader(bytes)
        guard let high = try? reader.readInteger(width: 8), let low = try? reader.readInteger(width: 8) else {
            return nil
        }
        self.init(high: high, low: low)
    }

    /// The 16 bytes, most significant first.
    public var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }

    /// Whether two tokens are the same, in a time that tells nothing about where they differ (RFC 9000 §10.3.1).
    public func isEqualInConstantTime(to other: StatelessResetToken) -> Bool {
        (high ^ other.high) | (low ^ other.low) == 0
    }
}

/// Stateless resets: what an endpoint that lost a connection answers to its packets (RFC 9000 §10.3).
enum StatelessReset {
    /// Shortest datagram that can be a stateless reset: 5 bytes before the token (RFC 9000 §10.3).
    static let minimumLength = 5 + StatelessResetToken.byteCount

    /// Longest one that is sent, in bytes: like a small 1-RTT packet, so that it cannot be told from one.
    static let maximumLength = 43

    /// The last 16 bytes of a datagram, to be compared with the tokens in use; nil when it is too short to be a reset.
    ///
    /// Any datagram may be one, whatever its first byte says: other versions send them too.
    static func token(in datagram: Span<UInt8>) -> StatelessResetToken? {
        guard datagram.count >= minimumLength else { return nil }
        return StatelessResetToken(datagram.extracting(datagram.count - StatelessResetToken.byteCount..<datagram.count))
    }

    /// How long an answer to a datagram of `triggerLength` bytes is; nil when it must not be answered.
    static func length(answering triggerLength: Int) -> Int? {
        // RFC 9000 §10.3.3: smaller than what it answers, so that two endpoints cannot bounce resets for ever.
        let length = min(triggerLength - 1, maximumLength)
        return length >= minimumLength ? length : nil
    }
}

extension ByteWriter {
    /// Writes a stateless reset of `length` bytes, from `StatelessReset.length(answering:)`.
    @_lifetime(self: copy self)
    mutating func writeStatelessReset(
        _ token: StatelessResetToken, length: Int, using generator: inout some RandomNumberGenerator
    ) {
        // RFC 9000 §10.3: a short header's two fixed bits, then at least 38 unpredictable bits.
        write(UInt8.random(in: .min ... .max, using: &generator) & 0x3f | FirstByte.fixedBit)
        for _ in 0..<length - 1 - StatelessResetToken.byteCount {
            write(UInt8.random(in: .min ... .max, using: &generator))
        }
        write(token)
    }
}
