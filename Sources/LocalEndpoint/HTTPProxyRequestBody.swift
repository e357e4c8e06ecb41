/// Finds the end of a request's body in the bytes that a program sends, so that nothing behind it reaches the origin.
///
/// A second request on the same connection may be meant for another host, and carries the proxy's password.
public struct HTTPRequestBody: Hashable, Sendable {
    private enum State: Hashable, Sendable {
        case remaining(UInt64)
        case chunk(ChunkState)
        case finished
        case broken
    }

    /// Where in RFC 9112 §7.1's chunked coding the next byte is.
    private enum ChunkState: Hashable, Sendable {
        case size(UInt64, digits: Int)
        case extensions(UInt64, length: Int)
        case sizeEnd(UInt64)
        case data(UInt64)
        case dataEnd
        case dataEndLine
        case trailer(isEmptyLine: Bool, length: Int)
        case trailerEnd(isEmptyLine: Bool, length: Int)
    }

    /// Bytes in a chunk's extensions and in all trailers together; more of them break the body.
    static let longestExtension = 16 << 10

    private var state: State

    static let none = HTTPRequestBody(state: .finished)
    static let chunked = HTTPRequestBody(state: .chunk(.size(0, digits: 0)))
    static func length(_ count: UInt64) -> HTTPRequestBody {
        HTTPRequestBody(state: count == 0 ? .finished : .remaining(count))
    }

    /// Whether the body is complete: further bytes from the program are to be dropped.
    public var isFinished: Bool { state == .finished }

    /// Whether the program's bytes were no chunked coding: reset the tunnel.
    public var isBroken: Bool { state == .broken }

    /// How many of these bytes, from the first, belong to the body and go to the origin.
    public mutating func accept(_ bytes: Span<UInt8>) -> Int {
        var count = 0
        while count < bytes.count {
            switch state {
            case .finished, .broken: return count
            case .remaining(let remaining):
                let part = min(remaining, UInt64(bytes.count - count))
                count += Int(part)
                state = part == remaining ? .finished : .remaining(remaining - part)
            case .chunk(.data(let remaining)):
                let part = min(remaining, UInt64(bytes.count - count))
                count += Int(part)
                state = .chunk(part == remaining ? .dataEnd : .data(remaining - part))
            case .chunk(let chunk):
                state = HTTPRequestBody.next(chunk, bytes[count])
                // The byte that breaks the coding stays here.
                if state != .broken { count += 1 }
            }
        }
        return count
    }

    private static func next(_ state: ChunkState, _ byte: UInt8) -> State {
        let carriageReturn: UInt8 = 0x0d
        let lineFeed: UInt8 = 0x0a
        switch state {
        case .size(let size, let digits):
            if let digit = hexadecimal(byte) {
                // RFC 9112 §7.1: a recipient must prevent overflow; 15 digits are more than any body has.
                return digits < 15 ? .chunk(.size(size << 4 | UInt64(digit), digits: digits + 1)) : .broken
            }
            guard digits > 0 else { return .broken }
            if byte == carriageReturn { return .chunk(.sizeEnd(size)) }
            // RFC 9112 §7.1.1: extensions start with a semicolon, before which blanks may stand.
            let startsExtension = byte == 0x3b || byte == 0x20 || byte == 0x09
            return startsExtension ? .chunk(.extensions(size, length: 1)) : .broken
        case .extensions(let size, let length):
            if byte == carriageReturn { return .chunk(.sizeEnd(size)) }
            guard byte != lineFeed, length < longestExtension else { return .broken }
            return .chunk(.extensions(size, length: length + 1))
        case .sizeEnd(let size):
            guard byte == lineFeed else { return .broken }
            return .chunk(size == 0 ? .trailer(isEmptyLine: true, length: 0) : .data(size))
        case .data: return .broken
        case .dataEnd: return byte == carriageReturn ? .chunk(.dataEndLine) : .broken
        case .dataEndLine: return byte == lineFeed ? .chunk(.size(0, digits: 0)) : .broken
        case .trailer(let isEmptyLine, let length):
            if byte == carriageReturn { return .chunk(.trailerEnd(isEmptyLine: isEmptyLine, length: length)) }
            guard byte != lineFeed, length < longestExtension else { return .broken }
            return .chunk(.trailer(isEmptyLine: false, length: length + 1))
        case .trailerEnd(let isEmptyLine, let length):
            guard byte == lineFeed else { return .broken }
            return isEmptyLine ? .finished : .chunk(.trailer(isEmptyLine: true, length: length))
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
