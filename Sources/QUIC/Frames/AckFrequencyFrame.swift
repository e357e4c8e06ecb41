import Primitives

// The numbers of draft-ietf-quic-ack-frequency-14, which are provisional until it is an RFC. That of its transport
// parameter, min_ack_delay, is 0xff04de1b (`TransportParameterID`).

extension FrameType {
    /// Asks for an acknowledgement at once.
    static let immediateAck = FrameType(rawValue: 0x1f)
    /// Asks the peer to acknowledge as often as the frame says.
    static let ackFrequency = FrameType(rawValue: 0xaf)
}

/// An ACK_FREQUENCY frame (draft-ietf-quic-ack-frequency §4).
struct AckFrequencyFrame: Equatable, Sendable {
    /// Grows from frame to frame: one that was overtaken is ignored.
    var sequence: UInt64
    /// Ack-eliciting packets that may arrive without being acknowledged; with one more, an ACK leaves. 0: none may wait.
    var threshold: UInt64
    /// The max_ack_delay that is asked for, in microseconds.
    var maxAckDelayMicroseconds: UInt64
    /// How far packets may be out of order before an ACK leaves at once: 1: not at all, 0: however far.
    var reorderingThreshold: UInt64

    /// The max_ack_delay that is asked for; meaningful below 2^14 ms, which every valid one is.
    var maxAckDelay: Interval { .microseconds(Int64(clamping: maxAckDelayMicroseconds)) }

    /// Bytes that suffice for any such frame.
    static let largestSize = 2 + 4 * 8

    /// Bytes that the frame takes.
    var encodedSize: Int {
        Varint.width(of: FrameType.ackFrequency.rawValue) + Varint.width(of: sequence) + Varint.width(of: threshold)
            + Varint.width(of: maxAckDelayMicroseconds) + Varint.width(of: reorderingThreshold)
    }

    /// Checks what may be asked of an end that announced `minimum` as its min_ack_delay.
    func validate(minimum: Interval) throws(TransportError) {
        // draft-ietf-quic-ack-frequency §4: a delay that no max_ack_delay may have, or one below the peer's min_ack_delay,
        // is PROTOCOL_VIOLATION.
        let largest = (TransportParameters.largestMaxAckDelay + 1) * 1_000
        guard maxAckDelayMicroseconds < largest, maxAckDelay >= minimum else {
            throw TransportError(
                .protocolViolation, frameType: FrameType.ackFrequency.rawValue,
                "ACK_FREQUENCY asks for a delay of \(maxAckDelayMicroseconds) µs")
        }
    }
}
