/// An HTTP/3 frame type (RFC 9114 §7.2); a peer may send any value.
struct FrameType: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    let rawValue: UInt64

    /// Creates a type from the number on the wire.
    init(rawValue: UInt64) { self.rawValue = rawValue }

    /// DATA
    static let data = FrameType(rawValue: 0x00)
    /// HEADERS
    static let headers = FrameType(rawValue: 0x01)
    /// CANCEL_PUSH
    static let cancelPush = FrameType(rawValue: 0x03)
    /// SETTINGS
    static let settings = FrameType(rawValue: 0x04)
    /// PUSH_PROMISE
    static let pushPromise = FrameType(rawValue: 0x05)
    /// GOAWAY
    static let goAway = FrameType(rawValue: 0x07)
    /// MAX_PUSH_ID
    static let maxPushID = FrameType(rawValue: 0x0d)

    /// PRIORITY, PING, WINDOW_UPDATE and CONTINUATION of HTTP/2, which must not come (RFC 9114 §11.2.1).
    var isReservedByHTTP2: Bool {
        switch rawValue {
        case 0x02, 0x06, 0x08, 0x09: true
        default: false
        }
    }

    /// Appends a frame header for a payload of `length` bytes (RFC 9114 §7.1).
    func appendHeader(length: UInt64, to bytes: inout [UInt8]) {
        bytes.appendVarint(rawValue)
        bytes.appendVarint(length)
    }

    /// A whole frame with a payload that is at hand.
    func frame(_ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payload.count + 4)
        appendHeader(length: UInt64(payload.count), to: &bytes)
        bytes += payload
        return bytes
    }
}
