public import Primitives
public import QUIC

/// What an end of a simulated connection does with it: it is told what happened and commands the connection.
///
/// Several may share a connection; each looks after streams of its own.
public protocol QUICApplication: AnyObject {
    /// Something happened on the connection.
    func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant)
    /// Every event is handled, or `nextDeadline` has come: reads and writes what it can.
    func proceed(on connection: Connection, at now: Instant)
    /// When it wants `proceed` to be called although nothing happens; nil for never.
    var nextDeadline: Instant? { get }
    /// Whether it has done what it came for.
    var isFinished: Bool { get }
}

extension QUICApplication {
    /// Does nothing.
    public func proceed(on connection: Connection, at now: Instant) {}
    /// Never.
    public var nextDeadline: Instant? { nil }
}

/// Waits until the handshake is confirmed, and wants nothing else.
public final class IdleApplication: QUICApplication {
    /// Whether the handshake is confirmed.
    public private(set) var isFinished = false

    /// Creates it.
    public init() {}

    /// Takes note of the end of the handshake.
    public func handle(_ event: ConnectionEvent, on connection: Connection, at now: Instant) {
        if event == .handshakeConfirmed { isFinished = true }
    }
}

/// Bytes whose place can be told from their values: stream data that is lost, repeated or moved does not go unnoticed.
enum StreamPattern {
    /// A prime, so that no chunk, packet or ring size is a multiple of it.
    private static let period = 65_521

    /// Two periods, so that every period-long stretch is one slice.
    private static let bytes: [UInt8] = {
        var generator = SeededGenerator(seed: 0x67_6F_64)
        let one = (0..<period).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return one + one
    }()

    /// At most `count` bytes of the pattern of a stream from `offset` on.
    static func slice(of stream: StreamID, at offset: Int, count: Int) -> ArraySlice<UInt8> {
        let start = (offset + Int(stream.rawValue % 1_000) * 61) % period
        return bytes[start..<start + min(count, period)]
    }

    /// Whether `received` is what belongs at `offset`.
    static func matches(_ received: [UInt8], of stream: StreamID, at offset: Int) -> Bool {
        var position = 0
        while position < received.count {
            let wanted = slice(of: stream, at: offset + position, count: received.count - position)
            guard received[position..<position + wanted.count] == wanted else { return false }
            position += wanted.count
        }
        return true
    }
}
