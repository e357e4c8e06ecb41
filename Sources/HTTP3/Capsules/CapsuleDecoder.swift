/// What a piece of a capsule stream contained.
public enum CapsulePart: Equatable, Sendable {
    /// Payload of a DATA or FINAL_DATA capsule: where it stands in the input.
    case payload(Range<Int>)
    /// A FINAL_DATA capsule is complete: there will be no more payload.
    case end
    /// A TUNNEL_DELIVERED capsule: the position that it reports.
    case delivered(UInt64)
}

/// The peer broke a rule of the capsules on one stream, which is to be reset.
public struct CapsuleError: Error, Hashable, Sendable {
    /// One line for a human.
    public let reason: String

    /// Creates an error.
    public init(reason: String) { self.reason = reason }
}

/// Decodes the capsules of a connect-tcp tunnel from pieces of any size (RFC 9297 §3.2).
///
/// Payload is passed through by range and never kept; capsules of other types are skipped however long they are.
///
///     [ header ] ──DATA, FINAL_DATA──► [ payload ] ──at its end──► [ header ]
///         │                                  └───FINAL_DATA───► .end, after which only unknown capsules may come
///         ├──TUNNEL_DELIVERED, where agreed on──► [ position ] ──► .delivered ──► [ header ]
///         └──any other──► [ skipping ] ──► [ header ]
public struct CapsuleDecoder {
    private enum State {
        case type
        case length(of: UInt64)
        case payload(CapsuleKind, remaining: UInt64)
        case skipping(remaining: UInt64)
        case position(remaining: UInt64)
        case ending
    }

    /// Whether TUNNEL_DELIVERED means something on a stream.
    public enum Reports: Hashable, Sendable {
        /// It is a capsule like any other that is unknown.
        case ignored
        /// Both ends have agreed on resumption.
        case understood
    }

    /// Whether TUNNEL_DELIVERED means something from the next capsule on.
    public var reports = Reports.ignored
    private var state = State.type
    private var varint = VarintDecoder()
    private var hasEnded = false
    /// The draft whose numbers the peer used last; nil before its first DATA or FINAL_DATA capsule.
    public private(set) var draft: ConnectTCPDraft?

    /// Creates a decoder for the beginning of a stream.
    public init() {}

    /// Whether the stream may end here: no capsule is under way (RFC 9297 §3.3).
    public var isAtCapsuleBoundary: Bool {
        guard case .type = state else { return false }
        return !varint.isPartial
    }

    /// Whether the payload just returned was the last: `.end` comes next, whatever the input holds.
    public var isEnding: Bool { if case .ending = state { true } else { false } }

    /// Takes bytes of `input` from `position` on until a part is complete or the input ends (nil).
    public mutating func next(_ input: Span<UInt8>, at position: inout Int) throws(CapsuleError) -> CapsulePart? {
        while true {
            switch state {
            case .type:
                guard let type = varint.decode(input, at: &position) else { return nil }
                state = .length(of: type)
            case .length(let type):
                guard let length = varint.decode(input, at: &position) else { return nil }
                try begin(type, length: length)
            case .payload(let kind, let remaining):
                guard position < input.count else { return nil }
                let count = Int(min(remaining, UInt64(input.count - position)))
                let start = position
                position += count
                advance(kind, remaining: remaining - UInt64(count))
                return .payload(start..<position)
            case .skipping(let remaining):
                guard position < input.count else { return nil }
                let count = Int(min(remaining, UInt64(input.count - position)))
                position += count
                let left = remaining - UInt64(count)
                state = left == 0 ? .type : .skipping(remaining: left)
            case .position(let remaining):
                let start = position
                let reported = varint.decode(input, at: &position)
                let (left, isLonger) = remaining.subtractingReportingOverflow(UInt64(position - start))
                // RFC 9297 §3.3: a value that is not what its length says is malformed.
                guard !isLonger, (reported != nil) == (left == 0) else {
                    throw CapsuleError(reason: "a TUNNEL_DELIVERED capsule whose length is not its position's")
                }
                guard let reported else {
                    state = .position(remaining: left)
                    return nil
                }
                state = .type
                return .delivered(reported)
            case .ending:
                state = .type
                hasEnded = true
                return .end
            }
        }
    }

    /// Takes back the last `count` bytes of the payload just returned: they will come again.
    public mutating func putBack(_ count: Int) {
        guard count > 0 else { return }
        switch state {
        case .payload(let kind, let remaining): state = .payload(kind, remaining: remaining + UInt64(count))
        case .ending: state = .payload(.finalData, remaining: UInt64(count))
        case .type, .length, .skipping, .position: state = .payload(.data, remaining: UInt64(count))
        }
    }

    private mutating func begin(_ type: UInt64, length: UInt64) throws(CapsuleError) {
        if type == TunnelDelivered.capsuleType, reports == .understood {
            guard length > 0 else { throw CapsuleError(reason: "an empty TUNNEL_DELIVERED capsule") }
            state = .position(remaining: length)
            return
        }
        guard let (draft, kind) = ConnectTCPDraft.meaning(of: type) else {
            // RFC 9297 §3.2: unknown capsules are skipped.
            state = length == 0 ? .type : .skipping(remaining: length)
            return
        }
        // draft-ietf-httpbis-connect-tcp: no DATA or FINAL_DATA after FINAL_DATA.
        guard !hasEnded else { throw CapsuleError(reason: "a DATA capsule after FINAL_DATA") }
        self.draft = draft
        advance(kind, remaining: length)
    }

    private mutating func advance(_ kind: CapsuleKind, remaining: UInt64) {
        switch (kind, remaining) {
        case (.data, 0): state = .type
        case (.finalData, 0): state = .ending
        default: state = .payload(kind, remaining: remaining)
        }
    }
}
