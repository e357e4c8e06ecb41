import QUIC

/// Which kind of stream frames are read from; it decides which of them may come (RFC 9114 §7, Table 1).
enum FrameStream: Hashable, Sendable {
    /// The peer's control stream.
    case control
    /// A request stream.
    case request
}

/// What a piece of a stream contained.
enum FramePart: Equatable, Sendable {
    /// Payload of a DATA frame: where it stands in the input. A frame may come in any number of parts.
    case data(Range<Int>)
    /// A whole HEADERS frame: the encoded field section.
    case headers([UInt8])
    /// A whole SETTINGS frame's payload.
    case settings([UInt8])
    /// GOAWAY with its stream or push ID.
    case goAway(UInt64)
    /// CANCEL_PUSH with its push ID.
    case cancelPush(UInt64)
    /// MAX_PUSH_ID with its push ID.
    case maxPushID(UInt64)
}

/// Decodes the frames of one stream from pieces of any size (RFC 9114 §7.1).
///
/// DATA payload is passed through by range and never kept; frames that must be whole are collected up to a bound;
/// unknown types are skipped however long they are.
///
///            ┌──────── type, length ────────┐
///            ▼                              │
///       [ header ] ──DATA──► [ data ] ──────┤ payload at its end
///            ├──known──► [ collecting ] ────┤
///            └─unknown─► [ skipping ] ──────┘
struct FrameDecoder {
    /// Longest frame that is collected, in bytes of payload; a longer one is H3_EXCESSIVE_LOAD. Bounds what one stream can
    /// make us hold before its head is complete.
    static let maximumCollectedLength = 16 * 1024

    private enum State {
        case type
        case length(of: FrameType)
        case data(remaining: UInt64)
        case collecting(FrameType, remaining: Int)
        case skipping(remaining: UInt64)
    }

    private let stream: FrameStream
    private let role: Role
    private var state = State.type
    private var varint = VarintDecoder()
    private var collected: [UInt8] = []

    /// Creates a decoder for a stream of the given kind, read by an end of the given role.
    init(_ stream: FrameStream, readBy role: Role) {
        self.stream = stream
        self.role = role
    }

    /// Whether the stream may end here: no frame is under way (RFC 9114 §7.1).
    var isAtFrameBoundary: Bool {
        guard case .type = state else { return false }
        return !varint.isPartial
    }

    /// Takes bytes of `input` from `position` on until something is complete or the input ends (nil). A DATA part ends
    /// at the end of its frame or of the input.
    ///
    /// - Throws: the connection error that a frame of a wrong kind, size or layout is.
    mutating func next(_ input: Span<UInt8>, at position: inout Int) throws(HTTP3Error) -> FramePart? {
        while true {
            switch state {
            case .type:
                guard let number = varint.decode(input, at: &position) else { return nil }
                let type = FrameType(rawValue: number)
                try checkAllowed(type)
                state = .length(of: type)
            case .length(let type):
                guard let length = varint.decode(input, at: &position) else { return nil }
                if let part = try begin(type, length: length) { return part }
            case .data(let remaining):
                guard position < input.count else { return nil }
                let count = Int(min(remaining, UInt64(input.count - position)))
                let start = position
                position += count
                let left = remaining - UInt64(count)
                state = left == 0 ? .type : .data(remaining: left)
                return .data(start..<position)
            case .collecting(let type, let remaining):
                guard position < input.count else { return nil }
                let count = min(remaining, input.count - position)
                for index in position..<position + count { collected.append(input[index]) }
                position += count
                guard count == remaining else {
                    state = .collecting(type, remaining: remaining - count)
                    return nil
                }
                if let part = try finish(type) { return part }
            case .skipping(let remaining):
                guard position < input.count else { return nil }
                let count = Int(min(remaining, UInt64(input.count - position)))
                position += count
                let left = remaining - UInt64(count)
                state = left == 0 ? .type : .skipping(remaining: left)
            }
        }
    }

    /// Takes back the last `count` bytes of the DATA part just returned: they will come again.
    mutating func putBack(_ count: Int) {
        guard count > 0 else { return }
        if case .data(let remaining) = state {
            state = .data(remaining: remaining + UInt64(count))
        } else {
            state = .data(remaining: UInt64(count))
        }
    }

    /// RFC 9114 §7.2: which type may come on which stream. Checked before the length, so that nothing is collected in vain.
    private func checkAllowed(_ type: FrameType) throws(HTTP3Error) {
        if type.isReservedByHTTP2 {
            throw HTTP3Error(.frameUnexpected, "a frame type of HTTP/2 that HTTP/3 reserves")
        }
        let isAllowed =
            switch type {
            case .data, .headers: stream == .request
            case .settings, .goAway, .cancelPush: stream == .control
            // RFC 9114 §7.2.7: only clients send MAX_PUSH_ID.
            case .maxPushID: stream == .control && role == .server
            // RFC 9114 §7.2.5: only servers promise, on request streams.
            case .pushPromise: stream == .request && role == .client
            default: true
            }
        guard isAllowed else {
            throw HTTP3Error(.frameUnexpected, "frame type \(type.rawValue) is not allowed on a \(stream) stream")
        }
        // RFC 9114 §7.2.5: a push ID beyond MAX_PUSH_ID is H3_ID_ERROR; none was ever sent, so every promise is.
        if type == .pushPromise { throw HTTP3Error(.idError, "a push was promised though none is allowed") }
    }

    private mutating func begin(_ type: FrameType, length: UInt64) throws(HTTP3Error) -> FramePart? {
        state = .type
        switch type {
        case .data:
            if length > 0 { state = .data(remaining: length) }
            return nil
        case .headers, .settings:
            guard length <= UInt64(Self.maximumCollectedLength) else {
                throw HTTP3Error(
                    .excessiveLoad,
                    "a frame of \(length) bytes where at most \(Self.maximumCollectedLength) are accepted")
            }
        case .goAway, .cancelPush, .maxPushID:
            // RFC 9114 §7.1: a frame with more or fewer bytes than its fields is H3_FRAME_ERROR.
            guard 1...8 ~= length else { throw HTTP3Error(.frameError, "a frame with one identifier of wrong length") }
        default:
            if length > 0 { state = .skipping(remaining: length) }
            return nil
        }
        collected.removeAll(keepingCapacity: true)
        if length == 0 { return try finish(type) }
        state = .collecting(type, remaining: Int(length))
        return nil
    }

    private mutating func finish(_ type: FrameType) throws(HTTP3Error) -> FramePart? {
        state = .type
        let payload = collected
        collected = []
        switch type {
        case .headers: return .headers(payload)
        case .settings: return .settings(payload)
        case .goAway: return .goAway(try identifier(payload))
        case .cancelPush: return .cancelPush(try identifier(payload))
        case .maxPushID: return .maxPushID(try identifier(payload))
        default: return nil
        }
    }

    private func identifier(_ payload: [UInt8]) throws(HTTP3Error) -> UInt64 {
        var decoder = VarintDecoder()
        var position = 0
        guard let value = decoder.decode(payload.span, at: &position), position == payload.count else {
            throw HTTP3Error(.frameError, "a frame whose identifier does not fill it")
        }
        return value
    }
}
