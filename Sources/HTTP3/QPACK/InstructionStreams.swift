/// Follows the peer's encoder stream (RFC 9204 §4.3) for a table of capacity 0.
///
/// The only instruction that makes sense then is to set the capacity to 0, one byte; every insertion or duplication is an
/// entry larger than the table.
struct QPACKEncoderStream {
    /// Checks the next bytes of the stream.
    ///
    /// - Throws: QPACK_ENCODER_STREAM_ERROR, a connection error.
    func receive(_ bytes: Span<UInt8>) throws(HTTP3Error) {
        for index in bytes.indices {
            // RFC 9204 §4.3.1: Set Dynamic Table Capacity, 001 capacity(5+).
            guard bytes[index] & 0xe0 == 0x20 else {
                throw HTTP3Error(.qpackEncoderStreamError, "an entry for a dynamic table of capacity 0")
            }
            guard bytes[index] == 0x20 else {
                throw HTTP3Error(.qpackEncoderStreamError, "a dynamic table capacity above the announced 0")
            }
        }
    }
}

/// Follows the peer's decoder stream (RFC 9204 §4.4) for an encoder that never inserts.
///
/// Only Stream Cancellation can be right: there is no section to acknowledge and no insertion to count.
struct QPACKDecoderStream {
    /// Longest continuation of a stream ID, in bytes: 62 bits in groups of seven.
    private static let maximumContinuation = 9
    /// Continuation bytes taken of an unfinished Stream Cancellation; nil between instructions.
    private var continuation: Int?

    /// Checks the next bytes of the stream.
    ///
    /// - Throws: QPACK_DECODER_STREAM_ERROR, a connection error.
    mutating func receive(_ bytes: Span<UInt8>) throws(HTTP3Error) {
        for index in bytes.indices {
            let byte = bytes[index]
            if let taken = continuation {
                guard taken < Self.maximumContinuation else { throw failure("a stream ID beyond 62 bits") }
                continuation = byte & 0x80 == 0 ? nil : taken + 1
            } else if byte & 0x80 != 0 {
                // RFC 9204 §4.4.1: Section Acknowledgment.
                throw failure("an acknowledgment of a field section that needs none")
            } else if byte & 0x40 != 0 {
                // RFC 9204 §4.4.2: Stream Cancellation, 01 stream(6+).
                if byte & 0x3f == 0x3f { continuation = 0 }
            } else {
                // RFC 9204 §4.4.3: Insert Count Increment.
                throw failure("an insert count beyond what was inserted")
            }
        }
    }

    private func failure(_ reason: String) -> HTTP3Error { HTTP3Error(.qpackDecoderStreamError, reason) }
}
