/// Which end of a connection this is.
public enum Role: UInt8, Hashable, Sendable {
    /// The end that sends the first Initial packet.
    case client = 0
    /// The end that accepts it.
    case server = 1

    /// The other end.
    public var peer: Role { self == .client ? .server : .client }
}

/// Whether both ends may send on a stream (RFC 9000 §2.1).
public enum StreamDirection: UInt8, Hashable, Sendable {
    /// Both ends send.
    case bidirectional = 0
    /// Only the initiator sends.
    case unidirectional = 1
}

/// A stream's number; its two lowest bits say who opened it and which ends may send (RFC 9000 §2.1).
public struct StreamID: Hashable, Comparable, Sendable {
    /// The most streams that one end can open in one direction; more could not be numbered (RFC 9000 §4.6).
    public static let maximumCount: UInt64 = 1 << 60

    /// The number as it stands on the wire, below 2^62.
    public let rawValue: UInt64

    /// Creates an identifier from the number on the wire.
    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The `index`-th stream (from 0) that `initiator` opens in `direction`.
    @inlinable
    public init(initiator: Role, direction: StreamDirection, index: UInt64) {
        rawValue = index << 2 | UInt64(direction.rawValue) << 1 | UInt64(initiator.rawValue)
    }

    /// The end that opens the stream.
    @inlinable
    public var initiator: Role { rawValue & 1 == 0 ? .client : .server }
    /// Which ends may send.
    @inlinable
    public var direction: StreamDirection { rawValue & 2 == 0 ? .bidirectional : .unidirectional }
    /// Counts streams of one initiator and direction from 0.
    @inlinable
    public var index: UInt64 { rawValue >> 2 }

    @inlinable
    public static func < (a: StreamID, b: StreamID) -> Bool { a.rawValue < b.rawValue }
}
